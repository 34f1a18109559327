"""Calico's objects that have labels and stand for addresses: network sets and host endpoints.

Source: Calico `libcalico-go/lib/backend/k8s/conversion/conversion.go` (CONV),
`libcalico-go/lib/backend/syncersv1/updateprocessors` (UPDATE), `libcalico-go/lib/validator/v3`,
`api/pkg/apis/projectcalico/v3` (V3).
"""

import ipaddress
from dataclasses import dataclass
from typing import Any

from ringfence.model import label_space
from ringfence.model.document import Document, Path
from ringfence.model.snapshot import Snapshot
from ringfence.reference import addresses, schema
from ringfence.reference.calico_selectors import Labels
from ringfence.reference.ends import Network
from ringfence.reference.outcome import not_understood
from ringfence.reference.ports import port_name
from ringfence.reference.schema import NotUnderstoodError

API_VERSIONS = ("projectcalico.org/v3", "crd.projectcalico.org/v1")
GROUPS = ("projectcalico.org", "crd.projectcalico.org")
TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")
DEFAULT_ALLOW = "projectcalico-default-allow"
"""The profile that allows everything and always exists (CONV; `resources.DefaultAllowProfile`)."""


@dataclass(frozen=True)
class HostPort:
    """A named port of a host endpoint."""

    name: str
    protocol: str
    port: int


@dataclass(frozen=True)
class Labelled:
    """A network set or a host endpoint: labels that stand for addresses and names."""

    document: Document
    labels: Labels | None
    """None where they could not be read."""
    nets: tuple[Network, ...] = ()
    domains: tuple[str, ...] = ()
    ports: tuple[HostPort, ...] = ()
    unreadable: str = ""
    """Why something else of it could not be read."""


@dataclass(frozen=True)
class HostEndpoint(Labelled):
    """What makes a node something that policies select."""

    node: str = ""
    """Empty where it could not be read."""
    every_interface: bool = False
    profiles: tuple[str, ...] = ()


def of_title(snapshot: Snapshot, *titles: str) -> list[Document]:
    """Return the documents of some kinds, as `kinds.title` has them."""
    return [document for document in snapshot.documents if document.title in titles]


def spec_of(document: Document, *, needed: bool = True) -> dict[str, Any]:
    """Return the `spec` of an object of Calico, in the form that users write or the stored one.

    Raises:
        NotUnderstoodError: there is none, or the version is not known, or a field beside it.
    """
    if document.api_version not in API_VERSIONS:
        raise NotUnderstoodError(f"`{document.api_version}` is not known", ("apiVersion",))
    given = schema.fields(document.body, (), TOP_LEVEL)
    spec = given.get("spec", None if needed else {})
    if not isinstance(spec, dict):
        raise NotUnderstoodError("must be a mapping", ("spec",))
    return spec


