"""Writes common rules as Calico's NetworkPolicies: what the language can say, the rest told.

Authority: Calico `api/pkg/apis/projectcalico/v3/policy_common.go`, the validation in
`libcalico-go/lib/validator/v3/validator.go`, and `app-policy/checker/match.go` for HTTP.
"""

import ipaddress
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from ringfence import yaml_text
from ringfence.dialects._emission import (
    MANAGED_BY,
    Body,
    Emitter,
    Telling,
    alternatives,
    blocks_for,
    unnamed,
)
from ringfence.dialects._emission_words import layer7_sort, layer7_text, peer_text
from ringfence.dialects._emit_calico_http import LANGUAGE, http_match
from ringfence.dialects._emit_calico_selectors import (
    Unsayable,
    entity_of_labels,
    entity_of_pods,
    selector_text,
)
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import DomainPattern, Layer7, Wildcard
from ringfence.model.proposal import Edition, Emission, ProposedPolicy, Surroundings
from ringfence.model.rule import (
    NETWORK_POLICY,
    Action,
    Direction,
    DomainPeer,
    EntityPeer,
    IpPeer,
    LabelPeer,
    NamedPort,
    NodePeer,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    Tier,
    Traffic,
    of_a_mesh,
)
from ringfence.model.selector import expression
from ringfence.model.tiers import CALICO_ADMIN, CALICO_BASELINE, CALICO_DEFAULT

ORDER: Final = 1001
"""Of policies that were proposed for no tier of Calico's: right behind the Kubernetes policies.

Those stand at 1000, so whatever decides before or after them in a cluster decides before or after
the new policies as well, and no order is shared, where the name would decide. A policy of order
`math.inf` is written without an order, which Calico puts last: so a namespace's default deny, that
only logs, sees what every other policy of the tier has left.
Source: Calico `felix/calc/policy_sorter.go`.
"""
HTTP_NOTE: Final = (
    "limits of HTTP hold where Calico's application layer policy is on for the pods called (their "
    "Envoy asks it): elsewhere the rule opens the port for every request"
)
LOG_NOTE: Final = (
    "denied connections are logged by each node's kernel with the prefix `calico-packet` "
    "(FelixConfiguration `logPrefix`), or by the tracing of Calico's eBPF dataplane"
)
STAGED_NOTE: Final = (
    "staged policies enforce nothing: what they would deny is in the flow logs of Calico (Goldmane "
    "and Whisker since 3.30), and `ringfence diff --staged` tells what enforcing them would change"
)

_ENDS: Final = {Direction.INGRESS: "source", Direction.EGRESS: "destination"}


def emit(policies: Sequence[ProposedPolicy], surroundings: Surroundings) -> Emission:
    """Return policies of Calico that say what the policies say, or less, or, told, more.

    Equal input gives equal bytes.
    """
    return _Emitter(surroundings).emission(policies)


