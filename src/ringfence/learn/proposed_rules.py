"""The small parts of proposed policies: names, rules, and the sentences above them."""

import hashlib
import math
from typing import Final, NamedTuple

import msgspec

from ringfence.learn.dependency_map import Dependency
from ringfence.model.layer7 import Layer7
from ringfence.model.proposal import ProposedPolicy, ProposedRule
from ringfence.model.rule import Action, Direction, Peer, Rule, Traffic

PREFIX: Final = "ringfence-"
"""Begins the name of every generated policy, so that it replaces none that somebody wrote."""


class Said(NamedTuple):
    """What a rule of a workload's policy says."""

    peers: tuple[Peer, ...] | None
    traffic: tuple[Traffic, ...] | None
    layer7: tuple[Layer7, ...] | None = None
    echoed: bool = False


def object_name(stem: str) -> str:
    """Return the name of an object: no name that somebody else would give."""
    name = PREFIX + stem
    if len(name) <= 253:
        return name
    return f"{name[:240]}-{hashlib.sha256(stem.encode('utf-8', 'replace')).hexdigest()[:10]}"


def rule_of(direction: Direction, index: int, said: Said) -> Rule:
    """Return what is said as a rule that allows."""
    return Rule(
        direction=direction,
        action=Action.ALLOW,
        peers=said.peers,
        traffic=said.traffic,
        path=("spec", direction.value, index),
        layer7=said.layer7,
    )


def log_rule(direction: Direction) -> ProposedRule:
    """Return a rule that logs whatever nothing has allowed."""
    rule = Rule(
        direction=direction,
        action=Action.LOG,
        peers=None,
        traffic=None,
        path=("spec", direction.value, 0),
    )
    return ProposedRule(rule=rule, why=("what no policy has allowed is logged, then denied",))


def at_the_end(proposed: ProposedPolicy) -> ProposedPolicy:
    """Return a policy that comes behind all others."""
    policy = msgspec.structs.replace(proposed.policy, order=math.inf)
    return msgspec.structs.replace(proposed, policy=policy)


def reason(preposition: str, end: str, dependency: Dependency, owner: str) -> str:
    """Return the sentence above a rule: what it is for, whose it is, how it is known."""
    text = f"{preposition} {end}, {dependency.traffic}"
    if dependency.reason:
        text += f": {dependency.reason}"
    tail = [f"owner {owner}"] if owner else []
    if dependency.evidence:
        tail.append(f"evidence {dependency.evidence}")
    return text + (f" ({'; '.join(tail)})" if tail else "")
