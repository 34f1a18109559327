"""Whether a connection between two ends is over mTLS of their mesh."""

from ringfence.model.mesh import DataPlane, IstioConfig
from ringfence.model.rule import Direction
from ringfence.reference import istio_client_tls, istio_peer_authentication
from ringfence.reference.istio_peer_authentication import Mode
from ringfence.reference.mesh_flow import Flow, in_istio, in_linkerd, takes

YES = (True,)
NO = (False,)
EITHER = (True, False)
Possible = tuple[tuple[bool, ...], tuple[str, ...]]
"""The answers that are possible, and why there is more than one."""


def possible_mtls(flow: Flow) -> Possible:
    """Return whether a connection is over mTLS; both where that cannot be told.

    It never is where the destination's proxy does not take it. Else the question decides, where it
    says so; else it is where the proxies of both ends take it and are of one mesh; in Istio the
    client's must also mean to, and the server's must not refuse.

    Source: linkerd2 `controller/api/destination`; for Istio `_between_proxies_of_istio`.
    """
    if not takes(flow.server, flow.connection, Direction.INGRESS):
        return NO, ()
    if flow.request.mtls is not None:
        return (flow.request.mtls,), ()
    if not takes(flow.client, flow.connection, Direction.EGRESS):
        return NO, ()
    if in_linkerd(flow.client) and in_linkerd(flow.server):
        return YES, ()
    if in_istio(flow.client) and in_istio(flow.server):
        return _between_proxies_of_istio(flow)
    return NO, ()


def _between_proxies_of_istio(flow: Flow) -> Possible:
    """Return whether two ends in Istio speak mTLS.

    A ztunnel always does, and so does a waypoint. A sidecar does so only to what it knows as an
    endpoint of a Service: what is sent to a pod's own address goes through the passthrough cluster,
    as it is. A DestinationRule says how; where none does, it is mTLS unless the server's mode is
    DISABLE.

    Source: Istio `pilot/pkg/networking/core/cluster_tls.go` (buildUpstreamClusterTLSContext,
    autoMTLS), `pilot/pkg/xds/endpoints/mtls_checker.go`, `cluster.go` (PassthroughCluster).
    """
    server = istio_peer_authentication.mode(flow)
    client = flow.client
    if client is not None and client.data_plane is DataPlane.SIDECAR and not client.waypoint:
        if flow.service is None:
            return NO, ()
        said = istio_client_tls.mode(flow, flow.service)
        if said.because:
            return EITHER, said.because
        if said.mode:
            return (YES if said.mode == "ISTIO_MUTUAL" else NO), ()
        if not (flow.snapshot.mesh.istio or IstioConfig()).auto_mtls:
            return NO, ()
    if server.unread:
        return EITHER, server.because
    refused = {one.mode is Mode.DISABLE for one in server.said}
    if len(refused) > 1:
        return EITHER, server.because
    return (NO if True in refused else YES), ()
