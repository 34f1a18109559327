"""Calico's policies, staged or not, to the common form.

Authority: Calico `api/pkg/apis/projectcalico/v3/{networkpolicy,globalnetworkpolicy,
stagednetworkpolicy}.go`; `api/pkg/defaults/networkpolicy.go`; `libcalico-go/lib/validator/v3/
validator.go`; `felix/calc/policy_sorter.go`.
"""

import math
from functools import partial
from typing import Any, Final

import msgspec

from ringfence.dialects import Context
from ringfence.dialects import _calico_labels as labels
from ringfence.dialects import _calico_tiers as tiers
from ringfence.dialects._calico_entity import Scope
from ringfence.dialects._calico_rules import SECTIONS, rules
from ringfence.dialects._shared import Malformed, Reader, fields, items, one_of, text
from ringfence.model.document import Document, Path
from ringfence.model.kinds import group_of
from ringfence.model.profile import older_than
from ringfence.model.rule import NOBODY, Direction, LabelPeer, Policy, Rule, Tier, Unreadable
from ringfence.model.selector import LabelAnd, LabelExpression
from ringfence.model.tiers import CALICO_DEFAULT
from ringfence.yaml_text import type_text

STORED: Final = "crd.projectcalico.org"
STAGED: Final = {
    "StagedNetworkPolicy": "NetworkPolicy",
    "StagedGlobalNetworkPolicy": "GlobalNetworkPolicy",
}
AT_ACTION: Final[Path] = ("spec", "stagedAction")
STAGED_ACTIONS: Final = ("Set", "Delete", "Learn", "Ignore")
EVERYWHERE: Final = (
    *("tier", "order", "selector", "types", "ingress", "egress"),
    *("serviceAccountSelector", "performanceHints"),
)
CLUSTER: Final = ("namespaceSelector", "doNotTrack", "preDNAT", "applyOnForward")
HINTS: Final = ("AssumeNeededOnEveryNode",)


def parse(index: int, document: Document, context: Context) -> list[Policy]:
    """Return a policy in common form; none for a staged one that would enforce nothing."""
    reader = Reader()
    staged = document.kind in STAGED
    kind = STAGED.get(document.kind, document.kind)
    of_cluster = kind == "GlobalNetworkPolicy"
    namespace = "" if of_cluster else document.namespace
    known = (*EVERYWHERE, *CLUSTER * of_cluster, *("stagedAction",) * staged)
    reader.read(lambda: fields(document.body, (), tiers.TOP), {})
    spec = reader.read(lambda: spec_of(document), None)
    if spec is None:
        tier = CALICO_DEFAULT
        parts = reader, tier
        return [_policy(index, document, *parts, subject=None, forward=of_cluster, staged=staged)]
    reader.read(lambda: fields(document.body.get("spec") or {}, ("spec",), known), {})
    chosen = reader.read(lambda: labels.subject(spec, namespace), None)
    name = reader.read(lambda: tier_name(spec), tiers.DEFAULT)
    tier = reader.read(lambda: _tier(name, document, context), CALICO_DEFAULT)
    order = reader.read(lambda: tiers.number(spec.get("order"), ("spec", "order")), None)
    isolates = reader.read(lambda: _isolates(spec, document), ())
    reader.read(lambda: _hints(spec.get("performanceHints")), None)
    # What cannot be read of the last, perhaps is so.
    flags = {
        flag: bool(reader.read(partial(_flag, spec, flag), flag == CLUSTER[-1]))
        for flag in CLUSTER[1:]
        if of_cluster
    }
    found, idle = _all_rules(spec, isolates, Scope(context, namespace), reader)
    sound = of_cluster and reader.read(lambda: _check(spec, flags), otherwise=False)
    if sound and (flags["doNotTrack"] or flags["preDNAT"]):
        start = tiers.UNTRACKED if flags["doNotTrack"] else tiers.PRE_DNAT
        tier = tiers.early(tier, start, context)
        isolates = ()
        chosen = None if chosen is None else LabelAnd((chosen, labels.GLOBAL))
    policy = _policy(
        index,
        document,
        reader,
        tier,
        subject=chosen,
        order=math.inf if order is None else order,
        tie=tiers.tie(kind, namespace, document.name, name, context.profile),
        isolates=isolates,
        isolation_path=("spec", "types") if spec.get("types") else ("spec",),
        rules=found,
        forward=flags.get("applyOnForward", False),
        staged=staged,
    )
    told = [_telling(policy, idle)] if idle else []
    return [*(_as_planned(policy, spec, reader) if staged else [policy]), *told]


def _telling(policy: Policy, unreadable: tuple[Unreadable, ...]) -> Policy:
    """Return what tells of unreadable parts that have no effect anyway: it is for nobody."""
    return msgspec.structs.replace(policy, subject=NOBODY, rules=(), unreadable=unreadable)


def _policy(
    index: int,
    document: Document,
    reader: Reader,
    tier: Tier,
    *,
    subject: LabelExpression | None,
    staged: bool,
    order: float = math.inf,
    tie: str = "",
    isolates: tuple[Direction, ...] = (),
    isolation_path: Path = ("spec",),
    rules: tuple[Rule, ...] = (),
    forward: bool = False,
) -> Policy:
    return Policy(
        document=index,
        kind=document.title,
        namespace=document.namespace,
        name=document.name,
        tier=tier,
        order=order,
        tie=tie,
        subject=None if subject is None else LabelPeer(subject),
        isolates=isolates,
        isolation_path=isolation_path,
        rules=rules,
        forward=forward,
        staged=staged,
        unreadable=tuple(reader.unreadable),
    )


