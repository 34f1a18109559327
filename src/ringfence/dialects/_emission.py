"""What every emitter needs: files, comments, and telling what its language cannot say."""

import hashlib
import ipaddress
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from ringfence import yaml_text
from ringfence.dialects._emission_words import blocks_text, traffic_text
from ringfence.model.proposal import (
    CLOSED,
    GENERATED,
    NOT_DENIED,
    NOT_LOGGED,
    Emission,
    EmittedFile,
    ProposedPolicy,
    ProposedRule,
    Substitute,
    Surroundings,
    Unsupported,
)
from ringfence.model.rule import (
    Action,
    AllPeers,
    AnyPeer,
    Direction,
    DomainPeer,
    Entity,
    IpPeer,
    NodePeer,
    Peer,
    Rule,
    Traffic,
)

Body = dict[str, Any]

MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "ringfence"}

_SAFE_NAME: Final = re.compile(r"[a-z0-9_][a-z0-9._-]{0,199}")


class Emitter(ABC):
    """Writes policies file by file, and collects what could not be said."""

    def __init__(self, surroundings: Surroundings) -> None:
        """Begin without anything written."""
        self.around = surroundings
        self.unsupported: list[Unsupported] = []
        self.substitutes: list[Substitute] = []
        self.notes: dict[str, None] = {}

    def emission(self, policies: Sequence[ProposedPolicy]) -> Emission:
        """Return all files. Equal input gives equal bytes, in whatever order it comes."""
        ordered = sorted(policies, key=lambda p: (p.folder, p.file, p.policy.name))
        files = [
            EmittedFile(path, self._file(path, list(together)))
            for path, together in groupby(ordered, key=path_of)
        ]
        return Emission(
            files=tuple(sorted(files)),
            unsupported=tuple(sorted(self.unsupported)),
            substitutes=tuple(self.substitutes),
            notes=tuple(self.notes),
        )

    def _file(self, path: str, policies: list[ProposedPolicy]) -> str:
        lines = list(yaml_text.comment([GENERATED]))
        for number, proposed in enumerate(policies):
            if number:
                lines.append("---")
            lines += yaml_text.comment(proposed.why)
            lines += self.policy(path, proposed)
        return "\n".join(lines) + "\n"

    @abstractmethod
    def policy(self, path: str, proposed: ProposedPolicy) -> Iterator[str]:
        """Yield the lines of one object, below the comment that says what it is for."""

    @abstractmethod
    def bodies(self, telling: "Telling") -> list[Body]:
        """Return what one rule comes to in this language; nothing where none of it is written."""

    def section(
        self,
        path: str,
        proposed: ProposedPolicy,
        direction: Direction,
        actions: Iterable[Action] | None = None,
    ) -> tuple[list[str], bool]:
        """Return the rules of a direction, each below the comment that says why it is there.

        Also returns whether any rule is among the lines, or only comments.

        Args:
            path: of the file.
            proposed: whose rules are meant.
            direction: of the rules.
            actions: only rules with these; all where None.
        """
        lines: list[str] = []
        written = False
        chosen = None if actions is None else set(actions)
        for each in proposed.rules:
            if each.rule.direction is not direction:
                continue
            if chosen is not None and each.rule.action not in chosen:
                continue
            telling = Telling(self, path, proposed, each)
            bodies = self.bodies(telling)
            lines += yaml_text.comment((*each.why, *telling.told), 4)
            for body in bodies:
                lines += yaml_text.item(body, 4)
                written = True
        return lines, written


class Telling:
    """One rule that is to be written, and what of it cannot be said."""

    def __init__(
        self, emitter: Emitter, path: str, proposed: ProposedPolicy, each: ProposedRule
    ) -> None:
        """Begin with nothing told."""
        self._emitter = emitter
        self._path = path
        self.proposed = proposed
        self.each = each
        self.rule: Rule = each.rule
        self.told: list[str] = []
        """Sentences for the comment above the rule."""

    @property
    def namespace(self) -> str:
        """The namespace of the policy."""
        return self.proposed.policy.namespace

    def tell(self, sort: str, what: str, because: str, instead: str, *, wider: bool) -> None:
        """Tell something that is not written as it is meant.

        Args:
            sort: see `Unsupported`.
            what: was to be said.
            because: the reason for which it cannot be.
            instead: what stands there now.
            wider: whether that allows more than was meant.
        """
        self._emitter.unsupported.append(
            Unsupported(
                file=self._path,
                object=self.proposed.policy.ref,
                subject=self.proposed.subject,
                direction=self.rule.direction.value,
                sort=sort,
                what=what,
                because=because,
                instead=instead,
                wider=wider,
            )
        )
        self.told.append(f"Cannot be said: {what}, because {because}. Written: {instead}.")

    def leave_out(self, sort: str, what: str, because: str) -> None:
        """Tell something of which nothing is written.

        Of a rule that allows, this leaves it closed; what is not denied, other rules may allow.
        """
        denies = self.rule.action is Action.DENY
        instead = {Action.DENY: NOT_DENIED, Action.LOG: NOT_LOGGED}.get(self.rule.action, CLOSED)
        self.tell(sort, what, because, instead, wider=denies)

    def remark(self, sentence: str) -> None:
        """Put a sentence into the comment above the rule."""
        self.told.append(sentence)

    def substitute(
        self,
        blocks: tuple[IpPeer, ...],
        traffic: tuple[Traffic, ...] | None,
        entities: tuple[Entity, ...] = (),
    ) -> None:
        """State what is written in place of a peer, for the proof."""
        self._emitter.substitutes.append(
            Substitute(
                subject=self.proposed.subject,
                direction=self.rule.direction,
                blocks=blocks,
                traffic=traffic,
                entities=entities,
                layer7=None if self.each.opaque else self.rule.layer7,
            )
        )

    def substitute_plaintext(self) -> None:
        """State for the proof that whoever comes without mTLS is let in."""
        self._emitter.substitutes.append(
            Substitute(
                subject=self.proposed.subject,
                direction=self.rule.direction,
                blocks=(),
                traffic=self.rule.traffic,
                layer7=None if self.each.opaque else self.rule.layer7,
                plaintext=True,
            )
        )

    def end(self, name: str) -> str:
        """Return a peer with its preposition and its traffic, as `to api.stripe.com, TCP 443`."""
        preposition = "from" if self.rule.direction is Direction.INGRESS else "to"
        return f"{preposition} {name}, {traffic_text(self.rule.traffic)}"

    def whole(self) -> bool:
        """Return whether a rule is one that can be written at all; tell it where it is not."""
        rule = self.rule
        if rule.unreadable:
            self.leave_out("rule", "a rule", f"it could not be read: {rule.unreadable.reason}")
        elif rule.uncertain:
            self.leave_out("rule", "a rule", rule.uncertain)
        elif rule.subjects is not None:
            self.leave_out("rule", "a rule", "it says something of its own subject")
        elif rule.not_traffic:
            because = "ports can only be listed, not taken away"
            self.leave_out("ports", f"all but {traffic_text(rule.not_traffic)}", because)
        else:
            return True
        return False


