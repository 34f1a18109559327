"""Laws of Calico's clusters: the judges agree, and a field that nobody knows is never passed over.

The laws of `test_laws` meet Calico among other profiles; here it is the only one.
"""

import copy
import io
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from every_connection import connections
from policy_strategies import Manifest
from ringfence import assemble, reference
from ringfence.engine import Engine
from ringfence.model.connection import Connection
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from strategies import Situation, situations
from test_laws import clusters, told

FIELDS = {
    "tier", "order", "selector", "types", "serviceAccountSelector", "namespaceSelector",
    "performanceHints", "doNotTrack", "preDNAT", "applyOnForward", "stagedAction", "ingress",
    "egress", "action", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "type", "code",
    "source", "destination", "http", "methods", "paths", "exact", "prefix", "metadata",
    "annotations", "nets", "notNets", "notSelector", "serviceAccounts", "names", "services", "name",
    "namespace", "ports", "notPorts", "domains", "defaultAction", "allowedEgressDomains", "node",
    "interfaceName", "expectedIPs", "profiles", "port", "labelsToApply",
}  # fmt: skip
KINDS = {
    "Tier", "NetworkPolicy", "GlobalNetworkPolicy", "StagedNetworkPolicy",
    "StagedGlobalNetworkPolicy", "StagedKubernetesNetworkPolicy", "NetworkSet", "GlobalNetworkSet",
    "HostEndpoint", "Profile",
}  # fmt: skip


@clusters(25)
@given(situations(cni="calico"))
def test_both_judges_agree_on_calico(situation: Situation) -> None:
    snapshot = situation.snapshot()
    engine = Engine(snapshot)
    for connection in connections(snapshot, 100):
        assert told(engine, connection) == literal(snapshot, connection), connection


def literal(snapshot: Snapshot, connection: Connection) -> tuple[Verdict, Verdict, Verdict]:
    found = reference.judge(snapshot, connection)
    return found.verdict, found.egress, found.ingress


# -- what nobody knows ---------------------------------------------------------------------------


@clusters(20)
@given(situations(cni="calico", sound=True), st.sampled_from((None, 1, {})), st.data())
def test_an_unknown_field_at_any_depth_makes_unknown_what_depends_on_its_rule(
    situation: Situation, value: Any, data: st.DataObject
) -> None:
    choices = [
        (number, section, index)
        for number, policy in enumerate(situation.policies)
        if "calico" in policy["apiVersion"] and policy["kind"] != "StagedKubernetesNetworkPolicy"
        for section in ("ingress", "egress")
        for index in range(len(policy["spec"].get(section) or ()))
    ]
    if not choices:
        return
    number, section, index = data.draw(st.sampled_from(choices))
    # Otherwise the policy may be one in whose place a staged one stands.
    staged = situation.policies[number]["kind"].startswith("Staged")
    situation = replace(situation, staged=staged)
    spoiled, idle = (copy.deepcopy(situation.policies) for _ in range(2))
    rule = spoiled[number]["spec"][section][index]
    data.draw(st.sampled_from(list(maps(rule))))["surprise"] = value
    # In its place one that says nothing: what differs depends on what the rule says.
    idle[number]["spec"][section][index] = {"action": "Log"}
    before, without = situation.snapshot(), situation.with_policies(idle)
    text = yaml.safe_dump_all([*situation.manifests, *spoiled], sort_keys=False)
    after = read(text, situation)
    line = 1 + next(n for n, one in enumerate(text.splitlines()) if "surprise" in one)
    assert any(
        problem.location.line == line and "surprise" in problem.message
        for problem in after.problems
    )
    if not before.workloads == without.workloads == after.workloads:
        return  # pods are told apart otherwise: the same connections do not mean the same
    engines = [Engine(each) for each in (before, without, after)]
    for connection in connections(before, 60):
        sound, idled, now = (told(engine, connection) for engine in engines)
        assert literal(after, connection) == now, connection
        for was, would, is_ in zip(sound[1:], idled[1:], now[1:], strict=True):
            assert is_ is Verdict.UNKNOWN or is_ is was is would, (connection, was, would, is_)