def spec_of(document: Document) -> dict[str, Any]:
    """Return a policy's spec; one that is missing says nothing.

    Raises:
        Malformed: not a map.
    """
    spec = document.body.get("spec")
    if spec is None:
        return {}
    if not isinstance(spec, dict):
        raise Malformed(f"expected a map, found {type_text(spec)}", ("spec",))
    return {key: value for key, value in spec.items() if value is not None}


def tier_name(spec: dict[str, Any]) -> str:
    """Return the name of a policy's tier.

    Raises:
        Malformed: not a text.
    """
    return text(spec.get("tier", ""), ("spec", "tier")) or tiers.DEFAULT


def _tier(name: str, document: Document, context: Context) -> Tier:
    found = tiers.find(name, context, ("spec", "tier"))
    prefixed = document.name.startswith(f"{name}.")
    if name != tiers.DEFAULT and not prefixed and older_than(context.profile.version, 3, 32):
        raise Malformed(
            f"before 3.32 the name of a policy of this tier begins with `{name}.`", ("metadata",)
        )
    return found


def _isolates(spec: dict[str, Any], document: Document) -> tuple[Direction, ...]:
    """Return the directions that a policy is for.

    Source: defaults/networkpolicy.go defaultPolicyTypesField; where an object was stored without
    that default, policy_sorter.go ExtractPolicyMetadata: both.
    """
    listed = [
        one_of(value, path, ("Ingress", "Egress"))
        for path, value in items(spec.get("types"), ("spec", "types"))
    ]
    if len(set(listed)) < len(listed):
        raise Malformed("a type stands here twice", ("spec", "types"))
    if listed:
        return tuple(d for name, d in SECTIONS if name.capitalize() in listed)
    if group_of(document.api_version) == STORED:
        return (Direction.INGRESS, Direction.EGRESS)
    if not items(spec.get("egress"), ("spec", "egress")):
        return (Direction.INGRESS,)
    if not items(spec.get("ingress"), ("spec", "ingress")):
        return (Direction.EGRESS,)
    return (Direction.INGRESS, Direction.EGRESS)


def _hints(value: Any) -> None:  # noqa: ANN401
    """Check the hints; they change nothing."""
    for path, hint in items(value, ("spec", "performanceHints")):
        one_of(hint, path, HINTS)


def _flag(spec: dict[str, Any], name: str) -> bool:
    value = spec.get(name, False)
    if not isinstance(value, bool):
        raise Malformed(f"expected true or false, found {type_text(value)}", ("spec", name))
    return value


def _all_rules(
    spec: dict[str, Any], isolates: tuple[Direction, ...], scope: Scope, reader: Reader
) -> tuple[tuple[Rule, ...], tuple[Unreadable, ...]]:
    """Return the rules of the directions that the policy is for, and what is wrong with others."""
    found: list[Rule] = []
    idle: list[Unreadable] = []
    for section, direction in SECTIONS:
        at: Path = ("spec", section)
        listed = reader.read(partial(items, spec.get(section), at), [])
        for path, value in listed:
            said = rules(value, path, direction, scope)
            if direction in isolates:
                found += said
            else:
                idle += [r.unreadable for r in said[:1] if r.unreadable]
    return tuple(found), tuple(idle)


def _check(spec: dict[str, Any], flags: dict[str, bool]) -> bool:
    """Return that flags go together.

    Raises:
        Malformed: they do not.
    Source: validator.go validateGlobalNetworkPolicySpec.
    """
    if flags["doNotTrack"] and flags["preDNAT"]:
        raise Malformed("doNotTrack and preDNAT do not go together", ("spec", "preDNAT"))
    if flags["preDNAT"]:
        if spec.get("egress"):
            raise Malformed("preDNAT is for ingress alone", ("spec", "egress"))
        types = spec.get("types")
        if isinstance(types, list) and "Egress" in types:
            raise Malformed("preDNAT is for ingress alone", ("spec", "types"))
    for flag in ("doNotTrack", "preDNAT"):
        if flags[flag] and not flags["applyOnForward"]:
            raise Malformed(f"{flag} needs applyOnForward", ("spec", flag))
    return True


def staged_action(spec: dict[str, Any]) -> str:
    """Return what a staged policy would do.

    Raises:
        Malformed: no such action.
    """
    named = spec.get("stagedAction")
    return one_of("Set" if named in (None, "") else named, AT_ACTION, STAGED_ACTIONS)


def _as_planned(policy: Policy, spec: dict[str, Any], reader: Reader) -> list[Policy]:
    """Return a staged policy that would be set, or of which something is unreadable."""
    action = reader.read(lambda: staged_action(spec), "Set")
    if action == "Delete":
        reader.read(lambda: only_named(spec, ("stagedAction", "tier")), None)
    return planned(policy, action, tuple(reader.unreadable))


def only_named(spec: dict[str, Any], named: tuple[str, ...]) -> None:
    """Check that a staged policy that would delete says nothing else.

    Raises:
        Malformed: it does.
    Source: validator.go validateStagedNetworkPolicy.
    """
    for key, value in spec.items():
        if key not in named and value not in ("", [], {}, False):
            raise Malformed("a stagedAction of Delete says nothing else", ("spec", key))


def planned(policy: Policy, action: str, unreadable: tuple[Unreadable, ...]) -> list[Policy]:
    """Return a staged policy that would be set; of another what tells that it is unreadable."""
    planned_one = msgspec.structs.replace(policy, unreadable=unreadable, staged=True)
    if action == "Set":
        return [planned_one]
    in_rules = tuple(dict.fromkeys(r.unreadable for r in policy.rules if r.unreadable))
    told = (*unreadable, *in_rules)
    return [_telling(planned_one, told)] if told else []
