"""Laws of clusters with Linkerd: the judges agree, and what is not known is never passed over.

`mesh_laws` holds them; Istio's clusters are tried in `test_istio_laws`, and what
matters in neither mesh in `test_mesh_laws`.
"""

from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import mesh_laws as laws
from linkerd_strategies import authorization_policies, server_authorizations
from mesh_connections import mesh_connections
from mesh_laws import copied, maps
from mesh_strategies import meshed
from ringfence.engine import Engine
from strategies import Situation
from test_laws import clusters

FIELDS = {
    "podSelector", "externalWorkloadSelector", "matchLabels", "matchExpressions", "port",
    "proxyProtocol", "accessPolicy", "server", "name", "selector", "client", "networks", "cidr",
    "except", "unauthenticated", "meshTLS", "unauthenticatedTLS", "identities", "serviceAccounts",
    "namespace", "targetRef", "group", "kind", "requiredAuthenticationRefs", "identityRefs",
    "parentRefs", "hostnames", "rules", "matches", "path", "type", "value", "method", "service",
    "headers", "queryParams", "filters", "backendRefs", "trafficPolicy",
}  # fmt: skip
KINDS = {
    "Server", "ServerAuthorization", "AuthorizationPolicy", "MeshTLSAuthentication",
    "NetworkAuthentication", "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "EgressNetwork",
}  # fmt: skip


@clusters(25)
@given(meshed("linkerd"))
def test_both_judges_agree_on_linkerd(situation: Situation) -> None:
    laws.judges_agree(situation.snapshot(), 80)


@clusters(15)
@given(meshed("linkerd", certain=True))
def test_connectivity_is_what_the_judge_says_by_any_way(situation: Situation) -> None:
    laws.connectivity_is_the_judge(situation.snapshot(), 120)


# -- what nobody knows ---------------------------------------------------------------------------


@clusters(25)
@given(meshed("linkerd", sound=True, certain=True), st.sampled_from((None, 1, {})), st.data())
def test_an_unknown_field_at_any_depth_makes_unknown_what_depends_on_it(
    situation: Situation, value: Any, data: st.DataObject
) -> None:
    listed = [n for n, one in enumerate(situation.policies) if one["kind"] in KINDS]
    number = data.draw(st.sampled_from(listed))
    spoiled = copied(situation.policies)
    fixed = [
        found
        for found in maps(spoiled[number]["spec"])
        if not {"requestHeaderModifier", "requestRedirect"} & found.keys()
        and not {"remove", "statusCode", "app"} & found.keys()
        and found not in opaque(spoiled[number]["spec"])
    ]
    data.draw(st.sampled_from(fixed))["surprise"] = value
    without = [one for n, one in enumerate(copied(situation.policies)) if n != number]
    laws.unknown_is_what_depends_on_it(situation, spoiled, without, 60)


def opaque(spec: Any) -> list[Any]:
    """Return the maps that are not read field by field: backends, and what filters do."""
    return [one for found in maps(spec) for one in found.get("backendRefs") or ()]


# -- one more ------------------------------------------------------------------------------------


@clusters(25)
@given(
    meshed("linkerd", sound=True),
    st.one_of(authorization_policies("more"), server_authorizations("more")),
)
def test_one_more_authorization_never_denies_more(situation: Situation, policy: Any) -> None:
    before = situation.snapshot()
    after = situation.with_policies([*situation.policies, policy])
    laws.compare(before, after, 60, laws.never_denies_more)


@clusters(25)
@given(meshed("linkerd", sound=True), st.data())
def test_one_authorization_less_never_allows_more(
    situation: Situation, data: st.DataObject
) -> None:
    kinds = ("AuthorizationPolicy", "ServerAuthorization")
    listed = [n for n, one in enumerate(situation.policies) if one["kind"] in kinds]
    if not listed:
        return
    number = data.draw(st.sampled_from(listed))
    less = [one for n, one in enumerate(situation.policies) if n != number]
    laws.compare(situation.snapshot(), situation.with_policies(less), 60, laws.never_allows_more)


# -- the strategies themselves -------------------------------------------------------------------


def test_the_strategies_reach_every_field_and_verdict_of_linkerd() -> None:
    kinds: set[str] = set()
    fields: set[str] = set()
    decided: set[tuple[str, str]] = set()
    wires: set[int | None] = set()

    @clusters(100)
    @given(meshed("linkerd", sound=True))
    def gather(situation: Situation) -> None:
        for manifest in situation.policies:
            if manifest["kind"] in KINDS:
                kinds.add(manifest["kind"])
                for found in maps(manifest["spec"]):
                    fields.update(found)
        snapshot = situation.snapshot()
        engine = Engine(snapshot)
        for connection in mesh_connections(snapshot, 40):
            judged = engine.judge(connection)
            for piece in judged.evidence:
                if piece.layer == "mesh":
                    decided.add(((piece.object or "").partition("/")[0], piece.action))
            if judged.mesh and judged.mesh.mtls:
                wires.add(judged.mesh.wire)

    gather()
    assert not KINDS - kinds, KINDS - kinds
    assert not FIELDS - fields, FIELDS - fields
    wanted = {
        *product(("Server",), ("allow", "deny")),
        ("AuthorizationPolicy.policy.linkerd.io", "allow"),
        *product(("ServerAuthorization",), ("allow",)),
        *product(("EgressNetwork",), ("allow", "deny")),
        *product(("DefaultInboundPolicy",), ("allow", "deny")),
    }
    assert not wanted - decided, (wanted - decided, decided)
    assert {4143, 80} <= wires
