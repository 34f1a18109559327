"""Laws of Cilium's policies alone: what else holds for every cluster is in `test_laws.py`."""

import copy
import io
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from cilium_proxies import agents, asked, proxied_policies
from cilium_requests import keys
from cilium_strategies import cilium_policies, cilium_policy_sets, cilium_rules
from every_connection import connections, named
from policy_strategies import Manifest
from ringfence import assemble, reference
from ringfence.engine import Engine
from ringfence.model.connection import AddressEnd, Connection, PodEnd
from ringfence.model.layer7 import ANYTHING
from ringfence.model.profile import CiliumConfig
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from strategies import Situation, situations
from strategies import clusters as random_clusters
from test_laws import RANK, clusters, told

OUTSIDE = AddressEnd("198.51.100.7")
FREE = ("matchLabels",)
"""Maps of which the keys are free."""


@clusters(25)
@given(situations(cni="cilium"))
def test_both_judges_agree(situation: Situation) -> None:
    snapshot = situation.snapshot()
    engine = Engine(snapshot)
    for connection in connections(snapshot, 100):
        literal = reference.judge(snapshot, connection)
        wanted = literal.verdict, literal.egress, literal.ingress
        assert told(engine, connection) == wanted, (snapshot.profile, connection, literal)
        found = engine.judge(connection)
        assert bool(found.limited_to) == bool(literal.limited_to), (connection, literal)


@clusters(60)
@given(random_clusters(), proxied_policies(), agents())
def test_both_judges_agree_on_what_passes_a_proxy(
    cluster: list[Manifest], policies: list[Manifest], agent: Manifest
) -> None:
    cluster = [m for m in cluster if m["kind"] not in ("ConfigMap", "DaemonSet")]
    snapshot = Situation([*cluster, agent], policies, "cilium").snapshot()
    engine = Engine(snapshot)
    for connection in asked(snapshot, 60):
        literal = reference.judge(snapshot, connection)
        if connection.request == ANYTHING and literal.verdict is Verdict.UNKNOWN:
            continue  # of what is open, the literal judge knows less
        wanted = literal.verdict, literal.egress, literal.ingress
        assert told(engine, connection) == wanted, (snapshot.profile, connection, literal)
        limited = engine.judge(connection).limited_to
        assert bool(limited) == bool(literal.limited_to), (connection, literal)


# -- fields that nobody knows ----------------------------------------------------------------------


