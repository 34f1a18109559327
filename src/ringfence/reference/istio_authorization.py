"""AuthorizationPolicies together: CUSTOM, then DENY, then ALLOW; what is allowed where none is.

Source: istio/api `security/v1beta1/authorization_policy.proto`; Istio
`pilot/pkg/security/authz/builder/builder.go`; ztunnel `src/state.rs` (assert_rbac).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from dataclasses import replace as copied
from itertools import product
from typing import Any

from msgspec.structs import replace

from ringfence.model.document import Document, path_text
from ringfence.model.rule import Chain, Direction
from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference import istio_envoy, istio_ztunnel
from ringfence.reference.findings import Side
from ringfence.reference.istio_envoy import Facts
from ringfence.reference.istio_objects import config, mesh_evidence
from ringfence.reference.istio_policies import Given, Policy, is_for_ztunnel
from ringfence.reference.istio_rules import Rule
from ringfence.reference.istio_witnesses import witnesses
from ringfence.reference.mesh_flow import Flow
from ringfence.reference.outcome import Degree, Match, not_understood, perhaps
from ringfence.reference.schema import NotUnderstoodError

PROVIDER = "the provider `{}` decides (CUSTOM)"
EMPTY_SELECTOR = "what a selector without labels selects for a ztunnel is not known"
CHAINS = "the Services in front of the pod do not agree on what port {} speaks"
Unread = tuple[tuple[Document, NotUnderstoodError], ...]
Meets = Callable[[Rule, str, bool], Match]
"""Whether a rule of a policy in a namespace matches; the last says whether it allows."""


@dataclass(frozen=True)
class Answer:
    """The verdict on one concrete request."""

    verdict: Verdict
    evidence: tuple[Evidence, ...]
    because: tuple[str, ...] = ()


def by_ztunnel(flow: Flow, given: Given) -> Side:
    """Return what the destination's ztunnel says: it knows of ALLOW and DENY alone."""
    policies = [policy for policy in given.policies if is_for_ztunnel(policy)]
    doubtful = [policy for policy in policies if policy.labels == {}]
    policies = [policy for policy in policies if policy.labels != {}]
    why = NotUnderstoodError(EMPTY_SELECTOR, ("spec", "selector"))
    unread = (*given.unread, *((policy.document, why) for policy in doubtful))

    def meets(rule: Rule, namespace: str, allows: bool) -> Match:  # noqa: FBT001
        return istio_ztunnel.meets(rule, flow, namespace, allows=allows)

    found = _decide(policies, meets, flow, unread)
    return Side(found.verdict, found.evidence, found.because)


def by_envoy(
    flow: Flow,
    given: Given,
    chains: set[Chain],
    ports: set[int],
    *,
    at_waypoint: bool = False,
) -> Side:
    """Return what a proxy of Envoy says of all that the question may mean.

    Where some of that is allowed and some denied, the answer is an allow within limits. Where it is
    not known how the port is read, each way is tried.

    Args:
        flow: the connection.
        given: the policies that the proxy is given.
        chains: how the port may be read.
        ports: what `ports` may be compared with.
        at_waypoint: whether a waypoint judges, not the destination's own proxy.
    """
    sides = [
        _of_chain(flow, given, chain, port, at_waypoint=at_waypoint)
        for chain, port in product(sorted(chains), sorted(ports))
    ]
    if len(sides) == 1 or _agree(flow, given, chains, ports, at_waypoint=at_waypoint):
        return sides[0]
    evidence = tuple(dict.fromkeys(piece for side in sides for piece in side.evidence))
    return Side(Verdict.UNKNOWN, evidence, (CHAINS.format(flow.port),))


def _agree(
    flow: Flow, given: Given, chains: set[Chain], ports: set[int], *, at_waypoint: bool
) -> bool:
    """Return whether all ways to read a port say the same: of HTTP, and of what is none."""
    asked = flow.request
    kinds = (True, False) if asked.http is None else (asked.http,)
    for http in kinds:
        request = replace(flow.connection.request, http=http)
        here = copied(flow, connection=replace(flow.connection, request=request))
        sides = [
            _of_chain(here, given, chain, port, at_waypoint=at_waypoint)
            for chain, port in product(sorted(chains), sorted(ports))
        ]
        if len({(side.verdict, bool(side.limits)) for side in sides}) > 1:
            return False
    return True


def _of_chain(flow: Flow, given: Given, chain: Chain, port: int, *, at_waypoint: bool) -> Side:
    """Return what is said of all that the question may mean at a port that is read in one way."""
    # Also what is only tried counts as asking another provider (builder.go buildHTTP).
    several = len({policy.provider for policy in given.policies if policy.action == "CUSTOM"}) > 1
    enforced = [
        policy for policy in given.policies if not policy.dry_run and policy.action != "AUDIT"
    ]
    answers: list[Answer] = []
    for facts in witnesses(flow, flow.request, chain, port, enforced, at_waypoint=at_waypoint):

        def meets(rule: Rule, namespace: str, allows: bool, facts: Facts = facts) -> Match:  # noqa: FBT001
            return istio_envoy.meets(rule, facts, namespace, allows=allows)

        answers.append(_decide(enforced, meets, flow, given.unread, several=several))
    verdicts = {answer.verdict for answer in answers}
    if verdicts == {Verdict.ALLOW, Verdict.DENY}:
        allowed = [answer for answer in answers if answer.verdict is Verdict.ALLOW]
        evidence = _once(allowed)
        return Side(Verdict.ALLOW, evidence, (), _limits(enforced, answers))
    because = tuple(dict.fromkeys(why for answer in answers for why in answer.because))
    verdict = verdicts.pop() if len(verdicts) == 1 else Verdict.UNKNOWN
    return Side(verdict, _once(answers), because if verdict is Verdict.UNKNOWN else ())


