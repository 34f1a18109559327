"""What lets clients in at a Server or at a route: Linkerd's authorizations and authentications.

Source: linkerd2 `policy-controller/k8s/index/src/inbound/{index,authorization_policy,
server_authorization,meshtls_authentication,network_authentication}.rs`,
`policy-controller/runtime/src/admission.rs` (what never gets into a cluster).
"""

import re
from collections.abc import Iterator
from typing import Any

from ringfence.model.document import Document, Path
from ringfence.model.verdict import Evidence
from ringfence.reference import schema, selectors
from ringfence.reference.linkerd_clients import (
    EVERYWHERE,
    Authorization,
    Block,
    cluster_networks,
    read_networks,
)
from ringfence.reference.linkerd_objects import (
    CORE,
    GATEWAY,
    LINKERD,
    Reference,
    Scene,
    labels_of,
    part_of,
    read_reference,
    spec_of,
)
from ringfence.reference.outcome import not_understood
from ringfence.reference.schema import NotUnderstoodError

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_IDENTITY = re.compile(rf"(\*|{_LABEL})(\.{_LABEL})*|spiffe://\S+")


# -- ServerAuthorization -------------------------------------------------------------------------


def of_server(scene: Scene, server: Document) -> Iterator[Authorization]:
    """Yield what lets clients in at a Server as a whole.

    ServerAuthorizations that select it, and AuthorizationPolicies that target it or its
    namespace, of its own namespace alone.

    Source: linkerd2 inbound/index.rs client_authzs.
    """
    namespace = server.namespace
    for document in scene.of_kind("ServerAuthorization", LINKERD, namespace=namespace):
        try:
            if _selects_server(document, server):
                yield from _server_authorization(scene, document)
        except NotUnderstoodError as error:
            yield _unread(scene, document, error)
    for document in scene.of_kind("AuthorizationPolicy", LINKERD, namespace=namespace):
        try:
            target = _target(document)
            if target.is_to(CORE, "Namespace") or (
                target.is_to(LINKERD, "Server") and target.name == server.name
            ):
                yield from _policy(scene, document)
        except NotUnderstoodError as error:
            yield _unread(scene, document, error)


def of_route(scene: Scene, route: Document, group: str) -> Iterator[Authorization]:
    """Yield what lets clients in at a route, beside what does at its Server.

    Source: linkerd2 inbound/index.rs route_client_authzs; `core/src/routes.rs` GroupKindName
    eq_ignore_ascii_case.
    """
    for document in scene.of_kind("AuthorizationPolicy", LINKERD, namespace=route.namespace):
        try:
            target = _target(document)
            if target.is_to(group, route.kind) and target.name.lower() == route.name.lower():
                yield from _policy(scene, document)
        except NotUnderstoodError as error:
            yield _unread(scene, document, error)


def _unread(scene: Scene, document: Document, error: NotUnderstoodError) -> Authorization:
    why = not_understood(document, error)
    return Authorization(scene.unread(document, error), EVERYWHERE, because=why)


def _selects_server(document: Document, server: Document) -> bool:
    """Return whether a ServerAuthorization is for a Server: by its name, or by its labels."""
    at: Path = ("spec", "server")
    key, content = schema.only(part_of(document, "server"), at, ("name", "selector"))
    if key == "name":
        return schema.text(content, (*at, key)) == server.name
    return selectors.matches(content, (*at, key), labels_of(server))


