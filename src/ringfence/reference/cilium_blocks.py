"""Blocks of addresses in Cilium's policies: `fromCIDR`, `fromCIDRSet`, and groups of blocks.

Source: Cilium `pkg/policy/api/rule_validation.go` (CIDR, CIDRRule), `pkg/policy/types/selector.go`
(newCIDRRuleSelector), `pkg/k8s/apis/cilium.io/v2/cidrgroups_types.go`.
"""

import ipaddress
from itertools import product
from typing import Any

from ringfence.model.document import Document, Path
from ringfence.model.profile import older_than
from ringfence.model.snapshot import Snapshot
from ringfence.reference import addresses, schema
from ringfence.reference.cilium_labels import GROUP, Selector, read_selector
from ringfence.reference.ends import Approach, Network
from ringfence.reference.outcome import NO, Degree, Match, any_of, not_understood, perhaps
from ringfence.reference.schema import NotUnderstoodError

GROUP_KIND = "CiliumCIDRGroup"
EXCEPT = "what `except` takes from a group of blocks is left to the version of Cilium"
NO_GROUP = "a selector of groups that asks for none of their labels may select more than groups"
NO_BLOCKS = "no blocks"
"""What groups without any block are known by: there is nothing to be enforced."""
TWO_VALUES = "a block is in groups that give a label of its two values"
GROUP_VERSIONS = ("cilium.io/v2", "cilium.io/v2alpha1")


def block(value: Any, path: Path, here: Approach, snapshot: Snapshot) -> tuple[str, Match]:  # noqa: ANN401
    """Return what an entry of `fromCIDR` or `toCIDR` is known by, and whether it matches.

    A bare address is a block of its own before 1.20; from then on it needs a prefix.

    Raises:
        NotUnderstoodError: it is no block.
    """
    written = schema.text(value, path)
    if "/" not in written and older_than(snapshot.profile.version, 1, 20):
        try:
            cidr = ipaddress.ip_network(written)
        except ValueError:
            raise NotUnderstoodError(f"`{written}` is no address", path) from None
    else:
        cidr = addresses.read_cidr(written, path)
    return f"cidr:{written}", addresses.block_matches(cidr, [], here)


def block_set(value: Any, path: Path, here: Approach, snapshot: Snapshot) -> tuple[str, Match]:  # noqa: ANN401
    """Return what an entry of `fromCIDRSet` or `toCIDRSet` is known by, and whether it matches.

    Exactly one of `cidr`, `cidrGroupRef` and `cidrGroupSelector`. `except` takes away from this
    entry alone; beside a `cidr` its blocks must lie within it. Beside a group it is declared to be
    unsupported, and yet taken into account by some versions: only what a group does not hold is
    sure then.

    Raises:
        NotUnderstoodError: something in the entry is not understood.
    """
    given = schema.fields(value, path, ("cidr", "cidrGroupRef", "cidrGroupSelector", "except"))
    at = (*path, "except")
    listed = schema.items(given.pop("except", None), at)
    excepts = [addresses.read_cidr(entry, (*at, index)) for index, entry in enumerate(listed)]
    key, content = schema.only(given, path, ("cidr", "cidrGroupRef", "cidrGroupSelector"))
    known = f"set:{key}:{content}:{sorted(map(str, excepts))}"
    here_at = (*path, key)
    if key == "cidr":
        cidr = addresses.read_cidr(content, here_at)
        for index, inner in enumerate(excepts):
            if inner != cidr and not addresses.strictly_inside(inner, cidr):
                raise NotUnderstoodError(f"`{listed[index]}` is no part of `{content}`", at)
        return known, addresses.block_matches(cidr, excepts, here)
    if key == "cidrGroupRef":
        name = schema.text(content, here_at, 253)
        if not name:
            raise NotUnderstoodError("must not be empty", here_at)
        groups = [group for group in _groups(snapshot) if group.name == name]
        match = any_of([_group_matches(group, here) for group in groups])
    else:
        selector = read_selector(content, here_at, GROUP)
        match = _selected(selector, here, snapshot)
        groups = [group for group in _groups(snapshot) if selector.selects(_labels(group))]
    if not any(map(_holds_some, groups)) and match == NO:
        return NO_BLOCKS, NO
    if listed and match.degree is not Degree.NO:
        return known, perhaps(EXCEPT)
    return known, match


