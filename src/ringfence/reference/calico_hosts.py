"""Host endpoints: what Calico says of a node's own traffic, and of what is forwarded through it.

Source: Calico `felix/rules/endpoints.go` (CHAIN), `felix/rules/static.go` (STATIC),
`felix/config/config_params.go` (CONFIG); docs.tigera.io "Host endpoint", "Apply on forwarded
traffic".
"""

from dataclasses import dataclass

from ringfence.model.cluster import Protocol
from ringfence.model.connection import NodeEnd, PodEnd
from ringfence.model.document import Document
from ringfence.model.rule import Direction
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference import (
    calico_chain,
    calico_objects,
    calico_rules,
    calico_staged,
    schema,
)
from ringfence.reference.calico_chain import Trail
from ringfence.reference.calico_ends import Known
from ringfence.reference.calico_objects import DEFAULT_ALLOW, HostEndpoint
from ringfence.reference.calico_policies import Rules, Standing
from ringfence.reference.calico_rules import Setting
from ringfence.reference.ends import Approach, Host, Outside, identity_of, node_name_of
from ringfence.reference.findings import Side, plain, unsettled
from ringfence.reference.outcome import (
    NOTHING,
    Outcome,
    Possible,
    evidence,
    not_understood,
    perhaps,
)
from ringfence.reference.schema import NotUnderstoodError

FAILSAFE = {
    Direction.INGRESS: (
        (Protocol.UDP, (68,)),
        (Protocol.TCP, (22, 179, 2379, 2380, 5473, 6443, 6666, 6667)),
    ),
    Direction.EGRESS: (
        (Protocol.UDP, (53, 67)),
        (Protocol.TCP, (179, 2379, 2380, 5473, 6443, 6666, 6667)),
    ),
}
"""Felix's defaults. Source: CONFIG FailsafeInboundHostPorts, FailsafeOutboundHostPorts."""

DEFAULTS = "the failsafe ports of host endpoints are taken to be the default ones"
BOTH_WAYS = "an untracked policy must also allow the replies, which are not judged here"
LOCAL = "policy of host endpoints is not for what stays on the node, which this may do"
OTHER_INTERFACE = "`{}` is one interface of the node: traffic may use another"
MAY_BE_FORWARDED = "`{}` denies what is forwarded through it, as this connection may be"


@dataclass(frozen=True)
class Found:
    """The policies that select one host endpoint."""

    host: HostEndpoint
    policies: tuple[Standing, ...]


def through_host(found: Found, here: Approach, all_: Known) -> Side:
    """Return what is said of a node's own traffic by the policies of one host endpoint.

    1. The failsafe ports. 2. Untracked policies, 3. pre-DNAT policies (ingress alone): a match is
    final, but nothing is dropped at the end of their tiers. 4. All other policies. 5. The host
    endpoint's profiles. 6. Deny.

    Source: CHAIN HostEndpointToRawChains, HostEndpointToMangleIngressChains,
    HostEndpointToFilterChains; STATIC failsafeInChain, failsafeOutChain.
    """
    trail = Trail()
    document = found.host.document
    for protocol, ports in FAILSAFE[here.direction]:
        if here.protocol is protocol and here.port in ports:
            here.notes.add(DEFAULTS)
            piece = evidence(document, here.direction, "allow", "failsafe", ("spec",))
            return Side(Verdict.ALLOW, (piece,))
    early = [p for p in found.policies if p.untracked]
    if early:
        here.notes.add(BOTH_WAYS)
    early_too = [p for p in found.policies if p.pre_dnat]
    later = [p for p in found.policies if not (p.untracked or p.pre_dnat)]
    if (
        calico_chain.through_tiers(early, here, trail, ends=False)
        and calico_chain.through_tiers(early_too, here, trail, ends=False)
        and calico_chain.through_tiers(later, here, trail, ends=True)
    ):
        piece = evidence(document, here.direction, "deny", "isolation", ("spec",))
        through_profiles(found.host.profiles, here, trail, all_, (piece,))
    return trail.side()


