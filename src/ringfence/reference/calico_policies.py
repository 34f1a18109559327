"""Which of Calico's policies select a subject, and where in the order of all they stand.

Source: Calico `api/pkg/apis/projectcalico/v3` (V3), `api/pkg/defaults/networkpolicy.go` (DEF),
`libcalico-go/lib/validator/v3/validator.go` (VAL), `libcalico-go/lib/backend/syncersv1/
updateprocessors` (UPDATE), `libcalico-go/lib/backend/k8s/conversion` (CONV), `felix/calc/
policy_sorter.go` (SORT).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ringfence.model import label_space, tiers
from ringfence.model.document import Document, Path
from ringfence.model.kinds import group_of
from ringfence.model.profile import Cni, Profile, older_than
from ringfence.model.rule import Direction, Tier
from ringfence.reference import (
    admin_network_policy,
    calico_ends,
    calico_objects,
    calico_rules,
    calico_selectors,
    calico_tiers,
    cluster_network_policy,
    network_policy,
    schema,
)
from ringfence.reference.calico_ends import Known
from ringfence.reference.calico_objects import HostEndpoint
from ringfence.reference.calico_rules import Read, Setting
from ringfence.reference.calico_selectors import Selector
from ringfence.reference.composition import ADMIN, BASELINE, CLUSTER
from ringfence.reference.ends import Approach, OwnPod
from ringfence.reference.outcome import Selected
from ringfence.reference.schema import NotUnderstoodError

Subject = OwnPod | HostEndpoint
RuleReader = Callable[[Any, Path, Approach], Read]

_NAMESPACED = (
    "tier", "order", "ingress", "egress", "selector", "types", "serviceAccountSelector",
    "performanceHints", "stagedAction",
)  # fmt: skip
_GLOBAL = (*_NAMESPACED, "doNotTrack", "preDNAT", "applyOnForward", "namespaceSelector")
_TYPES = {"Ingress": Direction.INGRESS, "Egress": Direction.EGRESS}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A document with rules, and how they are to be read."""

    document: Document
    read: RuleReader
    possible: Callable[[Any], tuple[str, ...]] = calico_rules.possible_actions
    """What a rule can do that is not understood."""


@dataclass(frozen=True, kw_only=True)
class Standing(Rules):
    """A policy that selects the subject, and where it stands."""

    tier: Tier
    order: float
    tie: str
    """Orders policies of equal order."""
    directions: frozenset[Direction]
    """Those in which it applies to the subject."""
    sections: Mapping[Direction, list[Any]]
    types_path: Path = ("spec", "types")
    untracked: bool = False
    pre_dnat: bool = False
    on_forward: bool = False


def place(policy: Standing) -> tuple[float, str, float, str]:
    """Return where a policy stands: by its tier, in it by its order, then by its name.

    Source: SORT TierLess, PolKVLess.
    """
    return policy.tier.order, policy.tier.name, policy.order, policy.tie


def select(document: Document, subject: Subject, all_: Known) -> Standing | None:
    """Return a policy of any kind if it selects the subject.

    Raises:
        NotUnderstoodError: whether it does, or where it stands, cannot be told.
    """
    if group_of(document.api_version) in calico_objects.GROUPS:
        if document.kind.endswith("KubernetesNetworkPolicy"):
            return _staged_kubernetes(document, subject, all_.snapshot.profile)
        return _own(document, subject, all_)
    if not isinstance(subject, OwnPod):
        return None
    return _kubernetes(document, subject, all_.snapshot.profile)


# -- Calico's own --------------------------------------------------------------------------------


