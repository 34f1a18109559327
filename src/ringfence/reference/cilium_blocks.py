"""Blocks of addresses in Cilium's policies: `fromCIDR`, `fromCIDRSet`, and groups of blocks.

Source: Cilium `pkg/policy/api/rule_validation.go` (CIDR, CIDRRule), `pkg/policy/types/selector.go`
(newCIDRRuleSelector), `pkg/k8s/apis/cilium.io/v2/cidrgroups_types.go`.
"""

import ipaddress
from typing import Any

from ringfence.model.document import Document, Path
from ringfence.model.profile import older_than
from ringfence.model.snapshot import Snapshot
from ringfence.reference import addresses, schema
from ringfence.reference.cilium_labels import GROUP, read_selector
from ringfence.reference.ends import Approach, Network
from ringfence.reference.outcome import Degree, Match, any_of, not_understood, perhaps
from ringfence.reference.schema import NotUnderstoodError

GROUP_KIND = "CiliumCIDRGroup"
EXCEPT = "what `except` takes from a group of blocks is left to the version of Cilium"
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
    else:
        selector = read_selector(content, here_at, GROUP)
        groups = [group for group in _groups(snapshot) if selector.selects(_labels(group))]
    match = any_of([_group_matches(group, here) for group in groups])
    if listed and match.degree is not Degree.NO:
        return known, perhaps(EXCEPT)
    return known, match


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
        return perhaps(not_understood(group, error))
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
