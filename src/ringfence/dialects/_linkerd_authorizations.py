"""AuthorizationPolicy and ServerAuthorization: whom they let in, and to which Servers and routes.

Authority: linkerd2 `policy-controller/runtime/src/admission.rs`,
`policy-controller/k8s/index/src/inbound/{authorization_policy,server_authorization,
meshtls_authentication,index}.rs`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects._cilium_selectors import meets
from ringfence.dialects._linkerd_clients import (
    Clients,
    any_of_namespace,
    from_networks,
    identified,
    identity,
    networks,
    of_cidrs,
    service_account,
)
from ringfence.dialects._linkerd_objects import (
    CORE,
    GATEWAY,
    GROUP,
    SERVER,
    Ignored,
    Reference,
    Source,
    config,
    reference,
    sources,
)
from ringfence.dialects._shared import Malformed, fields, filled, items, label_selector, text
from ringfence.model.document import Path
from ringfence.model.mesh import LinkerdConfig
from ringfence.model.rule import Peer, Unreadable
from ringfence.model.selector import LabelSelector
from ringfence.yaml_text import type_text

MESH_TLS: Final = (GROUP, "meshtlsauthentication")
NETWORK: Final = (GROUP, "networkauthentication")
SERVICE_ACCOUNT: Final = (CORE, "serviceaccount")
NAMESPACE: Final = (CORE, "namespace")
ROUTES: Final = ((GROUP, "httproute"), (GATEWAY, "httproute"), (GATEWAY, "grpcroute"))

REQUIRED: Final = ("spec", "requiredAuthenticationRefs")


@dataclass(frozen=True)
class Target:
    """The Servers or the route that an authorization is for."""

    server: str = ""
    selector: LabelSelector | None = None
    """Servers by their labels."""
    namespace: bool = False
    """Every Server of the namespace."""
    route: tuple[str, str, str] | None = None
    """Group, kind and name, in lower case."""
    anything: bool = False
    """It could not be understood: any Server or route of the namespace may be meant."""

    def holds(self, name: str, labels: dict[str, str]) -> bool:
        """Return whether a Server of the same namespace is meant, or may be."""
        if self.anything:
            return True
        if self.selector is not None:
            return meets(self.selector.requirements, labels)
        return self.namespace or (self.server != "" and self.server == name)


@dataclass(frozen=True)
class Authorization:
    """One object that lets clients in."""

    source: Source
    target: Target
    clients: Clients | None
    """None where it could not be understood, or is ignored."""
    path: Path
    """What says whom it lets in."""
    unreadable: Unreadable | None = None
    ignored: str = ""
    """Why Linkerd heeds it not at all."""
    ignored_path: Path = ()


def authorizations(context: Context) -> list[Authorization]:
    """Return all authorizations, sorted by kind, namespace and name."""
    found = [
        *(_policy(s, context) for s in sources(context, "AuthorizationPolicy.policy.linkerd.io")),
        *(_server_authorization(s, context) for s in sources(context, "ServerAuthorization")),
    ]
    return sorted(
        found, key=lambda each: (each.source.kind, each.source.namespace, each.source.name)
    )


# -- authentications -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Authentication:
    """A MeshTLSAuthentication or a NetworkAuthentication."""

    source: Source
    peers: tuple[Peer, ...] | None = ()
    """Any of them; None: everybody. Empty where it is heeded not at all."""
    ignored: str = ""
    unreadable: Unreadable | None = None


Known = dict[tuple[tuple[str, str], str, str], Authentication]


def authentications(context: Context) -> Known:
    """Return the authentications by kind, namespace and name."""
    identities = partial(_identities, setup=config(context))
    found = [
        *(_authentication(s, identities) for s in sources(context, "MeshTLSAuthentication")),
        *(_authentication(s, _networks) for s in sources(context, "NetworkAuthentication")),
    ]
    return {(a.source.kind, a.source.namespace, a.source.name): a for a in found}


def _authentication(source: Source, read: Any) -> Authentication:  # noqa: ANN401
    try:
        return Authentication(source, read(source))
    except Malformed as malformed:
        return Authentication(source, unreadable=malformed.unreadable)
    except Ignored as ignored:
        return Authentication(source, ignored=ignored.reason)


def _networks(source: Source) -> tuple[Peer, ...] | None:
    at = ("spec", "networks")
    found = networks(source.spec(("networks",)).get("networks"), at)
    if not found:
        raise Malformed("at least one network is required", at)
    return from_networks(found)


def _identities(source: Source, setup: LinkerdConfig) -> tuple[Peer, ...] | None:
    given = source.spec(("identities", "identityRefs"))
    if len(given) != 1:
        raise Malformed("exactly one of identities and identityRefs", ("spec",))
    found = [
        identity(value, at) for at, value in items(given.get("identities"), ("spec", "identities"))
    ]
    for at, value in items(given.get("identityRefs"), ("spec", "identityRefs")):
        named = reference(value, at, "namespace")
        if named.target == SERVICE_ACCOUNT:
            namespace = named.namespace or source.namespace
            found.append(service_account(namespace, named.name, setup))
        elif named.target != NAMESPACE:
            raise Malformed("is neither a ServiceAccount nor a Namespace", at)
        elif named.namespace:
            raise Malformed("a Namespace is in no namespace", (*at, "namespace"))
        else:
            found.append(any_of_namespace(named.name, setup))
    if not found:
        raise Ignored("it names no identity", ("spec",))
    return identified(found)


# -- AuthorizationPolicy ---------------------------------------------------------------------------


def _policy(source: Source, context: Context) -> Authorization:
    target = Target(anything=True)
    try:
        spec = source.document.body.get("spec")
        if not isinstance(spec, dict):
            raise Malformed(f"expected a map, found {type_text(spec)}", ("spec",))
        target = _target(spec.get("targetRef"), source)
        given = source.spec(("targetRef", "requiredAuthenticationRefs"))
        if "requiredAuthenticationRefs" not in given:
            raise Malformed("`requiredAuthenticationRefs` is required", ("spec",))
        clients = _required(given["requiredAuthenticationRefs"], source, context)
    except Malformed as malformed:
        return Authorization(source, target, None, REQUIRED, malformed.unreadable)
    except Ignored as ignored:
        why = ignored.reason
        return Authorization(source, target, None, REQUIRED, ignored=why, ignored_path=ignored.path)
    return Authorization(source, target, clients, REQUIRED)


def _target(value: Any, source: Source) -> Target:  # noqa: ANN401
    """Return what a `targetRef` means.

    A Gateway API HTTPRoute is a target to the index, though some versions do not admit it.
    """
    at = ("spec", "targetRef")
    named = reference(value, at)
    if named.target == SERVER:
        return Target(server=named.name)
    if named.target in ROUTES:
        return Target(route=(named.group, named.kind, named.name.lower()))
    if named.target == NAMESPACE:
        if named.name != source.namespace:
            raise Malformed("only the policy's own namespace can be a target", (*at, "name"))
        return Target(namespace=True)
    raise Malformed("is none of Server, HTTPRoute, GRPCRoute and Namespace", at)


def _required(value: Any, source: Source, context: Context) -> Clients:  # noqa: ANN401
    """Return whom authentications admit that must all hold; none of them: everybody.

    Raises:
        Malformed: what is not admitted, or one of them could not be understood.
        Ignored: one of them is not there.
    """
    identities: tuple[Peer, ...] | None = None
    mtls = False
    places: tuple[Peer, ...] | None = None
    seen: set[str] = set()
    for at, item in items(value, REQUIRED):
        named = reference(item, at, "namespace")
        namespace = named.namespace or source.namespace
        what = "network" if named.target == NETWORK else "identity"
        if named.target not in (MESH_TLS, NETWORK, SERVICE_ACCOUNT):
            raise Malformed(
                "is none of MeshTLSAuthentication, NetworkAuthentication and ServiceAccount", at
            )
        if what in seen:
            raise Malformed(f"only one authentication by {what} can be required", at)
        seen.add(what)
    for at, item in items(value, REQUIRED):
        named = reference(item, at, "namespace")
        namespace = named.namespace or source.namespace
        mtls = mtls or named.target != NETWORK
        if named.target == SERVICE_ACCOUNT:
            identities = (service_account(namespace, named.name, config(context)),)
        elif named.target == MESH_TLS:
            identities = _found(named, namespace, context)
        else:
            places = _found(named, namespace, context)
    return Clients(places, identities, mtls=mtls)


def _found(named: Reference, namespace: str, context: Context) -> tuple[Peer, ...] | None:
    kind = "MeshTLSAuthentication" if named.target == MESH_TLS else "NetworkAuthentication"
    title = f"{kind}/{namespace}/{named.name}"
    known = context.once(authentications).get((named.target, namespace, named.name))
    if known is None:
        raise Ignored(f"{title}, which it requires, is not there", named.path)
    if known.ignored:
        raise Ignored(f"{title}, which it requires, is not heeded: {known.ignored}", named.path)
    if known.unreadable:
        raise Malformed(f"{title}, which it requires, could not be understood", named.path)
    return known.peers


# -- ServerAuthorization ---------------------------------------------------------------------------


def _server_authorization(source: Source, context: Context) -> Authorization:
    at: Path = ("spec", "client")
    target = Target(anything=True)
    try:
        spec = source.document.body.get("spec")
        if not isinstance(spec, dict):
            raise Malformed(f"expected a map, found {type_text(spec)}", ("spec",))
        target = _servers(spec.get("server"))
        given = source.spec(("server", "client"))
        clients = _client(given.get("client"), at, source, config(context))
    except Malformed as malformed:
        return Authorization(source, target, None, at, malformed.unreadable)
    except Ignored as ignored:
        why = ignored.reason
        return Authorization(source, target, None, at, ignored=why, ignored_path=ignored.path)
    return Authorization(source, target, clients, at)


def _servers(value: Any) -> Target:  # noqa: ANN401
    at = ("spec", "server")
    given = fields(value, at, ("name", "selector"))
    if len(given) != 1:
        raise Malformed("exactly one of name and selector", at)
    if "name" in given:
        return Target(server=filled(given["name"], (*at, "name")))
    return Target(selector=label_selector(given["selector"], (*at, "selector")))


def _client(value: Any, path: Path, source: Source, setup: LinkerdConfig) -> Clients:  # noqa: ANN401
    """Return the clients of a ServerAuthorization; without networks, those of the cluster.

    Source: linkerd2 `policy-controller/grpc/src/inbound.rs` to_authz.
    """
    given = fields(value, path, ("networks", "unauthenticated", "meshTLS"))
    listed = networks(given.get("networks"), (*path, "networks"))
    within = from_networks(listed) if listed else of_cidrs(setup.cluster_networks)
    anybody = _flag(given, "unauthenticated", path)
    if "meshTLS" not in given:
        if not anybody:
            raise Ignored("it names no clients", path)
        return Clients(within)
    if anybody:
        raise Malformed("`unauthenticated` does not go with `meshTLS`", (*path, "unauthenticated"))
    at = (*path, "meshTLS")
    tls = fields(given["meshTLS"], at, ("unauthenticatedTLS", "identities", "serviceAccounts"))
    found = [identity(v, p) for p, v in items(tls.get("identities"), (*at, "identities"))]
    for where, item in items(tls.get("serviceAccounts"), (*at, "serviceAccounts")):
        named = fields(item, where, ("name", "namespace"))
        namespace = text(named.get("namespace", ""), (*where, "namespace")) or source.namespace
        name = filled(named.get("name"), (*where, "name"))
        found.append(service_account(namespace, name, setup))
    if _flag(tls, "unauthenticatedTLS", at):
        if found:
            raise Malformed("`unauthenticatedTLS` does not go with identities", at)
        return Clients(within, mtls=True)
    if not found:
        raise Ignored("it names no clients", at)
    return Clients(within, identified(found), mtls=True)


def _flag(given: dict[str, Any], key: str, path: Path) -> bool:
    value = given.get(key, False)
    if not isinstance(value, bool):
        raise Malformed(f"expected true or false, found {type_text(value)}", (*path, key))
    return value
