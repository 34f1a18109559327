"""What objects of Istio do not do, or do beside what they say, as far as they tell it themselves.

Authority: Istio `pkg/config/validation/validation.go` (warnings),
`pilot/pkg/serviceregistry/ambient/authorization.go`, `pilot/pkg/model/policyattachment.go`; each
part of the dialect for the rest.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from ringfence.dialects import Context, _istio_destination_rule, _istio_egress
from ringfence.dialects import _istio_authorization as authorization
from ringfence.dialects import _istio_peer_authentication as peer_authentication
from ringfence.dialects import _istio_subjects as subjects
from ringfence.dialects._istio_authorization import Read
from ringfence.dialects._istio_conditions import Demands
from ringfence.dialects._istio_identities import LOCAL_DOMAIN
from ringfence.dialects._istio_rules import Outcome, Written, for_ztunnel
from ringfence.model.cluster import Protocol, Service
from ringfence.model.document import Document, Path
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.location import Problem
from ringfence.model.rule import Action, PrincipalPeer, Unreadable, leaves
from ringfence.model.selector import Operator

AMBIENT_LABEL: Final = "istio.io/dataplane-mode"
GATEWAY_LABEL: Final = "gateway.networking.k8s.io/gateway-name"
REQUEST_AUTHENTICATION: Final = "RequestAuthentication"
DECLARED_TCP: Final = frozenset({"tcp", "tls", "https", "mongo", "mysql", "redis"})
"""How a Service port's name begins, or its `appProtocol` says, where a proxy reads no HTTP.

Source: Istio `pkg/config/protocol/instance.go`."""

PORTS: Final = frozenset({"ports", "notPorts", "destination.port"})

Note = tuple[Document, Path, str]
"""An object, where in it, and what is to be told of it."""


def notes(context: Context) -> list[Problem]:
    """Return what is to be told of objects of Istio, and what of them makes no policy."""
    found = [
        Problem(
            f"{document.ref}: {message}",
            document.location_of(path),
            (),
            document.ref,
            severity="warning",
        )
        for document, path, message in (
            *_of_authorization(context),
            *_of_peer_authentication(context),
            *_of_request_authentication(context),
            *_of_destination_rules(context),
            *_of_sidecars(context),
        )
    ]
    wrong = [
        Problem(message, document.location_of(path), (document.title,), document.ref)
        for document, path, message in _istio_destination_rule.problems(context)
    ]
    return found + _without_effect(context) + wrong


def _without_effect(context: Context) -> list[Problem]:
    """Return what is not understood of AuthorizationPolicies that are for nobody."""
    return [
        Problem(
            f"{document.ref}: {part.reason}",
            document.location_of(part.path),
            (),
            document.ref,
            severity="warning",
        )
        for index, found in context.once(authorization.all_read).items()
        for document in (context.documents[index],)
        if (wrong := [r for r in (*found.unreadable, *found.rules) if isinstance(r, Unreadable)])
        if not authorization.parse(index, document, context)
        for part in wrong
    ]


# -- AuthorizationPolicy ---------------------------------------------------------------------------


def _of_authorization(context: Context) -> Iterator[Note]:
    for index, found in context.once(authorization.all_read).items():
        document = context.documents[index]
        rules = [rule for rule in found.rules if isinstance(rule, Written)]
        for path, message in _as_a_whole(found, context):
            yield document, path, message
        if found.unreadable or found.attachment is None:
            continue
        for target in found.attachment.targets:
            if message := _of_target(target, document, context):
                yield document, target.path, message
        if found.dry_run:
            continue
        for rule in rules:
            yield from ((document, rule.path, told) for told in _of_rule(rule, found))
            yield from (
                (document, rule.path, told) for told in _on_tcp(rule, found, document, context)
            )
        if not found.attachment.targets and _in_ambient(document, context):
            yield from _at_ztunnel(document, found, context)
        if message := _on_waypoint(found, document, context):
            yield document, ("spec", "selector"), message


def _as_a_whole(found: Read, context: Context) -> Iterator[tuple[Path, str]]:
    if found.dry_run:
        yield ("metadata", "annotations"), "is a dry run, and decides nothing"
    if found.action in ("DENY", "CUSTOM") and not found.rules and not found.unreadable:
        yield ("spec",), f"a {found.action} policy without rules has no effect"
    config = subjects.config(context)
    if found.action == "CUSTOM" and config.source and found.provider not in config.providers:
        yield (
            ("spec", "provider"),
            f"no provider `{found.provider}` is set up: what its rules match is denied",
        )


def _of_target(target: subjects.Target, document: Document, context: Context) -> str:
    """Return why a policy that is attached to something has no effect there."""
    match target.kind:
        case "Service":
            service = context.service.get((document.namespace, target.name))
            if service is None:
                return f"there is no Service `{target.name}` in `{document.namespace}`"
            if service.waypoint is None:
                return f"has no effect: `{service.ref}` has no waypoint that would hold it"
        case "ServiceEntry":
            return "what goes to a ServiceEntry by a waypoint is not judged"
        case "GatewayClass" if document.namespace != subjects.config(context).root_namespace:
            return "has no effect: only in the root namespace is a policy for a GatewayClass"
    return ""


def _of_rule(rule: Written, found: Read) -> Iterator[str]:
    """Yield what a rule says that has another meaning than it seems to have."""
    if found.action == "ALLOW" and any(_admits_plaintext(one) for one in rule.combined()):
        yield (
            "a peer without mTLS, which proves nothing, is none of those excluded:"
            " this allows it, too"
        )


def _admits_plaintext(demands: Demands) -> bool:
    return bool(demands.not_identities) and not demands.identities


def _on_tcp(rule: Written, found: Read, document: Document, context: Context) -> Iterator[str]:
    """Yield what becomes of a rule with fields of HTTP at ports that are read as TCP."""
    if not rule.http or found.attachment is None:
        return
    ports = sorted(
        f"{service.ref} port {port}"
        for service, port in _tcp_ports(rule, found.attachment, document, context)
    )
    said = ", ".join(rule.http)
    where = ", ".join(ports[:3]) + (", …" if len(ports) > 3 else "")
    if ports and found.action == "ALLOW":
        yield f"{said}: only HTTP has that, so that the rule allows nothing on TCP: {where}"
    elif ports:
        yield f"{said}: only HTTP has that, so that on TCP the rule holds without it: {where}"
    elif found.action == "DENY" and not PORTS & set(rule.names):
        # Source: validation.go, which warns of the same.
        yield f"{said}: only HTTP has that, and no port is named: on TCP the rule denies without it"


def _tcp_ports(
    rule: Written, attachment: subjects.Attachment, document: Document, context: Context
) -> Iterator[tuple[Service, int]]:
    """Yield the ports that Services declare as TCP, of those that a policy may be for."""
    root = subjects.config(context).root_namespace
    named = {target.name for target in attachment.targets if target.kind == "Service"}
    of_namespace = context.once(_by_namespace).get(document.namespace, [])
    for service in context.services if document.namespace == root else of_namespace:
        if attachment.targets and service.name not in named:
            continue
        if not _may_select(service, attachment.labels or {}):
            continue
        for port in service.ports:
            is_tcp = port.protocol is Protocol.TCP and _is_tcp(port.app_protocol, port.name)
            if is_tcp and any(_concerns(one, port.target) for one in rule.combined()):
                yield service, port.port


def _by_namespace(context: Context) -> dict[str, list[Service]]:
    found: defaultdict[str, list[Service]] = defaultdict(list)
    for service in context.services:
        found[service.namespace].append(service)
    return dict(found)


def _is_tcp(app_protocol: str, name: str) -> bool:
    said = app_protocol.rpartition("/")[2] if app_protocol else name.partition("-")[0]
    return said.lower() in DECLARED_TCP


def _may_select(service: Service, labels: dict[str, str]) -> bool:
    """Return whether pods of a Service may have some labels, by the Service's own selector."""
    if service.selector is None:
        return False
    return all(
        requirement.operator is not Operator.IN
        or labels.get(requirement.key, requirement.values[0]) in requirement.values
        for requirement in service.selector.requirements
    )