def _once(answers: list[Answer]) -> tuple[Evidence, ...]:
    return tuple(dict.fromkeys(piece for answer in answers for piece in answer.evidence))


def _limits(policies: list[Policy], answers: list[Answer]) -> tuple[dict[str, Any], ...]:
    """Return what an allow is limited to, told by the rules that some requests meet."""
    met = {(piece.object, piece.rule) for answer in answers for piece in answer.evidence}
    found = []
    for policy in policies:
        for rule, path in zip(policy.rules, policy.paths, strict=True):
            if not isinstance(rule, Rule) or (policy.document.ref, path_text(path[1:])) not in met:
                continue
            for operation in rule.operations or ((),):
                said = {
                    one.kind: list(one.values) or {"not": list(one.not_values)}
                    for one in (*operation, *rule.conditions)
                    if one.kind in istio_envoy.HTTP_ONLY
                }
                if said:
                    found.append({"http": said} if policy.action == "ALLOW" else {"not": said})
    return tuple(found) or ({"http": {}},)


def _decide(
    policies: list[Policy],
    meets: Meets,
    flow: Flow,
    unread: Unread,
    *,
    several: bool = False,
) -> Answer:
    """Return the verdict on one request: CUSTOM, DENY, ALLOW, in this order.

    Any match of a DENY denies. Where there is no ALLOW policy the rest is allowed, else what one of
    their rules matches: also where none has a rule, or all of them were left out. What a policy
    would do that was not understood nobody knows, but that it lifts no refusal.

    Args:
        policies: those that are enforced.
        meets: whether a rule matches.
        flow: the connection.
        unread: policies that may apply and were not understood.
        several: whether CUSTOM policies ask more than one provider.
    """
    refused, refusals = _refusal(policies, meets, flow, several=several)
    if refused is Verdict.DENY:
        return Answer(Verdict.DENY, refusals[0], ())
    if unread:
        pieces = tuple(
            mesh_evidence(document, Direction.INGRESS, "unknown", path_text(error.path), error.path)
            for document, error in unread
        )
        reasons = tuple(not_understood(document, error) for document, error in unread)
        return Answer(Verdict.UNKNOWN, pieces, reasons)
    allowing = [policy for policy in policies if policy.action == "ALLOW"]
    matched = list(_matches(allowing, meets))
    sure = [piece for match, piece in matched if match.degree is Degree.YES]
    unsure = [(match, piece) for match, piece in matched if match.degree is Degree.PERHAPS]
    evidence: tuple[Evidence, ...]
    why: tuple[str, ...]
    if sure:
        allowed, evidence, why = Verdict.ALLOW, tuple(sure[:1]), ()
    elif not allowing:
        default = Evidence("mesh", Direction.INGRESS.value, "allow", None, "default")
        allowed, evidence, why = Verdict.ALLOW, (default,), ()
    elif unsure:
        allowed, evidence = Verdict.UNKNOWN, tuple(piece for _, piece in unsure)
        why = tuple(reason for match, _ in unsure for reason in match.because)
    else:
        evidence = tuple(
            mesh_evidence(policy.document, Direction.INGRESS, "deny", "isolation", ("spec",))
            for policy in allowing
        )
        return Answer(Verdict.DENY, evidence)
    if refused is Verdict.UNKNOWN:
        return Answer(Verdict.UNKNOWN, refusals[0] + evidence, refusals[1] + why)
    return Answer(allowed, evidence, why)


def _refusal(
    policies: list[Policy], meets: Meets, flow: Flow, *, several: bool
) -> tuple[Verdict, tuple[tuple[Evidence, ...], tuple[str, ...]]]:
    """Return whether CUSTOM or DENY policies refuse a request, and what does so or why it may.

    A CUSTOM policy asks a provider about what it matches; one that the mesh does not have, or more
    than one for a workload, is a refusal.

    Source: builder.go buildHTTP, getBadCustomDenyRules.
    """
    mesh = config(flow.snapshot)
    custom = [policy for policy in policies if policy.action == "CUSTOM"]
    pieces: list[Evidence] = []
    because: list[str] = []
    for policy in custom:
        bad = several or bool(mesh.source and policy.provider not in mesh.providers)
        for match, piece in _matches([policy], meets):
            if match.degree is Degree.YES and bad:
                return Verdict.DENY, ((replace(piece, action="deny"),), ())
            pieces.append(replace(piece, action="unknown"))
            because += match.because or (PROVIDER.format(policy.provider),)
    denying = [policy for policy in policies if policy.action == "DENY"]
    for match, piece in _matches(denying, meets):
        if match.degree is Degree.YES:
            return Verdict.DENY, ((piece,), ())
        pieces.append(piece)
        because += match.because
    found = tuple(pieces), tuple(because)
    return (Verdict.UNKNOWN if pieces else Verdict.ALLOW), found


def _matches(policies: list[Policy], meets: Meets) -> Iterable[tuple[Match, Evidence]]:
    """Yield each rule that matches, or perhaps does, with the evidence of it."""
    for policy in policies:
        allows = policy.action == "ALLOW"
        for rule, path in zip(policy.rules, policy.paths, strict=True):
            word = "allow" if allows else "deny"
            if isinstance(rule, Rule):
                match = meets(rule, policy.document.namespace, allows)
            else:
                match, word = perhaps(not_understood(policy.document, rule)), "unknown"
            if match.degree is not Degree.NO:
                text = path_text(path[1:])
                yield match, mesh_evidence(policy.document, Direction.INGRESS, word, text, path)
