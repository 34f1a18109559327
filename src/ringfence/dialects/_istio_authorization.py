"""AuthorizationPolicies of Istio to the common form: one policy for each way of reading them.

Authority: istio/api `security/v1beta1/authorization_policy.proto`; Istio
`pilot/pkg/security/authz/builder/builder.go`, `pilot/pkg/model/authorization.go`,
`pilot/pkg/serviceregistry/ambient/authorization.go`, `pkg/config/validation/validation.go`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from ringfence.dialects import Context
from ringfence.dialects import _istio_conditions as conditions
from ringfence.dialects import _istio_subjects as subjects
from ringfence.dialects._istio_identities import Reading
from ringfence.dialects._istio_reader import Reader, annotation, perhaps
from ringfence.dialects._istio_rules import Outcome, Written, for_envoy, for_ztunnel
from ringfence.dialects._istio_subjects import Attachment
from ringfence.dialects._shared import Malformed, fields, filled, items, one_of
from ringfence.model.cluster import Service
from ringfence.model.document import Document, Path
from ringfence.model.mesh import IstioConfig
from ringfence.model.rule import (
    Action,
    AllPeers,
    AnyPeer,
    Direction,
    Peer,
    Policy,
    Rule,
    Tier,
    Unreadable,
)
from ringfence.model.tiers import ISTIO_ALLOW, ISTIO_AUDIT, ISTIO_CUSTOM, ISTIO_DENY

KIND: Final = "AuthorizationPolicy"
SPEC: Final = ("selector", "targetRef", "targetRefs", "rules", "action", "provider")
DRY_RUN: Final = "istio.io/dry-run"
TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
"""Source: Go `strconv.ParseBool`."""
PLACES: Final[dict[str, tuple[Tier, Action]]] = {
    "ALLOW": (ISTIO_ALLOW, Action.ALLOW),
    "DENY": (ISTIO_DENY, Action.DENY),
    "AUDIT": (ISTIO_AUDIT, Action.LOG),
    "CUSTOM": (ISTIO_CUSTOM, Action.DENY),
}
NOT_CUSTOM: Final = frozenset(
    {
        *("namespaces", "notNamespaces", "principals", "notPrincipals"),
        *("requestPrincipals", "notRequestPrincipals"),
        *("source.namespace", "source.principal"),
    }
)
"""What a rule of a CUSTOM policy may not say. Source: validation.go."""
EMPTY_SELECTOR: Final = Unreadable(
    "what a selector without labels selects for ztunnel is not known at `spec.selector`",
    ("spec", "selector"),
)

Listed = tuple[Written | Unreadable, ...]
"""Rules, or why they cannot be understood."""


@dataclass(frozen=True)
class Read:
    """What an AuthorizationPolicy says."""

    action: str
    """Empty: it cannot be understood."""
    dry_run: bool
    provider: str
    attachment: Attachment | None
    """None: it cannot be understood."""
    rules: Listed
    """As Envoy reads them."""
    at_ztunnel: Listed
    unreadable: tuple[Unreadable, ...]
    """Of what is wrong outside of the rules."""

    @property
    def place(self) -> tuple[Tier, Action]:
        """Return the tier, and what its rules do; a dry run only notes."""
        if self.dry_run:
            return ISTIO_AUDIT, Action.LOG
        return PLACES[self.action or "ALLOW"]

    @property
    def reaches_ztunnel(self) -> bool:
        """Return whether ztunnel is given it, where it is for pods by their labels."""
        return self.action not in ("AUDIT", "CUSTOM") and not self.dry_run


def all_read(context: Context) -> dict[int, Read]:
    """Return what each AuthorizationPolicy says, by its number among the documents."""
    return {
        index: read(document, subjects.config(context))
        for index, document in context.by_title.get(KIND, ())
    }


def read(document: Document, config: IstioConfig) -> Read:
    """Return what an AuthorizationPolicy says."""
    reader = Reader()
    spec = reader.spec(document, *SPEC)
    at: Path = ("spec", "action")
    action = reader.read(lambda: one_of(spec.get("action", "ALLOW"), at, PLACES), "")
    provider = reader.read(partial(_provider, spec, action), "") if action else ""
    attached = reader.read(partial(subjects.attachment, spec), None)
    listed = reader.read(lambda: items(spec.get("rules"), ("spec", "rules")), [])
    for_envoy = Reading(document.namespace, config)
    for_ztunnel = replace(for_envoy, ztunnel=True)
    return Read(
        action=action,
        dry_run=annotation(document, DRY_RUN) in TRUE,
        provider=provider,
        attachment=attached,
        rules=tuple(_written(value, path, for_envoy, action) for path, value in listed),
        at_ztunnel=tuple(_written(value, path, for_ztunnel, action) for path, value in listed),
        unreadable=tuple(reader.unreadable),
    )


def _provider(spec: dict[str, Any], action: str) -> str:
    at: Path = ("spec", "provider")
    if action != "CUSTOM":
        if "provider" in spec:
            raise Malformed("only a CUSTOM policy has a provider", at)
        return ""
    given = fields(spec.get("provider", {}), at, ("name",))
    return filled(given.get("name", ""), (*at, "name"))


def _written(value: Any, path: Path, reading: Reading, action: str) -> Written | Unreadable:  # noqa: ANN401
    """Return a rule as it is written, or why it cannot be understood."""
    try:
        given = fields(value, path, ("from", "to", "when"))
        found = Written(
            path,
            tuple(
                conditions.source(source, at, reading)
                for at, source in items(given.get("from"), (*path, "from"))
            ),
            tuple(
                conditions.operation(operation, at)
                for at, operation in items(given.get("to"), (*path, "to"))
            ),
            tuple(
                conditions.condition(condition, at, reading)
                for at, condition in items(given.get("when"), (*path, "when"))
            ),
        )
        if action == "CUSTOM":
            for name in found.names:
                if name in NOT_CUSTOM or name.startswith("request.auth."):
                    raise Malformed(f"`{name}` does not go with the action CUSTOM", path)
    except Malformed as malformed:
        return malformed.unreadable
    return found


# -- to policies -----------------------------------------------------------------------------------


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return a policy for each way in which this one is read; none where it has no effect."""
    found = context.once(all_read)[index]
    config = subjects.config(context)
    make = partial(_policy, index, document, found)
    outcome = Outcome(found.place[1], _decided_by(found, config))
    if found.attachment is None:
        return [make(subjects.anybody(document, config.root_namespace, context), ())]
    if found.attachment.targets:
        return _attached(found, found.attachment, document, context, make, outcome)
    selected = found.attachment.labels
    chosen = partial(subjects.pods, document, config.root_namespace, selected or {})
    policies = [make(chosen(subjects.with_proxy()), _rules(found.rules, outcome, for_envoy))]
    if rivals := _rivals(index, found, context):
        # Istio asks nobody then, unless a switch of its own is set.
        subject = AllPeers((chosen(subjects.with_proxy()), AnyPeer(rivals)))
        policies.append(make(subject, _rules(found.rules, Outcome(Action.DENY), for_envoy)))
    if found.reaches_ztunnel and subjects.may_have_ztunnel(context):
        rules = _rules(found.at_ztunnel, outcome, for_ztunnel)
        doubts = (EMPTY_SELECTOR,) if selected == {} else ()
        policies.append(make(chosen(subjects.by_ztunnel()), rules, doubts))
    return policies