class _Emitter(Emitter):
    tiers: tuple[Tier, ...] = (CALICO_ADMIN, CALICO_DEFAULT, CALICO_BASELINE)
    """Those whose policies decide here as they do where they were proposed."""

    def selected(self, policy: Policy) -> tuple[str, Body]:
        """Return the kind of a policy, and the selectors of its subject."""
        return "NetworkPolicy", _subject(policy.subject)

    def policy(self, path: str, proposed: ProposedPolicy) -> Iterator[str]:
        policy = proposed.policy
        staged = self.around.staged
        try:
            kind, subject = self.selected(policy)
        except Unsayable as unsayable:
            yield from self._unselected(path, proposed, str(unsayable))
            return
        if staged:
            self.notes[STAGED_NOTE] = None
        metadata: Body = {"name": policy.name, "namespace": policy.namespace}
        if not policy.namespace:
            del metadata["namespace"]
        yield from yaml_text.block(
            {
                "apiVersion": "projectcalico.org/v3",
                "kind": f"Staged{kind}" if staged else kind,
                "metadata": {**metadata, "labels": MANAGED_BY},
            }
        )
        yield "spec:"
        spec: Body = {"stagedAction": "Set"} if staged else {}
        known = policy.tier in self.tiers
        spec["tier"] = policy.tier.name if known else CALICO_DEFAULT.name
        order = policy.order if known or math.isinf(policy.order) else ORDER
        if not math.isinf(order):
            spec["order"] = int(order) if float(order).is_integer() else order
        spec |= subject
        spec["types"] = [direction.value.capitalize() for direction in policy.isolates]
        yield from yaml_text.block(spec, 2)
        for direction in policy.isolates:
            lines, written = self.section(path, proposed, direction)
            yield f"  {direction.value}:" if written else f"  {direction.value}: []"
            yield from lines

    def _unselected(self, path: str, proposed: ProposedPolicy, because: str) -> Iterator[str]:
        """Yield what stands in place of a policy whose subject cannot be said."""
        for each in proposed.rules:
            telling = Telling(self, path, proposed, each)
            what = telling.end(", ".join(map(peer_text, each.rule.peers or ())) or "anyone")
            telling.leave_out("peer", what, because)
            yield from yaml_text.comment((*each.why, *telling.told))

    def bodies(self, telling: Telling) -> list[Body]:
        rule = telling.rule
        tier = telling.proposed.policy.tier
        if tier not in self.tiers and (
            tier != NETWORK_POLICY or rule.action in (Action.DENY, Action.PASS)
        ):
            # Calico decides by order, so that a rule of another tier means another thing here.
            what = f"{rule.action.value} in tier {tier.name}"
            telling.leave_out("action", what, f"{LANGUAGE} has no such tier")
            return []
        if not telling.whole():
            return []
        https = self._http(telling)
        if https is not None and not https:
            return []
        traffic = _traffic(telling)
        ends = self._ends(telling)
        if rule.action is Action.LOG:
            self.notes[LOG_NOTE] = None
        found = []
        limits: list[Body | None] = [None] if https is None else [*https]
        for end, (head, ports), http in product(ends, traffic, limits):
            if {"ipVersion"} <= end.keys() & head.keys() and end["ipVersion"] != head["ipVersion"]:
                continue
            if http is not None and head.get("protocol", "TCP") != "TCP":
                continue  # nothing but TCP carries what Calico takes for HTTP
            found.append(_body(rule.action, rule.direction, end, head, ports, http))
        return found

    # -- peers -------------------------------------------------------------------------------

    def _ends(self, telling: Telling) -> list[Body]:
        """Return entities, one per rule that is needed; an empty one stands for any peer."""
        peers = alternatives(telling.rule.peers)
        if peers is None:
            return [{}]
        found: list[Body] = []
        for peer in peers:
            try:
                found += self._entities(telling, peer)
            except Unsayable as unsayable:
                telling.leave_out("peer", telling.end(peer_text(peer)), str(unsayable))
        return _merged(found)

    def _entities(self, telling: Telling, peer: Peer) -> list[Body]:
        match peer:
            case PodPeer():
                return [entity_of_pods(peer, telling.namespace)]
            case LabelPeer():
                return [entity_of_labels(peer.expression, telling.namespace)]
            case IpPeer():
                return [_block(peer)]
            case DomainPeer() if name := self._domain(telling, peer.pattern):
                return [{"domains": [name]}]
            case DomainPeer() | NodePeer():
                because = unnamed(self._language, peer)
                return [_block(b) for b in blocks_for(telling, peer, self.around, because)]
            case EntityPeer():
                raise Unsayable("Calico has no such entity")
            case _:
                raise Unsayable(f"{LANGUAGE} cannot name such a peer")

    @property
    def _language(self) -> str:
        if self.around.calico_edition is Edition.OSS:
            return f"{LANGUAGE} (open source)"
        return LANGUAGE

    def _domain(self, telling: Telling, pattern: DomainPattern) -> str:
        """Return a domain name as the commercial editions write it; empty where it is not.

        Source: docs.tigera.io, domain-based policy: a `*` is a whole component and stands for one
        or more; only rules that allow, and only in egress.
        """
        if self.around.calico_edition is Edition.OSS:
            return ""
        allows = telling.rule.action is Action.ALLOW
        if not allows or telling.rule.direction is Direction.INGRESS:
            return ""
        name = pattern.pattern
        if "*" not in name:
            return name
        if pattern.wildcard is Wildcard.COMPONENT:
            return name
        if pattern.wildcard is Wildcard.LABELS and name.startswith("*."):
            return name
        if pattern.wildcard is Wildcard.CILIUM and name.startswith("**."):
            return name[1:] if "*" not in name[2:] else ""
        return ""

    # -- layer 7 -----------------------------------------------------------------------------

    def _http(self, telling: Telling) -> list[Body] | None:
        """Return the HTTP matches of a rule, one per rule that is needed; None for no limit."""
        rule = telling.rule
        if rule.layer7 is None:
            return None
        if not all(box.http is not None and box == Layer7(http=box.http) for box in rule.layer7):
            what = f"only {layer7_text(rule.layer7)}"
            telling.leave_out(layer7_sort(rule.layer7), what, f"{LANGUAGE} limits HTTP alone")
            return []
        if rule.direction is Direction.EGRESS:
            return self._unlimited_egress(telling)
        matches = [http_match(telling, box.http) for box in rule.layer7 if box.http is not None]
        found = [match for match in matches if match is not None]
        if found:
            self.notes[HTTP_NOTE] = None
        return found

    def _unlimited_egress(self, telling: Telling) -> list[Body] | None:
        """Return no limit: Calico looks into requests only where they come in.

        Source: Calico documentation, "Using HTTP methods and paths in policy rules".
        """
        boxes = telling.rule.layer7 or ()
        if not boxes:
            return []
        limit = layer7_text(boxes)
        if telling.each.echoed:
            telling.remark(f"Limited to {limit} where it comes in: Calico looks into no egress.")
            return None
        because = f"{LANGUAGE} looks into requests only where they come in"
        telling.tell("HTTP", f"only {limit}", because, "every request on the port", wider=True)
        return None


