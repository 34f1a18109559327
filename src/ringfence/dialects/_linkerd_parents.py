"""Which routes there are, and what they are attached to: Servers, and ports of EgressNetworks.

Routes of the Gateway API are Linkerd's business only where they name one of these as a parent.

Authority: linkerd2 `policy-controller/k8s/index/src/inbound/routes.rs`,
`policy-controller/k8s/index/src/outbound/index.rs`, `policy-controller/runtime/src/admission.rs`.
"""

from dataclasses import dataclass, field
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects._linkerd_objects import (
    EGRESS_NETWORK,
    GATEWAY,
    GROUP,
    SERVER,
    Ignored,
    Source,
    sources,
)
from ringfence.dialects._linkerd_routes import Backend, Box, backends, boxes, hostnames
from ringfence.dialects._shared import Malformed, fields, filled, integer, items, text
from ringfence.model.document import Path
from ringfence.model.rule import Unreadable

HTTP: Final = ("HTTPRoute", "HTTPRoute.policy.linkerd.io")
GRPC: Final = ("GRPCRoute",)
TLS: Final = ("TLSRoute",)
TCP: Final = ("TCPRoute",)
ROUTES: Final = (*HTTP, *GRPC, *TLS, *TCP)

CONTROLLER: Final = "linkerd.io/policy-controller"
PARENT: Final = ("group", "kind", "namespace", "name", "sectionName", "port")
SPEC: Final = ("parentRefs", "useDefaultGateways", "hostnames", "rules")


@dataclass(frozen=True)
class Parent:
    """What a route is attached to."""

    kind: tuple[str, str]
    namespace: str
    """Empty where it could not be understood: any may be meant."""
    name: str
    """The same."""
    path: Path
    port: int | None = None
    accepted: bool = True
    """False where the controller says that it did not take it."""


@dataclass(frozen=True)
class Route:
    """A route with a Server or an EgressNetwork as its parent."""

    source: Source
    parents: tuple[Parent, ...] = ()
    boxes: tuple[Box, ...] = ()
    """Of HTTPRoutes and GRPCRoutes."""
    hostnames: tuple[str, ...] = ()
    """Of TLSRoutes."""
    backends: tuple[Backend, ...] = ()
    """Where TLSRoutes and TCPRoutes send what takes them."""
    unreadable: Unreadable | None = None
    ignored: str = ""
    """Why Linkerd heeds it not at all."""
    ignored_path: Path = ()
    rules: Path = field(default=("spec", "rules"))

    @property
    def title(self) -> str:
        """Return its kind, with its group where that is shared."""
        return self.source.document.title

    def attached(self, kind: tuple[str, str], namespace: str, name: str) -> list[Parent]:
        """Return the parents that are a certain object, as far as it takes the route."""
        if self.ignored:
            return []
        return [
            parent
            for parent in self.parents
            if parent.kind == kind
            and parent.namespace in (namespace, "")
            and parent.name in (name, "")
            and parent.accepted
        ]


def routes(context: Context) -> list[Route]:
    """Return the routes that Linkerd judges by."""
    found = [_route(source) for source in sources(context, *ROUTES)]
    return [route for route in found if route is not None]


def _route(source: Source) -> Route | None:
    parents, malformed = _parents(source)
    if malformed is not None:
        return Route(source, tuple(parents), unreadable=malformed.unreadable)
    if not parents:
        return None
    wrong = _invalid(source, parents)
    if wrong is not None:
        return Route(source, tuple(parents), ignored=wrong[0], ignored_path=wrong[1])
    try:
        return _read(source, tuple(parents))
    except Malformed as broken:
        return Route(source, tuple(parents), unreadable=broken.unreadable)
    except Ignored as ignored:
        return Route(source, tuple(parents), ignored=ignored.reason, ignored_path=ignored.path)


