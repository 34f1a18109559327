"""ClusterNetworkPolicy `policy.networking.k8s.io/v1alpha2` as Cilium reads it.

Each rule is ranked by itself: those of one number, of whatever policies of one tier and priority,
are one level, in which a deny wins, then an accept, then a pass.

Source: Cilium `pkg/k8s/cluster_network_policy.go` ParseClusterNetworkPolicy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ringfence.model.document import Path, path_text
from ringfence.model.rule import Direction
from ringfence.model.verdict import Evidence
from ringfence.reference import cluster_rules, peers, ports, schema
from ringfence.reference.cilium_answers import Known, Said
from ringfence.reference.cilium_layer7 import Limit, Names, meets
from ringfence.reference.cilium_normal import Found
from ringfence.reference.cluster_network_policy import ACTIONS, MOST, PEERS, protocol
from ringfence.reference.ends import Approach, OwnPod
from ringfence.reference.outcome import (
    NO,
    NOTHING,
    YES,
    Match,
    Outcome,
    Possible,
    Selected,
    all_of,
    certain,
    evidence,
    not_understood,
    perhaps,
)
from ringfence.reference.schema import NotUnderstoodError

_RANK = (Outcome.DENY, Outcome.ALLOW, Outcome.PASS)
_DNS_PODS = ("k8s-app", "kube-dns")
_DNS_PORTS = ("dns", "dns-tcp")


@dataclass(frozen=True)
class _Entry:
    """One peer of a rule: what Cilium makes an entry of."""

    outcome: Outcome
    match: Match
    evidence: tuple[Evidence, ...] = ()
    limits: tuple[Said, ...] = ()


def hold(policy: Selected, here: Approach) -> None:
    """Hold that Cilium takes a policy at all.

    Raises:
        NotUnderstoodError: it has `nodes` while nodes have no labels, or names that it does not
            accept.
    """
    for index, value in enumerate(policy.sections[Direction.EGRESS]):
        at: Path = ("spec", Direction.EGRESS.value, index)
        try:
            rule = _read(value, at, Direction.EGRESS, here)
        except NotUnderstoodError:
            continue
        if cluster_rules.has(rule.peers, "nodes") and not here.cilium.node_selectors:
            reason = "`nodes` is rejected without `enable-node-selector-labels`"
            raise NotUnderstoodError(reason, (*at, "to"))
        if cluster_rules.has(rule.peers, "domainNames") and rule.action is not Outcome.ALLOW:
            raise NotUnderstoodError("`domainNames` can only be accepted", (*at, "to"))


def learns_names(policies: list[Selected], here: Approach) -> bool:
    """Return whether a rule sends the lookups of names through Cilium's proxy."""
    for policy in policies:
        for index, value in enumerate(policy.sections[Direction.EGRESS]):
            try:
                rule = _read(value, ("spec", "egress", index), Direction.EGRESS, here)
            except NotUnderstoodError:
                continue
            if cluster_rules.has(rule.peers, "domainNames"):
                return True
    return False


def decide(policies: list[Selected], here: Approach, version: str) -> list[Found]:
    """Return what the policies of one tier may come to, level by level."""
    levels: dict[tuple[int, int], list[_Entry]] = {}
    for policy in policies:
        for index, value in enumerate(policy.sections[here.direction]):
            entries = levels.setdefault((policy.priority, index), [])
            entries += _entries(policy, value, index, here, version)
    found: list[Found] = []
    for _, entries in sorted(levels.items()):
        for outcome in _RANK:
            for entry in entries:
                if entry.outcome is not outcome or entry.match == NO:
                    continue
                because = entry.match.because
                found.append(Found(Possible(outcome, entry.evidence, because), entry.limits))
                if entry.match == YES and not entry.limits:
                    return found
    return [*found, Found(NOTHING)]


@dataclass(frozen=True)
class _Rule:
    """A rule, read as far as its peers."""

    action: Outcome
    peers: list[Any]
    matches: list[Match | None]
    """One per peer; None for one in which no field is known."""
    on_port: bool


def _read(value: Any, path: Path, direction: Direction, here: Approach) -> _Rule:  # noqa: ANN401
    """Return a rule.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    side = cluster_rules.SIDES[direction]
    given = schema.fields(value, path, ("name", "action", side, "protocols"))
    schema.text(given.get("name", ""), (*path, "name"), 100)
    action = ACTIONS[schema.choice(given.get("action"), (*path, "action"), ACTIONS)]
    at = (*path, side)
    listed = schema.some(given.get(side), at, MOST)
    known = PEERS[direction]
    found = [
        peers.peer(entry, (*at, index), here, known, namespace_needed=False)
        for index, entry in enumerate(listed)
    ]
    at = (*path, "protocols")
    wanted = schema.items(given.get("protocols"), at, MOST)
    traffic = [protocol(entry, (*at, index), here) for index, entry in enumerate(wanted)]
    cluster_rules.forbid_names_without_pods(listed, wanted, "destinationNamedPort", path)
    return _Rule(action, listed, found, any(traffic) or not traffic)


def _entries(
    policy: Selected,
    value: Any,  # noqa: ANN401
    index: int,
    here: Approach,
    version: str,
) -> Iterator[_Entry]:
    """Yield what a rule comes to: an entry for each peer.

    A peer in which no field is known fails closed by itself: one that is accepted is passed over,
    any other denies everyone on the rule's ports. Nodes are other nodes than the subject's own.
    """
    at: Path = ("spec", here.direction.value, index)
    try:
        rule = _read(value, at, here.direction, here)
    except NotUnderstoodError as error:
        unsure = perhaps(not_understood(policy.document, error))
        piece = _evidence(policy, here, "unknown", at)
        for outcome in policy.possible_actions(value):
            yield _Entry(outcome, unsure, (piece,))
        return
    piece = _evidence(policy, here, rule.action.value, at)
    for entry, match in zip(rule.peers, rule.matches, strict=True):
        if match is None and rule.action is Outcome.ALLOW:
            continue
        if match is None:
            denial = _evidence(policy, here, "deny", at)
            yield _Entry(Outcome.DENY, certain(rule.on_port), (denial,))
            continue
        own_node = "nodes" in entry and entry["nodes"] is not None and here.one_node
        held = all_of([NO if own_node else match, certain(rule.on_port)])
        yield _Entry(rule.action, held, (piece,))
        if entry.get("domainNames"):
            yield from _lookups(entry["domainNames"], piece, here, version)


def _lookups(names: list[str], piece: Evidence, here: Approach, version: str) -> Iterator[_Entry]:
    """Yield what lets the names be looked up that a rule accepts.

    By the pods of the cluster's DNS, on ports of these names, for these names alone.
    """
    key, value = _DNS_PODS
    if not isinstance(here.peer, OwnPod) or here.peer.labels.get(key) != value:
        return
    if not any(ports.is_named_port(name, None, here) for name in _DNS_PORTS):
        return
    wanted = tuple(
        Names(pattern=f"*{name}") if name.startswith("*") else Names(name=name)
        for name in (written.lower() for written in names)
    )
    answer = meets(Limit(dns=wanted), here.request, version)
    if answer.known is not Known.NO:
        yield _Entry(Outcome.ALLOW, YES, (piece,), answer.limits)


def _evidence(policy: Selected, here: Approach, action: str, at: Path) -> Evidence:
    return evidence(policy.document, here.direction, action, path_text(at[1:]), at)
