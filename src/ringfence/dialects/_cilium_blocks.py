"""Blocks of addresses in Cilium's policies: CIDR, CIDRSet, and the groups of CiliumCIDRGroup.

Authority: Cilium `pkg/policy/api/cidr.go`, `pkg/policy/api/rule_validation.go`,
`pkg/k8s/apis/cilium.io/v2/cidrgroups_types.go`.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects._cilium_selectors import ANY, meets, terms
from ringfence.dialects._shared import Malformed, fields, filled, items, network, text
from ringfence.model.document import Document, Path
from ringfence.model.profile import older_than
from ringfence.model.rule import AllPeers, IpPeer, Peer
from ringfence.model.selector import Operator, Requirement

GROUP: Final = "CiliumCIDRGroup"
FORMS: Final = ("cidr", "cidrGroupRef", "cidrGroupSelector")
POSITIVE: Final = (Operator.IN, Operator.EXISTS)


# `AllPeers` tells blocks that are not known from such as are written.
ANY_BLOCK: Final = (AllPeers((IpPeer("0.0.0.0/0"),)), AllPeers((IpPeer("::/0"),)))
"""What blocks can be that are not known: outside, at least."""


class UnknownBlocks(Exception):  # noqa: N818 - not an error of the program
    """The policy is sound, but what an item of a rule's peers means cannot be told."""

    def __init__(
        self,
        reason: str,
        certain: Iterable[Peer] = (),
        perhaps: Iterable[Peer] = ANY_BLOCK,
    ) -> None:
        """Keep the reason, what is meant in any case, and what may be meant beside."""
        super().__init__(reason)
        self.reason = reason
        self.certain = tuple(certain)
        self.perhaps = tuple(perhaps)


@dataclass(frozen=True)
class Group:
    """A CiliumCIDRGroup."""

    name: str
    labels: dict[str, str]
    cidrs: tuple[str, ...]
    unreadable: str = ""


def groups(context: Context) -> list[Group]:
    """Return the groups among the documents, by name."""
    found = [_group(document) for _, document in context.by_title.get(GROUP, [])]
    return sorted(found, key=lambda group: group.name)


def _group(document: Document) -> Group:
    try:
        given = fields(document.body, (), ("apiVersion", "kind", "metadata", "spec", "status"))
        spec = fields(given.get("spec"), ("spec",), ("externalCIDRs",))
        listed = items(spec.get("externalCIDRs"), ("spec", "externalCIDRs"))
        cidrs = tuple(prefix(written, at) for at, written in listed)
        labels = _labels(given.get("metadata"))
    except Malformed as malformed:
        at = document.location_of(malformed.unreadable.path)
        return Group(document.name, {}, (), f"{malformed.unreadable.reason} ({at})")
    return Group(document.name, labels, cidrs)


def _labels(metadata: Any) -> dict[str, str]:  # noqa: ANN401
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    if not isinstance(labels, dict):
        return {}
    return {key: text(value, ("metadata", "labels", key)) for key, value in labels.items()}