def _selected(selector: Selector, here: Approach, snapshot: Snapshot) -> Match:
    """Return whether a block matches that a selector of groups selects.

    A block has the labels of every group that lists it, and of several values of one label one or
    another. A selector that asks for no label of groups may select what is no group's.

    Source: Cilium `pkg/policy/api/rule_validation.go`, `pkg/k8s/apis/cilium.io/v2/
    cidrgroups_types.go`; `pkg/labels/labels.go` (a label of a key has one value).
    """
    whole = addresses.read_cidr("0.0.0.0/0" if here.family == 4 else "::/0", ())
    asks = any(c.operator in ("In", "Exists") for c in selector.conditions)
    if not asks or any(c.source != GROUP for c in selector.conditions):
        outside = addresses.block_matches(whole, [], here)
        return NO if outside == NO else perhaps(NO_GROUP)
    found: list[Match] = []
    labels: dict[Network, list[tuple[tuple[str, str], str]]] = {}
    for group in _groups(snapshot):
        try:
            for block_ in read_group(group):
                labels.setdefault(block_, []).extend(_labels(group).items())
        except NotUnderstoodError as error:
            outside = addresses.block_matches(whole, [], here)
            found.append(NO if outside == NO else perhaps(not_understood(group, error)))
    for block_, given in labels.items():
        values: dict[tuple[str, str], set[str]] = {}
        for key, value in given:
            values.setdefault(key, set()).add(value)
        answers = {
            selector.selects(dict(zip(values, chosen, strict=True)))
            for chosen in product(*values.values())
        }
        match = addresses.block_matches(block_, [], here) if True in answers else NO
        found.append(match if answers == {True} or match == NO else perhaps(TWO_VALUES))
    return any_of(found)


def _holds_some(group: Document) -> bool:
    """Return whether a group has blocks, or may have: it is not understood."""
    try:
        return bool(read_group(group))
    except NotUnderstoodError:
        return True


def _groups(snapshot: Snapshot) -> list[Document]:
    return [document for document in snapshot.documents if document.kind == GROUP_KIND]


def _labels(group: Document) -> dict[tuple[str, str], str]:
    metadata = group.body.get("metadata") or {}
    labels = metadata.get("labels") or {}
    return {(GROUP, str(key)): str(value) for key, value in labels.items()}


def _group_matches(group: Document, here: Approach) -> Match:
    """Return whether one of a group's blocks matches; perhaps, if the group is not understood.

    A group that is referred to and does not exist has no blocks, so that nothing matches.
    """
    try:
        cidrs = read_group(group)
    except NotUnderstoodError as error:
        whole = addresses.read_cidr("0.0.0.0/0" if here.family == 4 else "::/0", ())
        outside = addresses.block_matches(whole, [], here)
        return NO if outside == NO else perhaps(not_understood(group, error))
    return any_of([addresses.block_matches(cidr, [], here) for cidr in cidrs])


def read_group(group: Document) -> list[Network]:
    """Return the blocks of a CiliumCIDRGroup.

    Raises:
        NotUnderstoodError: something in it is not understood.
    """
    if group.api_version not in GROUP_VERSIONS:
        raise NotUnderstoodError(f"`{group.api_version}` is not known", ("apiVersion",))
    given = schema.fields(group.body, (), ("apiVersion", "kind", "metadata", "spec", "status"))
    spec = schema.fields(schema.required(given, "spec", ()), ("spec",), ("externalCIDRs",))
    at: Path = ("spec", "externalCIDRs")
    listed = schema.items(schema.required(spec, "externalCIDRs", ("spec",)), at)
    return [addresses.read_cidr(entry, (*at, index)) for index, entry in enumerate(listed)]
