"""The mesh layer by Linkerd: what the proxy of the source lets out, that of the destination in.

- `linkerd_servers`: what decides about a port: a Server with its routes, or the defaults
- `linkerd_authorizations`, `linkerd_clients`: whom it lets in
- `linkerd_routes`, `linkerd_requests`: the routes, and which of them a request takes
- `linkerd_egress`: EgressNetworks
- `linkerd_trials`: one verdict from those on several requests and addresses
- `linkerd_objects`: what all of Linkerd's objects have in common

Source: linkerd.io "Authorization Policy", "EgressNetwork"; linkerd2 `policy-controller`;
linkerd2-proxy `linkerd/app/inbound/src/policy`.
"""

from collections.abc import Sequence

from ringfence.model.connection import PodEnd
from ringfence.model.rule import Direction
from ringfence.model.verdict import Verdict
from ringfence.reference import linkerd_egress, linkerd_requests, linkerd_servers
from ringfence.reference.ends import ASSUMED, OwnPod, identity_of, pod_of
from ringfence.reference.findings import Side
from ringfence.reference.linkerd_clients import LOCALHOST, Authorization, Client
from ringfence.reference.linkerd_objects import Scene
from ringfence.reference.linkerd_requests import Trial
from ringfence.reference.linkerd_servers import DETECTED, OPAQUE, TLS, Inbound, Pod, Unread
from ringfence.reference.linkerd_trials import (
    Decision,
    either,
    pieces_of,
    together,
    unsettled_by_blind_spots,
)
from ringfence.reference.mesh_flow import Flow
from ringfence.reference.outcome import Degree

REDIRECTED = "the proxy answers with a redirect, and where that leads to is not judged"


def judge_egress(flow: Flow) -> Side:
    """Return what the proxy of the source says."""
    scene = Scene(flow.snapshot, Direction.EGRESS.value, flow.notes)
    return linkerd_egress.judge(scene, flow)


def judge_ingress(flow: Flow) -> Side:
    """Return what the proxy of the destination says."""
    scene = Scene(flow.snapshot, Direction.INGRESS.value, flow.notes)
    end, member = flow.connection.destination, flow.server
    if not isinstance(end, PodEnd) or member is None:
        raise ValueError("only a pod in the mesh has a proxy")
    workload = flow.snapshot.workloads[end.workload]
    blind = unsettled_by_blind_spots(scene, workload.namespace)
    if blind is not None:
        return blind
    identity, one = identity_of(flow.snapshot, end), pod_of(flow.snapshot, end)
    # All labels, also those that a CNI leaves out of its identities.
    labels = {**dict(one.labels if one else ()), **identity.labels}
    pod = Pod(workload.namespace, labels, identity, member)
    inbound, unread = linkerd_servers.find(scene, pod, flow.port)
    if unread:
        pieces = tuple(found.evidence for found in unread)
        return Side(Verdict.UNKNOWN, pieces, tuple(found.because for found in unread))
    return _judge(scene, inbound, flow)


def _judge(scene: Scene, inbound: Inbound, flow: Flow) -> Side:
    """Return one verdict for all that the question may mean."""
    peer = flow.source
    ways = [inbound] if inbound.alone is None else [inbound, inbound.alone]
    authorizations = [
        authorization
        for way in ways
        for some in (way.authorizations, *(own for _, own in (*way.routes, *way.loose)))
        for authorization in some
    ]
    blocks = [block for one in authorizations for block in one.networks]
    told_apart = any(block.network.prefixlen and block not in LOCALHOST for block in blocks)
    if isinstance(peer, OwnPod) and peer.assumed and told_apart:
        flow.notes.add(ASSUMED)
    routes = [route for way in ways for route, _ in way.routes]
    trials = linkerd_requests.trials(routes, flow.request)
    if inbound.protocol in (OPAQUE, TLS):
        trials = [linkerd_requests.NOT_HTTP]
    clients = [
        Client(address, flow.mtls, flow.principal)
        for address in pieces_of(peer.place, flow.family, blocks)
    ]

    def decide(trial: Trial) -> list[Decision]:
        return [decided(scene, inbound, client, trial) for client in clients]

    return together(trials, decide, peer.why_unsure)


def decided(scene: Scene, inbound: Inbound, client: Client, trial: Trial) -> Decision:
    """Return what becomes of one request of one client, or of a connection that is no HTTP.

    What is opaque, TLS, or found to be no HTTP is let in by the authorizations of the Server
    alone. What is to be HTTP or gRPC and is not is refused. A request takes a route, and is let
    in by the route's authorizations or by the Server's (else 403); if it takes none it is not
    found (404).

    Source: linkerd2-proxy `linkerd/app/inbound/src/policy/tcp.rs` check_authorized,
    `policy/http.rs` authorize, `linkerd/proxy/server-policy/src/lib.rs` (mk_authorizations).
    """
    whole = inbound.authorizations
    if inbound.protocol in (OPAQUE, TLS) or (trial.sent is None and inbound.protocol == DETECTED):
        return admitted(whole, client, Decision(Verdict.DENY, (inbound.denied,)))
    if trial.sent is None:
        return Decision(Verdict.DENY, (inbound.denied,))
    taken = linkerd_requests.choose([route for route, _ in inbound.routes], trial.sent)
    if taken is None:
        missing = inbound.not_found or inbound.denied
        found = Decision(Verdict.DENY, (missing,))
    else:
        route, rule = taken
        own = next(own for other, own in inbound.routes if other is route)
        denied = inbound.denied
        if route.document is not None:
            denied = scene.piece(route.document, "deny", rule.place)
        found = admitted((*own, *whole), client, Decision(Verdict.DENY, (denied,)))
        if rule.redirects and found.verdict is not Verdict.DENY:
            found = Decision(Verdict.UNKNOWN, found.evidence, (REDIRECTED,))
    ways = [found, *(_by_loose(one, own, whole, client) for one, own in inbound.loose)]
    if inbound.alone is not None:
        ways.append(decided(scene, inbound.alone, client, trial))
    return either(ways, [unread for unread, _ in inbound.loose])


def _by_loose(
    unread: Unread,
    own: Sequence[Authorization],
    whole: Sequence[Authorization],
    client: Client,
) -> Decision:
    """Return what becomes of a request that takes a route of which it is not known what it says."""
    return admitted((*own, *whole), client, Decision(Verdict.DENY, (unread.evidence,)))


def admitted(
    authorizations: Sequence[Authorization], client: Client, otherwise: Decision
) -> Decision:
    """Return whether any authorization lets a client in."""
    found = [(one, one.admits(client)) for one in authorizations]
    for one, match in found:
        if match.degree is Degree.YES:
            return Decision(Verdict.ALLOW, (one.evidence,))
    doubtful = [(one, match) for one, match in found if match.degree is Degree.PERHAPS]
    if not doubtful:
        return otherwise
    return Decision(
        Verdict.UNKNOWN,
        (*(one.evidence for one, _ in doubtful), *otherwise.evidence),
        tuple(reason for _, match in doubtful for reason in match.because),
    )
