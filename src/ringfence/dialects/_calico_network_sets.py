"""Calico's NetworkSet and GlobalNetworkSet.

Authority: Calico `api/pkg/apis/projectcalico/v3/{networkset,globalnetworkset}.go`; `libcalico-go/
lib/backend/syncersv1/updateprocessors/networksetprocessor.go`; `libcalico-go/lib/validator/v3/
validator.go` validateNetworkSet.
"""

from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects._calico_domains import domain
from ringfence.dialects._calico_metadata import namespace_labels, own_labels
from ringfence.dialects._calico_tiers import TOP
from ringfence.dialects._shared import Malformed, fields, items, network, spec_given, text
from ringfence.model.cluster import NetworkSet
from ringfence.model.document import Document, Path
from ringfence.model.label_space import CALICO_NAMESPACE
from ringfence.model.rule import Unreadable

KINDS: Final = ("NetworkSet", "GlobalNetworkSet")
DOMAINS: Final = "allowedEgressDomains"


def network_sets(context: Context) -> list[NetworkSet]:
    """Return the network sets; one that cannot be understood says why."""
    return [
        _network_set(index, document, context)
        for kind in KINDS
        for index, document in context.by_title.get(kind, ())
    ]


def _network_set(index: int, document: Document, context: Context) -> NetworkSet:
    namespace = document.namespace if document.kind == "NetworkSet" else ""
    added = {CALICO_NAMESPACE: namespace} if namespace else {}
    if namespace:
        added |= namespace_labels(namespace, context)
    labels = added
    known = False
    try:
        labels = added | own_labels(document) | _fixed(added)
        known = True
        nets, domains = _content(document)
    except Malformed as malformed:
        return NetworkSet(
            index,
            namespace,
            document.name,
            labels,
            unreadable=malformed.unreadable.reason,
            labels_known=known,
        )
    return NetworkSet(index, namespace, document.name, labels, nets, domains)


def _fixed(added: dict[str, str]) -> dict[str, str]:
    """Return the label that no other of the set overrules."""
    return {key: value for key, value in added.items() if key == CALICO_NAMESPACE}


def _content(document: Document) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return blocks and names.

    Raises:
        Malformed: what the API server would refuse.
    """
    if CALICO_NAMESPACE in own_labels(document):
        raise Malformed(
            f"`{CALICO_NAMESPACE}` is no label of one's own",
            ("metadata", "labels", CALICO_NAMESPACE),
        )
    fields(document.body, (), TOP)
    spec = fields(spec_given(document), ("spec",), ("nets", DOMAINS))
    nets = [_net(v, p) for p, v in items(spec.get("nets"), ("spec", "nets"))]
    domains = [domain(v, p) for p, v in items(spec.get(DOMAINS), ("spec", DOMAINS))]
    return tuple(dict.fromkeys(nets)), tuple(dict.fromkeys(domains))


def _net(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a block in canonical form; a bare address is one of its own, host bits may be set.

    Source: validator.go validateCIDR.
    """
    written = text(value, path)
    bare = "" if "/" in written else "/128" if ":" in written else "/32"
    try:
        return network(f"{written}{bare}", path)
    except Malformed:
        raise Malformed(f"`{written[:60]}` is neither a CIDR nor an address", path) from None


def problems(context: Context) -> list[tuple[Document, Unreadable]]:
    """Return what is unreadable of the network sets, and where."""
    found = []
    for kind in KINDS:
        for _, document in context.by_title.get(kind, ()):
            try:
                _content(document)
            except Malformed as malformed:
                found.append((document, malformed.unreadable))
    return found