def through_profiles(
    names: tuple[str, ...],
    here: Approach,
    trail: Trail,
    all_: Known,
    nothing: tuple[Evidence, ...],
    allowing: tuple[str, ...] = (),
) -> None:
    """Note what profiles say, one after the other: the first match decides.

    What they do not allow is denied, and so is what a rule of theirs passes.

    Args:
        names: the profiles' names, in order.
        here: the connection.
        trail: where to note it.
        all_: what has labels; its snapshot has the profiles.
        nothing: evidence of a deny because nothing matches.
        allowing: the profiles that allow everything if no object says otherwise.

    Source: CHAIN endpointIptablesChain ("jump to each profile in turn"); CHECK; Calico
    `resources.DefaultAllowProfile`, conversion.go NamespaceToProfile.
    """
    documents = {one.name: one for one in calico_objects.of_title(all_.snapshot, "Profile")}
    of_namespaces = [f"kns.{one.name}" for one in all_.snapshot.namespaces]
    for name in names:
        document = documents.get(name)
        if document is None:
            if name in (DEFAULT_ALLOW, *allowing, *of_namespaces):
                found = [Possible(Outcome.ALLOW, plain(here.direction, "default").evidence)]
            else:
                because = f"the profile `{name}` is not in the input"
                found = _anything(because)
        else:
            rules = Rules(
                document=document,
                read=lambda value, path, at: calico_rules.read(value, path, at, Setting(all_, "")),
            )
            try:
                spec = calico_objects.spec_of(document, needed=False)
                schema.fields(spec, ("spec",), ("ingress", "egress", "labelsToApply"))
                section = ("spec", here.direction.value)
                listed = schema.items(spec.get(here.direction.value), section)
                found = calico_chain.through_rules(rules, listed, section, here, trail)
            except NotUnderstoodError as error:
                found = _anything(not_understood(document, error))
        denied = [
            Possible(Outcome.DENY, one.evidence, one.because)
            if one.outcome is Outcome.PASS
            else one
            for one in found
        ]
        if not calico_chain.settle(denied, trail):
            return
    trail.end(Outcome.DENY, nothing, ())


def _anything(because: str) -> list[Possible]:
    why = perhaps(because).because
    return [Possible(Outcome.ALLOW, (), why), Possible(Outcome.DENY, (), why), NOTHING]


# -- which host endpoint -------------------------------------------------------------------------


def of_node(host: Host, here: Approach, all_: Known) -> list[tuple[HostEndpoint | None, str]]:
    """Return the host endpoints that a node's traffic may go through, and why more than one may.

    The one whose addresses are those asked for; else one of the node's named interfaces, or else
    the one for every interface. None stands for none at all.

    Source: `felix/dataplane/linux/endpoint_mgr.go` resolveHostEndpoints; docs.tigera.io "Host
    endpoint" (traffic of other interfaces is ignored).
    """
    name = own_node(all_.snapshot, host, here)
    if not name:
        if not all_.hosts:
            return []
        why = f"the node of `{host.name}` is not known"
        return [(None, why), *((one, why) for one in all_.hosts)]
    mine = [one for one in all_.hosts if one.node in (name, "")]
    if not mine:
        return []
    every = [one for one in mine if one.every_interface]
    named = [one for one in mine if not one.every_interface]
    for one in named:
        if one.nets and _covers(one, host, here) and not one.unreadable:
            return [(one, "")]
    rest: list[tuple[HostEndpoint | None, str]]
    rest = [(one, OTHER_INTERFACE.format(one.document.ref)) for one in named]
    fallback: HostEndpoint | None = every[0] if every else None
    return [*rest, (fallback, OTHER_INTERFACE.format(named[0].document.ref) if named else "")]


def own_node(snapshot: Snapshot, host: Host, here: Approach) -> str:
    """Return the name of the node that a host is or runs on, also where no object has it."""
    if host.node is not None or here.connection is None:
        return host.node.name if host.node else ""
    ends = (here.connection.source, here.connection.destination)
    end = ends[0] if here.direction is Direction.EGRESS else ends[1]
    return node_name_of(snapshot, end)


def _covers(one: HostEndpoint, host: Host, here: Approach) -> bool:
    inside = {
        (int(net.network_address), int(net.broadcast_address))
        for net in one.nets
        if net.version == here.family
    }
    return bool(host.place) and all(
        any(low <= first and last <= high for low, high in inside) for first, last in host.place
    )


def policies_of(
    host: HostEndpoint, here: Approach, all_: Known, documents: list[Document]
) -> Found | Side:
    """Return the policies that select a host endpoint; unknown where that cannot be told."""
    if host.unreadable:
        piece = evidence(host.document, here.direction, "unknown", "spec", ("spec",))
        return unsettled([(piece, host.unreadable)])
    selected, blind = calico_staged.selecting(documents, host, here, all_)
    return unsettled(blind) if blind else Found(host, tuple(selected))


def merge(sides: list[Side], because: list[str]) -> Side:
    """Return what is said if any one of several answers may be the right one."""
    if len({side.verdict for side in sides}) == 1 and not any(side.limits for side in sides):
        return sides[0]
    if len(sides) == 1:
        return sides[0]
    pieces = tuple(dict.fromkeys(piece for side in sides for piece in side.evidence))
    reasons = (*because, *(why for side in sides for why in side.because))
    return Side(Verdict.UNKNOWN, pieces, tuple(dict.fromkeys(why for why in reasons if why)))