def _concerns(demands: Demands, target: int | str) -> bool:
    if not demands.ports:
        return target not in demands.not_ports
    return target in frozenset.intersection(*demands.ports) - demands.not_ports


# -- ambient ---------------------------------------------------------------------------------------


def _in_ambient(document: Document, context: Context) -> bool:
    """Return whether a namespace that an object is for says that its pods are in ambient."""
    ambient = context.once(_ambient_namespaces)
    if document.namespace == subjects.config(context).root_namespace:
        return bool(ambient)
    return document.namespace in ambient


def _ambient_namespaces(context: Context) -> frozenset[str]:
    return frozenset(
        namespace.labels.get(NAMESPACE_NAME, namespace.name)
        for namespace in context.namespaces
        if namespace.labels.get(AMBIENT_LABEL) == "ambient"
    )


def _at_ztunnel(document: Document, found: Read, context: Context) -> Iterator[Note]:
    if not found.reaches_ztunnel:
        why = f"has no effect in ambient: ztunnel holds no policy of action {found.action}"
        yield document, ("spec", "action"), why
        return
    action = Action.ALLOW if found.action == "ALLOW" else Action.DENY
    for rule in found.at_ztunnel:
        if not isinstance(rule, Written):
            continue
        if beyond := ", ".join(rule.beyond_ztunnel):
            held = for_ztunnel(rule, Outcome(action))
            yield document, rule.path, _without(beyond, action, held=bool(held))
        if foreign := _foreign(rule, context):
            yield document, rule.path, foreign


