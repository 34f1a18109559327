"""The smallest change that would allow a connection: proposed, made, and judged anew.

It is written in the language of the policy that denies: into that policy where it is meant for
the workload, else as a new one beside it.
"""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import yaml

from ringfence.engine.steps import PolicyTrace, RuleTrace, SideTrace
from ringfence.layer7.names import matches
from ringfence.model.connection import Connection, DomainEnd, End, PodEnd
from ringfence.model.document import Document, Path, path_text
from ringfence.model.explanation import Change
from ringfence.model.kinds import group_of
from ringfence.model.profile import Cni
from ringfence.model.rule import Action, DomainPeer
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence
from ringfence.questions.proposed_rules import (
    Rule,
    Wanted,
    calico_rule,
    calico_selector,
    cilium_dns_rule,
    cilium_rule,
    cluster_rule,
    lasting_labels,
    network_policy_rule,
)
from ringfence.questions.provisos import looked_above_the_port

KUBERNETES: Final = "networking.k8s.io"
CLUSTER: Final = "policy.networking.k8s.io"
CILIUM: Final = "cilium.io"
CALICO: Final = ("projectcalico.org", "crd.projectcalico.org")
EVERYONE: Final = ("", "all()")
"""Selectors of Calico's that pick out nobody in particular."""
DENY_STANDS: Final = (
    "{} denies, and no rule that is added can allow what it denies: narrow that rule"
)
ENTERPRISE: Final = " (domain names: Calico Enterprise and Cloud only)"


class Denied(msgspec.Struct, frozen=True):
    """One side of a connection that is denied, or needs a rule for another reason."""

    side: SideTrace
    subject: End
    other: End
    connection: Connection


