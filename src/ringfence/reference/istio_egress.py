"""What a sidecar lets out: with REGISTRY_ONLY, only what the mesh knows and the Sidecar imports.

Source: istio/api `networking/v1alpha3/{sidecar,service_entry}.proto`,
`mesh/v1alpha1/config.proto` (OutboundTrafficPolicy); Istio `pilot/pkg/model/sidecar.go`,
`pilot/pkg/networking/core/listener.go` (BlackHoleCluster).
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ringfence.model.cluster import Service
from ringfence.model.connection import DomainEnd
from ringfence.model.document import Document, Path, path_text
from ringfence.model.mesh import DataPlane
from ringfence.model.rule import Direction
from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference import schema
from ringfence.reference.addresses import any_matches
from ringfence.reference.ends import OwnPod
from ringfence.reference.findings import Side
from ringfence.reference.istio_chains import leads_to
from ringfence.reference.istio_hosts import covers, host_of, is_seen, read_export
from ringfence.reference.istio_objects import (
    NETWORKING,
    Labels,
    are_in,
    config,
    labels_of,
    mesh_evidence,
    of_kind,
)
from ringfence.reference.istio_rules import block
from ringfence.reference.mesh_flow import Flow, absent
from ringfence.reference.outcome import NO, Degree, not_understood
from ringfence.reference.schema import NotUnderstoodError

REGISTRY_ONLY = "REGISTRY_ONLY"
ALLOW_ANY = "ALLOW_ANY"
HANDED_ON = "the proxy that is asked about what the Sidecar does not know decides"
PORTS = "only some of the Service's ports that lead to this one are imported"
_HTTP = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"})
_TLS = frozenset({"HTTPS", "TLS"})


@dataclass(frozen=True)
class _Listener:
    """Hosts that a Sidecar imports, as `namespace/name`, perhaps for one port alone."""

    hosts: tuple[tuple[str, str], ...]
    port: int | None


@dataclass(frozen=True)
class _Sidecar:
    document: Document
    labels: dict[str, str] | None
    listeners: tuple[_Listener, ...] | None
    """None: everything is imported."""
    outbound: str
    """Empty where the mesh decides."""
    hands_on: bool = False
    """Whether another proxy is asked about what is not known."""
    because: NotUnderstoodError | None = None
    """Why it was not understood, if so."""


@dataclass(frozen=True)
class _Known:
    """A host that the mesh knows, and the namespace of the object by which it does."""

    namespace: str
    host: str
    ports: frozenset[int]
    limit: dict[str, Any] | None = None
    """What must be said above the port for it to be meant; None: nothing."""
    because: tuple[str, ...] = ()
    """Why it is only perhaps the destination."""


def judge(flow: Flow) -> Side:
    """Return what the proxy of the source lets out.

    Only sidecars hold back anything, and only with REGISTRY_ONLY: then what is neither a Service
    nor in a ServiceEntry goes nowhere, and nor does what the Sidecar does not import. A pod called
    by its own address is neither. With ALLOW_ANY all of that passes through.
    """
    client, member = flow.source, flow.client
    by_sidecar = member is not None and member.data_plane is DataPlane.SIDECAR
    if not by_sidecar or not isinstance(client, OwnPod) or (member and member.gateway):
        return absent(Direction.EGRESS, "default")
    try:
        sidecar = _sidecar_of(flow, client)
        mode = sidecar.outbound if sidecar else ""
        if not mode:
            mode = REGISTRY_ONLY if config(flow.snapshot).registry_only else ALLOW_ANY
        if mode == ALLOW_ANY:
            return absent(Direction.EGRESS, "default")
        known, unsure = _known(flow, client)
    except _Unread as unread:
        return unread.side
    let_out = [one for one in known if _is_imported(one, sidecar, client)]
    allowed = absent(Direction.EGRESS, "registry")
    if any(one.limit is None and not one.because for one in let_out):
        return allowed
    limits = tuple(one.limit for one in let_out if one.limit is not None)
    unsure += tuple(why for one in let_out for why in one.because)
    if sidecar is not None:
        piece = mesh_evidence(
            sidecar.document,
            Direction.EGRESS,
            "deny",
            "outboundTrafficPolicy",
            ("spec", "outboundTrafficPolicy"),
        )
        unsure += (HANDED_ON,) if sidecar.hands_on else ()
    else:
        piece = Evidence("mesh", Direction.EGRESS.value, "deny", None, REGISTRY_ONLY)
    if unsure:
        return Side(Verdict.UNKNOWN, (piece,), unsure)
    return replace(allowed, limits=limits) if limits else Side(Verdict.DENY, (piece,))


def knows(flow: Flow, service: Service) -> tuple[bool | None, tuple[str, ...]]:
    """Return whether a sidecar knows the Service that is called; None where that is open, and why.

    What it does not know it passes on as it is, where it does not refuse it. A gateway has no
    Sidecar.

    Source: Istio `pilot/pkg/model/push_context.go` getSidecarScope, servicesExportedToNamespace;
    `pilot/pkg/networking/core/listener.go` (PassthroughCluster).
    """
    client, pod = flow.source, flow.destination
    if not isinstance(client, OwnPod) or not isinstance(pod, OwnPod):
        return True, ()
    if not service.is_known_in(client.namespace):
        return False, ()
    if flow.client is not None and flow.client.gateway:
        return True, ()
    try:
        sidecar = _sidecar_of(flow, client)
    except _Unread as unread:
        return None, unread.side.because
    ports = {port.port for port in service.ports if leads_to(port, pod, flow.port)} or {-1}
    found = {
        _is_imported(
            _Known(service.namespace, host_of(service), frozenset((one,))), sidecar, client
        )
        for one in ports
    }
    return (found.pop(), ()) if len(found) == 1 else (None, (PORTS,))


class _Unread(Exception):  # noqa: N818 - a way out, no error
    """An object that decides was not understood."""

    def __init__(self, document: Document, error: NotUnderstoodError) -> None:
        super().__init__(str(error))
        where = path_text(error.path)
        piece = mesh_evidence(document, Direction.EGRESS, "unknown", where, error.path)
        self.side = Side(Verdict.UNKNOWN, (piece,), (not_understood(document, error),))


def _sidecar_of(flow: Flow, client: OwnPod) -> _Sidecar | None:
    """Return the Sidecar of a client: one that selects it, its namespace's, the root namespace's.

    Source: sidecar.proto ("the workloadSelector"); push_context.go getSidecarScope.
    """
    root = config(flow.snapshot).root_namespace
    found: dict[int, _Sidecar] = {}
    for document in of_kind(flow.snapshot, NETWORKING, "Sidecar"):
        if document.namespace not in (client.namespace, root):
            continue
        at_home = document.namespace == client.namespace
        try:
            sidecar = _read(document)
        except NotUnderstoodError as error:
            sidecar = _Sidecar(document, _labels_anyway(document), None, "", because=error)
        if sidecar.labels is None:
            found.setdefault(1 if at_home else 2, sidecar)
        elif at_home and are_in(sidecar.labels, client.labels):
            found.setdefault(0, sidecar)
    chosen = found[min(found)] if found else None
    if chosen is not None and chosen.because is not None:
        raise _Unread(chosen.document, chosen.because)
    return chosen


def _labels_anyway(document: Document) -> Labels | None:
    """Return whom a Sidecar selects that was not understood; everyone if that was not."""
    spec = document.body.get("spec")
    at: Path = ("spec",)
    try:
        selector = spec.get("workloadSelector") if isinstance(spec, dict) else None
        return labels_of(_as_match_labels(selector, at), (*at, "workloadSelector"))
    except NotUnderstoodError:
        return {}


def _read(document: Document) -> _Sidecar:
    """Return a Sidecar, as far as it is about what goes out.

    Raises:
        NotUnderstoodError: that is not understood.
    """
    at: Path = ("spec",)
    names = (
        "workloadSelector",
        "ingress",
        "egress",
        "inboundConnectionPool",
        "outboundTrafficPolicy",
    )
    spec = schema.fields(document.body.get("spec") or {}, at, names)
    selector = spec.get("workloadSelector")
    labels = labels_of(_as_match_labels(selector, at), (*at, "workloadSelector"))
    outbound, hands_on = "", False
    if "outboundTrafficPolicy" in spec:
        here = (*at, "outboundTrafficPolicy")
        said = schema.fields(spec["outboundTrafficPolicy"], here, ("mode", "egressProxy"))
        hands_on = "egressProxy" in said
        # The enumeration's zero is REGISTRY_ONLY.
        outbound = schema.choice(
            said.get("mode", REGISTRY_ONLY), (*here, "mode"), (REGISTRY_ONLY, ALLOW_ANY)
        )
    listeners = None
    if "egress" in spec:
        here = (*at, "egress")
        listeners = tuple(
            _listener(entry, (*here, index))
            for index, entry in enumerate(schema.items(spec["egress"], here))
        )
    return _Sidecar(document, labels, listeners, outbound, hands_on)


def _as_match_labels(value: Any, path: Path) -> Any:  # noqa: ANN401
    """Return a Sidecar's selector, which has `labels`, in the form of the others."""
    if value is None:
        return None
    given = schema.fields(value, (*path, "workloadSelector"), ("labels",))
    return {"matchLabels": given.get("labels", {})}