def _without(beyond: str, action: Action, *, held: bool) -> str:
    """Return what becomes at ztunnel of a rule that says what it does not read."""
    where = "a waypoint reads that, by `targetRefs`"
    if action is Action.ALLOW:
        doubt = "allows nothing" if not held else "may be dropped, or be wider"
        return f"{beyond}: ztunnel does not read that: in ambient the rule {doubt}; {where}"
    if not held:
        return f"{beyond}: ztunnel does not read that: in ambient the rule denies nothing; {where}"
    return f"{beyond}: ztunnel does not read that: in ambient the rule denies without it; {where}"


def _foreign(rule: Written, context: Context) -> str:
    """Return that ztunnel compares `cluster.local` as it stands, where the mesh is called else."""
    domain = subjects.config(context).trust_domain
    meant = any(
        isinstance(leaf, PrincipalPeer) and leaf.pattern.value.startswith(f"{LOCAL_DOMAIN}/")
        for demands in rule.combined()
        for peer in (*demands.identities, *demands.not_identities)
        for leaf in leaves(peer)
    )
    if domain == LOCAL_DOMAIN or not meant:
        return ""
    return f"ztunnel does not read `{LOCAL_DOMAIN}` as the trust domain `{domain}`: nobody is meant"


def _on_waypoint(found: Read, document: Document, context: Context) -> str:
    """Return that a policy for a waypoint's pods by their labels has no effect."""
    labels = found.attachment.labels if found.attachment else None
    name = (labels or {}).get(GATEWAY_LABEL)
    if name and any(one.waypoint == (document.namespace, name) for one in context.services):
        return (
            f"has no effect on the waypoint `{name}`: a waypoint holds only what has `targetRefs`"
        )
    return ""


# -- other objects ---------------------------------------------------------------------------------


def _of_peer_authentication(context: Context) -> Iterator[Note]:
    for one in context.once(peer_authentication.all_read).values():
        if one.unreadable:
            continue
        if not one.applies:
            why = "has no effect: in the root namespace only one without a selector has"
            yield one.document, ("spec", "selector"), why
            continue
        for other in peer_authentication.rivals(one, context):
            same = other.labels == one.labels
            older = peer_authentication.is_older(other, one)
            if older and same:
                why = f"has no effect: {other.document.ref} is older, and of several that counts"
                yield one.document, ("spec",), why
            if older is None and same:
                why = f"{peer_authentication.AGES}: {other.document.ref} says something else"
                yield one.document, ("spec",), why
        modes: list[tuple[Path, str]] = [(("spec", "mtls"), one.mode)]
        modes += [(("spec", "portLevelMtls", str(port)), mode) for port, mode in one.ports]
        if _in_ambient(one.document, context):
            for path, mode in modes:
                if mode == peer_authentication.DISABLE:
                    yield one.document, path, "in ambient DISABLE does what PERMISSIVE does"
            if peer_authentication.is_lost(one, context):
                yield one.document, ("spec", "portLevelMtls"), peer_authentication.LOST


def _of_request_authentication(context: Context) -> Iterator[Note]:
    root = subjects.config(context).root_namespace
    asking = {
        context.documents[index].namespace
        for index, found in context.once(authorization.all_read).items()
        for rule in found.rules
        if isinstance(rule, Written) and any(name in TOKENS for name in rule.names)
    }
    for _, document in context.by_title.get(REQUEST_AUTHENTICATION, ()):
        if not asking & {document.namespace, root}:
            why = "refuses only bad tokens: that a request has one, an AuthorizationPolicy demands"
            yield document, ("spec",), why


TOKENS: Final = frozenset({"requestPrincipals", "notRequestPrincipals", "request.auth.principal"})


def _of_destination_rules(context: Context) -> Iterator[Note]:
    for _, document in context.by_title.get(_istio_destination_rule.KIND, ()):
        spec = document.body.get("spec")
        if not isinstance(spec, dict):
            continue
        subsets = spec.get("subsets")
        for number, subset in enumerate(subsets if isinstance(subsets, list) else ()):
            policy = subset.get("trafficPolicy") if isinstance(subset, dict) else None
            if isinstance(policy, dict) and ("tls" in policy or "portLevelSettings" in policy):
                why = "the TLS of a subset is not judged: routes choose subsets"
                yield document, ("spec", "subsets", number), why
        host = spec.get("host")
        if isinstance(host, str) and (found := _half_named(host, context)):
            why = f"`{host}` is no short name, having a dot, and does not mean {found}"
            yield document, ("spec", "host"), why


def _half_named(host: str, context: Context) -> str:
    name, dot, namespace = host.partition(".")
    service = context.service.get((namespace, name))
    return service.ref if dot and service else ""


def _of_sidecars(context: Context) -> Iterator[Note]:
    only_registry = subjects.config(context).registry_only
    for _, document in context.by_title.get(_istio_egress.KIND, ()):
        found = _istio_egress.read(document, only_registry=only_registry)
        if found.unreadable:
            continue
        spec = document.body.get("spec")
        if isinstance(spec, dict) and spec.get("ingress"):
            yield document, ("spec", "ingress"), "its listeners for what comes in are not judged"
