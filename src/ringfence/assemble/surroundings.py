"""Reads what pods live in and on: namespaces, nodes, and the blocks that their addresses are from.

Authority: core/v1 `types.go` Namespace, Node.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Final

from ringfence.assemble.catalog import Catalog
from ringfence.assemble.values import (
    Malformed,
    each,
    mapping,
    mappings,
    parse_address,
    string_map,
    text,
    texts,
)
from ringfence.errors import UsageError
from ringfence.model.cluster import Namespace, Node, ServiceAccount
from ringfence.model.document import Document, Path
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.location import Problem
from ringfence.model.snapshot import ASSUMED_POD_CIDRS

METADATA: Final[Path] = ("metadata",)
SPEC: Final[Path] = ("spec",)
STATUS: Final[Path] = ("status",)
IP_TYPES: Final = frozenset({"InternalIP", "ExternalIP"})


def namespaces(
    catalog: Catalog, named: Iterable[str], problems: list[Problem]
) -> tuple[Namespace, ...]:
    """Return the namespaces that are defined and those that objects name, sorted.

    A namespace whose object is malformed counts as named: its labels are not known.
    """
    found = {n.name: n for n in each(catalog.of("Namespace"), _namespace, problems)}
    broken = (document.name for document in catalog.of("Namespace"))
    return with_implicit(found.values(), (*broken, *named))


def with_implicit(known: Iterable[Namespace], named: Iterable[str]) -> tuple[Namespace, ...]:
    """Return the namespaces known and an implicit one for each other name, sorted."""
    found = {namespace.name: namespace for namespace in known}
    for name in set(named) - found.keys() - {""}:
        found[name] = Namespace(name, {NAMESPACE_NAME: name}, implicit=True)
    return tuple(found[name] for name in sorted(found))


def _namespace(document: Document) -> Namespace:
    """Return a namespace; the API server sees to the label that holds its name."""
    labels = string_map(mapping(document.body, "metadata", ()), "labels", METADATA)
    labels = labels | {NAMESPACE_NAME: document.name}
    return Namespace(document.name, dict(sorted(labels.items())), location=document.location_of())


def service_accounts(catalog: Catalog, problems: list[Problem]) -> tuple[ServiceAccount, ...]:
    """Return the service accounts that have labels, sorted: only those can be selected by them."""
    found = each(catalog.of("ServiceAccount"), _service_account, problems)
    labelled = (account for account in found if account.labels)
    return tuple(sorted(labelled, key=lambda account: (account.namespace, account.name)))


def _service_account(document: Document) -> ServiceAccount:
    labels = string_map(mapping(document.body, "metadata", ()), "labels", METADATA)
    return ServiceAccount(document.namespace, document.name, dict(sorted(labels.items())))


def nodes(catalog: Catalog, problems: list[Problem]) -> tuple[Node, ...]:
    """Return the nodes, sorted."""
    found = each(catalog.of("Node"), _node, problems)
    return tuple(sorted(found, key=lambda node: node.name))


def _node(document: Document) -> Node:
    metadata, spec = mapping(document.body, "metadata", ()), mapping(document.body, "spec", ())
    status = mapping(document.body, "status", ())
    addresses: dict[str, None] = {}
    for index, entry in enumerate(mappings(status, "addresses", STATUS)):
        at: Path = (*STATUS, "addresses", index)
        if text(entry, "type", at) in IP_TYPES:
            # Nothing checks what a kubelet reports; no packet comes from what is no address.
            address = text(entry, "address", at)
            if parse_address(address) is not None:
                addresses[address] = None
    single = text(spec, "podCIDR", SPEC)
    written = texts(spec, "podCIDRs", SPEC) or ([single] if single else [])
    blocks: list[str] = []
    for block in written:
        canonical = canonical_cidr(block)
        if canonical is None:
            raise Malformed(f"`{block}` is no CIDR", (*SPEC, "podCIDRs"))
        blocks.append(canonical)
    labels = string_map(metadata, "labels", METADATA)
    return Node(document.name, dict(sorted(labels.items())), tuple(addresses), tuple(blocks))


def pod_cidrs(given: Sequence[str], known: Iterable[Node]) -> tuple[tuple[str, ...], bool]:
    """Return the blocks that pods have their addresses from, and whether they are assumed.

    Sorted, IPv4 first, neighbours joined.

    Raises:
        UsageError: one that is given is no CIDR.
    """
    blocks: list[str] = []
    for written in given:
        canonical = canonical_cidr(written)
        if canonical is None:
            raise UsageError(f"`{written}` is no CIDR")
        blocks.append(canonical)
    if not given:
        blocks = [block for node in known for block in node.pod_cidrs]
    if not blocks:
        return ASSUMED_POD_CIDRS, True
    networks = [ipaddress.ip_network(block) for block in blocks]
    four = [n for n in networks if isinstance(n, ipaddress.IPv4Network)]
    six = [n for n in networks if isinstance(n, ipaddress.IPv6Network)]
    joined = (*ipaddress.collapse_addresses(four), *ipaddress.collapse_addresses(six))
    return tuple(map(str, joined)), False


def canonical_cidr(written: str) -> str | None:
    """Return a CIDR with its host bits cleared, or None if it is none."""
    if "/" not in written:
        return None
    try:
        return str(ipaddress.ip_network(written.strip(), strict=False))
    except ValueError:
        return None
