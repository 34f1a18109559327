"""Policies that are to be written, why each rule is there, and what came of writing them."""

from typing import Final

import msgspec

from ringfence.model.rule import Direction, IpPeer, Policy, Rule, Traffic

GENERATED: Final = "Written by ringfence generate: change the dependency map, not this file."
"""The first line of every file, as a comment: only such files are ever replaced or removed."""


class ProposedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, and the sentences that its reader needs."""

    rule: Rule
    why: tuple[str, ...] = ()
    """One sentence each, for the comment above the rule."""
    http: tuple[str, ...] = ()
    """HTTP requests that the rule is meant to be limited to, as `GET /v1/*`; empty for all."""


class ProposedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A policy, its rules with their reasons, and the file that it belongs in."""

    policy: Policy
    """Without rules of its own: they are in `rules`."""
    rules: tuple[ProposedRule, ...]
    subject: tuple[str, ...]
    """The workloads that the policy selects, as `namespace/name`, sorted."""
    folder: str
    """The namespace: policies of one namespace stand in one folder."""
    file: str
    """The file's name without its ending; policies of the same file stand in it together."""
    why: tuple[str, ...] = ()
    """What the policy as a whole is for, one sentence each."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What an emitter must know of the cluster to put one peer in place of another."""

    nodes: tuple[str, ...] = ()
    """Every known address of every node, sorted."""
    inside: tuple[str, ...] = ()
    """CIDRs that the public internet never contains: private ranges, where pods live."""
    allow_wider: bool = False
    """Where the language cannot say a peer: write what contains it, rather than nothing."""


class Unsupported(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that the policy language cannot say, and what was written in its place."""

    file: str
    object: str
    """The policy, as `NetworkPolicy/shop/payment`."""
    subject: tuple[str, ...]
    direction: str
    sort: str
    """What the language lacks: `HTTP`, `domain name`, `nodes`, `ICMP`, `action`."""
    what: str
    """What was to be said, as `to api.stripe.com, TCP 443`."""
    because: str
    instead: str
    """What stands there now; `nothing: it stays closed` where nothing was written."""
    wider: bool
    """True where what was written allows more than what was to be said."""


class Substitute(msgspec.Struct, frozen=True, kw_only=True):
    """Address blocks written in place of a peer that the language cannot say."""

    subject: tuple[str, ...]
    direction: Direction
    blocks: tuple[IpPeer, ...]
    traffic: tuple[Traffic, ...] | None
    """None: all traffic."""


class EmittedFile(msgspec.Struct, frozen=True, order=True):
    """A file to be written."""

    path: str
    """Relative, with `/`; no part of it leads out of the folder."""
    text: str


class Emission(msgspec.Struct, frozen=True, kw_only=True):
    """What came of writing policies: the files, and all that could not be said."""

    files: tuple[EmittedFile, ...]
    """Sorted by path."""
    unsupported: tuple[Unsupported, ...] = ()
    substitutes: tuple[Substitute, ...] = ()
