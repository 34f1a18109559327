from assemble.written import only_workload, owned_by, pod, snapshot, template
from ringfence.model.cluster import Pod


def names(text: str) -> list[tuple[str, str]]:
    found = snapshot(text)
    assert found.problems == ()
    return [(workload.kind, workload.name) for workload in found.workloads]


def test_pods_are_folded_into_the_deployment_above_their_replica_set() -> None:
    text = (
        template("Deployment", "web")
        + template("ReplicaSet", "web-5d4", metadata=owned_by("Deployment", "web"))
        + pod("web-5d4-a", owner="ReplicaSet web-5d4", ips="10.1.0.1")
        + pod("web-5d4-b", owner="ReplicaSet web-5d4", ips="10.1.0.2")
    )
    workload = only_workload(snapshot(text))
    assert (workload.kind, workload.name) == ("Deployment", "web")
    (identity,) = workload.identities
    assert identity.pods == (Pod("web-5d4-a", ("10.1.0.1",)), Pod("web-5d4-b", ("10.1.0.2",)))


def test_pods_are_folded_into_the_cron_job_above_their_job() -> None:
    text = (
        template("CronJob", "backup")
        + template("Job", "backup-28512345", metadata=owned_by("CronJob", "backup"))
        + pod("backup-28512345-x", owner="Job backup-28512345")
    )
    assert names(text) == [("CronJob", "backup")]


def test_a_missing_replica_set_is_bridged_by_the_pod_template_hash() -> None:
    assert names(
        pod("web-5d4-a", owner="ReplicaSet web-5d4", labels="{app: web, pod-template-hash: 5d4}")
    ) == [("Deployment", "web")]


def test_a_missing_replica_set_is_bridged_by_the_name_of_a_deployment_in_the_input() -> None:
    text = template("Deployment", "web") + pod("web-5d4-a", owner="ReplicaSet web-5d4")
    workload = only_workload(snapshot(text))
    assert (workload.kind, workload.name) == ("Deployment", "web")
    assert [p.name for p in workload.identities[0].pods] == ["web-5d4-a"]


def test_a_missing_replica_set_without_a_hash_is_the_workload() -> None:
    assert names(pod("web-5d4-a", owner="ReplicaSet web-5d4")) == [("ReplicaSet", "web-5d4")]


def test_a_missing_replica_set_of_a_rollout_is_bridged_by_its_own_hash() -> None:
    labels = "{app: web, rollouts-pod-template-hash: 5d4}"
    assert names(pod("web-5d4-a", owner="ReplicaSet web-5d4", labels=labels)) == [
        ("Rollout", "web")
    ]


def test_a_missing_job_is_the_workload_unless_its_cron_job_is_in_the_input() -> None:
    alone = pod("backup-28512345-x", owner="Job backup-28512345")
    assert names(alone) == [("Job", "backup-28512345")]
    assert names(template("CronJob", "backup") + alone) == [("CronJob", "backup")]


def test_an_owner_of_an_unknown_kind_is_a_workload_of_that_kind() -> None:
    text = template("ReplicaSet", "web-5d4", metadata=owned_by("Rollout", "web")) + pod(
        "web-5d4-a", owner="ReplicaSet web-5d4"
    )
    assert names(text) == [("Rollout", "web")]
    assert names(pod("kafka-0", owner="StrimziPodSet kafka")) == [("StrimziPodSet", "kafka")]


def test_a_deployment_that_an_operator_owns_stays_what_people_name() -> None:
    text = (
        template("StatefulSet", "prometheus-main", metadata=owned_by("Prometheus", "main"))
        + template("Deployment", "dash", metadata=owned_by("Grafana", "dash"))
        + pod("prometheus-main-0", owner="StatefulSet prometheus-main")
    )
    assert names(text) == [("Deployment", "dash"), ("StatefulSet", "prometheus-main")]


def test_a_static_pod_is_no_workload_of_its_node() -> None:
    assert names(pod("etcd-n1", owner="Node n1")) == [("Pod", "etcd-n1")]


def test_an_owner_reference_without_the_controller_mark_counts_for_kinds_that_create_pods() -> None:
    references = "ownerReferences: [{kind: Lock, name: x}, {kind: StatefulSet, name: db}]"
    assert names(pod("db-0").replace("ownerReferences: []", references)) == [("StatefulSet", "db")]


def test_owners_in_a_circle_end_somewhere() -> None:
    text = (
        template("ReplicaSet", "a", metadata=owned_by("ReplicaSet", "b"))
        + template("ReplicaSet", "b", metadata=owned_by("ReplicaSet", "a"))
        + pod("p", owner="ReplicaSet a")
    )
    assert {kind for kind, _ in names(text)} == {"ReplicaSet"}