# -- names -----------------------------------------------------------------------------------


def path_of(proposed: ProposedPolicy) -> str:
    """Return the path of a policy's file, relative to the folder that holds all of them."""
    return f"{_safe(proposed.folder)}/{_safe(proposed.file)}.yaml"


def _safe(name: str) -> str:
    """Return a name that is a file's name and nothing else, whatever a manifest may contain."""
    if _SAFE_NAME.fullmatch(name) and ".." not in name:
        return name
    kept = re.sub(r"[^a-z0-9-]+", "-", name.lower())[:100].strip("-")
    return f"{kept or 'unnamed'}_{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"


# -- peers -----------------------------------------------------------------------------------


def alternatives(peers: Sequence[Peer] | None) -> tuple[Peer, ...] | None:
    """Return the peers of which one must match, combinations taken apart; None for any peer."""
    if peers is None:
        return None
    found: list[Peer] = []
    for peer in peers:
        match peer:
            case AnyPeer():
                inner = alternatives(peer.parts)
            case AllPeers(()):
                inner = None
            case AllPeers((single,)):
                inner = alternatives((single,))
            case _:
                inner = (peer,)
        if inner is None:
            return None
        found += inner
    return tuple(dict.fromkeys(found))


def public_blocks(inside: Iterable[str]) -> tuple[IpPeer, ...]:
    """Return all addresses of each family that `inside` speaks of, except those `inside`."""
    networks = [ipaddress.ip_network(cidr) for cidr in inside]
    found = []
    for version, everything in ((4, "0.0.0.0/0"), (6, "::/0")):
        family = [network for network in networks if network.version == version]
        if family:
            merged = ipaddress.collapse_addresses(family)  # type: ignore[type-var]
            found.append(IpPeer(everything, tuple(str(network) for network in merged)))
    return tuple(found)


def single_block(address: str) -> str:
    """Return the CIDR of one address."""
    parsed = ipaddress.ip_address(address)
    return f"{parsed}/{parsed.max_prefixlen}"


def blocks_for(
    telling: Telling, peer: DomainPeer | NodePeer, around: Surroundings, because: str
) -> tuple[IpPeer, ...]:
    """Return the blocks that are written in place of a peer that a language cannot say.

    Args:
        telling: the rule; it is told, and stated for the proof.
        peer: a domain name, of which nothing is written unless wider is wanted, or the nodes,
            which their addresses stand for.
        around: the cluster.
        because: the reason for which it cannot be said.
    """
    blocks: tuple[IpPeer, ...] = ()
    if isinstance(peer, DomainPeer):
        sort, name = "domain name", peer.pattern.pattern
        if around.allow_wider:
            blocks = public_blocks(around.inside)
    else:
        sort, name = "nodes", "the nodes"
        blocks = tuple(IpPeer(single_block(address)) for address in around.nodes)
        if not blocks:
            because += ", and no node's address is known"
    what = telling.end(name)
    if not blocks:
        telling.leave_out(sort, what, because)
        return ()
    telling.tell(sort, what, because, blocks_text(blocks), wider=isinstance(peer, DomainPeer))
    telling.substitute(blocks, telling.rule.traffic)
    return blocks


def unnamed(language: str, peer: DomainPeer | NodePeer) -> str:
    """Return that a language cannot name domains, or nodes.

    Args:
        language: as `a NetworkPolicy`.
        peer: what it cannot name.
    """
    names = isinstance(peer, DomainPeer)
    return f"{language} knows no domain names" if names else f"{language} cannot name nodes"