def _subject(subject: Peer | None) -> Body:
    """Return the selector of a policy, within its namespace."""
    assert isinstance(subject, PodPeer)  # noqa: S101 - a proposal always knows its subject
    return {"selector": selector_text(expression(subject.pods))}


def _body(
    action: Action,
    direction: Direction,
    end: Body,
    head: Body,
    ports: list[str | int] | None,
    http: Body | None,
) -> Body:
    """Return one rule, its fields in the order in which people write them."""
    body: Body = {"action": action.value.capitalize()}
    entity = {key: value for key, value in end.items() if key != "ipVersion"}
    if version := head.get("ipVersion"):
        body["ipVersion"] = version
    body |= {key: value for key, value in head.items() if key != "ipVersion"}
    target: Body = {"ports": yaml_text.OneLine(ports)} if ports else {}
    if direction is Direction.INGRESS:
        if entity:
            body["source"] = entity
        if target:
            body["destination"] = target
    elif entity or target:
        body["destination"] = entity | target
    if http is not None:
        body["http"] = http
    return body


def _block(peer: IpPeer) -> Body:
    found: Body = {"nets": [peer.cidr]}
    if peer.excepts:
        found["notNets"] = list(peer.excepts)
    return found | {"ipVersion": ipaddress.ip_network(peer.cidr).version}


def _merged(entities: list[Body]) -> list[Body]:
    """Return the same entities, blocks of one family without exceptions together in one."""
    plain: defaultdict[int, list[str]] = defaultdict(list)
    others: list[Body] = []
    names: list[str] = []
    for entity in entities:
        if "nets" in entity and "notNets" not in entity:
            plain[entity["ipVersion"]] += entity["nets"]
        elif "domains" in entity:
            names += entity["domains"]
        else:
            others.append(entity)
    if names:
        others.append({"domains": names})
    blocks = [{"nets": nets, "ipVersion": version} for version, nets in sorted(plain.items())]
    return [*others, *blocks]


# -- traffic ---------------------------------------------------------------------------------


def _traffic(telling: Telling) -> list[tuple[Body, list[str | int] | None]]:
    """Return protocol and ports, one pair per rule that is needed; ports None for all of them."""
    traffic = telling.rule.traffic
    if traffic is None:
        return [({}, None)]
    ports: dict[Protocol | None, list[str | int] | None] = {}
    found: list[tuple[Body, list[str | int] | None]] = []
    for part in traffic:
        if part.protocol is Protocol.ICMP and isinstance(part, PortRange):
            found += [(head, None) for head in _icmp(telling, part)]
            continue
        port = _port(part)
        if port is None:
            ports[part.protocol] = None
        else:
            listed = ports.setdefault(part.protocol, [])
            if listed is not None and port not in listed:
                listed.append(port)
    for protocol, listed in ports.items():
        found.append(({"protocol": protocol.value} if protocol else {}, listed))
    return found


def _port(part: Traffic) -> str | int | None:
    """Return a port as Calico writes it; None for all of a protocol.

    Source: Calico `api/pkg/lib/numorstring/port.go`.
    """
    match part:
        case NamedPort():
            return part.name
        case PortRange():
            first = max(part.first, 1)
            if first == 1 and part.last == 65535:
                return None
            return first if first == part.last else f"{first}:{part.last}"
        case _:
            raise of_a_mesh(part)


def _icmp(telling: Telling, part: PortRange) -> list[Body]:
    """Return the matches of ICMP and ICMPv6, of which each is of one family alone."""
    match: Body = {}
    if (part.first, part.last) != (0, 65535):
        kind, code = divmod(part.first, 256)
        match = {"icmp": {"type": kind}}
        if part.first == part.last:
            match["icmp"]["code"] = code
        elif (code, part.last) != (0, part.first + 255):
            telling.leave_out("ICMP", "a range of ICMP types", "types can only be said one by one")
            return []
    return [
        {"ipVersion": version, "protocol": name, **match}
        for version, name in ((4, "ICMP"), (6, "ICMPv6"))
        if part.family in (None, version)
    ]
