import pytest

from assemble.written import only_workload, pod, snapshot, template
from ringfence.model.cluster import ContainerPort, Protocol


def test_the_older_name_of_the_service_account_counts() -> None:
    text = template("Deployment", "web", pod_spec="serviceAccount: old, containers: []")
    assert only_workload(snapshot(text)).identities[0].service_account == "old"


def test_declared_ports_keep_their_order_and_tell_init_containers() -> None:
    text = template(
        "Deployment",
        "web",
        pod_spec="""
            initContainers: [{name: side, ports: [{containerPort: 15020, name: stats}]}],
            containers: [
              {name: app, ports: [
                {containerPort: 8080, name: http}, {containerPort: 53, protocol: UDP},
                {containerPort: 8080, name: http}]},
              {name: other, ports: [{containerPort: 80, name: http}]}]""",
    )
    assert only_workload(snapshot(text)).identities[0].ports == (
        ContainerPort(8080, name="http"),
        ContainerPort(53, Protocol.UDP),
        ContainerPort(80, name="http"),
        ContainerPort(15020, name="stats", init=True),
    )


def test_the_same_ports_of_a_container_and_an_init_container_are_not_mixed_up() -> None:
    ports = "[{name: x, ports: [{containerPort: 80, name: http}]}]"
    text = template("Deployment", "a", pod_spec=f"containers: {ports}") + template(
        "Deployment", "b", pod_spec=f"containers: [], initContainers: {ports}"
    )
    first, second = snapshot(text).workloads
    assert [port.init for port in first.identities[0].ports] == [False]
    assert [port.init for port in second.identities[0].ports] == [True]


@pytest.mark.parametrize(
    "pod_spec",
    [
        "containers: 1",
        "containers: {name: app}",
        "containers: [app]",
        "containers: [{ports: 80}]",
        "containers: [{ports: {containerPort: 80}}]",
        "containers: [{ports: [80]}]",
        "containers: [{ports: [{name: http}]}]",
        "containers: [{ports: [{containerPort: '80'}]}]",
        "containers: [{ports: [{containerPort: 70000}]}]",
        "containers: [{ports: [{containerPort: [80]}]}]",
        "containers: [{ports: [{containerPort: 80, protocol: HTTP}]}]",
        "containers: [], hostNetwork: 'yes'",
        "containers: [], serviceAccountName: 5",
    ],
)
@pytest.mark.parametrize("kind", ["Deployment", "Pod"])
def test_malformed_pod_specs_are_told_and_never_raise(pod_spec: str, kind: str) -> None:
    if kind == "Pod":
        text = pod("web").replace("containers: [{name: app}], ", pod_spec)
    else:
        text = template(kind, "web", pod_spec=pod_spec)
    found = snapshot(text)
    assert found.workloads == ()
    assert [problem.affects for problem in found.problems] == [(kind,)]
