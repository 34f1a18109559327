"""One rule of a Cilium policy to the common rule.

Authority: Cilium `pkg/policy/api/rule_validation.go`, `pkg/policy/utils/parserules.go`,
`pkg/policy/l4.go`, `pkg/policy/rule.go`.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

from ringfence.dialects import _cilium_peers as peers_of
from ringfence.dialects._cilium_layer7 import DNS, MODES, Limit, authenticated, limit
from ringfence.dialects._cilium_peers import Peers, Surroundings
from ringfence.dialects._cilium_ports import icmps, ports
from ringfence.dialects._shared import Malformed, fields, items, one_of
from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.profile import CiliumConfig
from ringfence.model.rule import ANYONE, Action, Direction, Peer, Rule, Traffic

PORT_FIELDS: Final = (
    "ports",
    "rules",
    "serverNames",
    "listener",
    "terminatingTLS",
    "originatingTLS",
)


@dataclass(frozen=True)
class Section:
    """One of the four lists of rules."""

    name: str
    direction: Direction
    action: Action

    @property
    def deny(self) -> bool:
        """Return whether its rules deny."""
        return self.action is Action.DENY


SECTIONS: Final = (
    Section("ingress", Direction.INGRESS, Action.ALLOW),
    Section("ingressDeny", Direction.INGRESS, Action.DENY),
    Section("egress", Direction.EGRESS, Action.ALLOW),
    Section("egressDeny", Direction.EGRESS, Action.DENY),
)


@dataclass(frozen=True)
class Policing:
    """What the policy around a rule says that matters to it."""

    of_hosts: bool
    """Whether its subjects are nodes."""
    denies_by_default: bool
    """Whether it isolates its subjects in the rule's direction."""
    authentication: str = ""
    """The mode that the rule itself asks for."""


@dataclass(frozen=True)
class _Part:
    """What one item of `toPorts`, or all of `icmps`, admits."""

    traffic: tuple[Traffic, ...] | None
    limit: Limit


def parse(
    value: Any,  # noqa: ANN401
    path: Path,
    section: Section,
    around: Surroundings,
    policing: Policing,
) -> list[Rule]:
    """Return what one rule means: a rule for each item of `toPorts`, which are alternatives.

    Raises:
        Malformed: what the API server or Cilium would reject, so that no rule of the policy holds.
    """
    given = _fields(value, path, section, around)
    peers = peers_of.parse(given, path, section.direction, around, deny=section.deny)
    parts = _parts(given, path, section, around, policing)
    if parts is None:
        # Neither peers nor ports: `{}` isolates and admits nothing (`rule.go`, for want of a
        # selector). Peers alone: all protocols, ICMP too.
        if peers.certain is None and not _names_everyone(given, section):
            peers = Peers(())
        peers = Peers(peers.certain, peers.perhaps or (), peers.why)
        parts = [_Part(None, Limit())]
    mode = _authentication(given, path)
    if (around.context.profile.cilium or CiliumConfig()).audit:
        # `bpf/lib/policy.h`: in audit mode what lacks authentication passes as all else does.
        mode = ""
    rules: list[Rule] = []
    for part in parts:
        found = authenticated(part.limit, mode)
        policing = replace(policing, authentication=mode)
        rules += _rules(peers, _Part(part.traffic, found), path, section, around, policing)
    return rules


def _fields(value: Any, path: Path, section: Section, around: Surroundings) -> dict[str, Any]:  # noqa: ANN401
    prefix = "from" if section.direction is Direction.INGRESS else "to"
    requires = f"{prefix}Requires"
    known = (*peers_of.keys(section.direction, deny=section.deny), requires, "toPorts", "icmps")
    given = fields(value, path, known if section.deny else (*known, "authentication"))
    if items(given.get(requires), (*path, requires)):
        # Before 1.19 they are joined to the peers of every rule that selects the same subjects,
        # other policies' too (`repository.go` at 1.18): more than a rule can say.
        old = around.older_than(1, 19)
        reason = "changes the rules of other policies" if old else "cilium takes none of them"
        raise Malformed(f"`{requires}`: {reason}", (*path, requires))
    services = items(given.get("toServices"), (*path, "toServices"))
    ported = items(given.get("toPorts"), (*path, "toPorts"))
    if services and ported and around.older_than(1, 19):
        raise Malformed("`toServices` goes without `toPorts` before 1.19", (*path, "toPorts"))
    if ported and items(given.get("icmps"), (*path, "icmps")):
        raise Malformed("`icmps` and `toPorts` exclude each other", (*path, "icmps"))
    return given


