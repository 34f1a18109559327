"""The peers of Cilium's rules: endpoints, entities, nodes, blocks, Services, names, groups.

Authority: Cilium `pkg/policy/api/{ingress,egress,entity,fqdn}.go`,
`pkg/policy/api/rule_validation.go`, `pkg/policy/utils/parserules.go` mergeEndpointSelectors.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ringfence.dialects import Context
from ringfence.dialects._cilium_blocks import (
    ANY_BLOCK,
    Group,
    UnknownBlocks,
    cidr,
    cidr_set,
    groups,
)
from ringfence.dialects._cilium_selectors import endpoints, remote_nodes
from ringfence.dialects._cilium_services import service_peers
from ringfence.dialects._shared import Malformed, fields, items, one_of, text
from ringfence.model.document import Path
from ringfence.model.layer7 import DomainPattern, Wildcard
from ringfence.model.profile import CiliumConfig, Profile, older_than
from ringfence.model.rule import (
    ANYONE,
    Direction,
    DomainPeer,
    Entity,
    EntityPeer,
    Peer,
)

T = TypeVar("T")

CLUSTER: Final = (Entity.HOST, Entity.REMOTE_NODE, Entity.PODS)
"""What a question can name of the entity `cluster`, but for an API server that is outside."""
ENTITIES: Final[dict[str, tuple[Entity, ...]]] = {
    "host": (Entity.HOST,),
    "remote-node": (Entity.REMOTE_NODE,),
    "kube-apiserver": (Entity.KUBE_APISERVER,),
    "world": (Entity.WORLD,),
    "cluster": CLUSTER,
    "cluster-mesh": CLUSTER,
    "init": (),
    "ingress": (),
    "health": (),
    "unmanaged": (),
    "none": (),
}
"""All but `all`. Those that stand for nothing here are endpoints that no question can name: such
as have no identity yet, Cilium's own proxy and health probes, pods that Cilium does not manage."""

EMPTY_IS_NONE: Final = frozenset({"Endpoints", "Nodes", "Entities", "CIDR", "CIDRSet"})
"""Lists that select nothing where they are given but empty; the others count as absent then."""

MATCH_NAME: Final = re.compile(r"([-a-zA-Z0-9_]+\.)*[-a-zA-Z0-9_]+\.?")
MATCH_PATTERN: Final = re.compile(r"([-a-zA-Z0-9_*]+\.)*[-a-zA-Z0-9_*]+\.?")
LONGEST_NAME: Final = 255


@dataclass(frozen=True)
class Surroundings:
    """What the peers of a policy's rules may depend on."""

    namespace: str
    """The policy's own; empty for a clusterwide one."""
    initializing: bool
    """Whether its subject is `reserved:init`."""
    context: Context

    @property
    def groups(self) -> list[Group]:
        """Return the groups of blocks that a rule may refer to."""
        return self.context.once(groups)

    @property
    def profile(self) -> Profile:
        """Return the profile by which the policy is read."""
        return self.context.profile

    @property
    def settings(self) -> CiliumConfig:
        """Return the agent's settings: Cilium's defaults where they are not known."""
        return self.profile.cilium or CiliumConfig()

    def older_than(self, major: int, minor: int) -> bool:
        """Return whether Cilium is known to be older."""
        return older_than(self.profile.version, major, minor)


@dataclass(frozen=True)
class Peers:
    """The peers of one rule."""

    certain: tuple[Peer, ...] | None
    """None: any peer. Empty: none."""
    perhaps: tuple[Peer, ...] | None = ()
    """Those that it may stand for beside; None: any."""
    why: str = ""


def keys(direction: Direction, *, deny: bool) -> dict[str, str]:
    """Return the fields of a rule that give peers, with what each holds."""
    prefix = "from" if direction is Direction.INGRESS else "to"
    names = ["Endpoints", "Nodes", "Entities", "CIDR", "CIDRSet", "Groups"]
    if direction is Direction.EGRESS:
        names += ["Services"] if deny else ["Services", "FQDNs"]
    return {prefix + name: name for name in names}


def parse(
    given: dict[str, Any], path: Path, direction: Direction, around: Surroundings, *, deny: bool
) -> Peers:
    """Return the peers of a rule.

    Any where it names none, which only means something beside ports. At most one of the lists may
    have items.

    Args:
        given: the fields of the rule.
        path: where the rule stands.
        direction: of the section it stands in.
        around: what it depends on.
        deny: whether it stands among those that deny.

    Source: Cilium `pkg/policy/api/rule_validation.go` (members that exclude each other).

    Raises:
        Malformed: two lists have items, or something in one cannot be read.
    """
    known = keys(direction, deny=deny)
    lists = {key: items(given[key], (*path, key)) for key in known if key in given}
    filled = [key for key, listed in lists.items() if listed]
    if len(filled) > 1:
        raise Malformed(f"`{filled[0]}` and `{filled[1]}` exclude each other", (*path, filled[1]))
    empty = any(not listed and known[key] in EMPTY_IS_NONE for key, listed in lists.items())
    found = [_list(known[key], lists[key], (*path, key), around, deny=deny) for key in filled]
    if empty:
        return Peers(())
    return found[0] if found else Peers(None)


