"""Cilium's tier Normal: its own policies and NetworkPolicies together, and how rules merge.

Rules that speak of the same peer on the same port are merged into one before they are enforced; of
those that are not, any that allows is enough. A deny wins over all.

Source: Cilium `pkg/policy/rule.go` mergePortProto, `pkg/policy/l4.go` L7ParserType.Merge,
`bpf/lib/policy.h` __policy_check; cilium/proxy `cilium/network_policy.cc` PortPolicy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ringfence.model.profile import Enforcement, older_than
from ringfence.model.rule import Direction
from ringfence.model.verdict import Evidence
from ringfence.reference.cilium_answers import ANY_DNS, ANY_HTTP, Known, Said, unsure
from ringfence.reference.cilium_layer7 import ALWAYS_FAIL, UNLIMITED, Limit, meets
from ringfence.reference.cilium_policy import Cell, Reading
from ringfence.reference.cilium_ports import policy_keys
from ringfence.reference.cilium_proxy import BY_PRECEDENCE, WHICH, Merged, is_read, passes, readings
from ringfence.reference.composition import isolation, meet
from ringfence.reference.ends import Approach
from ringfence.reference.outcome import (
    NOTHING,
    YES,
    Degree,
    Outcome,
    Possible,
    Selected,
    all_of,
    any_of,
)

AUTHENTICATION = (
    "one rule asks for authentication and another does not: which of the two Cilium goes by is "
    "not known"
)
ALWAYS = "always enforced"
_KINDS = (ALWAYS_FAIL, "required")
"""The modes that ask for something, the stronger one first."""


@dataclass(frozen=True)
class Found:
    """One outcome that is possible, and what an allow is limited to."""

    possible: Possible
    limits: tuple[Said, ...] = ()
    refused: bool = False
    """Denied above the port: by a proxy, or for want of authentication."""


def decide(
    policies: list[Selected],
    read: list[Reading],
    here: Approach,
    version: str,
    *,
    may_localhost: bool,
    learns_names: bool,
) -> list[Found]:
    """Return what the tier may come to.

    1. A rule that denies, of any policy. 2. A rule that allows. 3. A deny, if anything isolates
    the subject in this direction. 4. Nothing.

    Args:
        policies: the NetworkPolicies that select the subject.
        read: what Cilium's own policies say of it.
        here: the connection.
        version: of Cilium.
        may_localhost: whether the subject's own node is let in unless a rule denies that.
        learns_names: whether a policy of another tier sends lookups of names through the proxy.
    """
    cells = list(_cells(read, here))
    found: list[Found] = []
    for cell in cells:
        if not cell.denies or cell.match.degree is Degree.NO:
            continue
        piece = (cell.evidence,)
        if cell.match == YES:
            return [Found(Possible(Outcome.DENY, piece))]
        found.append(Found(Possible(Outcome.DENY, piece, cell.match.because)))
    if may_localhost:
        return [*found, Found(NOTHING)]
    resolving = frozenset(cell.port.key for cell in cells if cell.limit.dns)
    groups = [
        *_merged([cell for cell in cells if not cell.denies], read, learns_names=learns_names),
        *_network_policies(policies, here),
    ]
    parsers = readings(groups, version)
    allowed, refused = _allowed_as(parsers, groups, here, version, resolving)
    found += allowed
    if any(one.possible.outcome is Outcome.ALLOW and _is_sure(one) for one in allowed):
        return found
    isolations = _isolations(policies, read, here)
    if isolations:
        return [*found, Found(Possible(Outcome.DENY, isolations), refused=bool(refused))]
    confined = [group for group in refused if _is_confined(group, version)]
    if any(group.match == YES and not group.limit.listener for group in confined):
        pieces = tuple(piece for group in confined for piece in group.evidence)
        return [*found, Found(Possible(Outcome.DENY, pieces), refused=True)]
    found += [
        Found(Possible(Outcome.DENY, group.evidence, group.match.because), refused=True)
        for group in confined
    ]
    rest = list(_unreadable(parsers, groups, here))
    if len(parsers) == 1 and any(one.limits for one in rest):
        # What is perhaps allowed of what can be read passes anyway.
        allow = Outcome.ALLOW
        found = [one for one in found if one.possible.outcome is not allow or _is_sure(one)]
    return [*found, *rest]


def _unreadable(parsers: list[str], groups: list[Merged], here: Approach) -> Iterator[Found]:
    """Yield what comes of traffic of which no rule decides and that nothing denies.

    What goes to a proxy is refused there if the proxy cannot read it.
    """
    pieces = tuple(piece for group in groups if group.parser for piece in group.evidence)
    answers = [is_read(parser, here.request) for parser in parsers]
    because = tuple(WHICH.format(parser) for parser in parsers if parser and len(parsers) > 1)
    for answer in answers:
        if answer.known is Known.OPEN:
            yield Found(Possible(Outcome.ALLOW, pieces, because), answer.limits)
        if answer.known in (Known.OPEN, Known.NO):
            yield Found(Possible(Outcome.DENY, pieces, because), refused=True)
    if any(answer.known is Known.YES for answer in answers):
        yield Found(NOTHING)


def _is_sure(found: Found) -> bool:
    return not found.limits and not found.possible.because


def _cells(readings: list[Reading], here: Approach) -> Iterator[Cell]:
    """Yield the cells of one direction, with what is required of every endpoint beside."""
    required = [
        match
        for reading in readings
        for direction, match in reading.requirements
        if direction is here.direction
    ]
    for cell in (cell for reading in readings for cell in reading.cells):
        if cell.direction is not here.direction:
            continue
        if cell.peer.endpoints and required:
            match = all_of([cell.peer.match, *required])
            yield replace(cell, peer=replace(cell.peer, match=match))
        else:
            yield cell


def _network_policies(policies: list[Selected], here: Approach) -> Iterator[Merged]:
    """Yield what rules of NetworkPolicies allow; they ask for nothing above the port.

    They count as merged with no other rule.
    """
    for policy in policies:
        if here.direction not in policy.isolates:
            continue
        for rule, match, found in meet(policy, here):
            pieces = tuple(piece for one in found for piece in one.evidence)
            if any(one.outcome is Outcome.ALLOW for one in found):
                yield Merged(match, UNLIMITED, pieces, keys=policy_keys(rule))


def _merged(cells: list[Cell], readings: list[Reading], *, learns_names: bool) -> Iterator[Merged]:
    """Yield the cells that allow, those for the same peer on the same port merged.

    Names in `toFQDNs` match only if a rule of the subject sends its DNS through the proxy, from
    whatever policy that is: from no other answers does Cilium learn addresses.

    Source: `Documentation/security/policy/layer3.rst` (DNS based), `layer7.rst` (DNS proxy).
    """
    proxied = learns_names or any(
        cell.limit.dns
        for reading in readings
        for cell in reading.cells
        if cell.direction is Direction.EGRESS and not cell.denies
    )
    by_key: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        if cell.match.degree is not Degree.NO and (proxied or not cell.peer.by_name):
            by_key.setdefault(cell.key, []).append(cell)
    for same in by_key.values():
        limit = UNLIMITED
        for index, cell in enumerate(same):
            limit = merge(limit, cell.limit) if index else cell.limit
        match = any_of([cell.match for cell in same])
        asked = {cell.limit.parser for cell in same}
        parser = next((one for one in BY_PRECEDENCE if one in asked), "")
        port = same[0].port
        pieces = tuple(cell.evidence for cell in same)
        yield Merged(match, limit, pieces, parser, frozenset({port.key}), port.ranged)


def merge(one: Limit, other: Limit) -> Limit:
    """Return what two rules for the same peer on the same port come to.

    Of HTTP and of DNS rules either is enough, and where one rule has none anything is. Server
    names are put together, and where one rule has any they are asked for in all. So is
    authentication.

    Source: Cilium `pkg/policy/rule.go` mergePortProto.
    """
    any_payload = not (one.http or one.dns) or not (other.http or other.dns)
    return Limit(
        http=None if any_payload else (*(one.http or ()), *(other.http or ())) or None,
        dns=None if any_payload else (*(one.dns or ()), *(other.dns or ())) or None,
        server_names=tuple(dict.fromkeys((*one.server_names, *other.server_names))),
        terminates_tls=one.terminates_tls or other.terminates_tls,
        listener=one.listener or other.listener,
        authentication=one.authentication or other.authentication,
        icmp=one.icmp,
    )


def _allowed_as(
    parsers: list[str],
    groups: list[Merged],
    here: Approach,
    version: str,
    resolving: frozenset[str],
) -> tuple[list[Found], list[Merged]]:
    """Return what allows, and what does not for what is above the port, as it may be read.

    Args:
        parsers: as what it may be read.
        groups: the rules that allow.
        here: the connection.
        version: of Cilium.
        resolving: the ports that DNS rules are for.
    """
    ways = [_allowed(groups, here, version, parser, resolving) for parser in parsers]
    if len(ways) == 1:
        return ways[0]
    refused = [group for _, unmet in ways for group in unmet]
    if all(any(map(_is_sure, found)) for found, _ in ways):
        return ways[0][0][:1], refused
    because = tuple(WHICH.format(parser) for parser in parsers if parser)
    pieces = tuple(p for found, _ in ways for one in found for p in one.possible.evidence)
    if not pieces:
        return [], refused
    return [Found(Possible(Outcome.ALLOW, tuple(dict.fromkeys(pieces)), because))], refused


def _allowed(
    groups: list[Merged],
    here: Approach,
    version: str,
    parser: str,
    resolving: frozenset[str],
) -> tuple[list[Found], list[Merged]]:
    """Return what allows, and what matches up to the port and does not allow for what is above.

    Authentication that one matching rule asks for is asked for by all that say nothing of it;
    of two kinds that of the higher number. Which of two modes holds that are both written depends
    on which rule is the more specific.

    Source: Cilium `bpf/lib/policy.h` __policy_check (has_explicit_auth_type), `pkg/policy/types/
    auth.go`.
    """
    sure = {group.limit.authentication for group in groups if group.match == YES}
    modes = {group.limit.authentication for group in groups}
    whole = {"http": (ANY_HTTP,), "dns": (ANY_DNS,)}.get(parser, ())
    found: list[Found] = []
    refused: list[Merged] = []
    perhaps: list[tuple[Found, tuple[Said, ...]]] = []
    for group in groups:
        mode = group.limit.authentication
        limit = group.limit
        asked = next((kind for kind in _KINDS if not mode and kind in sure), "")
        if asked:
            limit = replace(limit, authentication=asked)
        answer = meets(limit, here.request, version)
        answer = passes(replace(group, limit=limit), answer, parser, here.request, resolving)
        doubted = _is_doubted(limit.authentication, modes, here)
        if answer.known in (Known.YES, Known.OPEN) and doubted:
            answer = unsure(AUTHENTICATION)
        because = group.match.because
        match answer.known:
            case Known.NO:
                refused.append(replace(group, limit=limit))
            case Known.YES:
                found.append(Found(Possible(Outcome.ALLOW, group.evidence, because)))
            case Known.OPEN if group.match == YES:
                possible = Possible(Outcome.ALLOW, group.evidence)
                found.append(Found(possible, answer.limits))
                refused.append(replace(group, limit=limit))
            case _:
                why = because or ((answer.because,) if answer.because else ())
                told = answer.limits or whole or ((ANY_HTTP,) if limit.http else ())
                perhaps.append((Found(Possible(Outcome.ALLOW, group.evidence, why)), told))
                refused.append(replace(group, limit=limit))
    # What is perhaps allowed of what is allowed anyway adds nothing.
    limits = [limit for one in found for limit in one.limits]
    found += [
        one for one, open_ in perhaps if not open_ or any(limit not in limits for limit in open_)
    ]
    certain = [one for one in found if _is_sure(one)]
    return certain[:1] or found, refused


def _is_doubted(mode: str, modes: set[str], here: Approach) -> bool:
    """Return whether another rule's mode may hold instead of this, and not be met."""
    if ALWAYS_FAIL in modes - {mode}:
        return True
    return "required" in modes - {mode} and not here.request.authenticated


