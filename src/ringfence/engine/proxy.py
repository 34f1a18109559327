"""What Cilium's rules of layer 7 do to each other: merging, clashes, and what the proxy refuses.

Allow rules of one subject and direction that name the same peer and the same port are enforced as
one: of HTTP and DNS rules either is enough, while server names are put together and asked for in
all. Rules that would need two kinds of proxy there cannot be enforced at all.

Source: Cilium `pkg/policy/rule.go` mergePortProto, `pkg/policy/l4.go`, `bpf/lib/policy.h`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ringfence.engine.classes import Classes
from ringfence.engine.protocols import ORDER, WHOLE
from ringfence.engine.rules import REQUIRED, CompiledPolicy, CompiledRule
from ringfence.model.layer7 import Layer7
from ringfence.model.profile import older_than
from ringfence.model.rule import Action, AllPeers, Direction, Peer, Traffic

Key = tuple[Peer | None, Traffic | None, str]
"""What a rule names: one of its peers and one of its ports, None where it names none; and of
peers that are not known, what is said of them."""

PLAIN: Final = Layer7()


@dataclass(frozen=True)
class Clash:
    """Rules that cannot be enforced together, so that nothing is known of their subject."""

    rules: tuple[CompiledRule, ...]
    why: str


@dataclass
class Proxied:
    """The rules of one subject in one direction as they are enforced."""

    rules: dict[int, list[CompiledRule]] = field(default_factory=dict)
    """Per policy (its id), the rules in the place of those that are merged."""
    clashes: list[Clash] = field(default_factory=list)


def needs_proxy(rule: CompiledRule) -> bool:
    """Return whether other rules may change what this one means, or it what they do."""
    asks = rule.rule.parser or rule.rule.authentication
    return bool(asks) or any(box.server_names for box in rule.rule.layer7 or ())


class Proxy:
    """Works out how the rules of Cilium's policies are enforced together."""

    def __init__(self, classes: Classes) -> None:
        """Keep what the rules were compiled to."""
        self._classes = classes
        self._old = older_than(classes.snapshot.profile.version, 1, 18)
        self._parts: dict[tuple[int, Key, int], CompiledRule] = {}

    def apply(self, policies: Iterable[CompiledPolicy], direction: Direction) -> Proxied:
        """Return the rules of policies that apply together as they are enforced."""
        listed = list(policies)
        allowing = [
            rule
            for policy in listed
            for rule in policy.rules(direction)
            if rule.action is Action.ALLOW and rule.rule.unreadable is None
        ]
        found = Proxied()
        if not any(map(needs_proxy, allowing)):
            return found
        by_key: dict[Key, list[CompiledRule]] = defaultdict(list)
        by_port: dict[Key, list[CompiledRule]] = defaultdict(list)
        for rule in allowing:
            for key in _keys(rule):
                by_key[key].append(rule)
                by_port[None, key[1], ""].append(rule)
        for same in (by_port if self._old else by_key).values():
            if why := _clash(same):
                found.clashes.append(Clash(tuple(same), why))
        merged = {
            key: same
            for key, same in by_key.items()
            if len(same) > 1 and (any(map(_server_names, same)) or _is_mixed(same))
        }
        if merged:
            self._merge(found, listed, direction, merged)
        return found

    def _merge(
        self,
        found: Proxied,
        policies: list[CompiledPolicy],
        direction: Direction,
        merged: dict[Key, list[CompiledRule]],
    ) -> None:
        """Put what is merged in the place of the parts that it is made of."""
        for policy in policies:
            rules: list[CompiledRule] = []
            for rule in policy.rules(direction):
                taken = [key for key in _keys(rule) if any(r is rule for r in merged.get(key, ()))]
                if not taken:
                    rules.append(rule)
                    continue
                for key in _keys(rule):
                    if key not in taken:
                        rules.append(self._part(rule, key, None))
                        continue
                    for heads in _by_certainty(merged[key]):
                        if heads and heads[0] is rule:
                            mask = self._limit(merged[key], heads)
                            rules.append(self._part(rule, key, mask, merged[key]))
            found.rules[id(policy)] = rules

    def _limit(self, same: list[CompiledRule], heads: list[CompiledRule]) -> int:
        """Return the classes of traffic that rules for one peer and port admit together.

        Args:
            same: all of them, of which the server names and the authentication are asked for.
            heads: those of which one must hold.
        """
        traffic = self._classes.traffic
        names = tuple({box: None for rule in same for box in _server_names(rule)})
        mask = traffic.limit(names)[0] if names else traffic.everything
        payloads = [_payloads(rule) for rule in heads]
        if None not in payloads:
            boxes = tuple({box: None for listed in payloads for box in listed or ()})
            mask &= traffic.limit(boxes)[0]
        parser = _parser(same)
        if parser in WHOLE:
            read, perhaps = traffic.limit((WHOLE[parser],))
            mask &= read | perhaps
        if any(rule.rule.authentication == REQUIRED for rule in same):
            mask &= traffic.limit((Layer7(authenticated=True),))[0]
        return 0 if any(rule.never_authenticates for rule in same) else mask

    def _part(
        self,
        rule: CompiledRule,
        key: Key,
        only: int | None,
        same: Sequence[CompiledRule] = (),
    ) -> CompiledRule:
        """Return what a rule says of one peer on one port, limited to some classes of traffic.

        Args:
            rule: the rule.
            key: the peer and the port.
            only: the classes; None: those that the rule itself is limited to.
            same: the rules for this peer and port for which it stands, where that is several.
        """
        known = (id(rule), key, -1 if only is None else only)
        if known not in self._parts:
            peer, port, _ = key
            part = msgspec.structs.replace(
                rule.rule,
                peers=None if rule.rule.peers is None else (peer,),
                traffic=None if rule.rule.traffic is None else (port,),
                layer7=rule.rule.layer7 if only is None else None,
                parser=_parser(same) or rule.rule.parser,
                authentication=_mode(same) or rule.rule.authentication,
            )
            self._parts[known] = self._classes.compile_rule(rule.policy, part, only=only)
        return self._parts[known]


