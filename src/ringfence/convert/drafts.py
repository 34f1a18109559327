"""Gathers rules into policies: those of one subject that come from one object stand together."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ringfence.convert.known import Known
from ringfence.convert.speak import Speaker
from ringfence.convert.speak_calico import ANYWHERE
from ringfence.convert.speak_calico import in_label_space as calico_literal
from ringfence.convert.speak_cilium import expression as cilium_expression
from ringfence.convert.speak_kubernetes import pod_peer, selector
from ringfence.convert.terms import Of, Pods, names, of
from ringfence.convert.told import Effect, Origin
from ringfence.dialects._write_calico import EARLY
from ringfence.model.proposal import ProposedPolicy, ProposedRule
from ringfence.model.rule import (
    NETWORK_POLICY,
    Direction,
    LabelPeer,
    Peer,
    PodPeer,
    Policy,
    Rule,
    Tier,
)
from ringfence.model.selector import EVERYTHING, LabelAnd

CLUSTER = "_cluster"
"""The folder of the policies of the cluster; no namespace has such a name."""


@dataclass
class Draft:
    """A policy that is to be written."""

    origin: Origin
    subject: Pods
    rules: list[tuple[Rule, Origin]] = field(default_factory=list)
    isolates: dict[Direction, None] = field(default_factory=dict)
    tier: Tier = NETWORK_POLICY
    order: float = 0
    suffix: str = ""


class Drafts:
    """Policies by the object that they come from and the pods that they select."""

    def __init__(self) -> None:
        """Begin without any."""
        self._found: dict[tuple[int, Pods, str], Draft] = {}

    def of(self, origin: Origin, subject: Pods, suffix: str = "") -> Draft:
        """Return the policy for a subject that comes from an object."""
        key = (origin.document, subject, suffix)
        if key not in self._found:
            self._found[key] = Draft(origin, subject, suffix=suffix)
        return self._found[key]

    def all(self) -> list[Draft]:
        """Return all of them, in the order in which they were asked for."""
        return list(self._found.values())


class Binder:
    """Makes policies of drafts, as one dialect selects their subjects."""

    def __init__(self, speaker: Speaker, known: Known, form: str) -> None:
        """Take the dialect: `kubernetes`, `calico`, `cilium` or `cluster-network-policy`.

        Drafts for the tier of NetworkPolicies become NetworkPolicies in the last one, too.
        """
        self._speaker = speaker
        self._known = known
        self._form = form
        self._names: set[tuple[str, str]] = set()

    def bind(self, drafts: Iterable[Draft]) -> list[ProposedPolicy]:
        """Return policies; those of the same object stand in one file."""
        said = (draft for draft in drafts if draft.rules or draft.isolates)
        return [policy for draft in said for policy in self._bind(draft)]

    def _bind(self, draft: Draft) -> list[ProposedPolicy]:
        found: list[ProposedPolicy] = []
        exact = all(map(self._speaker.can_say, draft.subject))
        for pods in self._speaker.sayable(draft.subject, draft.origin, cover=False):
            found += self._placed(draft, pods, draft.rules, draft.isolates)
        if not exact and draft.isolates:
            # Of what labels cannot tell apart, more is closed rather than less.
            for pods in self._known.describe(self._known.matching(draft.subject), cover=True):
                found += self._placed(draft, pods, (), draft.isolates)
        return found

    def _placed(
        self,
        draft: Draft,
        pods: Pods,
        rules: Sequence[tuple[Rule, Origin]],
        isolates: Iterable[Direction],
    ) -> list[ProposedPolicy]:
        form = self._form
        if form == "cluster-network-policy" and draft.tier == NETWORK_POLICY:
            form = "kubernetes"
        if form == "cluster-network-policy":
            return [self._policy(draft, "", pod_peer(pods), rules, isolates)]
        scope = of(pods, Of.NAMESPACE)
        named = names(pods)
        only_named = named is not None and len(scope) == 1
        if form == "kubernetes":
            places = named if only_named and named else self._known.namespaces_of(scope)
            if not only_named:
                what = "it is for namespaces by their labels, and a NetworkPolicy is for one"
                self._speaker.tell(
                    draft.origin, what, "one for each of the namespaces of now", Effect.TODAY
                )
            chosen = PodPeer(EVERYTHING, selector(of(pods, Of.POD)))
            return [self._policy(draft, n, chosen, rules, isolates) for n in places]
        namespace = named[0] if only_named and named and len(named) == 1 else ""
        subject: Peer
        if form == "calico":
            parts = tuple(map(calico_literal, sorted(pods)))
            subject = LabelPeer(LabelAnd(parts if scope else (ANYWHERE, *parts)))
        else:
            subject = LabelPeer(cilium_expression(pods))
        return [self._policy(draft, namespace, subject, rules, isolates)]

    def _policy(
        self,
        draft: Draft,
        namespace: str,
        subject: Peer,
        rules: Sequence[tuple[Rule, Origin]],
        isolates: Iterable[Direction],
    ) -> ProposedPolicy:
        name = self._name(namespace, draft)
        proposed = (ProposedRule(rule=rule, why=(origin.words,)) for rule, origin in rules)
        return ProposedPolicy(
            policy=Policy(
                document=0,
                kind="",
                namespace=namespace,
                name=name,
                tier=draft.tier,
                order=draft.order,
                subject=subject,
                isolates=tuple(d for d in Direction if d in set(isolates)),
            ),
            rules=tuple(proposed),
            subject=(f"{namespace}/{name}",),
            folder=namespace or CLUSTER,
            file=_plain(draft.origin.name),
            why=(f"Converted from {draft.origin.object} ({draft.origin.file}).",),
        )

    def _name(self, namespace: str, draft: Draft) -> str:
        base = _plain(draft.origin.name) + draft.suffix
        if draft.tier == EARLY:
            # Before 3.32 the name of a policy begins with that of its tier.
            base = f"{EARLY.name}.{base}"
        name, number = base, 1
        while (namespace, name) in self._names:
            number += 1
            name = f"{base}-{number}"
        self._names.add((namespace, name))
        return name


def _plain(name: str) -> str:
    """Return a name that any of the kinds may have."""
    kept = re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-")[:200]
    return kept or "policy"