class Proposals:
    """Collects changes, and makes them in a copy of the documents."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Begin with the documents as they are."""
        self._snapshot = snapshot
        self.documents = list(snapshot.documents)
        self.changes: list[Change] = []
        self.hints: list[str] = []
        """Why no change can be proposed."""

    def add(self, denied: Denied) -> bool:
        """Propose what allows one side; return False where nothing can be said.

        Adds to `changes` in the order in which they are to be made, or else to `hints`.

        Args:
            denied: the side, and the connection that it denies.

        Source: Cilium `Documentation/security/dns.rst` for names, which match only once a DNS rule
        has had Cilium learn their addresses.
        """
        subject = denied.subject
        if not isinstance(subject, PodEnd):
            return False
        wanted = Wanted(
            self._snapshot,
            denied.side.direction,
            subject,
            denied.other,
            denied.connection,
            looked_above_the_port(denied.side),
        )
        if isinstance(denied.other, DomainEnd):
            for traced, rule in _waiting(denied.side, denied.other.name):
                # The name is allowed already, if only Cilium learnt its addresses.
                path = rule.compiled.rule.path[:-1]
                dns = cilium_dns_rule(denied.other.name)
                self.changes.append(self._insert(traced.policy.policy.document, path, dns, None))
                return True
        change = self._for_side(denied.side, wanted)
        if change is None:
            return False
        self.changes.append(change)
        if isinstance(denied.other, DomainEnd) and self._is_unlearned(denied.side, change):
            return self._learn(denied, wanted)
        return True

    # -- which policy --------------------------------------------------------------------------

    def _for_side(self, side: SideTrace, wanted: Wanted) -> Change | None:
        isolating = {e.object for e in side.evidence if e.rule == "isolation"}
        if isolating or any(e.rule == "always enforced" for e in side.evidence):
            found = [t for t in side.policies if t.policy.policy.ref in isolating]
            return self._allow(found, wanted)
        deciding = [e for e in side.evidence if e.action == "deny" and e.object]
        for traced in side.policies:
            for rule in traced.rules:
                if _is(rule, traced, deciding):
                    return self._against(traced, rule, wanted)
        return None

    def _against(self, traced: PolicyTrace, denying: RuleTrace, wanted: Wanted) -> Change | None:
        """Return what lets something pass a rule that denies it."""
        policy = traced.policy.policy
        document = self.documents[policy.document]
        group, path = group_of(document.api_version), denying.compiled.rule.path
        if denying.compiled.action is Action.ALLOW:
            # A proxy refuses what no rule that it enforces allows.
            return self._allow([traced], wanted)
        if group == CILIUM:
            self.hints.append(DENY_STANDS.format(f"{policy.ref} {_short(path)}"))
            return None
        rule: Rule | None
        if group in CALICO:
            rule = calico_rule(wanted, clusterwide=not document.namespace)
        else:
            rule = cluster_rule(wanted, policy.kind)
        index = path[-1]
        if rule is None or not isinstance(index, int):
            return None
        return self._insert(policy.document, (*path[:-1],), rule, index)

    def _allow(self, isolating: Sequence[PolicyTrace], wanted: Wanted) -> Change | None:
        """Return a rule for the narrowest of the policies that isolate, or a policy beside them."""
        narrow = [t for t in isolating if _is_narrow(self.documents[t.policy.policy.document], t)]
        for traced in sorted(narrow, key=lambda t: t.policy.subjects.bit_count()):
            policy = traced.policy.policy
            document = self.documents[policy.document]
            rule = self._rule(document, wanted)
            if rule is not None:
                path = _root(policy.isolation_path)
                return self._insert(policy.document, (*path, wanted.direction.value), rule, None)
        groups = [self.documents[t.policy.policy.document].api_version for t in isolating] or [
            f"{KUBERNETES}/v1"
        ]
        if isinstance(wanted.other, DomainEnd) and self._snapshot.profile.cni is Cni.CILIUM:
            groups = [f"{CILIUM}/v2"]
        for api_version in dict.fromkeys(groups):
            tiers = {
                t.policy.policy.tier.name
                for t in isolating
                if self.documents[t.policy.policy.document].api_version == api_version
            }
            found = self._new_policy(api_version, wanted, min(tiers, default=""))
            if found is not None:
                return found
        return None

    @staticmethod
    def _rule(document: Document, wanted: Wanted) -> Rule | None:
        group = group_of(document.api_version)
        if group == CILIUM:
            return cilium_rule(wanted, clusterwide=not document.namespace)
        if group in CALICO:
            return calico_rule(wanted, clusterwide=not document.namespace)
        return network_policy_rule(wanted) if group == KUBERNETES else None

    # -- making it -----------------------------------------------------------------------------

    def _insert(self, number: int, path: Path, rule: Rule, before: int | None) -> Change:
        """Add a rule to a document, at the end or before another."""
        document = self.documents[number]
        body = copy.deepcopy(document.body)
        holder: Any = body
        for part in path[:-1]:
            holder = holder[part]
        key = path[-1]
        rules = holder.get(key) or []
        position = len(rules) if before is None else before
        holder[key] = [*rules[:position], rule, *rules[position:]]
        types = holder.get("types")
        self.documents[number] = msgspec.structs.replace(document, body=body, lines=())
        written = self._snapshot.documents
        at = (written[number] if number < len(written) else document).location_of(path)
        where = "" if before is None else f" before {key}[{before}]"
        if isinstance(types, list) and str(key).capitalize() not in types:
            where += f", and {str(key).capitalize()} to its types"
            holder["types"] = [*types, str(key).capitalize()]
        return Change(
            f"add to {path_text(path)} of {document.ref}{where}{_edition(rule)}",
            document.ref,
            yaml.safe_dump([rule], sort_keys=False),
            at.file,
            at.line,
        )

    def _new_policy(self, api_version: str, wanted: Wanted, tier: str) -> Change | None:
        """Return a policy of one rule, in a language that is like the others'."""
        workload, direction = wanted.workload, wanted.direction
        labels = lasting_labels(workload, wanted.identity(wanted.subject))
        name = f"{workload.name}-{direction.value}"
        group = group_of(api_version)
        spec: Rule
        if group == CILIUM:
            rule = cilium_rule(wanted, clusterwide=False)
            kind, spec = "CiliumNetworkPolicy", {"endpointSelector": {"matchLabels": labels}}
        elif group in CALICO:
            rule = calico_rule(wanted, clusterwide=False)
            kind, spec = "NetworkPolicy", {"selector": calico_selector(labels)}
            if tier not in {"", "default"}:
                name, spec = f"{tier}.{name}", {"tier": tier, **spec}
            spec = {**spec, "types": [direction.value.capitalize()]}
        else:
            rule, api_version = network_policy_rule(wanted), f"{KUBERNETES}/v1"
            kind, spec = "NetworkPolicy", {"podSelector": {"matchLabels": labels}}
            spec = {**spec, "policyTypes": [direction.value.capitalize()]}
        if rule is None:
            return None
        body = {
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"name": name, "namespace": workload.namespace},
            "spec": {**spec, direction.value: [rule]},
        }
        document = Document(api_version, kind, workload.namespace, name, body, "proposed")
        self.documents.append(document)
        return Change(
            f"create {document.ref}{_edition(rule)}",
            document.ref,
            yaml.safe_dump(body, sort_keys=False),
        )

    # -- names ---------------------------------------------------------------------------------

    def _is_unlearned(self, side: SideTrace, change: Change) -> bool:
        """Return whether a rule for a name would need another one to have any effect."""
        if self._snapshot.profile.cni is not Cni.CILIUM or "toFQDNs" not in change.manifest:
            return False
        return not any(r.compiled.teaches_names for p in side.policies for r in p.rules)

    def _learn(self, denied: Denied, wanted: Wanted) -> bool:
        """Propose the DNS rule from which Cilium learns the addresses of a name."""
        assert isinstance(denied.other, DomainEnd)  # noqa: S101 - asked for nothing else
        number, path = self._changed(wanted)
        if number is None:
            return False
        rule = cilium_dns_rule(denied.other.name)
        self.changes.append(self._insert(number, path, rule, None))
        return True

    def _changed(self, wanted: Wanted) -> tuple[int | None, Path]:
        """Return the document that the last change was made in, and where its rules are."""
        name = self.changes[-1].object
        for number, document in enumerate(self.documents):
            if document.ref == name:
                root: Path = ("spec",) if "spec" in document.body else ("specs", 0)
                return number, (*root, wanted.direction.value)
        return None, ()