def _server_authorization(scene: Scene, document: Document) -> Iterator[Authorization]:
    """Yield whom a ServerAuthorization lets in; nobody where it says no client.

    Without `networks` it is the networks of the cluster.

    Source: linkerd2 inbound/server_authorization.rs client_authz; `policy-controller/grpc/src/
    inbound.rs` to_authz (cluster_networks).
    """
    at: Path = ("spec", "client")
    spec = spec_of(document, ("server", "client"))
    given = schema.fields(
        schema.required(spec, "client", ("spec",)), at, ("networks", "unauthenticated", "meshTLS")
    )
    networks = tuple(read_networks(given.get("networks"), (*at, "networks")))
    found = scene.piece(document, "allow", at)
    open_ = _flag(given.get("unauthenticated"), (*at, "unauthenticated"))
    if "meshTLS" in given:
        if open_:
            raise NotUnderstoodError("`unauthenticated` stands beside `meshTLS`", at)
        any_tls, identities = _mesh_tls(scene, document, given["meshTLS"], (*at, "meshTLS"))
        if not any_tls and not identities:
            return
        proven = None if any_tls else identities
    elif open_:
        any_tls, proven = False, None
    else:
        return
    yield Authorization(found, networks or cluster_networks(scene), proven, any_tls)


def _flag(value: Any, path: Path) -> bool:  # noqa: ANN401
    if value not in (None, True, False) or not isinstance(value, bool | None):
        raise NotUnderstoodError("must be true or false", path)
    return bool(value)


def _mesh_tls(
    scene: Scene,
    document: Document,
    value: Any,  # noqa: ANN401
    path: Path,
) -> tuple[bool, tuple[str, ...]]:
    """Return whether any TLS will do, and the identities that are let in."""
    known = ("unauthenticatedTLS", "identities", "serviceAccounts")
    given = schema.fields(value, path, known)
    at = (*path, "identities")
    names = [
        _identity(name, (*at, index))
        for index, name in enumerate(schema.items(given.get("identities"), at))
    ]
    at = (*path, "serviceAccounts")
    for index, account in enumerate(schema.items(given.get("serviceAccounts"), at)):
        said = schema.fields(account, (*at, index), ("name", "namespace"))
        name = schema.text(schema.required(said, "name", (*at, index)), (*at, index, "name"))
        space = schema.text(said.get("namespace", ""), (*at, index, "namespace"))
        names.append(service_account(scene, space or document.namespace, name))
    any_tls = _flag(given.get("unauthenticatedTLS"), (*path, "unauthenticatedTLS"))
    if any_tls and names:
        raise NotUnderstoodError("`unauthenticatedTLS` stands beside identities", path)
    return any_tls, tuple(names)