def read(text: str, situation: Situation) -> Snapshot:
    return assemble.load(
        ["-"],
        cni=situation.cni,
        pod_cidrs=situation.pod_cidrs,
        staged=situation.staged,
        stdin=io.BytesIO(text.encode()),
    )


def maps(value: Any) -> Iterator[Manifest]:
    """Yield the maps of a rule whose keys are given."""
    if isinstance(value, dict):
        yield value
        for key, child in value.items():
            if key != "annotations":
                yield from maps(child)
    elif isinstance(value, list):
        for child in value:
            yield from maps(child)


# -- what is staged ------------------------------------------------------------------------------


@clusters(30)
@given(situations(cni="calico", sound=True))
def test_staged_policies_count_as_if_they_were_the_enforced_ones(situation: Situation) -> None:
    planned = replace(situation, staged=True).snapshot()
    carried_out = replace(situation, policies=as_enforced(situation.policies), staged=False)
    after = carried_out.snapshot()
    assume(planned.workloads == after.workloads and planned.profile == after.profile)
    now, then = Engine(planned), Engine(after)
    for number, connection in enumerate(connections(planned, 80)):
        wanted = told(then, connection)
        assert told(now, connection) == wanted, connection
        if number % 4 == 0:
            assert literal(planned, connection) == wanted, connection


def as_enforced(policies: list[Manifest]) -> list[Manifest]:
    """Return policies as they are once what is staged among them has been carried out."""
    plans = [policy for policy in policies if policy["kind"].startswith("Staged")]
    found = [policy for policy in policies if not policy["kind"].startswith("Staged")]
    names = [identity(plan) for plan in plans]
    assume(len(set(map(str, names))) == len(names))  # which of two counts is not said
    for plan, name in zip(plans, names, strict=True):
        action = plan["spec"].get("stagedAction", "Set")
        if action in ("Set", "Delete"):
            found = [policy for policy in found if identity(policy) != name]
        if action == "Set":
            spec = {key: value for key, value in plan["spec"].items() if key != "stagedAction"}
            kubernetes = plan["kind"] == "StagedKubernetesNetworkPolicy"
            api = "networking.k8s.io/v1" if kubernetes else plan["apiVersion"]
            kind = plan["kind"].removeprefix("Staged").removeprefix("Kubernetes")
            found.append({**plan, "apiVersion": api, "kind": kind, "spec": spec})
    return found


def identity(policy: Manifest) -> tuple[bool, str, str | None, str]:
    """Return what tells which policy it is: its kind, namespace, and name without `default.`."""
    name = policy["metadata"]["name"]
    kind = policy["kind"].removeprefix("Staged")
    own = "calico" in policy["apiVersion"] and not kind.startswith("Kubernetes")
    if own:
        name = name.removeprefix("default.")
    return own, kind.removeprefix("Kubernetes"), policy["metadata"].get("namespace"), name


# -- the strategies themselves -------------------------------------------------------------------


def test_the_strategies_reach_every_field_and_verdict_of_calico() -> None:
    kinds: set[str] = set()
    fields: set[str] = set()
    decided: set[tuple[str, str, str]] = set()

    @clusters(60)
    @given(situations(cni="calico", sound=True))
    def gather(situation: Situation) -> None:
        for manifest in situation.policies:
            kinds.add(manifest["kind"])
            for found in maps(manifest["spec"]):
                fields.update(found)
        snapshot = situation.snapshot()
        engine = Engine(snapshot)
        for connection in connections(snapshot, 30):
            for piece in engine.judge(connection).evidence:
                kind = (piece.object or "").partition("/")[0]
                decided.add((kind, piece.direction, piece.action))

    gather()
    assert not KINDS - kinds
    assert not FIELDS - fields
    policies = ("NetworkPolicy.projectcalico.org", "GlobalNetworkPolicy")
    kinds_that_decide = (*policies, "HostEndpoint")
    wanted = {*product(kinds_that_decide, ("ingress", "egress"), ("allow", "deny"))}
    assert {"pass", "log"} <= {action for _, _, action in decided}
    assert not wanted - decided, wanted - decided
