"""One rule of a Calico policy or profile, clause by clause.

Source: Calico `api/pkg/apis/projectcalico/v3/policy_common.go` (V3);
`libcalico-go/lib/validator/v3/validator.go` (VAL); `libcalico-go/lib/backend/syncersv1/
updateprocessors/rules.go` (UPDATE); `felix/calc/rule_scanner.go` (SCAN); `felix/rules/policy.go`
(RENDER).
"""

from dataclasses import dataclass
from typing import Any

from ringfence.model import label_space
from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.rule import Direction
from ringfence.reference import (
    calico_ends,
    calico_http,
    calico_objects,
    calico_ports,
    calico_selectors,
    calico_services,
    schema,
)
from ringfence.reference.calico_ends import Known
from ringfence.reference.calico_http import Limit
from ringfence.reference.calico_selectors import Labels, Selector
from ringfence.reference.ends import Approach, Network, Party
from ringfence.reference.outcome import NO, YES, Match, all_of, certain, negated
from ringfence.reference.schema import NotUnderstoodError

ACTIONS = ("Allow", "Deny", "Pass", "Log")
ENTERPRISE = "domain names in rules are of Calico Enterprise and Calico Cloud alone"
ENVOY = "HTTP rules of Calico are enforced only where its Envoy checks the pod's requests"

_RULE = (
    "action", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "source", "destination",
    "http", "metadata",
)  # fmt: skip
_ENTITY = (
    "nets", "notNets", "selector", "notSelector", "namespaceSelector", "services",
    "serviceAccounts", "ports", "notPorts", "domains",
)  # fmt: skip


@dataclass(frozen=True)
class Read:
    """What a rule does to the connection."""

    match: Match
    action: str
    limits: tuple[Limit, ...] = ()
    """Where it matches only some of the requests that the question may mean: which."""


@dataclass(frozen=True)
class Setting:
    """Where a rule stands."""

    all_: Known
    namespace: str
    """The policy's; empty for a global one."""