def _own(document: Document, subject: Subject, all_: Known) -> Standing | None:
    """Return a NetworkPolicy or GlobalNetworkPolicy of Calico if it selects the subject.

    The first selects what its selectors select in its own namespace. Without selectors for
    namespaces and accounts the second selects also host endpoints.

    Source: V3 NetworkPolicySpec, GlobalNetworkPolicySpec; UPDATE networkpolicyprocessor.go,
    globalnetworkpolicyprocessor.go.
    """
    is_global = document.kind.endswith("GlobalNetworkPolicy")
    if not is_global and not (
        isinstance(subject, OwnPod) and subject.namespace == document.namespace
    ):
        return None
    spec, at = calico_objects.spec_of(document, needed=False), ("spec",)
    selects = _subject(spec, at, is_global=is_global)
    if isinstance(subject, OwnPod):
        labels = calico_ends.pod_labels(all_.snapshot, subject)
    elif subject.labels is None or subject.unreadable:
        raise NotUnderstoodError(f"whether it selects: {subject.unreadable}", (*at, "selector"))
    else:
        labels = dict(subject.labels)
    if not selects(labels):
        return None
    if is_global and isinstance(subject, OwnPod) and _is_early(spec):
        # It is for host endpoints alone: a workload has no raw or mangle chains.
        return None
    given = schema.fields(spec, at, _GLOBAL if is_global else _NAMESPACED)
    flags = {name: _flag(given, at, name) for name in ("doNotTrack", "preDNAT", "applyOnForward")}
    sections = {way: schema.items(given.get(way.value), (*at, way.value)) for way in Direction}
    stored = group_of(document.api_version) == "crd.projectcalico.org"
    directions = _directions(given.get("types"), (*at, "types"), sections, stored=stored)
    _check_flags(flags, at, sections, given.get("types"))
    if flags["preDNAT"]:
        directions = frozenset({Direction.INGRESS})
    setting = Setting(all_, "" if is_global else document.namespace)
    kind = document.kind.removeprefix("Staged")
    return Standing(
        document=document,
        tier=calico_tiers.tier_of(given.get("tier"), (*at, "tier"), document, all_.snapshot),
        order=calico_tiers.read_order(given.get("order"), (*at, "order")),
        tie=_tie(document, kind, given.get("tier") or "default", all_.snapshot.profile),
        directions=directions,
        sections=sections,
        read=lambda value, path, here: calico_rules.read(value, path, here, setting),
        untracked=flags["doNotTrack"],
        pre_dnat=flags["preDNAT"],
        on_forward=flags["applyOnForward"],
    )


def _subject(spec: dict[str, Any], at: Path, *, is_global: bool) -> Selector:
    """Return what a policy's selectors select, its namespace aside: all of them must.

    Where a global policy has a selector for namespaces, `all()` in its selectors means what is in
    a namespace; where it has one for accounts, what has one.

    Source: UPDATE prefixAndAppendSelector; convertGlobalNetworkPolicyV2ToV1Value.
    """
    names = ("selector", "serviceAccountSelector", *(("namespaceSelector",) if is_global else ()))
    texts = {
        name: schema.text(spec[name] if spec.get(name) is not None else "", (*at, name))
        for name in names
    }
    everything = ""
    if is_global and texts["serviceAccountSelector"]:
        everything = label_space.CALICO_SERVICE_ACCOUNT
    if is_global and texts["namespaceSelector"]:
        everything = label_space.CALICO_NAMESPACE
    prefixes = {
        "selector": "",
        "serviceAccountSelector": label_space.CALICO_SERVICE_ACCOUNT_PREFIX,
        "namespaceSelector": label_space.CALICO_NAMESPACE_PREFIX,
    }
    parts = [
        calico_selectors.read(text, (*at, name), prefix=prefixes[name], everything=everything)
        for name, text in texts.items()
        if text
    ]
    return calico_selectors.both(parts)


def _directions(
    value: Any,  # noqa: ANN401
    path: Path,
    sections: dict[Direction, list[Any]],
    *,
    stored: bool,
) -> frozenset[Direction]:
    """Return the directions in which a policy applies.

    Without `types`: egress alone if there are only egress rules, both if there are rules of both,
    else ingress. Objects that were written in the stored form went past these defaults, and are
    then read as both.

    Source: DEF; SORT ExtractPolicyMetadata ("no Types means Ingress and Egress").
    """
    listed = schema.items(value, path, 2)
    found = [_TYPES[schema.choice(e, (*path, i), _TYPES)] for i, e in enumerate(listed)]
    if len(set(found)) < len(found):
        raise NotUnderstoodError("a type is listed twice", path)
    if found:
        return frozenset(found)
    if stored:
        return frozenset(Direction)
    with_rules = {way for way, rules in sections.items() if rules}
    return frozenset(with_rules or {Direction.INGRESS})