def prefix(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return an address with the length of its prefix, host bits cleared.

    Raises:
        Malformed: anything else, as a mask in dotted form.
    """
    written = text(value, path)
    found = network(written, path)
    length = written.rpartition("/")[2]
    if not (length.isascii() and length.isdigit()) or (length != "0" and length[0] == "0"):
        raise Malformed(f"`{written}` is not a CIDR", path)
    return found


def cidr(value: Any, path: Path, version: str) -> IpPeer:  # noqa: ANN401
    """Return an item of `fromCIDR` or `toCIDR`; before 1.20 an address alone is one.

    Source: `rule_validation.go` CIDR.Validate, and the pattern of the schema from 1.20.

    Raises:
        Malformed: it is none.
    """
    written = text(value, path)
    if "/" not in written and older_than(version, 1, 20):
        try:
            address = ipaddress.ip_address(written)
        except ValueError:
            raise Malformed(f"`{written}` is neither an address nor a CIDR", path) from None
        return IpPeer(f"{address}/{address.max_prefixlen}")
    return IpPeer(prefix(written, path))


def cidr_set(value: Any, path: Path, known: Iterable[Group]) -> list[IpPeer]:  # noqa: ANN401
    """Return what an item of `fromCIDRSet` or `toCIDRSet` means.

    Raises:
        Malformed: what Cilium would reject.
        UnknownBlocks: a group that could not be read, or may stand for more than blocks.
    Source: `rule_validation.go` CIDRRule.Validate.
    """
    given = fields(value, path, (*FORMS, "except"))
    chosen = [name for name in FORMS if given.get(name) not in (None, "")]
    if len(chosen) != 1:
        raise Malformed(f"exactly one of {', '.join(FORMS)}", path)
    (name,) = chosen
    excepts = [(at, prefix(v, at)) for at, v in items(given.get("except"), (*path, "except"))]
    if name == "cidr":
        return [_with_exceptions(prefix(given["cidr"], (*path, "cidr")), excepts)]
    at = (*path, name)
    if name == "cidrGroupRef":
        wanted = filled(given[name], at)
        selected = [group for group in known if group.name == wanted]
        found = {block: True for group in selected for block in group.cidrs}
        doubtful = [group for group in selected if group.unreadable]
    else:
        requirements = _group_requirements(given[name], at)
        doubtful = [group for group in known if group.unreadable]
        found = _selected(requirements, known)
    certain = [IpPeer(block) for block, sure in sorted(found.items()) if sure]
    perhaps = [AllPeers((IpPeer(block),)) for block, sure in sorted(found.items()) if not sure]
    if doubtful:
        reason = f"{GROUP}/{doubtful[0].name} could not be read: {doubtful[0].unreadable}"
        raise UnknownBlocks(reason, () if excepts else certain)
    if excepts and found:
        reason = "what `except` takes from a group of blocks is left to the version of Cilium"
        raise UnknownBlocks(reason, (), [AllPeers((peer,)) for peer in certain] + perhaps)
    if perhaps:
        reason = "a block is in groups that give a label of its two values"
        raise UnknownBlocks(reason, certain, perhaps)
    return certain


def _with_exceptions(outer: str, excepts: list[tuple[Path, str]]) -> IpPeer:
    """Return a block without its exceptions, each of which lies in it or is all of it."""
    around = ipaddress.ip_network(outer)
    for at, written in excepts:
        inner = ipaddress.ip_network(written)
        inside = (
            inner.version == around.version
            and inner.prefixlen >= around.prefixlen
            and inner.network_address in around
        )
        if not inside:
            raise Malformed(f"`{written}` does not lie in `{outer}`", at)
    return IpPeer(outer, tuple(sorted({written for _, written in excepts})))


def _group_requirements(value: Any, path: Path) -> list[Requirement]:  # noqa: ANN401
    found = terms(value, path)
    if any(term.source != ANY for term in found):
        raise UnknownBlocks("labels of groups have no source")
    requirements = [term.requirement for term in found]
    if not any(each.operator in POSITIVE for each in requirements):
        reason = "a selector of groups that asks for no label may select more than groups"
        raise UnknownBlocks(reason)
    return requirements


def _selected(requirements: list[Requirement], known: Iterable[Group]) -> dict[str, bool]:
    """Return the blocks that a selector selects, and whether it surely does.

    A block has the labels of all its groups; which value, where they give one several, is open.
    """
    labels: dict[str, dict[str, set[str]]] = {}
    for group in known:
        for block in group.cidrs:
            merged = labels.setdefault(block, {})
            for key, value in group.labels.items():
                merged.setdefault(key, set()).add(value)
    found: dict[str, bool] = {}
    for block, own in labels.items():
        answers = {
            meets(requirements, dict(zip(own, values, strict=True)))
            for values in product(*own.values())
        }
        if True in answers:
            found[block] = answers == {True}
    return found