def _list(
    name: str,
    listed: list[tuple[Path, Any]],
    path: Path,
    around: Surroundings,
    *,
    deny: bool,
) -> Peers:
    peers: list[Peer]
    match name:
        case "Endpoints":
            peers = [
                endpoints(value, at, around.namespace, initializing=around.initializing)
                for at, value in listed
            ]
        case "Nodes":
            peers = [remote_nodes(value, at) for at, value in listed]
            if not around.settings.node_selectors:
                raise Malformed(
                    "cilium refuses it while `enable-node-selector-labels` is off", path
                )
        case "Entities":
            return _entities(listed, around)
        case "CIDR":
            peers = [cidr(value, at, around.profile.version) for at, value in listed]
        case "CIDRSet":
            return _joined([_known(cidr_set, value, at, around.groups) for at, value in listed])
        case "FQDNs":
            peers = [
                DomainPeer(domain(value, at, around), seen_by_proxy=True) for at, value in listed
            ]
        case "Services":
            return _services(listed, around, deny=deny)
        case _:
            return _cloud_groups(listed)
    return Peers(tuple(dict.fromkeys(peers)))


def _entities(listed: list[tuple[Path, Any]], around: Surroundings) -> Peers:
    choices = {"all", *ENTITIES} - ({"cluster-mesh"} if around.older_than(1, 20) else set())
    written = [one_of(value, at, choices) for at, value in listed]
    if "all" in written:
        return Peers(None)
    # Where the API server's addresses are not known they are taken to be the cluster's own: else
    # a policy for the cluster might mean anything outside.
    server = around.context.service.get(("default", "kubernetes"))
    cluster = (*CLUSTER, Entity.KUBE_APISERVER) if server and server.backends else CLUSTER
    members = {**ENTITIES, "cluster": cluster}
    certain = [e for name in written if name != "cluster-mesh" for e in members[name]]
    peers = tuple(map(EntityPeer, dict.fromkeys(certain)))
    if "cluster-mesh" not in written:
        return Peers(peers)
    why = "whether the entity `cluster-mesh` holds the cluster itself is not settled"
    return Peers(peers, tuple(map(EntityPeer, cluster)), why)


def _known(
    read: Callable[[Any, Path, T], Sequence[Peer]],
    value: Any,  # noqa: ANN401
    path: Path,
    known: T,
) -> Peers:
    """Return what an item means, or may mean where that cannot be told."""
    try:
        return Peers(tuple(read(value, path, known)))
    except UnknownBlocks as unknown:
        return Peers(unknown.certain, unknown.perhaps, unknown.reason)


def _joined(found: list[Peers]) -> Peers:
    """Return the items of a list as one."""
    return Peers(
        tuple(dict.fromkeys(peer for each in found for peer in each.certain or ())),
        tuple(dict.fromkeys(peer for each in found for peer in each.perhaps or ())),
        "; ".join(dict.fromkeys(each.why for each in found if each.why)),
    )


def _services(listed: list[tuple[Path, Any]], around: Surroundings, *, deny: bool) -> Peers:
    found = _joined([_known(service_peers, v, at, around.context.services) for at, v in listed])
    if deny:
        # Only those of allow rules are resolved (`pkg/policy/k8s/service.go` processRule).
        return Peers((), (ANYONE,), "what `toServices` denies is left to the version of Cilium")
    if found.certain or found.perhaps:
        return found
    # Without any peer left a rule with ports reads like one that names none
    # (`parserules.go` mergeEndpointSelectors does not look at Services; issue 20067).
    return Peers((), None, "no Service is meant, and Cilium may take that for any destination")


def _cloud_groups(listed: list[tuple[Path, Any]]) -> Peers:
    known = ("labels", "region", "securityGroupsIds", "securityGroupsNames")
    for at, value in listed:
        given = fields(value, at, ("aws",))
        if "aws" not in given:
            raise Malformed("`aws` is required", at)
        aws = fields(given["aws"], (*at, "aws"), known)
        text(aws.get("region", ""), (*at, "aws", "region"))
        for key in known[2:]:
            for where, name in items(aws.get(key), (*at, "aws", key)):
                text(name, where)
    why = "which addresses are in a cloud's security group is not known here"
    return Peers((), ANY_BLOCK, why)


def domain(value: Any, path: Path, around: Surroundings) -> DomainPattern:  # noqa: ANN401
    """Return a name or a pattern of names, of `toFQDNs` or of a DNS rule.

    Source: Cilium `pkg/policy/api/fqdn.go`, `pkg/fqdn/matchpattern/matchpattern.go`.

    Raises:
        Malformed: it is neither, or both.
    """
    given = fields(value, path, ("matchName", "matchPattern"))
    chosen = {key: text(v, (*path, key)) for key, v in given.items()}
    chosen = {key: written for key, written in chosen.items() if written}
    if len(chosen) != 1:
        raise Malformed("exactly one of matchName and matchPattern", path)
    ((key, written),) = chosen.items()
    at = (*path, key)
    form = MATCH_NAME if key == "matchName" else MATCH_PATTERN
    if len(written) > LONGEST_NAME or not form.fullmatch(written):
        raise Malformed(f"`{written}` is no {'pattern of names' if '*' in written else 'name'}", at)
    return domain_pattern(written, at, around)


def domain_pattern(written: str, path: Path, around: Surroundings) -> DomainPattern:
    """Return a pattern of names with every run of `*` as short as it means the same.

    Source: Cilium `pkg/fqdn/matchpattern/matchpattern.go`.

    Raises:
        Malformed: before 1.19, it is several stars and nothing else.
    """
    old = around.older_than(1, 19)
    pattern = written.lower().removesuffix(".")
    wildcard = Wildcard.CILIUM_BEFORE_1_19 if old else Wildcard.CILIUM
    if not pattern.strip("*"):
        if old and pattern != "*":
            raise Malformed("before 1.19 this stands for names of one label only", path)
        return DomainPattern("*", wildcard)
    stars = len(pattern) - len(pattern.lstrip("*"))
    deep = stars > 1 and pattern[stars] == "." and not old
    rest = re.sub(r"\*+", "*", pattern)
    return DomainPattern("*" + rest if deep else rest, wildcard)