def mappings(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every mapping below a value that has fields of its own."""
    if isinstance(value, dict):
        if not (path and path[-1] in FREE):
            yield path
        for key, child in value.items():
            yield from mappings(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from mappings(child, (*path, index))


def with_surprise(policy: Manifest, path: tuple[Any, ...]) -> Manifest:
    """Return a policy with a field more at a place."""
    found = copy.deepcopy(policy)
    here: Any = found
    for part in path:
        here = here[part]
    here["surprise"] = 1
    return found


def subjects(snapshot: Snapshot) -> Iterator[str]:
    """Yield the names of the pods that the only policy selects."""
    classes = Engine(snapshot).compiled(4).classes
    for name, end in named(snapshot).items():
        if isinstance(end, PodEnd):
            element = classes.universe.first_identity[end.workload] + end.identity
            if any(p.subjects >> classes.class_of[element] & 1 for p in classes.policies):
                yield name


@clusters(40)
@given(random_clusters(), cilium_policies(), st.data())
def test_a_field_more_at_any_depth_leaves_all_open_that_depends_on_it(
    cluster: list[Manifest], policy: Manifest, data: st.DataObject
) -> None:
    cluster = [m for m in cluster if m["kind"] not in ("ConfigMap", "DaemonSet")]
    sound = Situation(cluster, [policy], "cilium").snapshot()
    assume(sound.policies and not any(p.unreadable for p in sound.policies))
    chosen = list(subjects(sound))
    assume(chosen)
    parts = {key: policy[key] for key in ("spec", "specs") if key in policy}
    path = data.draw(st.sampled_from(sorted(mappings(parts), key=str)[1:]))
    text = yaml.safe_dump_all([*cluster, with_surprise(policy, path)], sort_keys=False)
    line = next(n for n, read in enumerate(text.splitlines(), 1) if "surprise:" in read)
    snapshot = assemble.load(["-"], cni="cilium", stdin=io.BytesIO(text.encode()))
    engine = Engine(snapshot)
    ends = named(snapshot)
    for end in (ends[name] for name in chosen):
        for connection in (Connection(end, OUTSIDE, port=80), Connection(OUTSIDE, end, port=80)):
            for found in (engine.judge(connection), reference.judge(snapshot, connection)):
                assert found.verdict is Verdict.UNKNOWN, (path, connection)
                named_so = [why for why in found.unknown_because if "surprise" in why]
                assert any(f":{line}" in why for why in named_so), (found, line)


# -- what one more rule does -----------------------------------------------------------------------


@clusters(25)
@given(situations(cni="cilium", sound=True), st.data())
def test_one_more_rule_that_denies_never_allows_more(
    situation: Situation, data: st.DataObject
) -> None:
    choices = [
        number
        for number, policy in enumerate(situation.policies)
        if policy["kind"].startswith("Cilium") and "endpointSelector" in policy.get("spec", {})
    ]
    assume(choices)
    number = data.draw(st.sampled_from(choices))
    section = data.draw(st.sampled_from(("ingressDeny", "egressDeny")))
    more = copy.deepcopy(situation.policies)
    spec = more[number]["spec"]
    spec[section] = [*(spec.get(section) or []), data.draw(cilium_rules(section))]
    before, after = situation.snapshot(), situation.with_policies(more)
    # In audit mode what is denied passes, and past the proxy, which refuses for real.
    assume(not (before.profile.cilium or CiliumConfig()).audit)
    assume(not any(p.unreadable for s in (before, after) for p in s.policies))
    old, new = Engine(before), Engine(after)
    ends_after = named(after)
    names = {end: name for name, end in named(before).items()}
    for connection in connections(before, 80):
        if connection.source in names and connection.destination in names:
            moved = msgspec.structs.replace(
                connection,
                source=ends_after[names[connection.source]],
                destination=ends_after[names[connection.destination]],
            )
            for greater, less in zip(told(old, connection), told(new, moved), strict=True):
                assert RANK[less] <= RANK[greater], (connection, more[number])


# -- the strategies themselves ---------------------------------------------------------------------

FIELDS = {
    "endpointSelector", "nodeSelector", "matchLabels", "matchExpressions", "key", "operator",
    "values", "ingress", "ingressDeny", "egress", "egressDeny", "enableDefaultDeny",
    "fromEndpoints", "fromEntities", "fromCIDR", "fromCIDRSet", "fromNodes", "fromGroups",
    "toEndpoints", "toEntities", "toCIDR", "toCIDRSet", "toNodes", "toGroups", "toServices",
    "toFQDNs", "cidr", "except", "cidrGroupRef", "cidrGroupSelector", "matchName",
    "matchPattern", "k8sService", "serviceName", "namespace", "k8sServiceSelector", "selector",
    "aws", "toPorts", "ports", "port", "endPort", "protocol", "rules", "http", "method", "path",
    "host", "headers", "headerMatches", "mismatch", "secret", "dns", "serverNames",
    "terminatingTLS", "originatingTLS", "trustedCA", "listener", "envoyConfig", "icmps",
    "fields", "type", "family", "authentication", "mode", "description", "labels",
}  # fmt: skip


def test_the_strategies_reach_every_field() -> None:
    seen: set[str] = set()

    @clusters(200)
    @given(cilium_policy_sets())
    def gather(drawn: list[Manifest]) -> None:
        for policy in drawn:
            seen.update(keys([policy.get("spec"), policy.get("specs")]))

    gather()
    assert not FIELDS - seen
