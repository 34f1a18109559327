import pytest

from assemble.written import from_block, only_workload, owned_by, pod, policy, snapshot, template
from ringfence.model.cluster import Pod
from ringfence.model.selector import equals

KINDS = (
    "Deployment",
    "StatefulSet",
    "DaemonSet",
    "ReplicaSet",
    "ReplicationController",
    "Job",
    "CronJob",
)


def names(text: str) -> list[tuple[str, str]]:
    found = snapshot(text)
    assert found.problems == ()
    return [(workload.kind, workload.name) for workload in found.workloads]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_with_a_template_is_a_workload(kind: str) -> None:
    workload = only_workload(snapshot(template(kind, "web", labels="{app: web, tier: front}")))
    assert (workload.kind, workload.ref) == (kind, "shop/web")
    (identity,) = workload.identities
    assert identity.labels == {"app": "web", "tier": "front"}
    assert identity.pods == ()
    assert identity.service_account == "default"


def test_a_workload_keeps_its_own_labels_selector_and_replicas() -> None:
    text = template(
        "Deployment",
        "web",
        metadata="labels: {own: label}",
        spec="replicas: 3, selector: {matchLabels: {app: web}}",
    )
    workload = only_workload(snapshot(text))
    assert workload.labels == {"own": "label"}
    assert workload.selector == equals(app="web")
    assert workload.replicas == 3


def test_a_replication_controller_has_a_plain_selector() -> None:
    text = template("ReplicationController", "web", spec="selector: {app: web}")
    assert only_workload(snapshot(text)).selector == equals(app="web")


def test_the_selector_of_a_job_is_of_one_run_only() -> None:
    text = template("Job", "once", spec="selector: {matchLabels: {controller-uid: x}}")
    assert only_workload(snapshot(text)).selector is None


def test_an_old_revision_without_pods_is_no_workload() -> None:
    text = template(
        "ReplicaSet", "web-old", spec="replicas: 0", metadata=owned_by("Deployment", "web")
    )
    assert names(text) == []
    assert names(template("ReplicaSet", "bare", spec="replicas: 0")) == [("ReplicaSet", "bare")]


def test_a_replica_set_whose_deployment_is_missing_speaks_for_it() -> None:
    text = template(
        "ReplicaSet", "web-5d4", spec="replicas: 2", metadata=owned_by("Deployment", "web")
    )
    workload = only_workload(snapshot(text))
    assert (workload.kind, workload.name, workload.replicas) == ("Deployment", "web", 2)
    assert workload.identities[0].labels == {"app": "web"}


def test_identities_come_from_the_pods_as_they_run() -> None:
    text = (
        template("Deployment", "web", labels="{app: web, version: new}")
        + pod("a", owner="ReplicaSet web-1", labels="{app: web, version: old}")
        + pod("b", owner="ReplicaSet web-1", labels="{app: web, version: old}")
    )
    (identity,) = only_workload(snapshot(text)).identities
    assert identity.labels == {"app": "web", "version": "old"}


def test_pods_that_policies_can_tell_apart_are_different_identities() -> None:
    text = (
        template("Deployment", "web")
        + pod("a", owner="ReplicaSet web-1", labels="{app: web, version: old}")
        + pod("b", owner="ReplicaSet web-1", labels="{app: web, version: new}")
        + pod("c", owner="ReplicaSet web-1", labels="{app: web, version: old}")
        + pod("d", owner="ReplicaSet web-1", spec="serviceAccountName: other")
    )
    found = only_workload(snapshot(text)).identities
    assert [[p.name for p in identity.pods] for identity in found] == [["d"], ["b"], ["a", "c"]]
    assert found[0].service_account == "other"


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_completed_pods_are_gone(phase: str) -> None:
    done = f"phase: {phase}"
    assert names(pod("once", ips="10.1.0.1", status=done)) == []
    text = template("Job", "once") + pod("once-x", owner="Job once", status=done)
    (identity,) = only_workload(snapshot(text)).identities
    assert identity.pods == ()


def test_gotcha_18_an_address_belongs_to_the_live_pod() -> None:
    text = pod("done", labels="{app: done}", ips="10.1.0.1", status="phase: Succeeded") + pod(
        "live", labels="{app: live}", ips="10.1.0.1"
    )
    workload = only_workload(snapshot(text))
    assert workload.identities[0].labels == {"app": "live"}


def test_a_pod_being_deleted_counts_as_long_as_it_has_its_address() -> None:
    deleted = "deletionTimestamp: '2026-01-01T00:00:00Z'"
    assert names(pod("a", ips="10.1.0.1", metadata=deleted)) == [("Pod", "a")]
    assert names(pod("a", metadata=deleted)) == []
    released = f"{deleted}, annotations: {{cni.projectcalico.org/podIP: ''}}"
    assert names(pod("a", ips="10.1.0.1", metadata=released)) == []