def possible_actions(value: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return what a rule can do that is not understood: its action, or any if that is not known."""
    named = value.get("action") if isinstance(value, dict) else None
    return (named,) if isinstance(named, str) and named in ACTIONS else ACTIONS


def read(value: Any, path: Path, here: Approach, setting: Setting) -> Read:  # noqa: ANN401
    """Return whether a rule matches, and its action: every criterion that is given must hold.

    Source: V3 Rule.

    Raises:
        NotUnderstoodError: something in the rule is not understood.
    """
    given = schema.fields(value, path, _RULE)
    action = schema.choice(given.get("action"), (*path, "action"), ACTIONS)
    _hold_remarks(given.get("metadata", {}), (*path, "metadata"))
    source, destination = (
        (here.peer, here.subject)
        if here.direction is Direction.INGRESS
        else (here.subject, here.peer)
    )
    families = _Families(given.get("ipVersion"), path)
    traffic = calico_ports.traffic(given, path, here)
    criteria = [
        traffic.match,
        _entity(given, path, "source", source, here, setting, traffic, families),
        _entity(given, path, "destination", destination, here, setting, traffic, families),
        certain(families.version in (None, here.family)),
    ]
    limits: tuple[Limit, ...] = ()
    if "http" in given:
        answer = _http(given, path, here, action)
        criteria.append(certain(answer.holds))
        limits = answer.limits
        here.notes.add(ENVOY)
    return Read(all_of(criteria), action, limits)


def _hold_remarks(value: Any, path: Path) -> None:  # noqa: ANN401
    """Hold that what a rule says of itself is of the right form: texts by name.

    Source: V3 RuleMetadata.

    Raises:
        NotUnderstoodError: it is not.
    """
    at = (*path, "annotations")
    remarks = schema.fields(value, path, ("annotations",)).get("annotations", {})
    if not isinstance(remarks, dict):
        raise NotUnderstoodError("must be a mapping", at)
    for key, remark in remarks.items():
        schema.text(remark, (*at, key))


def _http(given: dict[str, Any], path: Path, here: Approach, action: str) -> calico_http.Answer:
    """Return whether the request meets the rule's `http`.

    It may stand in an ingress rule that allows, and whose protocol is TCP or not given.

    Source: VAL validateRule, ruleUsesAppLayerPolicy, validateNetworkPolicySpec.
    """
    at = (*path, "http")
    if action != "Allow" or here.direction is not Direction.INGRESS:
        raise NotUnderstoodError("is only valid for ingress rules that allow", at)
    if given.get("protocol", "TCP") != "TCP":
        raise NotUnderstoodError("needs protocol TCP, or none", at)
    answer = calico_http.judge(given["http"], at, here.request)
    if here.protocol is not Protocol.TCP:
        return calico_http.Answer(holds=False)
    return answer


class _Families:
    """The one IP family that a rule's blocks, and its `ipVersion`, may be of.

    Source: VAL validateRule, scanNets.
    """

    def __init__(self, value: Any, path: Path) -> None:  # noqa: ANN401
        self.version: int | None = None
        if value is not None:
            self.version = schema.integer(value, (*path, "ipVersion"), 4, 6)
            if self.version == 5:
                raise NotUnderstoodError("must be 4 or 6", (*path, "ipVersion"))
        self.one = self.version

    def take(self, nets: tuple[Network, ...], path: Path) -> None:
        for net in nets:
            if self.one not in (None, net.version):
                raise NotUnderstoodError("a rule's blocks must be of one IP version", path)
            self.one = net.version


def _entity(
    rule: dict[str, Any],
    path: Path,
    which: str,
    party: Party,
    here: Approach,
    setting: Setting,
    traffic: calico_ports.Traffic,
    families: _Families,
) -> Match:
    """Return whether one end of the connection is what a rule's source or destination asks for.

    All criteria that are given must hold. A rule whose blocks are all of one IP version is no
    rule for the other, not even by what they exclude.

    Source: V3 EntityRule; RENDER FilterRuleToIPVersion.
    """
    path = (*path, which)
    given = schema.fields(rule.get(which, {}), path, _ENTITY)
    nets, not_nets = (
        calico_objects.read_nets(given.get(name), (*path, name), bare=False)
        for name in ("nets", "notNets")
    )
    families.take(nets, (*path, "nets"))
    families.take(not_nets, (*path, "notNets"))
    if any(net.prefixlen == 0 for net in not_nets):
        raise NotUnderstoodError("would leave nothing", (*path, "notNets"))
    criteria = [_selectors(given, path, rule, which, party, here, setting)]
    if nets:
        criteria.append(calico_ends.lies_in(nets, party, here))
    if not_nets and not_nets[0].version != here.family:
        criteria.append(NO)
    elif not_nets:
        criteria.append(negated(calico_ends.lies_in(not_nets, party, here)))
    if "services" in given:
        criteria.append(_services(given, path, which, party, here, setting))
    if "domains" in given:
        criteria.append(_domains(given, path, rule, which, party, here))
    criteria += calico_ports.entity_ports(given, path, which, party, here, traffic, setting.all_)
    return all_of(criteria)


def _selectors(
    given: dict[str, Any],
    path: Path,
    rule: dict[str, Any],
    which: str,
    party: Party,
    here: Approach,
    setting: Setting,
) -> Match:
    """Return whether the selectors of an entity admit a party.

    `namespaceSelector` says in which namespaces; without it, and as soon as any of the others is
    given, a namespaced policy means its own namespace alone. `all()` in it is whatever is in a
    namespace, `global()` whatever is in none. What selectors select positively is always
    something known; a `notSelector` alone also admits what is unknown, as addresses outside.

    Source: UPDATE GetEntityRuleSelector, getEndpointSelector, parseServiceAccounts; SCAN
    combineMatchesIfPossible.
    """
    texts = {
        name: schema.text(given.get(name, ""), (*path, name))
        for name in ("selector", "notSelector", "namespaceSelector")
    }
    parts = _service_accounts(given.get("serviceAccounts"), (*path, "serviceAccounts"))
    if texts["selector"]:
        parts.append(calico_selectors.read(texts["selector"], (*path, "selector")))
    not_ = None
    if texts["notSelector"]:
        not_ = calico_selectors.read(texts["notSelector"], (*path, "notSelector"))
    where: Selector | None = None
    if texts["namespaceSelector"]:
        where = calico_selectors.read(
            texts["namespaceSelector"],
            (*path, "namespaceSelector"),
            prefix=label_space.CALICO_NAMESPACE_PREFIX,
            everything=label_space.CALICO_NAMESPACE,
            may_be_global=label_space.CALICO_NAMESPACE,
        )
    elif setting.namespace and (parts or not_):
        where = _in_namespace(setting.namespace)
    if where:
        parts.insert(0, where)
    outward = which == "destination" and here.direction is Direction.EGRESS
    names = outward and rule.get("action") == "Allow"
    if parts:
        wanted = calico_selectors.both(parts)

        def selects(labels: Labels) -> bool:
            return wanted(labels) and not (not_ and not_(labels))

        return calico_ends.selected(selects, party, here, setting.all_, names=names)
    if not_:
        return negated(calico_ends.selected(not_, party, here, setting.all_, names=False))
    return YES


def _in_namespace(namespace: str) -> Selector:
    return lambda labels: labels.get(label_space.CALICO_NAMESPACE) == namespace


def _service_accounts(value: Any, path: Path) -> list[Selector]:  # noqa: ANN401
    """Return what `serviceAccounts` asks of labels: any of the names AND the selector.

    Source: UPDATE parseServiceAccounts.
    """
    if value is None:
        return []
    given = schema.fields(value, path, ("names", "selector"))
    parts: list[Selector] = []
    text = schema.text(given.get("selector", ""), (*path, "selector"))
    if text:
        prefix = label_space.CALICO_SERVICE_ACCOUNT_PREFIX
        parts.append(calico_selectors.read(text, (*path, "selector"), prefix=prefix))
    at = (*path, "names")
    listed = enumerate(schema.items(given.get("names"), at))
    names = [schema.text(entry, (*at, index)) for index, entry in listed]
    if names:
        parts.append(lambda labels: labels.get(label_space.CALICO_SERVICE_ACCOUNT) in names)
    return parts


def _services(
    given: dict[str, Any],
    path: Path,
    which: str,
    party: Party,
    here: Approach,
    setting: Setting,
) -> Match:
    """Return whether a party is behind the Service that an entity names.

    It stands alone: the peer of the rule, and no selector, block or account beside it; and no
    port of a destination. Without a namespace it is of the policy's, which a global one lacks.

    Source: VAL validateEntityRule, validateRule, validateNetworkPolicySpec,
    validateGlobalNetworkPolicySpec; V3 ServiceMatch.
    """
    at = (*path, "services")
    service = schema.fields(given["services"], at, ("name", "namespace"))
    name = schema.text(service.get("name"), (*at, "name"))
    namespace = schema.text(service.get("namespace", ""), (*at, "namespace"))
    peer = "source" if here.direction is Direction.INGRESS else "destination"
    beside = {"selector", "notSelector", "namespaceSelector", "nets", "notNets", "serviceAccounts"}
    if which == "destination":
        beside |= {"ports", "notPorts"}
    if which != peer or not name:
        raise NotUnderstoodError("names a Service, and of the peer only", at)
    if any(given.get(field) not in (None, "", []) for field in beside):
        raise NotUnderstoodError("must stand alone", at)
    namespace = namespace or setting.namespace
    if not namespace:
        raise NotUnderstoodError("must say its namespace", at)
    snapshot = setting.all_.snapshot
    ports = which == "destination"
    return calico_services.is_behind(snapshot, namespace, name, party, here, ports=ports)


def _domains(
    given: dict[str, Any],
    path: Path,
    rule: dict[str, Any],
    which: str,
    party: Party,
    here: Approach,
) -> Match:
    """Return whether the destination is a domain of one of several names.

    Only an egress rule that allows may name domains, and only as its destination.

    Source: docs.tigera.io, domain-based policy (Calico Enterprise, Calico Cloud).
    """
    at = (*path, "domains")
    names = tuple(
        calico_objects.read_domain(entry, (*at, index))
        for index, entry in enumerate(schema.items(given["domains"], at))
    )
    if not names:
        return YES
    allowing = rule.get("action") == "Allow" and here.direction is Direction.EGRESS
    if which != "destination" or not allowing:
        raise NotUnderstoodError("is only valid for destinations of egress rules that allow", at)
    here.notes.add(ENTERPRISE)
    return certain(calico_ends.is_domain(party, names))