def _read(source: Source, parents: tuple[Parent, ...]) -> Route:
    spec = source.spec(SPEC)
    for path, value in items(spec.get("parentRefs"), ("spec", "parentRefs"), 32):
        fields(value, path, PARENT)
    for parent in parents:
        if parent.kind == EGRESS_NETWORK and parent.port is None:
            raise Malformed("an EgressNetwork is a parent only with a port", parent.path)
    title = source.document.title
    if title in (*HTTP, *GRPC):
        return Route(source, parents, tuple(boxes(spec, grpc=title in GRPC)))
    listed = items(spec.get("rules"), ("spec", "rules"))
    if len(listed) != 1:
        raise Malformed(f"linkerd takes a {title} with one rule only", ("spec", "rules"))
    if title in TCP and "hostnames" in spec:
        raise Malformed("unknown field `hostnames`", ("spec", "hostnames"))
    ((path, value),) = listed
    sent_to = backends(fields(value, path, ("name", "backendRefs")), path)
    names = tuple(hostnames(spec.get("hostnames")))
    return Route(source, parents, hostnames=names, backends=sent_to)


def _parents(source: Source) -> tuple[list[Parent], Malformed | None]:
    """Return the parents that are Linkerd's, and what of one is wrong.

    What they are is looked at before all else.
    """
    spec = source.document.body.get("spec")
    listed = spec.get("parentRefs") if isinstance(spec, dict) else None
    default = GROUP if source.kind[0] == GROUP else GATEWAY
    found: list[Parent] = []
    wrong: Malformed | None = None
    for number, value in enumerate(listed if isinstance(listed, list) else ()):
        if not isinstance(value, dict):
            continue
        group, kind = value.get("group"), value.get("kind")
        named = (
            (default if group is None else str(group)).lower(),
            ("Gateway" if kind is None else str(kind)).lower(),
        )
        if named not in (SERVER, EGRESS_NETWORK):
            continue
        path = ("spec", "parentRefs", number)
        try:
            found.append(_parent(value, path, named, source))
        except Malformed as malformed:
            wrong = wrong or malformed
            namespace = source.namespace if named == SERVER else ""
            found.append(Parent(named, namespace, "", path))
    return found, wrong


def _parent(value: dict[str, Any], path: Path, kind: tuple[str, str], source: Source) -> Parent:
    name = filled(value.get("name"), (*path, "name"))
    namespace = value.get("namespace")
    namespace = source.namespace if namespace is None else text(namespace, (*path, "namespace"))
    port = value.get("port")
    port = None if port is None else integer(port, (*path, "port"), 1, 65535)
    return Parent(kind, namespace, name, path, port, _accepted(source, kind[1], name))


def _accepted(source: Source, kind: str, name: str) -> bool:
    """Return False where the controller's status says that a parent has not taken a route.

    A manifest has no status: that it will be taken is assumed.
    """
    status = source.document.body.get("status")
    parents = status.get("parents") if isinstance(status, dict) else None
    for said in parents if isinstance(parents, list) else ():
        if not isinstance(said, dict) or said.get("controllerName") != CONTROLLER:
            continue
        parent = said.get("parentRef")
        if not isinstance(parent, dict) or parent.get("name") != name:
            continue
        if str(parent.get("kind", "")).lower() != kind:
            continue
        conditions = said.get("conditions")
        for condition in conditions if isinstance(conditions, list) else ():
            if isinstance(condition, dict) and condition.get("type") == "Accepted":
                return condition.get("status") == "True"
    return True


def _invalid(source: Source, parents: list[Parent]) -> tuple[str, Path] | None:
    """Return why Linkerd drops a route as a whole, and where that stands.

    Source: linkerd2 `policy-controller/k8s/index/src/inbound/routes.rs` InvalidParentRef.
    """
    for parent in parents:
        if parent.kind != SERVER or not parent.name:
            continue
        value = source.document.body["spec"]["parentRefs"][parent.path[2]]
        if parent.namespace != source.namespace:
            return "a Server in another namespace cannot be its parent", parent.path
        for key in ("port", "sectionName"):
            if value.get(key) is not None:
                return f"a Server cannot be its parent by {key}", (*parent.path, key)
    return None