def _keys(rule: CompiledRule) -> list[Key]:
    peers: tuple[Peer | None, ...] = (None,) if rule.rule.peers is None else rule.rule.peers
    ports: tuple[Traffic | None, ...] = (None,) if rule.rule.traffic is None else rule.rule.traffic
    # Blocks that are not known are the same where the same is said of them.
    which = rule.rule.uncertain
    return [
        (peer, port, which if isinstance(peer, AllPeers) else "")
        for peer in dict.fromkeys(peers)
        for port in dict.fromkeys(ports)
    ]


def _server_names(rule: CompiledRule) -> tuple[Layer7, ...]:
    return tuple(
        Layer7(server_names=box.server_names)
        for box in rule.rule.layer7 or ()
        if box.server_names is not None
    )


def _is_mixed(same: Sequence[CompiledRule]) -> bool:
    """Return whether rules for one peer and port ask for a proxy, or to authenticate, unlike."""
    asked = {(bool(rule.rule.parser), rule.rule.authentication) for rule in same}
    return len(asked) > 1


def _mode(same: Sequence[CompiledRule]) -> str:
    """Return the mode of authentication that any of some rules asks for."""
    return next((rule.rule.authentication for rule in same if rule.rule.authentication), "")


def _parser(same: Sequence[CompiledRule]) -> str:
    """Return as what a proxy reads what rules for one peer and port send to it together."""
    asked = {rule.rule.parser for rule in same}
    return next((parser for parser in ORDER if parser in asked), "")


def _payloads(rule: CompiledRule) -> tuple[Layer7, ...] | None:
    """Return what a rule asks of HTTP or DNS; None where anything will do."""
    if rule.rule.layer7 is None or rule.never_authenticates:
        return None
    found = tuple(Layer7(http=box.http, dns=box.dns) for box in rule.rule.layer7)
    return None if PLAIN in found else found


def _by_certainty(same: list[CompiledRule]) -> tuple[list[CompiledRule], list[CompiledRule]]:
    """Return the rules that hold for certain, and those of which a condition is not known."""
    certain = [rule for rule in same if not rule.rule.uncertain]
    return certain, [rule for rule in same if rule.rule.uncertain]


def _clash(same: list[CompiledRule]) -> str:
    """Return why rules cannot be enforced together; empty if they can."""
    parsers = {rule.rule.parser for rule in same} - {""}
    if len(parsers) > 1 and parsers != {"http", "tls"}:
        return " and ".join(sorted(parsers))
    if len({rule.rule.authentication for rule in same} - {""}) > 1:
        return "different modes of authentication"
    with_names = [rule for rule in same if _server_names(rule)]
    reading = [rule for rule in same if _payloads(rule) is not None]
    if with_names and reading and not any(rule in reading for rule in with_names):
        return "server names beside rules of layer 7 without `terminatingTLS`"
    return ""