# -- what is forwarded ---------------------------------------------------------------------------


def forwarded(
    side: Side, snapshot: Snapshot, here: Approach, all_: Known, documents: list[Document]
) -> Side:
    """Return what is left of a pod's side behind the host endpoints of the pod's node.

    What comes to the node and goes on to the pod, or comes from the pod and leaves the node, goes
    through its host endpoints. Policies with `applyOnForward` are for that, in tiers as ever;
    without any that applies in the direction, all is forwarded. Whether a connection within the
    cluster is seen there at all depends on how it is routed: what would deny it is unknown then.

    Source: CHAIN HostEndpointToFilterChains (chainTypeForward); STATIC
    StaticFilterForwardChains; docs.tigera.io "Apply on forwarded traffic".
    """
    forwarding = [document for document in documents if _may_forward(document)]
    nodes = nodes_of(snapshot, here, all_)
    hosts = [one for one in all_.hosts if one.node in ("", *nodes)] if nodes else []
    if side.verdict is Verdict.DENY or not hosts or not forwarding:
        return side
    answers = []
    for one in hosts:
        found = policies_of(one, here, all_, forwarding)
        answers.append(found if isinstance(found, Side) else _forward(found, here))
    worst = [answer for answer in answers if answer.verdict is not Verdict.ALLOW or answer.limits]
    if not worst:
        return side
    certain = (
        len(answers) == 1
        and hosts[0].every_interface
        and isinstance(here.peer, Outside)
        and len(nodes) == 1
        and _is_placed(snapshot, here)
    )
    if certain and answers[0].verdict is Verdict.DENY:
        return answers[0]
    pieces = (*side.evidence, *(piece for answer in worst for piece in answer.evidence))
    names = [MAY_BE_FORWARDED.format(one.document.ref) for one in hosts]
    reasons = (*side.because, *(why for answer in worst for why in answer.because), *names)
    return Side(Verdict.UNKNOWN, tuple(dict.fromkeys(pieces)), tuple(dict.fromkeys(reasons)))


def _may_forward(document: Document) -> bool:
    """Return whether a policy says, as far as can be told, that it is for what is forwarded."""
    if not document.kind.endswith("GlobalNetworkPolicy"):
        return False
    spec = document.body.get("spec", {})
    return not isinstance(spec, dict) or spec.get("applyOnForward") not in (None, False)


def _is_placed(snapshot: Snapshot, here: Approach) -> bool:
    """Return whether it is known on which nodes the subject runs."""
    ends = (here.connection.source, here.connection.destination) if here.connection else ()
    return all(
        placed and "" not in placed
        for end in ends[:: 1 if here.direction is Direction.EGRESS else -1][:1]
        if isinstance(end, PodEnd)
        for placed in (_placements(snapshot, end),)
    )


def _forward(found: Found, here: Approach) -> Side:
    trail = Trail()
    early = [p for p in found.policies if p.untracked]
    before = [p for p in found.policies if p.pre_dnat]
    later = [p for p in found.policies if p.on_forward and not (p.untracked or p.pre_dnat)]
    if (
        calico_chain.through_tiers(early, here, trail, ends=False)
        and calico_chain.through_tiers(before, here, trail, ends=False)
        and calico_chain.through_tiers(later, here, trail, ends=True)
    ):
        trail.end(Outcome.ALLOW, (), ())
    side = trail.side()
    if before and side.verdict is not Verdict.ALLOW:
        # They see what the connection was before a Service's address was rewritten.
        return Side(Verdict.UNKNOWN, side.evidence, side.because)
    return side


def nodes_of(snapshot: Snapshot, here: Approach, all_: Known) -> set[str]:
    """Return the nodes that the subject, a pod, may run on while its peer does not."""
    connection = here.connection
    if connection is None:
        return set()
    ends = (connection.source, connection.destination)
    end, other = ends if here.direction is Direction.EGRESS else ends[::-1]
    if not isinstance(end, PodEnd):
        return set()
    nodes = _placements(snapshot, end) or {""}
    if "" in nodes:
        nodes = {one.node for one in all_.hosts}
    elsewhere: set[str] | None = None
    if isinstance(other, NodeEnd):
        elsewhere = {snapshot.nodes[other.node].name}
    elif isinstance(other, PodEnd):
        elsewhere = _placements(snapshot, other)
    if elsewhere and len(elsewhere) == 1 and "" not in elsewhere:
        nodes -= elsewhere
    return nodes


def _placements(snapshot: Snapshot, end: PodEnd) -> set[str]:
    pods = identity_of(snapshot, end).pods
    return {pod.node for pod in (pods if end.pod is None else (pods[end.pod],))}
