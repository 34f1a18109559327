"""What the proxies of Istio's clients let out: Sidecars, and the mesh's outbound mode.

A proxy knows the Services and hosts that its Sidecar imports, or all. What it does not know it
passes on, or (REGISTRY_ONLY) refuses. ztunnel passes everything on.

Authority: istio/api `networking/v1alpha3/sidecar.proto`; Istio `pilot/pkg/model/sidecar.go`,
`pilot/pkg/model/push_context.go` getSidecarScope.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from ringfence.dialects import Context
from ringfence.dialects import _istio_service_entry as service_entry
from ringfence.dialects import _istio_subjects as subjects
from ringfence.dialects._istio_reader import Reader, created, perhaps
from ringfence.dialects._istio_values import labels
from ringfence.dialects._shared import Malformed, fields, filled, integer, items, one_of
from ringfence.model.cluster import Protocol, Service
from ringfence.model.document import Document, Path
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.mesh import ClientImports, DataPlane
from ringfence.model.rule import (
    Action,
    AllPeers,
    Direction,
    MeshPeer,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    Rule,
    ServicePeer,
    Traffic,
    Unreadable,
)
from ringfence.model.selector import from_labels
from ringfence.model.tiers import MESH_EGRESS

KIND: Final = "Sidecar"
SPEC: Final = (
    *("workloadSelector", "ingress", "egress", "outboundTrafficPolicy"),
    "inboundConnectionPool",
)
LISTENER: Final = ("port", "bind", "captureMode", "hosts")
PORT: Final = ("number", "protocol", "name", "targetPort")
REGISTRY_ONLY: Final = "REGISTRY_ONLY"
MODES: Final = (REGISTRY_ONLY, "ALLOW_ANY")
DOMAIN: Final = "svc.cluster.local"
EVERY_PORT: Final[tuple[Traffic, ...]] = (PortRange(Protocol.TCP),)
WORKLOAD, NAMESPACE, MESH, DEFAULT = 0, 1, 2, 3
"""Which Sidecar counts: the first of these that is for a pod; else the mesh's own mode."""
PROXIED: Final = "the proxy to which it hands on what it does not know decides"


class Import(msgspec.Struct, frozen=True):
    """Services and hosts that a Sidecar's listener knows."""

    path: Path
    hosts: tuple[tuple[str, str], ...] = (("*", "*"),)
    """Namespaces (`*`: any that is not listed by its name, `.`: the proxy's own) with a host each,
    `*` or `*.x` for many."""
    port: int | None = None
    """Only that port of them."""


class Read(msgspec.Struct, frozen=True):
    """What a Sidecar says of what goes out."""

    labels: dict[str, str] | None
    imports: tuple[Import, ...]
    only_registry: bool
    handed_on: bool
    """Whether another proxy is asked about what it does not know."""
    unreadable: tuple[Unreadable, ...]


def read(document: Document, *, only_registry: bool) -> Read:
    """Return what a Sidecar says of what goes out.

    Args:
        document: the Sidecar.
        only_registry: what the mesh says, where the Sidecar says nothing.
    """
    reader = Reader()
    spec = reader.spec(document, *SPEC)
    at: Path = ("spec", "workloadSelector")
    chosen = reader.read(lambda: labels(spec.get("workloadSelector", {}), at, "labels"), None)
    imports = reader.read(partial(_imports, spec), ())
    mode, handed_on = reader.read(partial(_mode, spec), ("", False))
    return Read(
        chosen,
        imports or (Import(("spec",)),),
        mode == REGISTRY_ONLY if mode else only_registry,
        handed_on,
        tuple(reader.unreadable),
    )


def _mode(spec: dict[str, Any]) -> tuple[str, bool]:
    """Return the outbound mode, empty where none is said; and whether the rest has a proxy.

    Source: sidecar.proto: REGISTRY_ONLY is the first of the modes, and so what `{}` means.
    """
    if "outboundTrafficPolicy" not in spec:
        return "", False
    at: Path = ("spec", "outboundTrafficPolicy")
    given = fields(spec["outboundTrafficPolicy"], at, ("mode", "egressProxy"))
    return one_of(given.get("mode", REGISTRY_ONLY), (*at, "mode"), MODES), "egressProxy" in given


