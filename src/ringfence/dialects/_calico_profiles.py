"""Calico's profiles: what applies where no tier has decided.

Every namespace has one, `kns.NAMESPACE`, that allows everything, and every service account one,
`ksa.NAMESPACE.NAME`, that allows nothing of its own; an object of such a name replaces it.

Authority: Calico `api/pkg/apis/projectcalico/v3/profile.go`; `felix/rules/endpoints.go`;
`libcalico-go/lib/backend/k8s/conversion/conversion.go` NamespaceToProfile,
ServiceAccountToProfile; `felix/calc/active_rules_calculator.go`.
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ringfence.dialects import Context
from ringfence.dialects import _calico_labels as labels
from ringfence.dialects._calico_entity import Scope
from ringfence.dialects._calico_metadata import (
    label_map,
    namespace_labels,
    namespaces_by_name,
)
from ringfence.dialects._calico_rules import SECTIONS, rules
from ringfence.dialects._calico_tiers import TOP
from ringfence.dialects._shared import Malformed, fields, items, spec_given
from ringfence.model.cluster import HostEndpoint
from ringfence.model.document import Document, Path
from ringfence.model.label_space import (
    CALICO_HOST_ENDPOINT,
    CALICO_NAMESPACE,
    CALICO_NAMESPACE_PREFIX,
    CALICO_ORCHESTRATOR,
    CALICO_SERVICE_ACCOUNT,
    CALICO_SERVICE_ACCOUNT_PREFIX,
)
from ringfence.model.rule import Action, Direction, LabelPeer, Policy, Rule, Unreadable
from ringfence.model.selector import LabelAnd, LabelExpression
from ringfence.model.tiers import CALICO_PROFILES

KIND: Final = "Profile"
BOTH: Final = (Direction.INGRESS, Direction.EGRESS)
NAMESPACE: Final = "kns."
SERVICE_ACCOUNT: Final = "ksa."
ALLOWS_ALL: Final = "projectcalico-default-allow"
"""Built in; the host endpoints that Calico makes by itself have it."""
ABSENT: Final = "its profile `{name}` is not in the input"
LABELS: Final = "labelsToApply"
AT_LABELS: Final[Path] = ("spec", LABELS)

Carrier = tuple[HostEndpoint, Sequence[str]]
"""A host endpoint, and the names of its profiles in their order."""


def parse(
    index: int, document: Document, context: Context, carriers: Sequence[Carrier]
) -> list[Policy]:
    """Return one policy per host endpoint that has the profile, and one for pods that do."""
    found = _content(document, context)
    whom: list[tuple[LabelExpression, int]] = [
        (host_endpoint(carrier), names.index(document.name))
        for carrier, names in carriers
        if document.name in names
    ]
    policies = [_policy(index, document, subject, order, found) for subject, order in whom]
    pods = _pods(document.name, context)
    unreadable = _labels_apart(document, context)
    if pods is not None and (unreadable or not _as_built_in(document.name, found)):
        policies.append(_policy(index, document, *pods, found, unreadable))
    return policies


def host_endpoint(found: HostEndpoint) -> LabelExpression:
    """Return the expression that means one host endpoint alone."""
    return labels.one_of(CALICO_HOST_ENDPOINT, found.name)


def _pods(name: str, context: Context) -> tuple[LabelExpression, int] | None:
    """Return the pods that have a profile, and its place among theirs.

    A service account's matters only behind a namespace's that is given: the one that is built in
    leaves nothing undecided.
    """
    if name.startswith(NAMESPACE):
        return _in_namespace(name.removeprefix(NAMESPACE)), 0
    namespace, dot, account = name.removeprefix(SERVICE_ACCOUNT).partition(".")
    if not (name.startswith(SERVICE_ACCOUNT) and dot):
        return None
    if NAMESPACE + namespace not in context.once(by_name):
        return None
    mine = labels.one_of(CALICO_SERVICE_ACCOUNT, account)
    return LabelAnd((_in_namespace(namespace), mine)), 1


def _as_built_in(name: str, found: Sequence[Rule]) -> bool:
    """Return whether a profile says of pods what they have without any object.

    An API server of Calico lists all of these, thousands in a large cluster.
    """
    if name.startswith(SERVICE_ACCOUNT):
        return not found
    plain = [
        Rule(direction=d, action=Action.ALLOW, peers=None, traffic=None, path=("spec", d.value, 0))
        for d in BOTH
    ]
    return list(found) == plain


def _in_namespace(namespace: str) -> LabelAnd:
    return LabelAnd((labels.one_of(CALICO_NAMESPACE, namespace), labels.has(CALICO_ORCHESTRATOR)))


def _policy(
    index: int,
    document: Document,
    subject: LabelExpression,
    order: float,
    found: tuple[Rule, ...],
    unreadable: tuple[Unreadable, ...] = (),
) -> Policy:
    return Policy(
        document=index,
        kind=document.title,
        namespace=document.namespace,
        name=document.name,
        tier=CALICO_PROFILES,
        order=order,
        tie=document.name,
        subject=LabelPeer(subject),
        isolates=BOTH,
        rules=found,
        unreadable=unreadable,
    )


def _content(document: Document, context: Context) -> tuple[Rule, ...]:
    """Return a profile's rules; what passes there denies, since nothing comes after it.

    Where it is not known which rules it has, it perhaps allows and perhaps denies.
    """
    try:
        spec = _spec(document)
        label_map(spec.get(LABELS), AT_LABELS)
        found: list[Rule] = []
        for section, direction in SECTIONS:
            for path, value in items(spec.get(section), ("spec", section)):
                found += rules(value, path, direction, Scope(context, ""))
    except Malformed as malformed:
        why = malformed.unreadable
        return tuple(
            Rule(
                direction=direction,
                action=action,
                peers=None,
                traffic=None,
                path=why.path,
                unreadable=why,
            )
            for direction in BOTH
            for action in (Action.ALLOW, Action.DENY)
        )
    return tuple(
        msgspec.structs.replace(rule, action=Action.DENY) if rule.action is Action.PASS else rule
        for rule in found
    )


def _spec(document: Document) -> dict[str, Any]:
    fields(document.body, (), TOP)
    return fields(spec_given(document), ("spec",), ("ingress", "egress", LABELS))


def _labels_apart(document: Document, context: Context) -> tuple[Unreadable, ...]:
    """Return what adds a label that pods do not have anyway: what selects by it is not judged."""
    name = document.name
    if not name.startswith((NAMESPACE, SERVICE_ACCOUNT)):
        return ()
    try:
        added = _labels(document)
    except Malformed:
        return ()
    prefix = CALICO_NAMESPACE_PREFIX
    if name.startswith(SERVICE_ACCOUNT):
        prefix = CALICO_SERVICE_ACCOUNT_PREFIX
    own = name.removeprefix(NAMESPACE)
    namespace = context.once(namespaces_by_name).get(own)
    known = namespace is not None and not namespace.implicit
    expected = namespace_labels(own, context) if known and prefix != "pcsa." else added
    for key, value in added.items():
        if not key.startswith(prefix) or expected.get(key) != value:
            return (Unreadable(f"pods have no label `{key}` of this value", (*AT_LABELS, key)),)
    return ()


def inherited(names: Sequence[str], context: Context) -> dict[str, str]:
    """Return the labels that profiles add to a host endpoint; the first that names one wins.

    Raises:
        Malformed: they cannot be read.
    """
    found: dict[str, str] = {}
    for order, name in enumerate(names):
        given = context.once(by_name).get(name)
        added: dict[str, str] = {}
        if given is not None:
            try:
                added = _labels(given)
            except Malformed as malformed:
                why = f"the labels of its profile `{name}` are unreadable"
                raise Malformed(
                    f"{why} ({malformed.unreadable.reason})", ("spec", "profiles", order)
                ) from None
        elif namespace := _namespace_of(name, context):
            added = namespace_labels(namespace, context)
        found = added | found
    return found


def _namespace_of(profile: str, context: Context) -> str:
    """Return the namespace of which this is the profile; empty if there is none."""
    name = profile.removeprefix(NAMESPACE)
    return name if name != profile and name in context.once(namespaces_by_name) else ""


def _labels(document: Document) -> dict[str, str]:
    """Return the labels that a profile adds.

    Raises:
        Malformed: they cannot be read.
    """
    spec = spec_given(document)
    if not isinstance(spec, dict):
        raise Malformed("expected a map", ("spec",))
    return label_map(spec.get(LABELS), AT_LABELS)


def by_name(context: Context) -> dict[str, Document]:
    """Return the profiles that objects describe."""
    return {document.name: document for _, document in context.by_title.get(KIND, ())}


def implied(index: int, document: Document, carrier: Carrier, context: Context) -> list[Policy]:
    """Return what a host endpoint has of profiles that no object describes.

    One that is not in the input may be in the cluster, and perhaps allows.
    Source: active_rules_calculator.go DummyDropRules: where it is missing there, too, it denies.
    """
    found, names = carrier
    policies = []
    for order, name in enumerate(names):
        if name in context.once(by_name):
            continue
        path: Path = ("spec", "profiles", order)
        allows = name == ALLOWS_ALL or bool(_namespace_of(name, context))
        said = tuple(
            Rule(
                direction=direction,
                action=action,
                peers=None,
                traffic=None,
                path=path,
                uncertain="" if allows else ABSENT.format(name=name),
            )
            for direction in BOTH
            for action in ((Action.ALLOW,) if allows else (Action.ALLOW, Action.DENY))
        )
        policies.append(_policy(index, document, host_endpoint(found), order, said))
    return policies


def problems(context: Context) -> list[tuple[Document, Unreadable]]:
    """Return what is unreadable of the profiles, also of those that nothing has."""
    found = []
    for _, document in context.by_title.get(KIND, ()):
        parts = dict.fromkeys(rule.unreadable for rule in _content(document, context))
        found += [(document, part) for part in parts if part]
        found += [(document, part) for part in _labels_apart(document, context)]
    return found
