"""What the proxies of a mesh need of the network so that they go on working.

Sources: Istio `manifests/charts/istio-control/istio-discovery` (15012: configuration and
certificates); linkerd2 `charts/linkerd-control-plane` (8080 identity, 8086 destination, 8090
policy); Istio `cni/pkg/config` (the address from which the probes of ambient pods come).
"""

from typing import Final

import msgspec

from ringfence.engine.labels import selects
from ringfence.learn.resolve_ports import Ports
from ringfence.learn.stable_selector import on_host_network
from ringfence.learn.wishes import ISTIO
from ringfence.model.cluster import Protocol
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.mesh import DataPlane, IstioConfig, LinkerdConfig
from ringfence.model.rule import IpPeer, Peer, PodPeer, PortRange
from ringfence.model.selector import LabelSelector, from_labels
from ringfence.model.snapshot import Snapshot

PROBES: Final = "169.254.7.127/32"
"""Source: Istio `cni/pkg/config/config.go` HostProbeSNATIP."""
_COMPONENT: Final = "linkerd.io/control-plane-component"
_LINKERD: Final = (("identity", 8080), ("destination", 8086), ("destination", 8090))
_ISTIOD: Final = 15012


class ControlPlane(msgspec.Struct, frozen=True, kw_only=True):
    """How every pod of a mesh reaches its control plane, and who probes it."""

    rules: tuple[tuple[tuple[Peer, ...], Ports], ...]
    """Peers and their ports, for the egress of the members."""
    workloads: tuple[tuple[frozenset[int], Ports], ...]
    """The workloads among these peers that the input has, each with the ports meant."""
    probes: tuple[tuple[IpPeer, Ports | None], ...] = ()
    """From where pods of ambient are probed, for their ingress."""
    planes: tuple[DataPlane, ...]
    """By which pods have a proxy of their own, which needs it."""
    why: str
    probed_because: str = ""


def find_control_plane(snapshot: Snapshot, mesh: str) -> ControlPlane:
    """Return what the members of a mesh need of a cluster's network."""
    if mesh == ISTIO:
        wanted = [(_istiod(snapshot), _ISTIOD)]
        why = "to istiod, for configuration and certificates"
    else:
        namespace = (snapshot.mesh.linkerd or LinkerdConfig()).namespace
        wanted = [((namespace, {_COMPONENT: name}), port) for name, port in _LINKERD]
        why = "to Linkerd's control plane, for identities, destinations and policies"
    rules = []
    workloads = []
    for (namespace, labels), port in wanted:
        chosen = from_labels(labels)
        ports: Ports = (PortRange(Protocol.TCP, port, port),)
        peer = PodPeer(from_labels({NAMESPACE_NAME: namespace}), chosen)
        rules.append(((peer,), ports))
        workloads.append((_selected(snapshot, namespace, chosen), ports))
    ambient = mesh == ISTIO and any(
        identity.mesh and identity.mesh.data_plane is DataPlane.AMBIENT
        for workload in snapshot.workloads
        for identity in workload.identities
    )
    return ControlPlane(
        rules=tuple(rules),
        workloads=tuple(workloads),
        probes=((IpPeer(PROBES), None),) if ambient else (),
        planes=(DataPlane.SIDECAR if mesh == ISTIO else DataPlane.LINKERD,),
        why=why,
        probed_because="from the kubelet, whose probes of ambient pods come from here",
    )


def _istiod(snapshot: Snapshot) -> tuple[str, dict[str, str]]:
    root = (snapshot.mesh.istio or IstioConfig()).root_namespace
    return root, {"app": "istiod"}


def _selected(snapshot: Snapshot, namespace: str, chosen: LabelSelector) -> frozenset[int]:
    return frozenset(
        number
        for number, workload in enumerate(snapshot.workloads)
        if workload.namespace == namespace
        and not on_host_network(workload)
        and all(selects(chosen, identity.labels) for identity in workload.identities)
    )
