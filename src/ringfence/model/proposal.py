"""Policies that are to be written, why each rule is there, and what came of writing them."""

from enum import StrEnum
from typing import Final

import msgspec

from ringfence.model.layer7 import Layer7
from ringfence.model.rule import Direction, Entity, IpPeer, Policy, Rule, Traffic

GENERATED: Final = "Written by ringfence generate: change the dependency map, not this file."
"""The first line of every file, as a comment: only such files are ever replaced or removed."""


CLOSED: Final = "nothing: it stays closed"
NOT_DENIED: Final = "nothing: it is not denied"
NOT_LOGGED: Final = "nothing: it is not logged"
"""What `Unsupported.instead` says where nothing was written, by what was to be done."""


class ProposedRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, and the sentences that its reader needs."""

    rule: Rule
    why: tuple[str, ...] = ()
    """One sentence each, for the comment above the rule."""
    echoed: bool = False
    """True where the policies of all that it leads to hold the same limits as ingress: what a
    language cannot limit on the way out is limited on the way in."""
    detour: str = ""
    """By what those who call a Service are led elsewhere, where it does not hold for them."""
    opaque: str = ""
    """Why the mesh's proxy that is to enforce it reads nothing above the port; empty: it does."""


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


class Edition(StrEnum):
    """The editions of Calico, of which only the commercial ones know domain names."""

    OSS = "oss"
    ENTERPRISE = "enterprise"
    CLOUD = "cloud"


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What an emitter must know of the cluster to put one peer in place of another."""

    nodes: tuple[str, ...] = ()
    """Every known address of every node, sorted."""
    inside: tuple[str, ...] = ()
    """CIDRs that the public internet never contains: private ranges, where pods live."""
    allow_wider: bool = False
    """Where the language cannot say a peer: write what contains it, rather than nothing."""
    api_servers: tuple[str, ...] = ()
    """The addresses behind the Service `default/kubernetes`, sorted; empty where not known."""
    calico_edition: Edition = Edition.OSS
    cilium_version: str = ""
    """As `1.18.2`; empty where not known: what is written means the same to every version then."""
    blocks_match_nodes: bool = False
    """Whether Cilium's blocks stand for nodes too (`policy-cidr-match-mode`)."""
    staged: bool = False
    """Write policies that are only planned, where the language has such."""
    proved_apart: bool = False
    """Whether policies of the network, written together with those of a mesh, say who may connect
    that proves nothing to the mesh."""


class Unsupported(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Something that the policy language cannot say, and what was written in its place."""

    file: str
    object: str
    """The policy, as `NetworkPolicy/shop/payment`."""
    subject: tuple[str, ...]
    direction: str
    sort: str
    """What the language lacks: `HTTP`, `domain name`, `nodes`, `ICMP`, `action`, `peer`,
    `address of a node`, `logging`, `ports`."""
    what: str
    """What was to be said, as `to api.stripe.com, TCP 443`."""
    because: str
    instead: str
    """What stands there now; `CLOSED` and its like where nothing was written."""
    wider: bool
    """True where what was written allows more than what was to be said."""


class Substitute(msgspec.Struct, frozen=True, kw_only=True):
    """What was written in place of a peer that the language cannot say: blocks, or entities."""

    subject: tuple[str, ...]
    direction: Direction
    blocks: tuple[IpPeer, ...]
    traffic: tuple[Traffic, ...] | None
    """None: all traffic."""
    entities: tuple[Entity, ...] = ()
    layer7: tuple[Layer7, ...] | None = None
    """As in `Rule`."""
    plaintext: bool = False
    """True: a mesh lets in whoever comes without mTLS."""
    by_mesh: bool = False
    """True: written in the language of a mesh, whose proxies let in what it says."""


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
    notes: tuple[str, ...] = ()
    """What must be so in the cluster for the policies to do what they say; one sentence each."""