def _decided_by(found: Read, config: IstioConfig) -> str:
    """Return what decides where the rules of a policy match; empty: they do.

    Source: builder.go getBadCustomDenyRules: what a provider that is not known is asked, is denied.
    """
    if found.action != "CUSTOM" or found.dry_run:
        return ""
    if config.source and found.provider not in config.providers:
        return ""
    return f"the provider `{found.provider}` decides"


def _rivals(index: int, found: Read, context: Context) -> tuple[Peer, ...]:
    """Return the pods of which a policy of another provider decides, too.

    Source: builder.go buildHTTP, EnableMultipleCustomAuthzProviders: what either matches is denied.
    """
    if found.action != "CUSTOM" or found.dry_run:
        return ()
    root = subjects.config(context).root_namespace
    return tuple(
        subjects.pods(
            context.documents[number], root, other.attachment.labels or {}, subjects.with_proxy()
        )
        for number, other in context.once(all_read).items()
        if number != index
        and other.action == "CUSTOM"
        and other.provider not in ("", found.provider)
        and other.attachment is not None
        and not other.attachment.targets
    )


Make = Callable[[Peer, Sequence[Rule]], Policy]


def _policy(
    index: int,
    document: Document,
    found: Read,
    subject: Peer,
    rules: Sequence[Rule],
    doubts: tuple[Unreadable, ...] = (),
) -> Policy:
    """Return a policy; one of which anything but a rule is doubtful perhaps allows, or denies."""
    tier, action = found.place
    doubts = (*found.unreadable, *doubts)
    if doubts and action is Action.LOG and found.action:
        rules = perhaps(Direction.INGRESS, doubts, Action.LOG)
    elif doubts:
        tier, action = ISTIO_ALLOW, Action.DENY
        rules = perhaps(Direction.INGRESS, doubts, Action.ALLOW, Action.DENY)
    return Policy(
        document=index,
        kind=document.title,
        namespace=document.namespace,
        name=document.name,
        tier=tier,
        tie=f"{document.namespace}/{document.name}",
        subject=subject,
        isolates=(Direction.INGRESS,) if action is Action.ALLOW else (),
        isolation_path=("spec",),
        rules=tuple(rules),
    )


def _rules(
    listed: Listed, outcome: Outcome, read_by: Callable[[Written, Outcome], list[Rule]]
) -> list[Rule]:
    found: list[Rule] = []
    for one in listed:
        if isinstance(one, Written):
            found += read_by(one, outcome)
        else:
            found += perhaps(Direction.INGRESS, (one,), outcome.action)
    return found


def _attached(
    found: Read,
    attachment: Attachment,
    document: Document,
    context: Context,
    make: Make,
    outcome: Outcome,
) -> list[Policy]:
    """Return the policies for gateways, and for Services and pods by their waypoint.

    Source: Istio `pilot/pkg/networking/core/listener_waypoint.go` (the chains for pods are of no
    Service, and look at what comes in).
    """
    policies: list[Policy] = []
    root = subjects.config(context).root_namespace
    services: dict[str, Service] = {}
    for target in attachment.targets:
        if target.kind == "Gateway":
            rules = _rules(found.rules, outcome, for_envoy)
            policies.append(make(subjects.gateway(document.namespace, target.name), rules))
        of_class = target.kind == "GatewayClass" and document.namespace == root
        if target.kind == "Gateway" or of_class:
            subject = subjects.waypoint(document.namespace, None if of_class else target.name)
            rules = _rules(found.rules, replace(outcome, at_waypoint=True), for_envoy)
            policies.append(make(subject, rules))
        through = subjects.through_waypoint(target, document, context)
        services |= {service.ref: service for service in through}
    by_rules: dict[tuple[Rule, ...], list[Service]] = {}
    for service in services.values():
        ports = partial(subjects.ports_of, service)
        rules = _rules(found.rules, replace(outcome, ports=ports, at_waypoint=True), for_envoy)
        by_rules.setdefault(tuple(rules), []).append(service)
    policies += [make(subjects.services(same), rules) for rules, same in by_rules.items()]
    return policies