def test_a_pod_without_an_address_is_live() -> None:
    workload = only_workload(snapshot(pod("a", status="phase: Pending")))
    assert workload.identities[0].pods == (Pod("a"),)


def test_dual_stack_addresses_and_the_node_are_kept() -> None:
    workload = only_workload(snapshot(pod("a", ips="10.1.0.1 fd00::1", spec="nodeName: n1")))
    assert workload.identities[0].pods == (Pod("a", ("10.1.0.1", "fd00::1"), "n1"),)


def test_a_single_pod_ip_is_read_where_there_is_no_list() -> None:
    text = pod("a", status="phase: Running, podIP: 10.1.0.9").replace("podIPs: [], ", "")
    assert only_workload(snapshot(text)).identities[0].pods == (Pod("a", ("10.1.0.9",)),)


def test_host_network_is_told() -> None:
    text = template("DaemonSet", "agent", pod_spec="hostNetwork: true, containers: []")
    assert only_workload(snapshot(text)).identities[0].host_network


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ("labels: {version: 1.0}", "expected a string, found the number `1.0` (quote it)"),
        ("labels: {canary: true}", "expected a string, found the truth value `true` (quote it)"),
        ("labels: [app]", "expected a map, found a list"),
        ("labels: app", "expected a map, found the text `app`"),
    ],
)
def test_malformed_labels_are_told(broken: str, message: str) -> None:
    text = template("Deployment", "web").replace("labels: {app: web}", broken)
    found = snapshot(text + template("Deployment", "other"))
    assert [workload.name for workload in found.workloads] == ["other"]
    (problem,) = found.problems
    assert message in problem.message
    assert problem.message.startswith("Deployment/shop/web: ")
    assert problem.affects == ("Deployment",)
    assert problem.object == "Deployment/shop/web"
    assert problem.severity == "error"


@pytest.mark.parametrize(
    "text",
    [
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {}",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: []",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}",
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: web}\nspec: {jobTemplate: {}}",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, ownerReferences: {}}\nspec: []",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, ownerReferences: [a]}",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nstatus: {podIP: 10.0.0.256}",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nstatus: {podIPs: [{ip: 5}]}",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nstatus: {podIPs: 5}",
        "apiVersion: v1\nkind: Pod\nmetadata: {generateName: 5}\n",
    ],
)
def test_objects_of_the_wrong_shape_are_told(text: str) -> None:
    found = snapshot(text)
    assert found.workloads == ()
    assert len(found.problems) == 1


def test_a_null_label_is_an_empty_one() -> None:
    workload = only_workload(snapshot(template("Deployment", "web", labels="{app: web, x: }")))
    assert workload.identities[0].labels == {"app": "web", "x": ""}


def test_a_generated_name_stands_for_a_name() -> None:
    text = template("Job", "x").replace("name: x", "generateName: load-")
    assert names(text) == [("Job", "load")]


def test_workloads_are_sorted_by_namespace_name_and_kind() -> None:
    text = (
        template("StatefulSet", "web")
        + template("Deployment", "web")
        + template("Deployment", "api")
        + template("Deployment", "zoo", namespace="bar")
    )
    found = snapshot(text).workloads
    assert [(w.ref, w.kind) for w in found] == [
        ("bar/zoo", "Deployment"),
        ("shop/api", "Deployment"),
        ("shop/web", "Deployment"),
        ("shop/web", "StatefulSet"),
    ]


def test_a_malformed_environment_is_told_and_the_workload_kept() -> None:
    text = template(
        "Deployment", "web", pod_spec="containers: [{name: app, env: [{name: PORT, value: 80}]}]"
    )
    found = snapshot(text)
    assert len(found.workloads) == 1
    (problem,) = found.problems
    assert problem.severity == "warning"
    assert "`spec.template.spec.containers[0].env[0].value`" in problem.message


def test_replicas_do_not_matter() -> None:
    pods = [
        pod(f"web-{n}", owner="ReplicaSet web-1", ips=f"10.1.{n}.7", spec=f"nodeName: n{n}")
        for n in range(4)
    ]
    text = template("Deployment", "web") + policy("p", from_block("10.0.0.0/8"))
    one = only_workload(snapshot(text + pods[0]))
    many = only_workload(snapshot(text + "".join(pods)))
    assert len(one.identities) == len(many.identities) == 1
    assert len(many.identities[0].pods) == 4
