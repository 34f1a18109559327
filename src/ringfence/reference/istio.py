"""What Istio's proxies say of a connection that they take, at its source and at its destination.

Source: istio/api `security/v1beta1/authorization_policy.proto`; Istio
`pilot/pkg/networking/core/listener_builder.go` (the order of filters); ztunnel `src/state.rs`
(assert_rbac).
"""

from ringfence.model.cluster import Service
from ringfence.model.document import path_text
from ringfence.model.rule import Chain, Direction
from ringfence.model.verdict import Evidence, Verdict
from ringfence.reference import (
    istio_authorization,
    istio_egress,
    istio_peer_authentication,
    istio_policies,
)
from ringfence.reference.ends import OwnPod
from ringfence.reference.findings import Side
from ringfence.reference.istio_chains import chain_of, chains_of_pod, leads_to
from ringfence.reference.istio_objects import config, mesh_evidence
from ringfence.reference.istio_peer_authentication import Mode
from ringfence.reference.mesh_flow import Flow


def judge_egress(flow: Flow) -> Side:
    """Return what the proxy of the source lets out."""
    return istio_egress.judge(flow)


def judge_ingress(flow: Flow) -> Side:
    """Return what the destination's proxy lets in: its mode of mTLS, then who may do what."""
    blind = _blind_spots(flow)
    if blind is not None:
        return blind
    transport = _transport(flow)
    if transport.verdict is Verdict.DENY:
        return transport
    given = istio_policies.of_workload(flow)
    if istio_policies.at_ztunnel(flow):
        side = istio_authorization.by_ztunnel(flow, given)
    else:
        through = bool(flow.server and flow.server.waypoint)
        chains = chains_of_pod(flow)
        side = istio_authorization.by_envoy(flow, given, chains, {flow.port}, at_waypoint=through)
    return Side(
        transport.verdict & side.verdict,
        transport.evidence + side.evidence,
        transport.because + side.because,
        side.limits if transport.verdict is Verdict.ALLOW else (),
    )


def judge_waypoint(flow: Flow, service: Service) -> Side:
    """Return what the waypoint of a Service lets through to it.

    It reads what the Service's port says it is, and what it compares `ports` with is that port.

    Source: Istio `pilot/pkg/networking/core/listener_waypoint.go`.
    """
    pod = flow.destination
    ports = [
        port for port in service.ports if isinstance(pod, OwnPod) and leads_to(port, pod, flow.port)
    ]
    chains = {chain_of(port) for port in ports} or {Chain.DETECTED}
    numbers = {port.port for port in ports} or {flow.port}
    given = istio_policies.of_waypoint(flow, service)
    return istio_authorization.by_envoy(flow, given, chains, numbers, at_waypoint=True)


def _transport(flow: Flow) -> Side:
    """Return whether the port takes what comes: mTLS, or plaintext.

    Source: Istio `pilot/pkg/security/authn/policy_applier.go`; for a ztunnel
    `pilot/pkg/serviceregistry/ambient/authorization.go`.
    """
    found = istio_peer_authentication.mode(flow)
    if found.unread:
        pieces = tuple(
            mesh_evidence(document, Direction.INGRESS, "unknown", path_text(path), path)
            for document, path in found.unread
        )
        return Side(Verdict.UNKNOWN, pieces, found.because)
    refusing = [
        one
        for one in found.said
        if {Mode.STRICT: not flow.mtls, Mode.DISABLE: flow.mtls}.get(one.mode, False)
    ]
    if not refusing:
        return Side(Verdict.ALLOW)
    because = (*found.because, *(one.doubt for one in refusing if one.doubt))
    sure = len(refusing) == len(found.said) and not any(one.doubt for one in refusing)
    word = "deny" if sure else "unknown"
    evidence = tuple(
        mesh_evidence(one.document, Direction.INGRESS, word, path_text(one.path[1:]), one.path)
        for one in refusing
        if one.document is not None
    )
    return Side(Verdict.DENY, evidence) if sure else Side(Verdict.UNKNOWN, evidence, because)


def _blind_spots(flow: Flow) -> Side | None:
    """Return an unknown side where policies may exist that could not be read."""
    pod = flow.destination
    if not isinstance(pod, OwnPod):
        return None
    concerned = {pod.namespace, config(flow.snapshot).root_namespace}
    spots = [
        spot
        for spot in flow.snapshot.blind_spots
        if (spot.namespace is None and spot.spared != pod.namespace) or spot.namespace in concerned
    ]
    if not spots:
        return None
    pieces = tuple(
        Evidence(
            "mesh",
            Direction.INGRESS.value,
            "unknown",
            None,
            "unread",
            spot.location.file,
            spot.location.line,
        )
        for spot in spots
    )
    because = tuple(f"{spot.location}: {spot.because}" for spot in spots)
    return Side(Verdict.UNKNOWN, pieces, because)