def _flag(given: dict[str, Any], at: Path, name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise NotUnderstoodError("must be true or false", (*at, name))
    return value


def _is_early(spec: dict[str, Any]) -> bool:
    """Return whether a policy is, and may be, untracked or pre-DNAT."""
    flags = [spec.get(name) is True for name in ("doNotTrack", "preDNAT")]
    types = spec.get("types")
    out = bool(spec.get("egress")) or (isinstance(types, list) and "Egress" in types)
    if spec.get("applyOnForward") is not True or all(flags):
        return False
    return flags[0] or (flags[1] and not out)


def _check_flags(
    flags: dict[str, bool],
    at: Path,
    sections: dict[Direction, list[Any]],
    types: Any,  # noqa: ANN401
) -> None:
    """Hold what must hold of doNotTrack, preDNAT and applyOnForward together.

    Source: VAL validateGlobalNetworkPolicySpec.
    """
    if flags["doNotTrack"] and flags["preDNAT"]:
        raise NotUnderstoodError("excludes doNotTrack", (*at, "preDNAT"))
    if (flags["doNotTrack"] or flags["preDNAT"]) and not flags["applyOnForward"]:
        raise NotUnderstoodError("must be true with doNotTrack or preDNAT", (*at, "applyOnForward"))
    if flags["preDNAT"] and (sections[Direction.EGRESS] or "Egress" in (types or ())):
        raise NotUnderstoodError("is of ingress alone", (*at, "preDNAT"))


def _tie(document: Document, kind: str, tier: str, profile: Profile) -> str:
    """Return what orders policies of equal order: name, namespace and kind, or as it was once.

    Before 3.32 that was the name under which a policy was known to Felix: with its namespace and
    tier before it, those of Kubernetes with a prefix.

    Source: SORT PolKVLess; CONV K8sNetworkPolicyNamePrefix.
    """
    if not older_than(profile.version, 3, 32):
        return f"{document.name}/{document.namespace}/{kind}"
    prefix = "" if document.name.startswith(f"{tier}.") else f"{tier}."
    if kind == "KubernetesNetworkPolicy":
        prefix = "knp.default."
    elif kind.startswith("Kubernetes"):
        prefix = ""
    return "/".join(part for part in (document.namespace, prefix + document.name) if part)


def base_name(document: Document) -> str:
    """Return a policy's name without the `default.` that names in that tier once began with.

    Source: Calico `kube-controllers/pkg/controllers/networkpolicy/policymigrate.go`.
    """
    return document.name.removeprefix("default.")


# -- Kubernetes' own -----------------------------------------------------------------------------

_WORDS = {"allow": "Allow", "deny": "Deny", "pass": "Pass"}


def _kubernetes(document: Document, pod: OwnPod, profile: Profile) -> Standing | None:
    """Return a policy of Kubernetes in Calico's tiers, if it selects the pod.

    NetworkPolicies have order 1000 in the tier `default`; the others have their priority as
    order, in the tiers before and after it.

    Source: CONV K8sNetworkPolicyToCalico, clusternetworkpolicy.go.
    """
    fixed = calico_tiers.fixed_tiers(profile)
    first, middle, last = sorted(fixed.values())
    if document.kind == CLUSTER:
        found = cluster_network_policy.select(document, pod)
        tier = last if found and found.baseline else first
    elif document.kind == ADMIN:
        found, tier = admin_network_policy.select_admin(document, pod), first
    elif document.kind == BASELINE:
        found, tier = admin_network_policy.select_baseline(document, pod), last
    else:
        found, tier = network_policy.select(document, pod, profile.cni), middle
    return _standing(found, tier, profile) if found else None


def _standing(policy: Selected, tier: Tier, profile: Profile) -> Standing:
    document = policy.document
    union = tier.name == tiers.CALICO_DEFAULT.name
    order = tiers.CALICO_NETWORK_POLICY_ORDER if union else float(policy.priority)
    with_rules = frozenset(way for way, rules in policy.sections.items() if rules)

    def read(value: Any, path: Path, here: Approach) -> Read:  # noqa: ANN401
        match, outcome = policy.read_rule(value, path, here)
        return Read(match, _WORDS[outcome.value])

    def possible(value: Any) -> tuple[str, ...]:  # noqa: ANN401
        return tuple(_WORDS[outcome.value] for outcome in policy.possible_actions(value))

    return Standing(
        document=document,
        tier=tier,
        order=order,
        tie=_tie(document, f"Kubernetes{document.kind}", tier.name, profile),
        directions=policy.isolates if union else with_rules,
        sections=policy.sections,
        read=read,
        possible=possible,
        types_path=("spec", "policyTypes"),
    )


def _staged_kubernetes(document: Document, subject: Subject, profile: Profile) -> Standing | None:
    """Return a staged NetworkPolicy of Kubernetes as if it were enforced.

    Source: V3 stagedkubernetesnetworkpolicy.go ConvertStagedKubernetesPolicyToK8SEnforced.
    """
    if not isinstance(subject, OwnPod) or subject.namespace != document.namespace:
        return None
    spec = calico_objects.spec_of(document, needed=False)
    plain = {key: value for key, value in spec.items() if key != "stagedAction"}
    found = network_policy.select_by(plain, document, subject, Cni.CALICO)
    return _standing(found, tiers.CALICO_DEFAULT, profile) if found else None
