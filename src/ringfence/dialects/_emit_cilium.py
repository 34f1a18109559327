"""Writes common rules as CiliumNetworkPolicies: what the language can say, the rest told.

Authority: Cilium `pkg/policy/api/rule.go` and `rule_validation.go`.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from ringfence import yaml_text
from ringfence.dialects._emission import (
    MANAGED_BY,
    Body,
    Emitter,
    Telling,
    alternatives,
)
from ringfence.dialects._emission_words import layer7_sort, layer7_text, traffic_text
from ringfence.dialects._emit_cilium_layer7 import DEEPEST, Unsayable, http_rules, names
from ringfence.dialects._emit_cilium_peers import Peers, selector
from ringfence.errors import UsageError
from ringfence.model.cluster import Protocol
from ringfence.model.profile import older_than
from ringfence.model.proposal import Emission, ProposedPolicy, Surroundings
from ringfence.model.rule import (
    NETWORK_POLICY,
    Action,
    Direction,
    NamedPort,
    PodPeer,
    Policy,
    PortRange,
    Traffic,
    of_a_mesh,
)
from ringfence.model.tiers import CILIUM_NORMAL

LANGUAGE: Final = "a CiliumNetworkPolicy"
MOST_PORTS: Final = 40
"""In one item of `toPorts`. Source: Cilium `rule_validation.go` maxPorts."""

LOG_NOTE: Final = (
    "no rule logs in Cilium: it reports what policies deny in its flow log by itself where Hubble "
    "is on (`enable-hubble`; `hubble observe --verdict DROPPED`)"
)
HTTP_NOTE: Final = (
    "limits of HTTP hold for requests that are not encrypted where they leave or enter the pod: on "
    "a port that speaks TLS the rule refuses everything"
)
DNS_NOTE: Final = (
    "lookups of other names are refused by Cilium's DNS proxy; where a resolver gives up on the "
    "first refusal (musl, so Alpine) set `tofqdns-dns-reject-response-code: nameError`"
)
DEPTH_NOTE: Final = (
    f"Cilium before 1.19 has no pattern for names of any depth: of `*.` up to {DEEPEST} labels are "
    "listed, and longer names stay closed"
)
STAGED: Final = (
    "Cilium has no staged policies: its `policy-audit-mode`, which can be set for single endpoints "
    "(`cilium-dbg endpoint config ID PolicyAuditMode=Enabled`), lets pass what policies deny and "
    "logs it"
)


def emit(policies: Sequence[ProposedPolicy], surroundings: Surroundings) -> Emission:
    """Return CiliumNetworkPolicies that say what the policies say, or less, or, told, more.

    Equal input gives equal bytes.

    Raises:
        UsageError: policies that are only planned are asked for, which Cilium does not have.
    """
    if surroundings.staged:
        raise UsageError(STAGED)
    return _Emitter(surroundings, policies).emission(policies)


class _Emitter(Emitter):
    def __init__(self, surroundings: Surroundings, policies: Sequence[ProposedPolicy]) -> None:
        super().__init__(surroundings)
        resolving = {
            name
            for proposed in policies
            for each in proposed.rules
            if any(box.dns is not None for box in each.rule.layer7 or ())
            for name in proposed.subject
        }
        self._peers = Peers(surroundings, frozenset(resolving))
        wildcards = any(
            name.pattern.startswith("*.")
            for proposed in policies
            for each in proposed.rules
            for box in each.rule.layer7 or ()
            for name in box.dns or ()
        )
        if wildcards and older_than(surroundings.cilium_version, 1, 19):
            self.notes[DEPTH_NOTE] = None

    def policy(self, path: str, proposed: ProposedPolicy) -> Iterator[str]:
        policy = proposed.policy
        kind, chosen = self.selected(policy)
        metadata: Body = {"name": policy.name, "namespace": policy.namespace}
        if not policy.namespace:
            del metadata["namespace"]
        yield from yaml_text.block(
            {
                "apiVersion": "cilium.io/v2",
                "kind": kind,
                "metadata": {**metadata, "labels": MANAGED_BY},
            }
        )
        yield "spec:"
        yield from yaml_text.block({"endpointSelector": chosen}, 2)
        sections: list[str] = []
        open_ways: Body = {}
        for direction in Direction:
            lines, written = self.section(path, proposed, direction, set(Action) - {Action.DENY})
            denials, denied = self.section(path, proposed, direction, {Action.DENY})
            isolates = direction in policy.isolates
            if lines or isolates:
                sections.append(f"  {direction.value}:" if written or isolates else "")
                sections += lines
                if isolates and not written:
                    # Not the same as `[]`, which does nothing at all. An item without a peer and
                    # without a port isolates and allows nothing (Cilium `rule.go` mergeIngress).
                    sections += yaml_text.item({}, 4)
            if denials:
                sections.append(f"  {direction.value}Deny:" if denied else "")
                sections += denials
            if (written or denied) and not isolates:
                open_ways[direction.value] = False
        if open_ways:
            yield from yaml_text.block({"enableDefaultDeny": open_ways}, 2)
        yield from (line for line in sections if line)

    def selected(self, policy: Policy) -> tuple[str, Body]:
        """Return the kind of a policy, and the selector of its subject."""
        subject = policy.subject
        assert isinstance(subject, PodPeer)  # noqa: S101 - a proposal always knows its subject
        return "CiliumNetworkPolicy", selector(subject.pods.requirements)

    def bodies(self, telling: Telling) -> list[Body]:
        rule = telling.rule
        tier = telling.proposed.policy.tier
        if rule.action is Action.LOG:
            self.notes[LOG_NOTE] = None
            telling.remark("Cilium has no rule for that: its flow log holds what is denied.")
            return []
        normal = tier in (NETWORK_POLICY, CILIUM_NORMAL)
        if not normal or rule.action not in (Action.ALLOW, Action.DENY):
            what = f"{rule.action.value} in tier {tier.name}"
            telling.leave_out("action", what, f"{LANGUAGE} has neither order nor tiers")
            return []
        if not telling.whole():
            return []
        try:
            traffic = self._traffic(telling)
        except Unsayable as unsayable:
            limits = rule.layer7 or ()
            telling.leave_out(layer7_sort(limits), f"only {layer7_text(limits)}", str(unsayable))
            return []
        if not traffic:
            return []
        peers = alternatives(rule.peers)
        ends = [{}] if peers is None else self._peers.write(telling, peers)
        found = [{**end, **part} for end in ends for part in traffic]
        # An item that says nothing at all allows nothing, so everything must be said.
        everything = "fromEntities" if rule.direction is Direction.INGRESS else "toEntities"
        return [body or {everything: ["all"]} for body in found]

    # -- traffic -----------------------------------------------------------------------------

    def _traffic(self, telling: Telling) -> list[Body]:
        """Return `toPorts` or `icmps`, one for each rule that is needed; `{}` for all traffic.

        Raises:
            Unsayable: the limits above the port are none that Cilium has.
        """
        rule = telling.rule
        if rule.layer7 is not None:
            return self._limited(telling)
        if rule.traffic is None:
            return [{}]
        icmp = [p for p in rule.traffic if isinstance(p, PortRange) and _is_icmp(p)]
        fields = [field for part in icmp for field in _icmp(telling, part)]
        found: list[Body] = []
        if entries := [_port(part) for part in rule.traffic if part not in icmp]:
            found.append(_to_ports(entries, None))
        if fields:
            found.append({"icmps": [{"fields": fields}]})
        return found

    def _limited(self, telling: Telling) -> list[Body]:
        """Return the ports of a rule with limits above them."""
        rule = telling.rule
        boxes = rule.layer7 or ()
        if not boxes:
            return []
        if rule.action is not Action.ALLOW:
            raise Unsayable("a rule of Cilium's that denies looks at ports alone")
        if rule.traffic is None:
            raise Unsayable("limits need ports in Cilium")
        if all(box.dns is not None for box in boxes):
            asked = tuple(name for box in boxes for name in box.dns or ())
            dns = names(asked, self.around.cilium_version)
            if rule.direction is Direction.INGRESS or any(
                isinstance(part, PortRange) and part.first != part.last for part in rule.traffic
            ):
                raise Unsayable("Cilium limits DNS in egress to single ports")
            if {"matchPattern": "*"} not in dns:
                self.notes[DNS_NOTE] = None
            return [_to_ports([_port(part) for part in rule.traffic], {"dns": dns})]
        rules = http_rules(boxes)
        tcp = [part for part in rule.traffic if part.protocol in (None, Protocol.TCP)]
        if len(tcp) < len(rule.traffic):
            others = tuple(part for part in rule.traffic if part not in tcp)
            because = "Cilium looks for HTTP in TCP alone"
            telling.leave_out("HTTP", f"HTTP at {traffic_text(others)}", because)
        if not tcp:
            return []
        self.notes[HTTP_NOTE] = None
        return [_to_ports([_limited_port(part) for part in tcp], {"http": rules})]


def _to_ports(entries: list[Body], rules: Body | None) -> Body:
    more = {"rules": rules} if rules else {}
    parts = [entries[n : n + MOST_PORTS] for n in range(0, len(entries), MOST_PORTS)]
    return {"toPorts": [{"ports": part, **more} for part in parts]}


def _port(part: Traffic) -> Body:
    """Return a port; `0` stands for all of a protocol."""
    match part:
        case NamedPort(name, protocol):
            return {"port": name, "protocol": protocol.value if protocol else "ANY"}
        case PortRange(protocol, first, last):
            first = max(first, 1)
            if first == 1 and last == 65535:
                return {"port": "0", "protocol": protocol.value}
            ends = {"endPort": last} if last > first else {}
            return {"port": str(first), **ends, "protocol": protocol.value}
        case _:
            raise of_a_mesh(part)


def _limited_port(part: Traffic) -> Body:
    """Return a port of TCP whose requests are limited, where `0` is refused."""
    match part:
        case NamedPort(name, _):
            return {"port": name, "protocol": "TCP"}
        case PortRange(_, first, last):
            ends = {"endPort": last} if last > max(first, 1) else {}
            return {"port": str(max(first, 1)), **ends, "protocol": "TCP"}
        case _:
            raise of_a_mesh(part)


def _is_icmp(part: PortRange) -> bool:
    return part.protocol is Protocol.ICMP


def _icmp(telling: Telling, part: PortRange) -> list[Body]:
    """Return the fields of `icmps`: types, of which Cilium knows no codes."""
    kind, code = divmod(part.first, 256)
    if (code, part.last) != (0, part.first + 255):
        telling.leave_out("ICMP", "ICMP", "Cilium lists single types, without codes")
        return []
    families = {4: "IPv4", 6: "IPv6"}
    return [
        {"family": name, "type": kind}
        for family, name in families.items()
        if part.family in (None, family)
    ]
