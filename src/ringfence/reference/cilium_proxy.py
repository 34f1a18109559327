"""What a proxy makes of the traffic that rules send to it, of which others may allow all.

Where any rule sends a peer's traffic on a port to a proxy, all that this peer sends there goes to
it, by whatever rule it is allowed. The proxy reads it as one protocol: what is of that protocol
passes if any rule lets it, and what is not cannot pass at all.

Source: Cilium `bpf/lib/policy.h` __policy_can_access (the higher precedence is chosen);
`pkg/policy/types/entry.go` WithListenerPriority (a redirect's is higher than a plain allow's: HTTP
before TLS before DNS before a listener without a priority of its own); `pkg/policy/mapstate.go`
insertWithChanges, MapStateEntry.Merge; `pkg/envoy/xds_server.go` getDirectionNetworkPolicy.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ringfence.model.layer7 import Request
from ringfence.model.profile import older_than
from ringfence.model.verdict import Evidence
from ringfence.reference.cilium_answers import (
    ANY_DNS,
    ANY_HTTP,
    Answer,
    Known,
    all_of,
    no,
    open_,
    unsure,
    yes,
)
from ringfence.reference.cilium_layer7 import Limit, authenticates
from ringfence.reference.outcome import Degree, Match

LISTENER = "a listener of one's own decides, and what that does is not known"
KINDS = (
    "rules of layer 7 of two kinds are for one peer and port: what the proxy of the one lets "
    "through of what the other allows is not known"
)
WHICH = "whether a rule sends this to a proxy is not known, which lets through {} alone"
BY_PRECEDENCE = ("crd", "http", "tls", "dns")


@dataclass(frozen=True)
class Merged:
    """What all rules for one peer on one port come to."""

    match: Match
    limit: Limit
    evidence: tuple[Evidence, ...]
    parser: str = ""
    """What the proxy reads it as; empty where it needs none."""
    keys: frozenset[str] = frozenset()
    """What Cilium keeps its port under."""
    ranged: bool = False
    """Whether that is a range of ports."""


def readings(groups: Iterable[Merged], version: str) -> list[str]:
    """Return as what a connection may be read, empty for as nothing: one where all is known.

    Before 1.19 a rule for a range of ports yields to one for fewer of them; which of two has fewer
    depends on how Cilium takes ranges apart, and is not followed here.

    Source: Cilium `pkg/policy/mapstate.go` insertWithChanges before 1.19, `portrange.go`
    PortRangeToMaskedPorts.
    """
    listed = list(groups)
    yields = older_than(version, 1, 19) and any(not group.parser for group in listed)
    found = []
    for parser in BY_PRECEDENCE:
        degrees = [
            Degree.PERHAPS if group.ranged and yields else group.match.degree
            for group in listed
            if group.parser == parser
        ]
        if degrees:
            found.append(parser)
        if Degree.YES in degrees:
            return found
    return [*found, ""]


def is_read(parser: str, request: Request) -> Answer:
    """Return whether a request is of the protocol as which a proxy reads it.

    Envoy's connection manager answers what is no HTTP with an error, TLS that no rule terminates
    too; Cilium's DNS proxy drops what is no DNS. TLS is looked into for server names only.

    Source: Cilium `pkg/envoy/xds_server.go` AddListener, getHTTPFilterChainProto;
    `pkg/fqdn/dnsproxy/proxy.go`.
    """
    if parser == "http":
        if request.http is None:
            return no() if request.dns else open_(ANY_HTTP)
        return yes() if request.http else no()
    if parser == "dns":
        if request.dns is None:
            is_other = request.http or request.sni
            return no() if is_other else open_(ANY_DNS)
        return yes() if request.dns else no()
    return yes()


def passes(
    group: Merged, answer: Answer, parser: str, request: Request, resolving: frozenset[str]
) -> Answer:
    """Return whether what rules allow passes where it is read as some protocol.

    The DNS proxy knows the rules for the very ports that DNS rules are for, and no others: not
    those for more ports, or all. Envoy knows all rules.

    Args:
        group: the rules.
        answer: whether the request meets what they ask for.
        parser: as what it is read; empty: as nothing.
        request: what is asked.
        resolving: the ports that DNS rules are for.

    Source: Cilium `pkg/fqdn/dnsproxy/proxy.go` CheckAllowed, GetSelectorRegexMap;
    cilium/proxy `cilium/network_policy.cc` PortPolicy::forRange.
    """
    if parser == "crd":
        return answer if answer.known is Known.NO else unsure(LISTENER)
    if not parser:
        return no() if group.parser else answer
    if parser == "dns" and not group.parser and not group.keys & resolving:
        return no()
    order = BY_PRECEDENCE.index
    if group.parser and order(group.parser) < order(parser):
        return no()
    if group.parser not in ("", parser):
        # What another proxy was to look at, this one knows as a rule without a limit.
        answer = all_of([authenticates(group.limit, request), unsure(KINDS)])
    return all_of([is_read(parser, request), answer])