def _identity(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a name, all names below one (`*.x`), any name (`*`), or a SPIFFE identity.

    Source: linkerd2 `charts/linkerd-crds/templates/policy/meshtls-authentication.yaml`,
    `policy-controller/runtime/src/validation.rs`.
    """
    found = schema.text(value, path)
    if not _IDENTITY.fullmatch(found):
        raise NotUnderstoodError(f"`{found}` is no identity", path)
    return found


def service_account(scene: Scene, namespace: str, name: str) -> str:
    """Return the identity of a service account; of all in its namespace where the name is `*`.

    Source: linkerd2 `policy-controller/k8s/index/src/cluster_info.rs` service_account_identity,
    namespace_identity.
    """
    config = scene.config
    domain = f"serviceaccount.identity.{config.namespace}.{config.trust_domain}"
    return f"{name}.{namespace}.{domain}"


# -- AuthorizationPolicy -------------------------------------------------------------------------


def _target(document: Document) -> Reference:
    """Return what an AuthorizationPolicy is for: a Server, a route, or its own namespace.

    Source: linkerd2 admission.rs validate_policy_target, inbound/authorization_policy.rs target.
    """
    at: Path = ("spec", "targetRef")
    target = read_reference(part_of(document, "targetRef"), at, ("group", "kind", "name"))
    kinds = (
        (LINKERD, "Server"),
        (LINKERD, "HTTPRoute"),
        (GATEWAY, "HTTPRoute"),
        (GATEWAY, "GRPCRoute"),
    )
    if target.is_to(CORE, "Namespace"):
        if target.name != document.namespace:
            raise NotUnderstoodError("it targets another namespace than its own", (*at, "name"))
    elif not any(target.is_to(*kind) for kind in kinds):
        raise NotUnderstoodError(f"nothing is authorized at a `{target.kind}`", at)
    return target


def _policy(scene: Scene, document: Document) -> Iterator[Authorization]:
    """Yield whom an AuthorizationPolicy lets in: who meets all that it requires.

    Nothing required is anyone, from anywhere. At most one of the identities and one of the
    networks. One that refers to what is not there has no effect at all.

    Source: linkerd2 inbound/index.rs policy_client_authz; admission.rs
    Validate<AuthorizationPolicySpec>.
    """
    at: Path = ("spec", "requiredAuthenticationRefs")
    spec = spec_of(document, ("targetRef", "requiredAuthenticationRefs"))
    networks: tuple[Block, ...] | None = None
    identities: tuple[str, ...] | None = None
    doubt: tuple[Evidence, str] | None = None
    listed = schema.items(schema.required(spec, "requiredAuthenticationRefs", ("spec",)), at)
    refs = [
        read_reference(value, (*at, index), ("group", "kind", "name", "namespace"))
        for index, value in enumerate(listed)
    ]
    tls = [
        r.is_to(LINKERD, "MeshTLSAuthentication") or r.is_to(CORE, "ServiceAccount") for r in refs
    ]
    net = [r.is_to(LINKERD, "NetworkAuthentication") for r in refs]
    for index, ref in enumerate(refs):
        if not tls[index] and not net[index]:
            raise NotUnderstoodError(f"`{ref.kind}` is no authentication", (*at, index))
    if sum(tls) > 1 or sum(net) > 1:
        raise NotUnderstoodError("it requires two authentications of one sort", at)
    for index, ref in enumerate(refs):
        namespace = ref.namespace or document.namespace
        if ref.is_to(CORE, "ServiceAccount"):
            identities = (service_account(scene, namespace, ref.name),)
            continue
        kind = "MeshTLSAuthentication" if tls[index] else "NetworkAuthentication"
        meant = [
            other
            for other in scene.of_kind(kind, LINKERD, namespace=namespace)
            if other.name == ref.name
        ]
        try:
            if tls[index]:
                identities = _mesh_identities(scene, meant[0]) if meant else ()
            else:
                networks = _networks(meant[0]) if meant else ()
        except NotUnderstoodError as error:
            doubt = scene.unread(meant[0], error), not_understood(meant[0], error)
    if identities == () or networks == ():
        scene.notes.add(f"`{document.ref}` has no effect: it requires what is not there")
        return
    found, because = doubt or (scene.piece(document, "allow", at), "")
    blocks = EVERYWHERE if networks is None else networks
    yield Authorization(found, blocks, identities, because=because)


def _mesh_identities(scene: Scene, document: Document) -> tuple[str, ...]:
    """Return the identities of a MeshTLSAuthentication; without any it is as if not there.

    Source: linkerd2 inbound/meshtls_authentication.rs; admission.rs validate_identity_ref.
    """
    spec = spec_of(document, ("identities", "identityRefs"))
    at: Path = ("spec", "identities")
    found = [
        _identity(name, (*at, index))
        for index, name in enumerate(schema.items(spec.get("identities"), at))
    ]
    at = ("spec", "identityRefs")
    for index, value in enumerate(schema.items(spec.get("identityRefs"), at)):
        ref = read_reference(value, (*at, index), ("group", "kind", "name", "namespace"))
        if ref.is_to(CORE, "ServiceAccount"):
            found.append(service_account(scene, ref.namespace or document.namespace, ref.name))
        elif ref.is_to(CORE, "Namespace") and not ref.namespace:
            found.append(service_account(scene, ref.name, "*"))
        else:
            raise NotUnderstoodError("must be a ServiceAccount or a Namespace", (*at, index))
    return tuple(found)


def _networks(document: Document) -> tuple[Block, ...]:
    """Return the networks of a NetworkAuthentication.

    Source: linkerd2 inbound/network_authentication.rs; admission.rs
    Validate<NetworkAuthenticationSpec> (at least one).
    """
    spec = spec_of(document, ("networks",))
    found = tuple(read_networks(spec.get("networks"), ("spec", "networks")))
    if not found:
        raise NotUnderstoodError("must have at least one item", ("spec", "networks"))
    return found
