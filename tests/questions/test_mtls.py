"""The way to mTLS: how far namespaces are, and who stands in the way; judged, not guessed."""

import pytest

from questions.mesh_shop import AMBIENT, ONLY_8080, SIDECAR, STRICT, linkerd, load, shop, text
from ringfence.model.mtls import Mtls, MtlsNamespace, Step
from ringfence.questions.mtls import is_clean, mtls

ONLY_MEMBERS = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: inside, namespace: shop}
spec:
  podSelector: {}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {}}]}]
"""
PERMISSIVE = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: mode, namespace: shop}
spec: {mtls: {mode: PERMISSIVE}}
"""
ONE_PORT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: pay, namespace: shop}
spec:
  selector: {matchLabels: {app: pay}}
  mtls: {mode: STRICT}
"""
NODE = """
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}
"""
CALLS = frozenset({("shop/web", "shop/pay")})


def of(answer: Mtls, name: str) -> MtlsNamespace:
    (found,) = [namespace for namespace in answer.namespaces if namespace.name == name]
    return found


@pytest.mark.parametrize(("mesh", "plane"), [(SIDECAR, "sidecar"), (AMBIENT, "ambient")])
def test_members_are_counted_by_data_plane(mesh: str, plane: str) -> None:
    answer = mtls(shop(mesh=mesh))
    assert of(answer, "shop").members == {plane: 2}
    assert of(answer, "shop").mode == "PERMISSIVE"
    legacy = of(answer, "legacy")
    assert (legacy.members, legacy.mode, legacy.step) == ({}, "", Step.NONE)


def test_pairs_are_counted_where_they_end() -> None:
    answer = mtls(shop())
    counted = of(answer, "shop")
    assert (counted.over_mtls, counted.partly, counted.plaintext) == (2, 0, 2)
    assert of(answer, "legacy").plaintext == 2
    assert not is_clean(answer)


def test_callers_outside_the_mesh_are_named_with_the_ports_that_break() -> None:
    answer = mtls(shop())
    assert of(answer, "shop").step is Step.CALLERS
    callers = {(c.source, c.destination, c.ports, c.why) for c in answer.callers}
    assert ("legacy/batch", "shop/pay", "8080", "is in no mesh") in callers
    assert {c.kind for c in answer.callers} == {"Deployment", "External"}


def test_nodes_are_told_apart_from_the_outside() -> None:
    answer = mtls(shop(NODE))
    assert "Node" in {caller.kind for caller in answer.callers}


def test_a_namespace_that_only_members_reach_can_go_now() -> None:
    answer = mtls(shop(ONLY_MEMBERS))
    found = of(answer, "shop")
    assert (found.step, found.breaking) == (Step.READY, 0)
    assert "kind: PeerAuthentication" in found.change
    assert "mode: STRICT" in found.change
    assert answer.callers == ()


def test_what_is_there_already_is_changed_and_not_rivalled() -> None:
    found = of(mtls(shop(ONLY_MEMBERS, PERMISSIVE)), "shop")
    assert "name: mode" in found.change


def test_a_strict_namespace_needs_nothing_more() -> None:
    found = of(mtls(shop(STRICT)), "shop")
    assert (found.mode, found.step, found.breaking, found.change) == ("STRICT", Step.STRICT, 0, "")


def test_modes_that_differ_are_told_as_mixed() -> None:
    assert of(mtls(shop(ONE_PORT)), "shop").mode == "mixed"


def test_by_a_map_only_what_it_lists_counts() -> None:
    answer = mtls(shop(), CALLS)
    assert of(answer, "shop").step is Step.READY
    assert (of(answer, "shop").over_mtls, of(answer, "shop").plaintext) == (1, 0)
    assert is_clean(answer)
    blocked = mtls(shop(), CALLS | {("legacy/batch", "shop/pay")})
    assert [(c.source, c.destination) for c in blocked.callers] == [("legacy/batch", "shop/pay")]


def test_what_the_map_lists_and_nothing_lets_through_is_told() -> None:
    answer = mtls(shop(ONLY_8080, mesh=AMBIENT), CALLS)
    assert answer.notes[0] == "the map lists shop/web -> shop/pay, which nothing lets through now"


def test_a_member_that_goes_past_its_mesh_breaks_too() -> None:
    """No Service leads to 8080 any more: a sidecar calls the pod's own address, in plaintext."""
    manifests = text().replace("targetPort: 8080", "targetPort: 9999")
    (found,) = [c for c in mtls(load(manifests), CALLS).callers if c.destination == "shop/pay"]
    assert (found.source, found.ports) == ("shop/web", "8080")
    assert found.why.startswith("is in the mesh, but calls without mTLS")


def test_of_linkerd_the_default_policy_is_made_to_ask_for_an_identity() -> None:
    answer = mtls(linkerd())
    found = of(answer, "shop")
    assert (found.members, found.mode) == ({"linkerd": 2}, "all-unauthenticated")
    assert found.step is Step.CALLERS
    assert "config.linkerd.io/default-inbound-policy: all-authenticated" in found.change
    assert ("legacy/batch", "shop/pay") in {(c.source, c.destination) for c in answer.callers}
    assert of(mtls(linkerd(), CALLS), "shop").step is Step.READY


def test_where_nobody_is_in_a_mesh_that_is_said() -> None:
    answer = mtls(shop(mesh=""))
    assert answer.notes[0] == "nobody takes part in a mesh: everything is plaintext"
    assert {namespace.step for namespace in answer.namespaces} == {Step.NONE}
    assert not is_clean(answer)