def _listener(value: Any, path: Path) -> _Listener:  # noqa: ANN401
    given = schema.fields(value, path, ("port", "bind", "captureMode", "hosts"))
    hosts = []
    for index, entry in enumerate(schema.some(given.get("hosts"), (*path, "hosts"), 2**31)):
        here = (*path, "hosts", index)
        namespace, slash, name = schema.text(entry, here).partition("/")
        if not slash or not namespace or not name:
            raise NotUnderstoodError("must be `namespace/name`", here)
        hosts.append((namespace, name.lower()))
    port = given.get("port")
    number = None
    if port is not None:
        here = (*path, "port")
        known = schema.fields(port, here, ("number", "protocol", "name", "targetPort"))
        number = schema.integer(known.get("number"), (*here, "number"), 1, 65535)
    return _Listener(tuple(hosts), number)


def _is_imported(known: _Known, sidecar: _Sidecar | None, client: OwnPod) -> bool:
    """Return whether a Sidecar imports a host: a listener of its port goes before the others.

    Of a listener what is said for the host's namespace goes before what is said for all.

    Source: sidecar.proto IstioEgressListener ("the listener with the most specific port");
    sidecar.go selectServices.
    """
    if sidecar is None or sidecar.listeners is None:
        return True
    of_port = [one for one in sidecar.listeners if one.port in known.ports]
    for listener in of_port or [one for one in sidecar.listeners if one.port is None]:
        hosts: dict[str, list[str]] = {}
        for namespace, name in listener.hosts:
            owner = client.namespace if namespace == "." else namespace
            hosts.setdefault(owner, []).append(name)
        wanted = hosts.get(known.namespace, hosts.get("*", []))
        if any(covers(name, known.host) for name in wanted):
            return True
    return False


