"""How the kinds of policy come together: by CNI profile, in tiers, the first decision final.

Source: network-policy-api `npeps/npep-285-combine-crds.md`, ClusterNetworkPolicySpec.tier; KNP
`pkg/networkpolicy/engine.go`; for the profiles NPA `site-src/implementations.md`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path, path_text
from ringfence.model.profile import Cni, Profile
from ringfence.model.verdict import Evidence
from ringfence.reference.ends import Approach
from ringfence.reference.outcome import (
    NOTHING,
    Degree,
    Match,
    Outcome,
    Possible,
    Selected,
    evidence,
    not_understood,
    perhaps,
)
from ringfence.reference.schema import NotUnderstoodError

NETWORK_POLICY = "NetworkPolicy"
CLUSTER = "ClusterNetworkPolicy"
ADMIN = "AdminNetworkPolicy"
BASELINE = "BaselineAdminNetworkPolicy"

_UNDECIDED = (Outcome.PASS, Outcome.NONE)


def enforced_kinds(profile: Profile) -> frozenset[str]:
    """Return the kinds of policy that a profile enforces.

    Calico replaced the forerunners by ClusterNetworkPolicy in 3.32. Cilium knows it since 1.20
    and heeds it only where `enable-k8s-cluster-network-policy` is on; it is named here also where
    it is not known whether it is.

    Source: NPA `site-src/implementations.md`; Cilium `pkg/defaults/defaults.go`.
    """
    match profile.cni:
        case Cni.NONE:
            return frozenset()
        case Cni.GENERIC:
            return frozenset({NETWORK_POLICY, CLUSTER, ADMIN, BASELINE})
        case Cni.OVN_KUBERNETES | Cni.ANTREA:
            return frozenset({NETWORK_POLICY, ADMIN, BASELINE})
        case Cni.CALICO:
            if _is_before(profile.version, (3, 32)):
                return frozenset({NETWORK_POLICY, ADMIN, BASELINE})
            return frozenset({NETWORK_POLICY, CLUSTER})
        case Cni.CILIUM:
            off = profile.cluster_network_policy is False
            if off or _is_before(profile.version, (1, 20)):
                return frozenset({NETWORK_POLICY})
            return frozenset({NETWORK_POLICY, CLUSTER})


def _is_before(version: str, other: tuple[int, int]) -> bool:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return found is not None and (int(found[1]), int(found[2])) < other


def decide(policies: list[Selected], here: Approach) -> list[Possible]:
    """Return every outcome that is possible for one direction: allow, deny, or both.

    1. The tier Admin. 2. If a NetworkPolicy isolates the pod in this direction, the union of
    their rules. 3. The tier Baseline, and after it the forerunner's baseline. 4. Allow. Each of
    them only where what stands before it did not decide, or passed.

    Source: NPA ClusterNetworkPolicySpec.tier ("Policy tiers are evaluated in the following
    order"); v1alpha1 AdminNetworkPolicySpec.
    """

    def of(kind: str, *, baseline: bool = False) -> list[Selected]:
        return [p for p in policies if p.document.kind == kind and p.baseline == baseline]

    tiers: list[Callable[[], list[Possible]]] = [
        lambda: by_priority(of(ADMIN) + of(CLUSTER), here),
        lambda: _union(of(NETWORK_POLICY), here),
        lambda: by_priority(of(CLUSTER, baseline=True), here),
        lambda: by_priority(of(BASELINE), here),
    ]
    decided: list[Possible] = []
    passed: list[Possible] = []
    for tier in tiers:
        found = tier()
        decided += [one for one in found if one.outcome not in _UNDECIDED]
        passed += [one for one in found if one.outcome is Outcome.PASS]
        if not any(one.outcome in _UNDECIDED for one in found):
            break
    else:
        default = Evidence("network", here.direction.value, "allow", None, "default")
        decided.append(Possible(Outcome.ALLOW, (default,)))
    skipped = tuple(piece for one in passed for piece in one.evidence)
    reasons = tuple(reason for one in passed for reason in one.because)
    return [Possible(one.outcome, skipped + one.evidence, reasons + one.because) for one in decided]


def _union(policies: list[Selected], here: Approach) -> list[Possible]:
    """Return what the NetworkPolicies say: no order, no deny, any rule of any policy allows.

    Source: networking/v1 NetworkPolicySpec.ingress: allowed if nothing selects the pod, or if the
    traffic matches at least one rule across all policies that do.
    """
    isolating = [policy for policy in policies if here.direction in policy.isolates]
    if not isolating:
        return [NOTHING]
    isolated = tuple(isolation(policy.document, here, "deny") for policy in isolating)
    if here.protocol is Protocol.ICMP and here.cni is Cni.GENERIC:
        # NetworkPolicy speaks of TCP, UDP and SCTP; the rest it leaves to the implementation.
        because = ("NetworkPolicy leaves it open whether it governs ICMP",)
        undefined = tuple(isolation(policy.document, here, "unknown") for policy in isolating)
        return [
            Possible(Outcome.ALLOW, undefined, because),
            Possible(Outcome.DENY, undefined, because),
        ]
    found: list[Possible] = []
    for policy in isolating:
        for one in walk(policy, here):
            if one.outcome is Outcome.ALLOW and not one.because:
                return [one]
            if one.outcome is Outcome.ALLOW:
                found.append(one)
    return [*found, Possible(Outcome.DENY, isolated)]


def by_priority(policies: list[Selected], here: Approach) -> list[Possible]:
    """Return what the policies of a tier say, lower priority first; the first match decides.

    Which of several policies of the same priority decides is left to the implementation: Calico
    goes by name; of the others nothing can be said, so that any of their answers is possible.

    Source: NPA ClusterNetworkPolicySpec.priority; Calico `felix/calc/policy_sorter.go`.
    """
    key: Callable[[Selected], tuple[int, str]]
    key = _priority_and_name if here.cni is Cni.CALICO else _priority_alone
    found: list[Possible] = []
    for _, group in groupby(sorted(policies, key=key), key=key):
        answers = [walk(policy, here) for policy in group]
        merged = _any_answer(answers)
        found += [one for one in merged if one.outcome is not Outcome.NONE]
        if all(one.outcome is not Outcome.NONE for one in merged):
            return found
    return [*found, NOTHING]


def _priority_and_name(policy: Selected) -> tuple[int, str]:
    return policy.priority, policy.document.name


def _priority_alone(policy: Selected) -> tuple[int, str]:
    return policy.priority, ""


def _any_answer(answers: list[list[Possible]]) -> list[Possible]:
    """Return the answers of policies among which the implementation may choose.

    Those in which nothing matches are no choice; nothing comes of the group only if nothing
    comes of any of it.
    """
    found = [one for answer in answers for one in answer if one.outcome is not Outcome.NONE]
    silent = all(any(one.outcome is Outcome.NONE for one in answer) for answer in answers)
    rivals = [{one.outcome for one in answer} - {Outcome.NONE} for answer in answers]
    if any(a and b and len(a | b) > 1 for i, a in enumerate(rivals) for b in rivals[:i]):
        names = sorted({piece.object or "" for one in found for piece in one.evidence})
        because = f"{' and '.join(f'`{name}`' for name in names)} have the same priority"
        found = [Possible(one.outcome, one.evidence, (*one.because, because)) for one in found]
    return found + ([NOTHING] if silent else [])


def walk(policy: Selected, here: Approach) -> list[Possible]:
    """Return what one policy may do: its rules in the order written, the first match decides.

    A rule that matches only perhaps may decide, and what follows it may as well. One that is not
    understood perhaps matches, whatever the peer and the traffic.

    Source: NPA ClusterNetworkPolicySpec.ingress ("determined by the order in which the rule is
    written").
    """
    found: list[Possible] = []
    for _, match, possible in meet(policy, here):
        found += possible
        if match.degree is Degree.YES:
            return found
    return [*found, NOTHING]


def meet(policy: Selected, here: Approach) -> Iterator[tuple[Any, Match, list[Possible]]]:
    """Yield each rule of a policy that matches, raw, with whether it does and what it may do."""
    for index, rule in enumerate(policy.sections[here.direction]):
        at: Path = ("spec", here.direction.value, index)
        try:
            match, outcome = policy.read_rule(rule, at, here)
            outcomes: Iterable[Outcome] = (outcome,)
            action = outcome.value
        except NotUnderstoodError as error:
            match = perhaps(not_understood(policy.document, error))
            outcomes = policy.possible_actions(rule)
            action = "unknown"
        if match.degree is Degree.NO:
            continue
        piece = evidence(policy.document, here.direction, action, path_text(at[1:]), at)
        yield rule, match, [Possible(one, (piece,), match.because) for one in outcomes]


def isolation(document: Document, here: Approach, action: str) -> Evidence:
    """Return evidence that a NetworkPolicy isolates what it selects."""
    return evidence(document, here.direction, action, "isolation", ("spec", "policyTypes"))