def _names_everyone(given: dict[str, Any], section: Section) -> bool:
    """Return whether a rule names the entity `all`, and so any peer on purpose."""
    prefix = "from" if section.direction is Direction.INGRESS else "to"
    return bool(given.get(f"{prefix}Entities"))


def _authentication(given: dict[str, Any], path: Path) -> str:
    if "authentication" not in given:
        return ""
    at = (*path, "authentication")
    mode = fields(given["authentication"], at, ("mode",)).get("mode")
    return one_of(mode, (*at, "mode"), MODES)


def _parts(
    given: dict[str, Any],
    path: Path,
    section: Section,
    around: Surroundings,
    policing: Policing,
) -> list[_Part] | None:
    """Return what the rule says of ports and ICMP; None where it says nothing."""
    listed = items(given.get("toPorts"), (*path, "toPorts"))
    if listed:
        return [_port_part(value, at, section, around, policing) for at, value in listed]
    at = (*path, "icmps")
    if items(given.get("icmps"), at):
        return [_Part(icmps(given["icmps"], at), Limit())]
    return None


def _port_part(
    value: Any,  # noqa: ANN401
    path: Path,
    section: Section,
    around: Surroundings,
    policing: Policing,
) -> _Part:
    given = fields(value, path, ("ports",) if section.deny else PORT_FIELDS)
    listed = ports(given.get("ports"), (*path, "ports"))
    traffic = tuple(dict.fromkeys(each for _, port in listed for each in port.traffic))
    if section.deny:
        return _Part(traffic, Limit())
    found = limit(given, listed, path, section.direction, around)
    # `rule_validation.go`: of layer 7, the host's own traffic knows DNS on egress alone.
    foreign = section.direction is Direction.INGRESS or found.parser not in ("", DNS)
    if policing.of_hosts and given.get("rules") and foreign:
        raise Malformed("a policy of nodes has no such rules", (*path, "rules"))
    if found.parser:
        carried = (Protocol.TCP, Protocol.UDP) if found.parser == DNS else (Protocol.TCP,)
        traffic = tuple(each for each in traffic if each.protocol in carried)
    return _Part(traffic, found)


def _rules(
    peers: Peers,
    part: _Part,
    path: Path,
    section: Section,
    around: Surroundings,
    policing: Policing,
) -> list[Rule]:
    found = part.limit
    confines = section.action is Action.ALLOW and _confines(found, around, policing)

    def rule(of: tuple[Peer, ...] | None, uncertain: str, *, perhaps_boxes: bool = False) -> Rule:
        return Rule(
            direction=section.direction,
            action=section.action,
            peers=of,
            traffic=part.traffic,
            path=path,
            layer7=found.perhaps if perhaps_boxes else found.boxes,
            parser=found.parser,
            confines=confines,
            authentication=policing.authentication,
            uncertain=uncertain,
        )

    rules: list[Rule] = []
    if peers.certain != () or peers.perhaps == ():
        rules.append(rule(peers.certain, found.uncertain))
        if found.perhaps:
            why = "the value of a header is in a secret"
            rules.append(rule(peers.certain, why, perhaps_boxes=True))
    if peers.perhaps != ():
        anyone: tuple[Peer, ...] = (ANYONE,)
        rules.append(rule(anyone if peers.perhaps is None else peers.perhaps, peers.why))
    return rules


def _confines(found: Limit, around: Surroundings, policing: Policing) -> bool:
    """Return whether a rule cuts what it does not admit although its policy denies nothing.

    The proxy knows no default: what a rule sends to it is admitted by a rule or refused. From
    1.18 such a rule admits all of HTTP and of DNS beside where nothing isolates the subject.
    Server names are not asked for then: the rule for everyone on every port that stands for the
    default is one of the proxy's, too. Authentication is asked for all the same.

    Source: `l4.go` createL4Filter, ensureWildcard; pull request 38841; `pkg/envoy/xds_server.go`
    getDirectionNetworkPolicy; cilium/proxy `cilium/network_policy.cc` PortPolicy::forRange.
    """
    if policing.denies_by_default:
        return False
    if found.boxes is None:
        return bool(found.uncertain)
    boxes = (*found.boxes, *found.perhaps)
    if not boxes or any(box.authenticated for box in boxes):
        return True
    reads = any(box.http is not None or box.dns is not None for box in boxes)
    return reads and around.older_than(1, 18)