def _waiting(side: SideTrace, name: str) -> Iterator[tuple[PolicyTrace, RuleTrace]]:
    """Yield the rules that mean a name, and match only once its addresses are learnt."""
    for traced in side.policies:
        for rule in traced.rules:
            named = (p for p in rule.compiled.rule.peers or () if isinstance(p, DomainPeer))
            if (
                rule.unlearned
                and rule.traffic
                and rule.own
                and rule.compiled.action is Action.ALLOW
                and any(matches(peer.pattern, name) for peer in named)
            ):
                yield traced, rule


def _is(rule: RuleTrace, traced: PolicyTrace, deciding: Sequence[Evidence]) -> bool:
    """Return whether evidence speaks of a rule."""
    name = _short(rule.compiled.rule.path)
    return any((e.object, e.rule) == (traced.policy.policy.ref, name) for e in deciding)


def _short(path: Path) -> str:
    return path_text(path).removeprefix("spec.")


def _root(path: Path) -> Path:
    """Return where the spec is in which a path leads."""
    return path[:2] if path and path[0] == "specs" else path[:1]


def _edition(rule: Rule) -> str:
    return ENTERPRISE if "domains" in rule.get("destination", {}) else ""


def _is_narrow(document: Document, traced: PolicyTrace) -> bool:
    """Return whether a policy selects pods by their labels, unlike a namespace's default deny."""
    spec: Any = document.body
    for part in _root(traced.policy.policy.isolation_path):
        spec = spec[part]
    group = group_of(document.api_version)
    if group in CALICO:
        known = document.kind.removeprefix("Staged") in {"NetworkPolicy", "GlobalNetworkPolicy"}
        return known and spec.get("selector", "") not in EVERYONE
    selector = spec.get("podSelector" if group == KUBERNETES else "endpointSelector")
    return isinstance(selector, dict) and any(selector.values())
