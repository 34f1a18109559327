"""Whether a connection between two ends is over mTLS of their mesh."""

from ringfence.model.mesh import DataPlane, IstioConfig
from ringfence.model.rule import Direction
from ringfence.reference import istio_client_tls, istio_egress, istio_peer_authentication
from ringfence.reference.istio_peer_authentication import Mode
from ringfence.reference.mesh_flow import Flow, in_istio, in_linkerd, takes

Way = tuple[bool, bool]
"""Whether it is mTLS of the mesh; and whether it is TLS that the client's proxy adds on its own."""
Ways = tuple[tuple[Way, ...], tuple[str, ...]]
"""The ways that are possible, and why there is more than one."""
MTLS: Way = (True, False)
PLAINTEXT: Way = (False, False)
OWN_TLS: Way = (False, True)


def ways(flow: Flow) -> Ways:
    """Return in which way the proxies of both ends speak; several where that cannot be told.

    It never is mTLS where the destination's proxy does not take it. Else the question decides,
    where it says so; else it is where the proxies of both ends take it and are of one mesh; in
    Istio the client's must also mean to, and the server's must not refuse.

    Source: linkerd2 `controller/api/destination`; for Istio `_between_proxies_of_istio`.
    """
    if not takes(flow.server, flow.connection, Direction.INGRESS):
        return (PLAINTEXT,), ()
    if flow.request.mtls is not None:
        return (MTLS if flow.request.mtls else PLAINTEXT,), ()
    if not takes(flow.client, flow.connection, Direction.EGRESS):
        return (PLAINTEXT,), ()
    if in_linkerd(flow.client) and in_linkerd(flow.server):
        return (MTLS,), ()
    if in_istio(flow.client) and in_istio(flow.server):
        return _between_proxies_of_istio(flow)
    return (PLAINTEXT,), ()


def _between_proxies_of_istio(flow: Flow) -> Ways:
    """Return in which way two ends in Istio speak.

    A ztunnel always speaks mTLS, and so does a waypoint. A sidecar does so only to what it knows as
    an endpoint of a Service: what is sent to a pod's own address, or to a Service that its Sidecar
    does not import or that is not exported to it, goes through the passthrough cluster, as it is. A
    DestinationRule says how; where none does, it is mTLS unless the server's mode is DISABLE, or a
    label of the server's pod says that it takes none (`security.istio.io/tlsMode`). TLS of another
    kind is application TLS to the server: it reads nothing in it.

    Source: Istio `pilot/pkg/networking/core/cluster_tls.go` (buildUpstreamClusterTLSContext,
    autoMTLS), `pilot/pkg/xds/endpoints/mtls_checker.go`, `cluster.go` (PassthroughCluster);
    `pilot/pkg/security/authn/utils` (ALPN of mTLS).
    """
    client = flow.client
    if client is not None and client.data_plane is DataPlane.SIDECAR and not client.waypoint:
        if flow.service is None:
            return (PLAINTEXT,), ()
        known, because = istio_egress.knows(flow, flow.service)
        if known is None:
            return (MTLS, PLAINTEXT), because
        if not known:
            return (PLAINTEXT,), ()
        said = istio_client_tls.mode(flow, flow.service)
        if said.because:
            return (MTLS, PLAINTEXT), said.because
        if said.mode:
            way = {"ISTIO_MUTUAL": MTLS, "DISABLE": PLAINTEXT}.get(said.mode, OWN_TLS)
            return (way,), ()
        no_auto = flow.server is not None and flow.server.plaintext
        if no_auto or not (flow.snapshot.mesh.istio or IstioConfig()).auto_mtls:
            return (PLAINTEXT,), ()
    server = istio_peer_authentication.mode(flow)
    if server.unread:
        return (MTLS, PLAINTEXT), server.because
    refused = {one.mode is Mode.DISABLE for one in server.said}
    if len(refused) > 1:
        return (MTLS, PLAINTEXT), server.because
    return (PLAINTEXT if True in refused else MTLS,), ()
