"""Laws of clusters with Istio: the judges agree, and what is not known is never passed over.

`mesh_laws` holds them; Linkerd's clusters are tried in `test_linkerd_laws`, and what
matters in neither mesh in `test_mesh_laws`.
"""

from itertools import product
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import mesh_laws as laws
from istio_strategies import authorization_policies, rules
from mesh_connections import mesh_connections
from mesh_laws import copied, maps
from mesh_strategies import meshed
from ringfence.engine import Engine
from strategies import Situation
from test_laws import clusters

FIELDS = {
    "selector", "matchLabels", "targetRef", "targetRefs", "group", "kind", "name", "rules",
    "action", "provider", "from", "source", "to", "operation", "when", "key", "values",
    "notValues", "principals", "notPrincipals", "requestPrincipals", "notRequestPrincipals",
    "namespaces", "notNamespaces", "serviceAccounts", "notServiceAccounts", "trustDomains",
    "notTrustDomains", "ipBlocks", "notIpBlocks", "remoteIpBlocks", "notRemoteIpBlocks", "hosts",
    "notHosts", "ports", "notPorts", "methods", "notMethods", "paths", "notPaths", "mtls", "mode",
    "portLevelMtls", "jwtRules", "host", "trafficPolicy", "tls", "portLevelSettings", "exportTo",
    "workloadSelector", "labels", "egress", "outboundTrafficPolicy", "addresses", "location",
    "resolution", "number", "protocol",
}  # fmt: skip
KINDS = {
    "AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication", "DestinationRule",
    "Sidecar", "ServiceEntry",
}  # fmt: skip


@clusters(25)
@given(meshed("istio", sound=True))
def test_both_judges_agree_on_istio(situation: Situation) -> None:
    laws.judges_agree(situation.snapshot(), 80)


@clusters(10)
@given(meshed("istio"))
def test_the_judges_do_not_contradict_each_other_on_what_is_malformed(
    situation: Situation,
) -> None:
    laws.judges_do_not_contradict(situation.snapshot(), 80)


@clusters(15)
@given(meshed("istio", certain=True))
def test_connectivity_is_what_the_judge_says_by_any_way(situation: Situation) -> None:
    laws.connectivity_is_the_judge(situation.snapshot(), 120)


# -- what nobody knows ---------------------------------------------------------------------------

OF_ISTIO = ("AuthorizationPolicy", "PeerAuthentication", "DestinationRule", "Sidecar")


@clusters(25)
@given(meshed("istio", sound=True, certain=True), st.sampled_from((None, 1, {})), st.data())
def test_an_unknown_field_at_any_depth_makes_unknown_what_depends_on_it(
    situation: Situation, value: Any, data: st.DataObject
) -> None:
    listed = [n for n, one in enumerate(situation.policies) if one["kind"] in OF_ISTIO]
    if not listed:
        return
    number = data.draw(st.sampled_from(listed))
    spoiled, without = copied(situation.policies), copied(situation.policies)
    spec = spoiled[number]["spec"]
    if spec.get("rules") and data.draw(st.integers(0, 3)):
        index = data.draw(st.integers(0, len(spec["rules"]) - 1))
        place = data.draw(st.sampled_from(list(maps(spec["rules"][index]))))
        # Without it the policy still is one that allows nothing, or denies nothing.
        del without[number]["spec"]["rules"][index]
    else:
        place = data.draw(st.sampled_from(list(fixed(spec))))
        del without[number]
    place["surprise"] = value
    laws.unknown_is_what_depends_on_it(situation, spoiled, without, 60)


def fixed(spec: Any) -> list[dict[str, Any]]:
    """Return the maps of a policy whose keys are not the user's own."""
    free = [
        one
        for key in ("matchLabels", "labels", "portLevelMtls")
        for found in maps(spec)
        if isinstance(one := found.get(key), dict)
    ]
    return [found for found in maps(spec) if not any(found is one for one in free)]


# -- one more ------------------------------------------------------------------------------------


@clusters(25)
@given(meshed("istio", sound=True), authorization_policies("more", action="DENY"))
def test_one_more_policy_that_denies_never_allows_more(situation: Situation, policy: Any) -> None:
    before = situation.snapshot()
    after = situation.with_policies([*situation.policies, policy])
    laws.compare(before, after, 60, laws.never_allows_more)


@clusters(25)
@given(meshed("istio", sound=True), rules(), st.data())
def test_one_more_rule_of_a_policy_that_allows_never_denies_more(
    situation: Situation, rule: Any, data: st.DataObject
) -> None:
    allowing = [
        n
        for n, one in enumerate(situation.policies)
        if one["kind"] == "AuthorizationPolicy" and one["spec"].get("action", "ALLOW") == "ALLOW"
    ]
    if not allowing:
        return
    more = copied(situation.policies)
    spec = more[data.draw(st.sampled_from(allowing))]["spec"]
    spec["rules"] = [*spec.get("rules", []), rule]
    laws.compare(situation.snapshot(), situation.with_policies(more), 60, laws.never_denies_more)


# -- the strategies themselves -------------------------------------------------------------------


def test_the_strategies_reach_every_field_and_verdict_of_istio() -> None:
    kinds: set[str] = set()
    fields: set[str] = set()
    decided: set[tuple[str, str]] = set()
    carried: set[Any] = set()

    @clusters(100)
    @given(meshed("istio", sound=True))
    def gather(situation: Situation) -> None:
        for manifest in situation.policies:
            if manifest["kind"] in KINDS:
                kinds.add(manifest["kind"])
                for found in maps(manifest["spec"]):
                    fields.update(found)
        snapshot = situation.snapshot()
        engine = Engine(snapshot)
        for connection in mesh_connections(snapshot, 20):
            judged = engine.judge(connection)
            for piece in judged.evidence:
                if piece.layer == "mesh":
                    decided.add(((piece.object or "").partition("/")[0], piece.action))
            if judged.mesh:
                carried.add(
                    (judged.mesh.mtls, judged.mesh.wire == 15008, bool(judged.mesh.waypoint))
                )

    gather()
    assert not KINDS - kinds
    assert not FIELDS - fields, FIELDS - fields
    wanted = {
        *product(("AuthorizationPolicy",), ("allow", "deny", "unknown")),
        *product(("PeerAuthentication", "Sidecar"), ("deny",)),
        ("", "allow"),
    }
    assert not wanted - decided, wanted - decided
    ways = {(False, False, False), (True, False, False), (True, True, False), (True, True, True)}
    assert not ways - carried, ways - carried