def _known(flow: Flow, client: OwnPod) -> tuple[list[_Known], tuple[str, ...]]:
    """Return as what the mesh knows the destination, and why more might be known.

    A Service where it is called by one; hosts of ServiceEntries by name, and their addresses. What
    has no addresses is known by what is said: of HTTP the host, of TLS the server name; and of
    TCP by its port alone.

    Source: listener.go buildSidecarOutboundListeners.
    """
    found: list[_Known] = []
    unsure: list[str] = []
    pod = flow.destination
    if flow.service is not None and isinstance(pod, OwnPod):
        if not flow.service.is_known_in(client.namespace):
            return [], ()
        ports = frozenset(p.port for p in flow.service.ports if leads_to(p, pod, flow.port))
        return [_Known(flow.service.namespace, host_of(flow.service), ports)], ()
    for document in of_kind(flow.snapshot, NETWORKING, "ServiceEntry"):
        try:
            entry = _entry(document)
        except NotUnderstoodError as error:
            unsure.append(not_understood(document, error))
            continue
        if flow.port not in entry.ports:
            continue
        if not is_seen(entry.export, document.namespace, client.namespace):
            continue
        blocks = [block(address) for address in entry.addresses]
        match = any_matches(blocks, flow.approach(Direction.EGRESS)) if blocks else NO
        known = partial(_Known, document.namespace, ports=frozenset({flow.port}))
        for host in entry.hosts:
            if match.degree is Degree.YES or _is_named(flow, host):
                found.append(known(host))
            elif match.degree is Degree.PERHAPS:
                found.append(known(host, because=match.because))
            elif not blocks:
                found += [known(host, limit=one) for one in _by_what_is_said(flow, entry, host)]
    return found, tuple(unsure)


def _is_named(flow: Flow, host: str) -> bool:
    """Return whether the question asks for a host of the outside by its name."""
    end = flow.connection.destination
    return isinstance(end, DomainEnd) and covers(host, end.name)


def _by_what_is_said(flow: Flow, entry: "_Entry", host: str) -> list[dict[str, Any] | None]:
    """Return the limits within which what is said means a host; none where it does not."""
    request = flow.request
    protocol = entry.ports[flow.port]
    if protocol in _HTTP:
        if request.http is False or request.dns:
            return []
        if request.host is None:
            return [{"http": {"host": host}}]
        return [None] if covers(host, request.host.lower().partition(":")[0]) else []
    if protocol in _TLS:
        if request.dns:
            return []
        if request.sni is None:
            return [{"tls": {"server_name": host}}]
        return [None] if request.sni and covers(host, request.sni.lower()) else []
    return [None]


@dataclass(frozen=True)
class _Entry:
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    ports: dict[int, str]
    """The protocol of each, in upper case."""
    export: tuple[str, ...]


def _entry(document: Document) -> _Entry:
    """Return what a ServiceEntry says.

    Raises:
        NotUnderstoodError: hosts, addresses, ports, or who sees it are not understood.
    """
    at: Path = ("spec",)
    spec = document.body.get("spec")
    if not isinstance(spec, dict):
        raise NotUnderstoodError("must be a mapping", at)
    hosts = tuple(
        schema.text(entry, (*at, "hosts", index)).lower()
        for index, entry in enumerate(schema.some(spec.get("hosts"), (*at, "hosts"), 2**31))
    )
    addresses = []
    for index, entry in enumerate(schema.items(spec.get("addresses"), (*at, "addresses"))):
        here = (*at, "addresses", index)
        block(schema.text(entry, here), here)
        addresses.append(str(entry))
    ports = {}
    for index, entry in enumerate(schema.items(spec.get("ports"), (*at, "ports"))):
        here = (*at, "ports", index)
        given = schema.fields(entry, here, ("number", "protocol", "name", "targetPort"))
        number = schema.integer(given.get("number"), (*here, "number"), 1, 65535)
        ports[number] = schema.text(given.get("protocol", "TCP"), (*here, "protocol")).upper()
    export = read_export(spec.get("exportTo"), (*at, "exportTo"))
    return _Entry(hosts, tuple(addresses), ports, export)
