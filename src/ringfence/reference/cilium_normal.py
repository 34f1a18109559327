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
from ringfence.reference.cilium_answers import Known, Said, unsure
from ringfence.reference.cilium_blocks import NO_BLOCKS
from ringfence.reference.cilium_layer7 import ALWAYS_FAIL, UNLIMITED, Limit, meets
from ringfence.reference.cilium_policy import Cell, Reading
from ringfence.reference.composition import isolation, walk
from ringfence.reference.ends import Approach
from ringfence.reference.outcome import (
    NOTHING,
    YES,
    Degree,
    Match,
    Outcome,
    Possible,
    Selected,
    all_of,
    any_of,
)

LISTENER = "a listener of one's own decides, and what that does is not known"
AUTHENTICATION = (
    "one rule asks for authentication and another does not: which of the two Cilium goes by is "
    "not known"
)
CLASH = (
    "cannot be enforced together with another rule for the same peer and port ({}): what policy "
    "the endpoint has then is not known"
)
ALWAYS = "always enforced"
_KINDS = (ALWAYS_FAIL, "required")
"""The modes that ask for something, the stronger one first."""
_SERVER_NAMES = "server names beside rules of layer 7 without `terminatingTLS`"


@dataclass(frozen=True)
class Found:
    """One outcome that is possible, and what an allow is limited to."""

    possible: Possible
    limits: tuple[Said, ...] = ()
    refused: bool = False
    """Denied above the port: by a proxy, or for want of authentication."""


@dataclass(frozen=True)
class Merged:
    """What all rules for one peer on one port come to."""

    match: Match
    limit: Limit
    evidence: tuple[Evidence, ...]


def decide(
    policies: list[Selected],
    readings: list[Reading],
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
        readings: what Cilium's own policies say of it.
        here: the connection.
        version: of Cilium.
        may_localhost: whether the subject's own node is let in unless a rule denies that.
        learns_names: whether a policy of another tier sends lookups of names through the proxy.
    """
    cells = list(_cells(readings, here))
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
    groups = [
        *_merged([cell for cell in cells if not cell.denies], readings, learns_names=learns_names),
        *_network_policies(policies, here),
    ]
    allowed, refused = _allowed(groups, here, version)
    found += allowed
    if any(one.possible.outcome is Outcome.ALLOW and _is_sure(one) for one in allowed):
        return found
    isolations = _isolations(policies, readings, here)
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
    return [*found, Found(NOTHING)]


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
        for one in walk(policy, here):
            if one.outcome is Outcome.ALLOW:
                degree = Degree.PERHAPS if one.because else Degree.YES
                yield Merged(Match(degree, one.because), UNLIMITED, one.evidence)


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
        yield Merged(match, limit, tuple(cell.evidence for cell in same))


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


def _allowed(
    groups: list[Merged], here: Approach, version: str
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
        if answer.known in (Known.YES, Known.OPEN):
            if limit.listener:
                answer = unsure(LISTENER)
            elif _is_doubted(limit.authentication, modes, here):
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
                perhaps.append((Found(Possible(Outcome.ALLOW, group.evidence, why)), answer.limits))
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


def conflicts(readings: list[Reading], here: Approach, version: str) -> list[tuple[Evidence, str]]:
    """Return the rules that cannot be merged with others, in either direction.

    Rules for the same peer on the same port (before 1.18: on the same port) can ask for one kind
    of proxy only, but that plain TLS goes together with HTTP if TLS is terminated; and not for
    different modes of authentication. Otherwise Cilium computes no policy at all.

    Source: Cilium `pkg/policy/l4.go` L7ParserType.canPromoteTo, `pkg/policy/rule.go`
    mergePortProto.
    """
    by_key: dict[tuple[str, ...], list[Cell]] = {}
    for reading in readings:
        for cell in reading.cells:
            if not cell.denies and cell.peer.key != NO_BLOCKS:
                key = cell.key[1:] if older_than(version, 1, 18) else cell.key
                by_key.setdefault((cell.direction.value, *key), []).append(cell)
    found = []
    for same in by_key.values():
        why = _clash([cell.limit for cell in same])
        if why:
            for cell in same:
                piece = _unknown(cell.evidence, here)
                where = f"{piece.file}:{piece.line}" if piece.line else f"{piece.file}"
                reason = f"{where}: `{piece.object}`: {piece.rule}: {CLASH.format(why)}"
                found.append((piece, reason))
    return found


def _unknown(piece: Evidence, here: Approach) -> Evidence:
    """Return evidence as one of what is not known, in the direction that is judged."""
    return Evidence(
        piece.layer,
        here.direction.value,
        "unknown",
        piece.object,
        piece.rule,
        piece.file,
        piece.line,
    )


def _clash(limits: list[Limit]) -> str:
    """Return why limits do not go together; empty if they do."""
    parsers = {limit.parser for limit in limits} - {""}
    if len(parsers) > 1 and parsers != {"http", "tls"}:
        return " and ".join(sorted(parsers))
    if len({limit.listener for limit in limits} - {""}) > 1:
        return "different listeners"
    if len({limit.authentication for limit in limits} - {""}) > 1:
        return "different modes of authentication"
    names = any(limit.server_names for limit in limits)
    payload = any(limit.http or limit.dns for limit in limits)
    # Where a rule has both, it terminates TLS; contexts of TLS that are not equal do not merge.
    together = any(limit.server_names and (limit.http or limit.dns) for limit in limits)
    if names and payload and not together:
        return _SERVER_NAMES
    return ""
