from ringfence.learn.stable_selector import StableSelectors
from ringfence.model.selector import LabelSelector, Operator, Requirement, from_labels
from written_maps import cluster, workload


def chosen(text: str, cni: str | None = None) -> dict[str, tuple[LabelSelector, tuple[str, ...]]]:
    snapshot = cluster(text, cni)
    selectors = StableSelectors(snapshot)
    found = {}
    for number, each in enumerate(snapshot.workloads):
        choice = selectors.of(number)
        also = tuple(snapshot.workloads[n].ref for n in choice.also)
        found[each.ref] = (choice.selector, also)
    return found


def test_the_workloads_own_selector_is_preferred() -> None:
    found = chosen(
        workload("a/x", "app: x, tier: front", selector="tier: front") + workload("a/w", "app: w")
    )
    assert found["a/x"] == (from_labels({"tier": "front"}), ())


def test_a_selector_that_selects_a_neighbour_too_is_not_taken() -> None:
    found = chosen(
        workload("a/x", "app: x, tier: t", selector="tier: t")
        + workload("a/w", "app: w, tier: t", selector="tier: t")
    )
    assert found["a/x"] == (from_labels({"app": "x"}), ())


def test_labels_of_the_conventions_come_next() -> None:
    name, component = "app.kubernetes.io/name", "app.kubernetes.io/component"
    found = chosen(
        workload("a/x", f"{name}: shop, {component}: x", kind="Job")
        + workload("a/w", f"{name}: shop, {component}: w", kind="Job")
    )
    assert found["a/x"] == (from_labels({name: "shop", component: "x"}), ())


def test_labels_that_change_with_each_roll_out_are_never_taken() -> None:
    labels = "app: x, pod-template-hash: abc, controller-uid: u"
    found = chosen(workload("a/x", labels, selector=labels))
    assert found["a/x"] == (from_labels({"app": "x"}), ())


def test_a_neighbour_with_more_labels_is_told_apart_by_their_absence() -> None:
    found = chosen(
        workload("a/x", "app: x") + workload("a/w", "app: x, role: worker", selector="app: x")
    )
    absent = Requirement("role", Operator.DOES_NOT_EXIST)
    assert found["a/x"] == (LabelSelector((*from_labels({"app": "x"}).requirements, absent)), ())
    assert found["a/w"] == (from_labels({"app": "x", "role": "worker"}), ())


def test_workloads_that_nothing_tells_apart_are_told() -> None:
    found = chosen(workload("a/x", "app: x", kind="Job") + workload("a/w", "app: x", kind="Job"))
    assert found["a/x"] == (from_labels({"app": "x"}), ("a/w",))
    assert found["a/w"] == (from_labels({"app": "x"}), ("a/x",))


def test_other_namespaces_and_the_host_network_do_not_matter() -> None:
    found = chosen(
        workload("a/x", "app: x")
        + workload("b/x", "app: x")
        + workload("a/host", "app: x", kind="DaemonSet", host=True)
    )
    assert found["a/x"] == (from_labels({"app": "x"}), ())


def test_labels_that_cilium_leaves_out_of_identities_tell_nothing_apart_there() -> None:
    two = "".join(
        workload(f"a/{name}", f"app: x, k8s.io/part: {name}", kind="Job") for name in "xw"
    )
    assert chosen(two)["a/x"] == (from_labels({"app": "x", "k8s.io/part": "x"}), ())
    assert chosen(two, "cilium")["a/x"] == (from_labels({"app": "x"}), ("a/w",))
