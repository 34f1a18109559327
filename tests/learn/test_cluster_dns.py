from ringfence.learn.cluster_dns import DnsAnswer, find_dns
from ringfence.learn.stable_selector import StableSelectors
from ringfence.model.cluster import Protocol
from ringfence.model.rule import IpPeer, NodePeer, PodPeer, PortRange, Traffic
from ringfence.model.selector import EVERYTHING, from_labels
from written_maps import cluster, service, workload

NAMED = "[{name: dns, containerPort: 5353, protocol: UDP}, {name: tcp, containerPort: 5354}]"
DNS_PORTS = "[{name: u, port: 53, protocol: UDP, targetPort: dns}, {name: t, port: 53}]"
IN_KUBE_SYSTEM = from_labels({"kubernetes.io/metadata.name": "kube-system"})


def find(text: str) -> DnsAnswer:
    snapshot = cluster(text)
    return find_dns(snapshot, StableSelectors(snapshot))


def port(protocol: Protocol, number: int) -> Traffic:
    return PortRange(protocol, number, number)


def test_the_service_leads_to_the_target_port() -> None:
    found = find(
        workload("kube-system/coredns", "k8s-app: kube-dns", NAMED)
        + service("kube-system/kube-dns", "k8s-app: kube-dns", DNS_PORTS)
    )
    peer = PodPeer(IN_KUBE_SYSTEM, from_labels({"k8s-app": "kube-dns"}))
    ports = (port(Protocol.TCP, 53), port(Protocol.UDP, 5353))
    assert found.rules == (((peer,), ports),)
    assert not found.assumed


def test_without_a_service_labels_find_it_and_container_ports_tell_where() -> None:
    labels = "app.kubernetes.io/name: coredns"
    found = find(workload("dns/coredns", labels, NAMED))
    [(_, ports)] = found.workloads
    assert ports == (port(Protocol.UDP, 5353),)


def test_without_any_dns_the_common_one_is_assumed_and_told() -> None:
    found = find(workload("a/x"))
    peer = PodPeer(IN_KUBE_SYSTEM, from_labels({"k8s-app": "kube-dns"}))
    assert found.rules == (((peer,), (port(Protocol.UDP, 53), port(Protocol.TCP, 53))),)
    assert found.assumed
    assert found.why == (
        "to the cluster's DNS, assumed at kube-system, k8s-app=kube-dns: the input has none",
    )


def test_a_dns_on_the_host_network_is_reached_at_the_nodes() -> None:
    found = find(workload("kube-system/coredns", "k8s-app: kube-dns", "[]", host=True))
    [(peers, _)] = found.rules
    assert peers == (NodePeer(EVERYTHING),)


def test_a_cache_on_each_node_is_reached_at_its_own_address() -> None:
    cache = workload("kube-system/cache", "k8s-app: node-local-dns", kind="DaemonSet", host=True)
    found = find(workload("kube-system/coredns", "k8s-app: kube-dns", NAMED) + cache)
    peers, ports = found.rules[-1]
    assert peers == (IpPeer("169.254.20.10/32"),)
    assert set(ports) == {port(Protocol.UDP, 53), port(Protocol.TCP, 53)}
    assert found.assumed
