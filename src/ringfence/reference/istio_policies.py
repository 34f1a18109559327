"""AuthorizationPolicies: which of them a workload's proxy, or a waypoint for a Service, is given.

Source: Istio `pilot/pkg/model/policyattachment.go` (ShouldAttachPolicy),
`pilot/pkg/model/authorization.go`; for ztunnel
`pilot/pkg/serviceregistry/ambient/authorization.go` (convertAuthorizationPolicy).
"""

from dataclasses import dataclass
from typing import Any

from ringfence.model.cluster import Service
from ringfence.model.document import Document, Path
from ringfence.model.mesh import DataPlane
from ringfence.reference import schema
from ringfence.reference.ends import OwnPod
from ringfence.reference.istio_objects import SECURITY, are_in, config, labels_of, of_kind, spec_of
from ringfence.reference.istio_rules import Rule, read_rule
from ringfence.reference.mesh_flow import Flow
from ringfence.reference.schema import NotUnderstoodError

ACTIONS = ("ALLOW", "DENY", "AUDIT", "CUSTOM")
DRY_RUN = "istio.io/dry-run"
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
GATEWAY_API = "gateway.networking.k8s.io"
WAYPOINT_CLASS = "istio-waypoint"
_MOST_TARGETS = 16
_NOT_OF_CUSTOM = frozenset({"principals", "namespaces", "requestPrincipals", "request.auth"})
_OF_CUSTOM = frozenset({"source.serviceAccount", "source.trustDomain"})


@dataclass(frozen=True)
class Target:
    """One of a policy's `targetRefs`."""

    group: str
    kind: str
    name: str
    namespace: str


