"""An exposure in the form that people read: ways in by workload, ways out by what they share."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec

from ringfence.model.connectivity import Allowance
from ringfence.model.exposure import Entrance, Exposure, Passage
from ringfence.model.verdict import Evidence, Verdict
from ringfence.outputs._peers import Group, Peers, outside_text
from ringfence.outputs._words import count, pair_text

DNS_PORT = "53"
WORDS = {Verdict.ALLOW: "open", Verdict.UNKNOWN: "unknown", Verdict.DENY: "closed"}


class Way(msgspec.Struct):
    """The same exchange with the outside, of several workloads."""

    workloads: list[Group]
    outside: str
    traffic: str


def ways(passages: Sequence[Passage], peers: Peers) -> list[Way]:
    """Return passages, those of workloads that exchange the same with the same together.

    Ranges that are allowed the same traffic stand in one passage already.
    """
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for passage in passages:
        traffic = pair_text(passage.allow, passage.unknown)
        if passage.allow and _only_dns((*passage.allow, *passage.unknown)):
            traffic += " (DNS only)"
        key = outside_text(passage.outside), traffic
        found[key] += [peers.index[passage.workload]]
    return sorted(
        (
            Way(peers.describe(members), outside, traffic)
            for (outside, traffic), members in found.items()
        ),
        key=lambda way: (-sum(len(g.members) for g in way.workloads), way.outside, way.traffic),
    )


def _only_dns(allowances: Sequence[Allowance]) -> bool:
    return all(
        a.protocol in {"TCP", "UDP"} and a.ports == DNS_PORT and a.l7 is None for a in allowances
    )


def headline(exposure: Exposure) -> str:
    """Return the whole exposure in one line."""
    by_verdict = {
        verdict: {e.workload for e in exposure.entrances if e.verdict is verdict}
        for verdict in Verdict
    }
    exposed = by_verdict[Verdict.ALLOW]
    total = len(exposure.workloads)
    text = f"{len(exposed):,} of {count(total, 'workload')} can be reached from outside"
    if perhaps := by_verdict[Verdict.UNKNOWN] - exposed:
        text += f", {len(perhaps):,} perhaps"
    nodes = {peer.name for peer in exposure.nodes}
    leaving = {passage.workload for passage in exposure.exits} - nodes
    return f"{text}; {len(leaving):,} may reach the outside"


def target(entrance: Entrance) -> str:
    """Return where an entrance ends: `shop/web:8080`, `shop/dns:53/UDP`."""
    port = "" if entrance.port is None else f":{entrance.port}"
    protocol = "" if entrance.protocol == "TCP" else f"/{entrance.protocol}"
    return f"{entrance.workload}{port}{protocol}{_only(entrance)}"


def _only(entrance: Entrance) -> str:
    """Return what may be said there, in words; empty where anything may."""
    if not entrance.limited_to:
        return ""
    from ringfence.outputs._limits import limit_words  # noqa: PLC0415 - only where rules look so far

    return f" ({'; '.join(map(limit_words, entrance.limited_to))})"


def callers(entrance: Entrance) -> str:
    """Return who may come in: `anywhere`, `10.0.0.0/8; unknown: 0.0.0.0/0`; `-` for nobody."""
    sure, doubtful = outside_text(entrance.sources), outside_text(entrance.unknown_sources)
    if not doubtful:
        return sure or "-"
    return f"{sure}; unknown: {doubtful}" if sure else f"unknown: {doubtful}"


def path(entrance: Entrance) -> str:
    """Return what stands between the outside and the workload: `Ingress/shop/web, ingress/x`."""
    if entrance.kind == "HostNetwork":
        return "host network"
    return ", ".join((entrance.object, *entrance.through))


def reasons(entrance: Entrance) -> list[str]:
    """Return why an entrance is not simply open, the deciding rules first."""
    found: list[str] = []
    if entrance.verdict is not Verdict.ALLOW or entrance.unknown_sources:
        found += [rule_text(e) for e in entrance.evidence if e.action != Verdict.ALLOW.value]
    return [*found, *entrance.because]


def rule_text(evidence: Evidence) -> str:
    """Return a deciding rule with its place: `NetworkPolicy/a/b ingress isolation (f.yaml:3)`."""
    where = f"{evidence.file}:{evidence.line}" if evidence.line else evidence.file or ""
    place = f" ({where})" if where else ""
    rule = evidence.rule
    if not rule.startswith(evidence.direction):
        rule = f"{evidence.direction} {rule}"
    return f"{evidence.action} by {evidence.object} {rule}{place}"