def _is_confined(group: Merged, version: str) -> bool:
    """Return whether what a rule does not let through is refused even if nothing isolates.

    So it is where authentication is asked for; and before 1.18 where a rule has HTTP or DNS rules,
    which from then on (and in late releases of 1.16 and 1.17) let everything through then. Server
    names are not asked for: what lets everything else through is a rule of the proxy's too.

    Source: Cilium pull request 38841; `pkg/policy/l4.go` createL4Filter (ensureWildcard);
    `pkg/envoy/xds_server.go` getDirectionNetworkPolicy; cilium/proxy `cilium/network_policy.cc`.
    """
    if group.limit.authentication in _KINDS or group.limit.listener:
        return True
    return bool(group.limit.http or group.limit.dns) and older_than(version, 1, 18)


def _isolations(
    policies: list[Selected], readings: list[Reading], here: Approach
) -> tuple[Evidence, ...]:
    """Return what isolates the subject in this direction.

    A NetworkPolicy does where it says so; a policy of Cilium's own where it has a rule of the
    direction, be it one that denies, unless `enableDefaultDeny` says no. In the mode `always`
    everything is isolated.

    Source: Cilium `pkg/policy/repository.go` computePolicyEnforcementAndRules.
    """
    found = [
        isolation(policy.document, here, "deny")
        for policy in policies
        if here.direction in policy.isolates
    ]
    for reading in readings:
        found += [
            one.evidence
            for one in reading.isolations
            if one.direction is here.direction and one.denies
        ]
    if not found and here.cilium.enforcement is Enforcement.ALWAYS:
        found.append(Evidence("network", here.direction.value, "deny", None, ALWAYS))
    return tuple(dict.fromkeys(found))