def read_labels(value: Any, path: Path) -> dict[str, str]:  # noqa: ANN401
    """Return labels as they stand in a manifest; none where there are none.

    Raises:
        NotUnderstoodError: they are not strings by strings.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotUnderstoodError("must be a mapping", path)
    return {str(key): schema.text(label, (*path, key)) for key, label in value.items()}


def metadata_labels(document: Document) -> dict[str, str]:
    """Return an object's own labels.

    Raises:
        NotUnderstoodError: they cannot be read.
    """
    metadata = document.body.get("metadata")
    found = metadata.get("labels") if isinstance(metadata, dict) else None
    return read_labels(found, ("metadata", "labels"))


def namespace_labels(snapshot: Snapshot, namespace: str) -> dict[str, str]:
    """Return what everything in a namespace inherits from it: its labels behind `pcns.`.

    Source: CONV NamespaceToProfile.
    """
    prefix = label_space.CALICO_NAMESPACE_PREFIX
    found = {label_space.NAMESPACE_NAME: namespace}
    for one in snapshot.namespaces:
        if one.name == namespace:
            found = {**one.labels, **found}
    return {
        **{prefix + key: value for key, value in found.items()},
        prefix + label_space.CALICO_NAME: namespace,
    }


def network_sets(snapshot: Snapshot) -> list[Labelled]:
    """Return the NetworkSets, which inherit the labels of their namespace, and the global ones.

    Source: UPDATE convertNetworkSetV2ToV1Value, `globalnetworksetprocessor.go`; V3
    NetworkSetSpec; docs.tigera.io "Global network set" (`allowedEgressDomains`, Enterprise).
    """
    found = []
    for document in of_title(snapshot, "NetworkSet", "GlobalNetworkSet"):
        try:
            labels = metadata_labels(document)
        except NotUnderstoodError as error:
            found.append(Labelled(document, None, unreadable=not_understood(document, error)))
            continue
        if document.kind == "NetworkSet":
            inherited = namespace_labels(snapshot, document.namespace)
            labels = {**inherited, **labels, label_space.CALICO_NAMESPACE: document.namespace}
        try:
            spec, at = spec_of(document, needed=False), ("spec",)
            given = schema.fields(spec, at, ("nets", "allowedEgressDomains"))
            nets = read_nets(given.get("nets"), (*at, "nets"), bare=True)
            at_domains = (*at, "allowedEgressDomains")
            domains = tuple(
                read_domain(entry, (*at_domains, index))
                for index, entry in enumerate(
                    schema.items(given.get("allowedEgressDomains"), at_domains)
                )
            )
        except NotUnderstoodError as error:
            found.append(Labelled(document, labels, unreadable=not_understood(document, error)))
            continue
        found.append(Labelled(document, labels, nets, domains))
    return found


def host_endpoints(snapshot: Snapshot) -> list[HostEndpoint]:
    """Return the HostEndpoints by name; they inherit the labels that their profiles apply.

    One has an interface's name (`*` for all of them), or else addresses to find it by.

    Source: V3 HostEndpointSpec, ProfileSpec.labelsToApply; `validator/v3`
    validateHostEndpointSpec.
    """
    found = [_host_endpoint(snapshot, document) for document in of_title(snapshot, "HostEndpoint")]
    return sorted(found, key=lambda one: one.document.name)


def profile_labels(snapshot: Snapshot, name: str) -> dict[str, str]:
    """Return the labels that a profile applies; a namespace has one without an object, too.

    Source: V3 ProfileSpec.labelsToApply; CONV NamespaceToProfile.

    Raises:
        NotUnderstoodError: they cannot be read.
    """
    for profile in of_title(snapshot, "Profile"):
        if profile.name == name:
            spec = profile.body.get("spec")
            if spec is None:
                return {}
            if not isinstance(spec, dict):
                raise NotUnderstoodError("must be a mapping", ("spec",))
            return read_labels(spec.get("labelsToApply"), ("spec", "labelsToApply"))
    namespace = name.removeprefix("kns.")
    if name != namespace and any(one.name == namespace for one in snapshot.namespaces):
        return namespace_labels(snapshot, namespace)
    return {}


def _host_endpoint(snapshot: Snapshot, document: Document) -> HostEndpoint:
    spec = document.body.get("spec")
    named = spec.get("node") if isinstance(spec, dict) else None
    node = named if isinstance(named, str) else ""
    labels: dict[str, str] | None = None
    try:
        labels = metadata_labels(document)
        spec, at = spec_of(document), ("spec",)
        known = ("node", "interfaceName", "expectedIPs", "profiles", "ports")
        given = schema.fields(spec, at, known)
        node = schema.text(given.get("node", ""), (*at, "node"))
        interface = schema.text(given.get("interfaceName", ""), (*at, "interfaceName"))
        nets = read_nets(given.get("expectedIPs"), (*at, "expectedIPs"), bare=True)
        if not node or not (interface or nets):
            raise NotUnderstoodError("a node, and an interface or its addresses, are needed", at)
        listed = enumerate(schema.items(given.get("profiles"), (*at, "profiles")))
        profiles = tuple(schema.text(entry, (*at, "profiles", index)) for index, entry in listed)
        own, labels = labels, None
        for name in profiles:
            own = {**profile_labels(snapshot, name), **own}
        labels = own
        return HostEndpoint(
            document,
            labels,
            nets,
            ports=_host_ports(given.get("ports"), (*at, "ports")),
            node=node,
            every_interface=interface == "*",
            profiles=profiles,
        )
    except NotUnderstoodError as error:
        why = not_understood(document, error)
        return HostEndpoint(document, labels, unreadable=why, node=node)


def _protocol_with_ports(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return the name of a protocol that has ports, written by its name or its number.

    Source: Calico `api/pkg/lib/numorstring/protocol.go` SupportsPorts.
    """
    by_number = {"6": "TCP", "17": "UDP", "132": "SCTP"}
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    found = schema.choice(value, path, ("TCP", "UDP", "SCTP", *by_number))
    return by_number.get(found, found)


def _host_ports(value: Any, path: Path) -> tuple[HostPort, ...]:  # noqa: ANN401
    found = []
    for index, entry in enumerate(schema.items(value, path)):
        at = (*path, index)
        given = schema.fields(entry, at, ("name", "protocol", "port"))
        found.append(
            HostPort(
                port_name(given.get("name"), (*at, "name")),
                _protocol_with_ports(given.get("protocol"), (*at, "protocol")),
                schema.integer(given.get("port"), (*at, "port"), 1, 65535),
            )
        )
    return tuple(found)


# -- addresses and names -------------------------------------------------------------------------


def read_nets(value: Any, path: Path, *, bare: bool) -> tuple[Network, ...]:  # noqa: ANN401
    """Return blocks of addresses; also single addresses where they may stand bare.

    Source: `validator/v3` ("cidr": also accepts an IP address without a mask), and for rules
    validateIPNetwork, validateRule, scanNets: a mask is needed, and no host bits.

    Raises:
        NotUnderstoodError: something is no block.
    """
    found: list[Network] = []
    for index, entry in enumerate(schema.items(value, path)):
        at = (*path, index)
        if bare and isinstance(entry, str) and "/" not in entry:
            entry = f"{entry}/{128 if ':' in entry else 32}"  # noqa: PLW2901
        net = addresses.read_cidr(entry, at)
        if not bare and ipaddress.ip_interface(entry).ip != net.network_address:
            raise NotUnderstoodError(f"`{entry}` has host bits", at)
        found.append(net)
    return tuple(found)


def read_domain(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a domain name: lower case, no final dot, and at most one `*`, a whole component.

    Source: docs.tigera.io, domain-based policy.

    Raises:
        NotUnderstoodError: it is none.
    """
    name = schema.text(value, path).lower().removesuffix(".")
    parts = name.split(".")
    plain = [part for part in parts if part != "*"]
    letters = all(part and all(c.isalnum() or c in "-_" for c in part) for part in plain)
    if not letters or not name.isascii() or len(parts) - len(plain) > 1:
        raise NotUnderstoodError(f"`{value}` is no domain name", path)
    return name