@dataclass(frozen=True)
class Policy:
    """An AuthorizationPolicy, its rules read as far as they could be."""

    document: Document
    action: str
    rules: tuple[Rule | NotUnderstoodError, ...]
    provider: str = ""
    """What a CUSTOM policy asks."""
    dry_run: bool = False
    labels: dict[str, str] | None = None
    targets: tuple[Target, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Return where each rule stands."""
        return [("spec", "rules", index) for index, _ in enumerate(self.rules)]


@dataclass(frozen=True)
class Given:
    """The policies that a proxy is given, and those of which it is not known."""

    policies: tuple[Policy, ...] = ()
    unread: tuple[tuple[Document, NotUnderstoodError], ...] = ()


def of_workload(flow: Flow) -> Given:
    """Return the policies that the destination's own proxy is given.

    Those of the root namespace and of its own. At a pod that is no proxy of a Gateway: those
    without `targetRefs` whose selector, if any, selects it. At one that is: those that name its
    Gateway, and those without `targetRefs` whose selector selects it. A waypoint has what it judges
    by where it takes what is for the own addresses of pods; for Services there is `of_waypoint`.
    """
    pod = flow.destination
    server = flow.server
    if not isinstance(pod, OwnPod) or server is None:
        return Given()
    if server.waypoint:
        return _of_any_waypoint(flow, (pod.namespace, server.gateway), None)
    root = config(flow.snapshot).root_namespace

    def chosen(policy: Policy) -> bool:
        if policy.document.namespace not in (root, pod.namespace):
            return False
        if not policy.targets:
            return are_in(policy.labels, pod.labels)
        at_home = policy.document.namespace == pod.namespace
        return at_home and any(
            _is_gateway(target, server.gateway, pod.namespace) for target in policy.targets
        )

    return _given(flow, {root, pod.namespace}, chosen, pod.labels)


def of_waypoint(flow: Flow, service: Service) -> Given:
    """Return the policies by which a waypoint judges what is sent to a Service.

    Those that name the Service, in its own namespace; those that name the Gateway, in the
    Gateway's; those of the root namespace that name the class of waypoints. Selectors, and policies
    without either, are not for waypoints.
    """
    return _of_any_waypoint(flow, service.waypoint or ("", ""), service)


def _of_any_waypoint(flow: Flow, named: tuple[str, str], service: Service | None) -> Given:
    """Return the policies by which a waypoint judges what is for a Service, or for none.

    Source: Istio `pilot/pkg/networking/core/listener_waypoint.go` buildWaypointInternal: the chains
    for the addresses of pods are of no Service.
    """
    gateway_namespace, gateway = named
    root = config(flow.snapshot).root_namespace

    def chosen(policy: Policy) -> bool:
        namespace = policy.document.namespace
        if _is_of_class(policy, root):
            return True
        for target in policy.targets:
            meant = (target.group, target.kind, target.name)
            if service is not None and meant == ("", "Service", service.name):
                if namespace == service.namespace:
                    return True
                continue
            at_home = namespace == gateway_namespace
            if at_home and _is_gateway(target, gateway, gateway_namespace):
                return True
        return False

    around = {root, gateway_namespace}
    return _given(flow, around if service is None else {*around, service.namespace}, chosen, None)


def _is_gateway(target: Target, name: str, namespace: str) -> bool:
    return (target.group, target.kind, target.name) == (
        GATEWAY_API,
        "Gateway",
        name,
    ) and target.namespace in ("", namespace)


def _is_of_class(policy: Policy, root: str) -> bool:
    """Return whether a policy is for all waypoints."""
    return policy.document.namespace == root and any(
        (target.group, target.kind, target.name) == (GATEWAY_API, "GatewayClass", WAYPOINT_CLASS)
        for target in policy.targets
    )


def _given(
    flow: Flow,
    namespaces: set[str],
    chosen: Any,  # noqa: ANN401
    labels: dict[str, str] | None,
) -> Given:
    policies, unread = [], []
    for document in of_kind(flow.snapshot, SECURITY, "AuthorizationPolicy"):
        if document.namespace not in namespaces:
            continue
        try:
            policy = read(document)
        except NotUnderstoodError as error:
            if _may_be_meant(document, labels):
                unread.append((document, error))
            continue
        if chosen(policy):
            policies.append(policy)
    return Given(tuple(policies), tuple(unread))


def _may_be_meant(document: Document, labels: dict[str, str] | None) -> bool:
    """Return whether a policy that was not understood may be given to a workload.

    Args:
        document: the policy.
        labels: the workload's; None for a waypoint, which heeds no selectors.
    """
    spec = document.body.get("spec")
    given = spec if isinstance(spec, dict) else {}
    targets = bool(given.get("targetRefs") or given.get("targetRef"))
    if targets and given.get("selector") is not None:
        return True
    try:
        wanted = labels_of(given.get("selector"), ("spec", "selector"))
    except NotUnderstoodError:
        return labels is not None
    if labels is None:
        return targets or not spec
    return are_in(wanted, labels)


def read(document: Document) -> Policy:
    """Return a policy.

    One that denies, or asks, without any rule matches nothing: Istio accepts none such, but what
    it would make of it is certain.

    Raises:
        NotUnderstoodError: something that concerns all of it is not understood.
    """
    known = ("selector", "targetRef", "targetRefs", "rules", "action", "provider")
    given = spec_of(document, known)
    labels = labels_of(given.get("selector"), ("spec", "selector"))
    targets = _targets(given)
    if labels is not None and targets:
        raise NotUnderstoodError("has both a selector and `targetRefs`", ("spec", "targetRefs"))
    action = schema.choice(given.get("action", "ALLOW"), ("spec", "action"), ACTIONS)
    provider = _provider(given, action)
    at: Path = ("spec", "rules")
    listed = schema.items(given.get("rules"), at)
    rules: list[Rule | NotUnderstoodError] = []
    for index, entry in enumerate(listed):
        try:
            rule = read_rule(entry, (*at, index))
            if action == "CUSTOM":
                _hold_custom(rule)
            rules.append(rule)
        except NotUnderstoodError as error:
            rules.append(error)
    return Policy(document, action, tuple(rules), provider, _is_dry_run(document), labels, targets)


def _hold_custom(rule: Rule) -> None:
    """Raise where the rule of a CUSTOM policy speaks of identities: it comes before them.

    Source: Istio `pkg/config/validation/validation.go` ("currently not supported with CUSTOM").
    """
    for one in rule.fields:
        if one.key not in _OF_CUSTOM and one.kind in _NOT_OF_CUSTOM:
            raise NotUnderstoodError(f"CUSTOM knows no `{one.key or one.kind}`", rule.path)


def _provider(given: dict[str, Any], action: str) -> str:
    """Return the name of the provider that a CUSTOM policy must have, and no other may."""
    at: Path = ("spec", "provider")
    if "provider" not in given:
        if action == "CUSTOM" and given.get("rules"):
            raise NotUnderstoodError("CUSTOM needs a provider", ("spec",))
        return ""
    if action != "CUSTOM":
        raise NotUnderstoodError("only CUSTOM has a provider", at)
    name = schema.fields(given["provider"], at, ("name",)).get("name", "")
    if not schema.text(name, (*at, "name")):
        raise NotUnderstoodError("CUSTOM needs a provider", at)
    return str(name)


def _targets(given: dict[str, Any]) -> tuple[Target, ...]:
    """Return what a policy names: `targetRefs`, else the older `targetRef`."""
    at: Path = ("spec", "targetRefs")
    listed = [
        (entry, (*at, index))
        for index, entry in enumerate(schema.items(given.get("targetRefs"), at, _MOST_TARGETS))
    ]
    if "targetRef" in given:
        if listed:
            raise NotUnderstoodError("has both `targetRef` and `targetRefs`", at)
        listed = [(given["targetRef"], ("spec", "targetRef"))]
    return tuple(_target(entry, path) for entry, path in listed)


_KINDS = {
    ("", "Service"),
    (GATEWAY_API, "Gateway"),
    (GATEWAY_API, "GatewayClass"),
    ("networking.istio.io", "ServiceEntry"),
}
"""Source: Istio `pkg/config/validation/validation.go` (allowedTargetRefs)."""


def _target(value: Any, path: Path) -> Target:  # noqa: ANN401
    given = schema.fields(value, path, ("group", "kind", "name", "namespace"))
    said = {
        key: schema.text(given.get(key, ""), (*path, key))
        for key in ("group", "kind", "name", "namespace")
    }
    group = "" if said["group"] == "core" else said["group"]
    if not said["name"] or (group, said["kind"]) not in _KINDS:
        raise NotUnderstoodError("names nothing that a policy can be attached to", path)
    if said["namespace"]:
        raise NotUnderstoodError("there are no targets in other namespaces", (*path, "namespace"))
    return Target(group, said["kind"], said["name"], said["namespace"])


def _is_dry_run(document: Document) -> bool:
    """Return whether a policy is only tried: Go's idea of what is true.

    Source: Istio `pilot/pkg/security/authz/builder/builder.go` isDryRun.
    """
    metadata = document.body.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    said = annotations.get(DRY_RUN) if isinstance(annotations, dict) else None
    return str(said) in _TRUE or said is True


def is_for_ztunnel(policy: Policy) -> bool:
    """Return whether a ztunnel is given a policy at all: no targets, no dry runs, no other action.

    Source: authorization.go convertAuthorizationPolicy.
    """
    return policy.action in ("ALLOW", "DENY") and not policy.targets and not policy.dry_run


def at_ztunnel(flow: Flow) -> bool:
    """Return whether the destination's proxy is its node's ztunnel."""
    server = flow.server
    return server is not None and server.data_plane is DataPlane.AMBIENT and not server.gateway
