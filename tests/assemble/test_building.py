import random

import msgspec
import pytest

from assemble.written import documents, from_block, pod, policy, snapshot, template
from ringfence import assemble
from ringfence.assemble import building
from ringfence.model.document import Document
from ringfence.model.location import Location, Problem
from ringfence.model.mesh import IstioConfig
from ringfence.model.profile import Cni
from ringfence.model.reading import Reading
from ringfence.model.snapshot import ASSUMED_POD_CIDRS, Snapshot

CLUSTER = (
    template("Deployment", "web", labels="{app: web}")
    + template("StatefulSet", "db", labels="{app: db}")
    + "".join(
        pod(
            f"db-{n}",
            owner="StatefulSet db",
            labels=f"{{app: db, statefulset.kubernetes.io/pod-name: db-{n}}}",
            ips=f"10.1.{n}.1",
        )
        for n in range(3)
    )
    + pod("bare", labels="{app: bare}", ips="10.2.0.1", namespace="tools")
    + """
---
apiVersion: v1
kind: Service
metadata: {name: db, namespace: shop}
spec: {selector: {app: db}, ports: [{port: 5432}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: shop, namespace: shop}
spec: {defaultBackend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: v1
kind: Node
metadata: {name: n1}
spec: {podCIDR: 10.1.0.0/16}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: a}}
"""
)
POLICIES = [
    policy("all", "podSelector: {}"),
    policy("block", from_block("10.1.1.0/24")),
    policy("one", "podSelector: {matchLabels: {statefulset.kubernetes.io/pod-name: db-1}}"),
    policy("broken", "podSelector: {}, ingress: [{from: [{}]}]"),
    policy("elsewhere", "podSelector: {}", namespace="new"),
]


def policies(*numbers: int) -> tuple[Document, ...]:
    return documents("".join(POLICIES[number] for number in numbers))


def test_the_order_of_documents_does_not_matter() -> None:
    found = list(documents(CLUSTER + "".join(POLICIES)))
    expected = assemble.build(Reading(tuple(found)))
    for seed in range(5):
        random.Random(seed).shuffle(found)
        again = assemble.build(Reading(tuple(found)))
        assert msgspec.json.encode(again) == msgspec.json.encode(expected)


def test_policies_point_to_their_documents() -> None:
    found = snapshot(CLUSTER + "".join(POLICIES))
    assert [found.documents[p.document].name for p in found.policies] == [
        p.name for p in found.policies
    ]
    assert len(found.documents) == len(POLICIES)


