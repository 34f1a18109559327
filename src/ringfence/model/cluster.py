"""What a cluster consists of, as far as connections are concerned."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from ringfence.model.location import Location
from ringfence.model.mesh import Membership
from ringfence.model.selector import LabelSelector

HOST_NETWORK_NOTE = "a host-network pod has its node's address and no network identity of its own"


class Protocol(StrEnum):
    """The protocols that a question can name."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"
    ICMP = "ICMP"


class Namespace(msgspec.Struct, frozen=True, omit_defaults=True):
    """A namespace; `labels` always carry `kubernetes.io/metadata.name`."""

    name: str
    labels: dict[str, str]
    implicit: bool = False
    """True where objects name it but no Namespace object defines it: its other labels, if it
    has any, are not known."""
    location: Location | None = None


class ContainerPort(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """A port that a container declares; only the named ones matter to policies."""

    port: int
    protocol: Protocol = Protocol.TCP
    name: str = ""
    init: bool = False
    """Declared by an init container: Calico resolves names against these too, others do not."""


class Pod(msgspec.Struct, frozen=True, array_like=True, order=True):
    """A pod that runs (or will), reduced to what tells it apart within its identity."""

    name: str
    addresses: tuple[str, ...] = ()
    """`status.podIPs`; empty before the pod has one."""
    node: str = ""
    """`spec.nodeName`; empty before it is scheduled."""
    labels: tuple[tuple[str, str], ...] = ()
    """Its labels that its identity leaves out, sorted: they differ from pod to pod (as
    `pod-template-hash`) and nothing selects by them. Kept so that other policies may."""


class Identity(msgspec.Struct, frozen=True, omit_defaults=True):
    """All pods of a workload that no policy of the snapshot can tell apart.

    INVARIANT: every address of every pod lies in the same blocks (`cidr`, `except`, `networks`)
    of the snapshot's policies, per family, so that any one pod stands for all.
    """

    labels: dict[str, str]
    service_account: str = "default"
    host_network: bool = False
    ports: tuple[ContainerPort, ...] = ()
    pods: tuple[Pod, ...] = ()
    """Those with an address first, then by name. Empty where only the workload's template is
    known; addresses are unknown then."""
    mesh: Membership | None = None
    """How they take part in a service mesh; None: they do not."""


class Reference(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """Something in a manifest that names a host: an environment value, an argument, a key.

    Only the host and port are kept, never the whole value: values hold passwords.
    """

    host: str
    port: int | None
    evidence: str
    """Where it stood, as `env DB_ADDR of container app`."""
    location: Location


class Workload(msgspec.Struct, frozen=True, omit_defaults=True):
    """What people name: a Deployment, StatefulSet, DaemonSet, Job, CronJob, bare Pod, …."""

    kind: str
    namespace: str
    name: str
    identities: tuple[Identity, ...]
    """At least one; more than one where policies can tell the workload's pods apart."""
    location: Location
    labels: dict[str, str] = {}
    """The labels of the workload's own metadata (policies never see these)."""
    selector: LabelSelector | None = None
    """`spec.selector` of the workload: the labels that stay the same across roll-outs."""
    replicas: int | None = None
    """`spec.replicas` where the kind has it."""
    references: tuple[Reference, ...] = ()

    @property
    def ref(self) -> str:
        """Return `namespace/name`, the short name of the workload."""
        return f"{self.namespace}/{self.name}"


class ServicePort(msgspec.Struct, frozen=True, omit_defaults=True):
    """One port of a Service."""

    port: int
    target: int | str
    """Number or container-port name; the port itself where the manifest gives none."""
    protocol: Protocol = Protocol.TCP
    name: str = ""
    node_port: int | None = None
    app_protocol: str = ""


class Backend(msgspec.Struct, frozen=True, omit_defaults=True):
    """An address behind a Service without a selector, from an EndpointSlice."""

    address: str
    ports: tuple[ServicePort, ...]
    """`port` and `target` are both the backend's port."""
    pod: str = ""
    """`namespace/name` of the pod where `targetRef` names one."""


class Service(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Service: a name and ports in front of the pods that its selector selects."""

    namespace: str
    name: str
    type: str
    """ClusterIP, NodePort, LoadBalancer or ExternalName."""
    selector: LabelSelector | None
    """None where there is none: the backends come from EndpointSlices then."""
    ports: tuple[ServicePort, ...]
    location: Location
    cluster_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    """`spec.externalIPs` and the load balancer's addresses and host names."""
    external_name: str = ""
    headless: bool = False
    external_traffic_local: bool = False
    """`externalTrafficPolicy: Local`: the client's address survives."""
    source_ranges: tuple[str, ...] = ()
    """`spec.loadBalancerSourceRanges`."""
    backends: tuple[Backend, ...] = ()
    host_backends: tuple[Backend, ...] = ()
    """Of the pods that its selector selects, those on the host network: an address each, and the
    ports that its own lead to there."""
    labels: dict[str, str] | None = None
    """The labels of its own metadata; None where they were not read."""
    waypoint: tuple[str, str] | None = None
    """Namespace and name of the Gateway that is the waypoint of its callers from ambient."""
    export_to: tuple[str, ...] = ("*",)
    """The namespaces whose clients in Istio know it; `*` for all."""

    def is_known_in(self, namespace: str) -> bool:
        """Return whether the clients of a namespace know it as one of Istio's Services."""
        return "*" in self.export_to or namespace in self.export_to

    @property
    def ref(self) -> str:
        """Return `svc/namespace/name`, as questions name it."""
        return f"svc/{self.namespace}/{self.name}"


class Route(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way from outside to a Service: a rule of an Ingress or of a Gateway API route."""

    kind: str
    """Ingress, HTTPRoute, GRPCRoute, TLSRoute or TCPRoute."""
    namespace: str
    name: str
    service_namespace: str
    service: str
    port: int | str | None
    location: Location
    host: str = ""
    path: str = ""
    parent: str = ""
    """The Ingress's class, or the Gateway as `namespace/name`."""


class Node(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node: a peer of its own."""

    name: str
    labels: dict[str, str]
    addresses: tuple[str, ...]
    """`status.addresses` of the types that are IPs."""
    pod_cidrs: tuple[str, ...] = ()


class ServiceAccount(msgspec.Struct, frozen=True, omit_defaults=True):
    """A service account, for the policies that select by its labels."""

    namespace: str
    name: str
    labels: dict[str, str]


class NetworkSet(msgspec.Struct, frozen=True, omit_defaults=True):
    """A labelled list of blocks and names outside: Calico's NetworkSet and GlobalNetworkSet."""

    document: int
    """Index into `Snapshot.documents`."""
    namespace: str
    """Empty for a GlobalNetworkSet."""
    name: str
    labels: dict[str, str]
    """In Calico's label space: its own, and those of its namespace (`pcns.`)."""
    nets: tuple[str, ...] = ()
    """Canonical CIDRs."""
    domains: tuple[str, ...] = ()
    """`allowedEgressDomains` (Calico Enterprise and Cloud), lower case."""
    unreadable: str = ""
    """Why it could not be understood: a selector that selects it matches perhaps anything."""
    labels_known: bool = True
    """Whether its own labels could be read; else any selector may select it."""


class HostEndpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """A node's interfaces as something that Calico's policies select.

    As a peer it is the addresses that are expected of it, as a network set is its blocks.
    """

    document: int
    """Index into `Snapshot.documents`."""
    name: str
    node: str
    """Empty where that could not be read: it may be any."""
    labels: dict[str, str]
    """Its own, what its profiles add, and `label_space.CALICO_HOST_ENDPOINT`."""
    every_interface: bool = True
    """`interfaceName: "*"`. Otherwise traffic may use another interface of the node, so that what
    its policies deny is unknown unless `addresses` hold the one asked for."""
    addresses: tuple[str, ...] = ()
    """`expectedIPs`."""
    ports: tuple[ContainerPort, ...] = ()
    """The names that it gives to ports of its own."""
    unreadable: str = ""
    """Why it could not be understood: as a peer, a selector that selects it matches perhaps."""
    labels_known: bool = True
    """Whether its labels could be read; else any selector may select it."""


def address_block(address: str) -> str:
    """Return the block that holds one address alone."""
    return f"{address}/{128 if ':' in address else 32}"


def api_servers(services: Iterable[Service]) -> tuple[str, ...]:
    """Return the addresses of the API servers: those behind the Service `default/kubernetes`.

    None where that Service, or its EndpointSlice, is not known.

    Source: Kubernetes `pkg/controlplane/controller/kubernetesservice`.
    """
    return tuple(
        backend.address
        for service in services
        if (service.namespace, service.name) == ("default", "kubernetes")
        for backend in service.backends
    )