def _imports(spec: dict[str, Any]) -> tuple[Import, ...]:
    found = []
    for at, value in items(spec.get("egress"), ("spec", "egress")):
        given = fields(value, at, LISTENER)
        hosts = []
        for where, written in items(given.get("hosts"), (*at, "hosts")):
            namespace, slash, host = filled(written, where).partition("/")
            if not (namespace and slash and host):
                raise Malformed(f"`{written}` is not of the form namespace/host", where)
            hosts.append((namespace, host.lower()))
        if not hosts:
            raise Malformed("at least one host is required", (*at, "hosts"))
        found.append(Import(at, tuple(hosts), _port(given, at)))
    return tuple(found)


def _port(given: dict[str, Any], path: Path) -> int | None:
    if "port" not in given:
        return None
    at = (*path, "port")
    port = fields(given["port"], at, PORT)
    number = integer(port.get("number", 0), (*at, "number"), 0, 65535)
    return None if not number or port.get("protocol") == "HTTP_PROXY" else number


# -- to policies -----------------------------------------------------------------------------------


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return the policies of a Sidecar: what its pods may call.

    One of the root namespace without a selector is for the pods of all namespaces; where these know
    different things, it makes a policy for each.
    """
    config = subjects.config(context)
    found = read(document, only_registry=config.registry_only)
    place = document.namespace
    of_mesh = place == config.root_namespace and not found.labels
    make = partial(_policy, index, document, found)
    if found.unreadable:
        rules = perhaps(Direction.EGRESS, found.unreadable, Action.ALLOW, Action.DENY)
        return [make(None if of_mesh else place, of_mesh=of_mesh, rules=rules)]
    say = partial(_rules, found, context, path=_at_end(document))
    places = _places(found, context) if of_mesh else [place]
    return [make(each, of_mesh=of_mesh, rules=tuple(say(namespace=each))) for each in places]


def client_imports(context: Context) -> list[ClientImports]:
    """Return which Services clients know, for each Sidecar."""
    config = subjects.config(context)
    told = []
    for index, document in context.by_title.get(KIND, ()):
        found = read(document, only_registry=config.registry_only)
        of_mesh = document.namespace == config.root_namespace and not found.labels
        why = f"{document.ref}: {found.unreadable[0].reason}" if found.unreadable else ""
        told.append(
            ClientImports(
                index,
                "" if of_mesh else document.namespace,
                tuple(sorted((found.labels or {}).items())),
                _rank(document, found, of_mesh=of_mesh),
                tuple((one.port, one.hosts) for one in found.imports),
                why,
            )
        )
    return told


def _rank(document: Document, found: Read, *, of_mesh: bool) -> tuple[int, str]:
    """Return what orders the Sidecars that are for a pod."""
    order = MESH if of_mesh else WORKLOAD if found.labels else NAMESPACE
    return order, f"{created(document)}/{document.namespace}/{document.name}"


def _places(found: Read, context: Context) -> Sequence[str | None]:
    """Return the namespaces that a Sidecar for all of them says something else of; None: any."""
    own = any(namespace == "." for one in found.imports for namespace, _ in one.hosts)
    private = any("*" not in each.export_to for each in context.once(service_entry.entries))
    private = private or any("*" not in each.export_to for each in context.services)
    if not found.only_registry or not (own or private):
        return [None]
    return sorted({each.name for each in context.namespaces})


def _policy(
    index: int,
    document: Document,
    found: Read,
    place: str | None,
    *,
    of_mesh: bool,
    rules: tuple[Rule, ...],
) -> Policy:
    order, tie = _rank(document, found, of_mesh=of_mesh)
    return Policy(
        document=index,
        kind=document.title,
        namespace=document.namespace,
        name=document.name,
        tier=MESH_EGRESS,
        order=order,
        tie=tie,
        subject=_subject(place, found.labels or {}),
        rules=rules,
    )


def _at_end(document: Document) -> Path:
    spec = document.body.get("spec")
    is_own = isinstance(spec, dict) and spec.get("outboundTrafficPolicy") is not None
    return ("spec", "outboundTrafficPolicy") if is_own else ("spec",)


def implied(context: Context) -> list[tuple[Document, Policy]]:
    """Return the policy of all that no Sidecar is for, where the mesh is closed."""
    config = context.mesh.istio
    if config is None or not config.registry_only:
        return []
    document = Document("", "MeshConfig", config.root_namespace, "istio", {}, config.source)
    path: Path = ("outboundTrafficPolicy",)
    everything = Read({}, (Import(path),), only_registry=True, handed_on=False, unreadable=())
    return [
        (
            document,
            Policy(
                document=0,
                kind=document.kind,
                namespace=document.namespace,
                name=document.name,
                tier=MESH_EGRESS,
                order=DEFAULT,
                tie=document.name,
                subject=_subject(place, {}),
                isolation_path=path,
                rules=tuple(_rules(everything, context, namespace=place, path=path)),
            ),
        )
        for place in _places(everything, context)
    ]


def _subject(place: str | None, selected: dict[str, str]) -> Peer:
    mesh = MeshPeer((DataPlane.SIDECAR,), gateway="")
    if place is None:
        return mesh
    return AllPeers((mesh, PodPeer(from_labels({NAMESPACE_NAME: place}), from_labels(selected))))


def _rules(found: Read, context: Context, *, namespace: str | None, path: Path) -> Iterator[Rule]:
    """Yield what pods may call: what is imported, then everything else or nothing.

    Args:
        found: what their Sidecar says.
        context: where Services and hosts are found.
        namespace: the pods' own; None: they are of any.
        path: where it is said what becomes of what is not known.
    """
    last = partial(Rule, direction=Direction.EGRESS, peers=None, traffic=EVERY_PORT, path=path)
    if not found.only_registry:
        yield last(action=Action.PASS)
        return
    taken = frozenset(one.port for one in found.imports if one.port is not None)
    for one in found.imports:
        yield from _known(one, context, namespace, taken if one.port is None else frozenset())
    yield last(action=Action.DENY, uncertain=PROXIED if found.handed_on else "")


def _known(
    one: Import, context: Context, namespace: str | None, taken: frozenset[int]
) -> Iterator[Rule]:
    """Yield what a listener knows; one for all ports knows nothing at those that others have.

    Source: sidecar.go GetEgressListenerForRDS; `pilot/pkg/networking/core/listener.go`, whose
    entries for a listener with a port are locked.
    """
    hosts: dict[str, list[str]] = {}
    for place, host in one.hosts:
        hosts.setdefault(namespace or "" if place == "." else place, []).append(host)
    by_traffic: dict[tuple[tuple[Traffic, ...], tuple[Traffic, ...]], list[Service]] = {}
    for service in context.services:
        name = f"{service.name}.{service.namespace}.{DOMAIN}"
        seen = "*" in service.export_to if namespace is None else service.is_known_in(namespace)
        if seen and _imported(hosts, service.namespace, (name,)):
            ports = EVERY_PORT
            if one.port is not None:
                ports = subjects.ports_of(service, frozenset((one.port,)))
            without = subjects.ports_of(service, taken)
            by_traffic.setdefault((ports, without), []).append(service)
    for (traffic, without), services in by_traffic.items():
        if traffic:
            yield Rule(
                direction=Direction.EGRESS,
                action=Action.ALLOW,
                peers=tuple(ServicePeer(each.namespace, each.name) for each in services),
                traffic=traffic,
                not_traffic=without,
                path=one.path,
            )
    for entry in context.once(service_entry.entries):
        known = entry.is_for(namespace) if namespace else "*" in entry.export_to
        imported = _imported(hosts, entry.document.namespace, entry.hosts)
        if known and (imported or entry.unreadable):
            yield from entry.rules(imported, one.path, one.port, taken)


def _imported(hosts: dict[str, list[str]], namespace: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return which names of a namespace are imported: as it is listed, else as any namespace is.

    Source: sidecar.go selectServices.
    """
    wanted = hosts.get(namespace, hosts.get("*", []))
    return tuple(name for name in names if any(_within(name, one) for one in wanted))


def _within(name: str, host: str) -> bool:
    return host in ("*", name) or (host.startswith("*") and name.endswith(host[1:]))