@pytest.mark.parametrize("before", [(), (0,), (1, 3), (2,), (0, 1, 2, 3)])
@pytest.mark.parametrize("after", [(), (0, 3), (1,), (1, 2), (0, 1, 2, 3, 4)])
def test_other_policies_give_what_they_would_have_given_at_first(
    before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    first = assemble.build(Reading(documents(CLUSTER) + policies(*before)))
    direct = assemble.build(Reading(documents(CLUSTER) + policies(*after)))
    assert assemble.with_documents(first, policies(*after)) == direct


def test_adding_policies_keeps_the_others_and_replaces_those_of_the_same_name() -> None:
    first = snapshot(CLUSTER + POLICIES[0] + POLICIES[1])
    changed = documents(policy("block", "podSelector: {}"), "new.yaml")
    found = assemble.add_documents(first, (*changed, *policies(4)))
    assert [(d.namespace, d.name, d.file) for d in found.documents] == [
        ("new", "elsewhere", "test.yaml"),
        ("shop", "all", "test.yaml"),
        ("shop", "block", "new.yaml"),
    ]
    assert [n.name for n in found.namespaces if n.implicit] == ["new", "tools"]
    assert found.problems == first.problems == ()


def test_what_could_not_be_read_stays_while_what_was_not_understood_goes() -> None:
    unreadable = Problem("broken", Location("x"), ("NetworkPolicy",), "NetworkPolicy/shop/x")
    reading = Reading(documents(CLUSTER) + policies(3), (unreadable,))
    first = assemble.build(reading)
    assert len(first.problems) == 2
    found = assemble.with_documents(first, policies(0))
    assert found.problems == (unreadable,)
    assert found.blind_spots == first.blind_spots
    assert [spot.namespace for spot in found.blind_spots] == ["shop"]


def stored(found: Snapshot) -> Snapshot:
    """Return a snapshot as it comes out of a file."""
    stripped = msgspec.structs.replace(found, policies=(), ignored=(), blind_spots=())
    return msgspec.json.decode(msgspec.json.encode(stripped), type=Snapshot)


@pytest.mark.parametrize("numbers", [(), (0, 1, 2, 3, 4)])
def test_a_stored_snapshot_is_worked_out_anew(numbers: tuple[int, ...]) -> None:
    unreadable = Problem("broken", Location("x"), ("NetworkPolicy",))
    first = assemble.build(Reading(documents(CLUSTER) + policies(*numbers), (unreadable,)))
    again = stored(first)
    assert building.rejudged(again, again.documents) == first


def test_another_profile_judges_the_same_documents_anew() -> None:
    cluster_wide = documents("""
apiVersion: policy.networking.k8s.io/v1alpha1
kind: BaselineAdminNetworkPolicy
metadata: {name: default}
spec: {subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}
""")
    first = assemble.build(Reading(cluster_wide), cni="antrea")
    assert (len(first.policies), len(first.ignored)) == (1, 0)
    again = stored(first)
    found = building.rejudged(
        again,
        again.documents,
        profile=msgspec.structs.replace(again.profile, cni=Cni.CILIUM),
    )
    assert (len(found.policies), len(found.ignored)) == (0, 1)


def test_other_pod_blocks_are_taken_over() -> None:
    first = snapshot(template("Deployment", "web"))
    found = building.rejudged(first, (), pod_cidrs=["10.7.0.0/16"])
    assert first.pod_cidrs == ASSUMED_POD_CIDRS
    assert (found.pod_cidrs, found.pod_cidrs_assumed) == (("10.7.0.0/16",), False)


def test_nothing_at_all_is_a_cluster_too() -> None:
    assert msgspec.structs.replace(assemble.build(Reading()), told_apart="") == Snapshot(
        pod_cidrs=ASSUMED_POD_CIDRS, pod_cidrs_assumed=True
    )


def test_problems_are_sorted_and_told_once() -> None:
    late, early = Problem("b", Location("x", 9)), Problem("a", Location("x", 2))
    found = assemble.build(Reading((), (late, early, late), "x"))
    assert found.problems == (early, late)


MESHED = """
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: wp}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: wp, namespace: shop}
spec: {gatewayClassName: istio-waypoint}
"""
ISTIO_POLICY = """
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody, namespace: shop}
spec: {}
"""


def test_other_policies_leave_the_mesh_as_it_is() -> None:
    text = CLUSTER.partition("---\napiVersion: v1\nkind: Namespace")[0] + MESHED
    first = snapshot(text)
    again = assemble.with_documents(first, policies(0, 1, 2))
    assert again.mesh == first.mesh
    assert again.services == first.services
    assert [service.waypoint for service in again.services] == [("shop", "wp")]
    planes = {
        (workload.ref, identity.mesh and identity.mesh.data_plane.value)
        for workload in again.workloads
        for identity in workload.identities
    }
    assert planes == {
        ("shop/web", "ambient"),
        ("shop/db", None),
        ("shop/wp", "sidecar"),
        ("tools/bare", None),
    }


def test_where_policies_of_a_mesh_are_added_there_is_that_mesh() -> None:
    first = snapshot(CLUSTER)
    assert first.mesh.istio is None
    again = assemble.add_documents(first, documents(ISTIO_POLICY))
    assert again.mesh.istio == IstioConfig()
    assert "AuthorizationPolicy/shop/nobody" in {d.ref for d in again.documents}
    assert again.mesh.linkerd is None
