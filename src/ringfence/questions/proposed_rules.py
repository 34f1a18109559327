"""The rule that would allow one connection, in the words of each policy language.

A rule is proposed, never trusted: whoever proposes it has the connection judged anew with it.
"""

import re
from typing import Any, Final

import msgspec

from ringfence.model.cluster import Identity, Protocol, Workload, address_block
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.label_space import NAMESPACE_NAME
from ringfence.model.rule import Direction
from ringfence.model.selector import Operator
from ringfence.model.snapshot import Snapshot

Rule = dict[str, Any]
VOLATILE: Final = (
    "pod-template-hash",
    "controller-revision-hash",
    "statefulset.kubernetes.io/pod-name",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/",
    "controller-uid",
    "job-name",
    "pod-template-generation",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
)
"""Labels, or their prefixes, that a selector written by a person avoids: they change."""


class Wanted(msgspec.Struct, frozen=True):
    """One side of a connection that is to be allowed."""

    snapshot: Snapshot
    direction: Direction
    subject: PodEnd
    other: End
    connection: Connection
    above_port: bool = False
    """Whether what is said above the port is to be named, too."""

    @property
    def workload(self) -> Workload:
        """Return the subject's workload."""
        return self.snapshot.workloads[self.subject.workload]

    @property
    def ingress(self) -> bool:
        """Return whether the subject is the destination."""
        return self.direction is Direction.INGRESS

    def identity(self, end: PodEnd) -> Identity:
        """Return the identity of an end."""
        return self.snapshot.workloads[end.workload].identities[end.identity]

    @property
    def other_pods(self) -> tuple[Workload, dict[str, str]] | None:
        """Return the other end's workload and labels where policies know it by them."""
        if not isinstance(self.other, PodEnd) or self.identity(self.other).host_network:
            return None
        workload = self.snapshot.workloads[self.other.workload]
        return workload, lasting_labels(workload, self.identity(self.other))

    @property
    def cidr(self) -> str | None:
        """Return the one address of the other end as a CIDR; None where it is not known."""
        match self.other:
            case AddressEnd():
                address: str | None = self.other.address
            case NodeEnd():
                address = next(iter(self.snapshot.nodes[self.other.node].addresses), None)
            case PodEnd():
                pods = self.identity(self.other).pods
                address = pods[0].addresses[0] if pods and pods[0].addresses else None
            case DomainEnd():
                address = None
        return address and address_block(address)


def lasting_labels(workload: Workload, identity: Identity) -> dict[str, str]:
    """Return the labels by which a person would select a workload's pods: those that last."""
    if workload.selector:
        wanted = {
            r.key: r.values[0]
            for r in workload.selector.requirements
            if r.operator is Operator.IN and len(r.values) == 1
        }
        if wanted and all(identity.labels.get(key) == value for key, value in wanted.items()):
            return wanted
    lasting = {k: v for k, v in identity.labels.items() if not k.startswith(VOLATILE)}
    return lasting or dict(identity.labels)


# -- Kubernetes ----------------------------------------------------------------------------------


def network_policy_rule(wanted: Wanted) -> Rule | None:
    """Return a rule of a NetworkPolicy; None if it cannot be said there."""
    if pods := wanted.other_pods:
        workload, labels = pods
        peer: Rule = {"podSelector": {"matchLabels": labels}}
        if workload.namespace != wanted.workload.namespace:
            peer = {
                "namespaceSelector": {"matchLabels": {NAMESPACE_NAME: workload.namespace}},
                **peer,
            }
    elif cidr := wanted.cidr:
        peer = {"ipBlock": {"cidr": cidr}}
    else:
        return None
    rule: Rule = {"from" if wanted.ingress else "to": [peer]}
    port, protocol = wanted.connection.port, wanted.connection.protocol
    if port is not None and protocol is not Protocol.ICMP:
        rule["ports"] = [{"protocol": protocol.value, "port": port}]
    return rule


def cluster_rule(wanted: Wanted, kind: str) -> Rule | None:
    """Return a rule of a ClusterNetworkPolicy, or of its forerunners."""
    if pods := wanted.other_pods:
        workload, labels = pods
        selector = {"matchLabels": {NAMESPACE_NAME: workload.namespace}}
        peer: Rule = {
            "pods": {"namespaceSelector": selector, "podSelector": {"matchLabels": labels}}
        }
    elif (cidr := wanted.cidr) and not wanted.ingress:
        peer = {"networks": [cidr]}
    else:
        return None
    accept, ports = ("Accept", "protocols")
    if kind != "ClusterNetworkPolicy":
        accept, ports = ("Allow", "ports")
    rule: Rule = {"action": accept, "from" if wanted.ingress else "to": [peer]}
    protocol, port = wanted.connection.protocol.value, wanted.connection.port
    if port is not None:
        rule[ports] = [
            {protocol.lower(): {"destinationPort": {"number": port}}}
            if ports == "protocols"
            else {"portNumber": {"protocol": protocol, "port": port}}
        ]
    return rule


# -- Calico --------------------------------------------------------------------------------------


def calico_rule(wanted: Wanted, *, clusterwide: bool) -> Rule | None:
    """Return a rule of a Calico policy.

    Args:
        wanted: what is to be allowed.
        clusterwide: whether the policy has no namespace, so that selectors mean all of them.
    """
    peer: Rule
    if pods := wanted.other_pods:
        workload, labels = pods
        peer = {"selector": calico_selector(labels)}
        if clusterwide or workload.namespace != wanted.workload.namespace:
            peer["namespaceSelector"] = calico_selector({NAMESPACE_NAME: workload.namespace})
    elif isinstance(wanted.other, DomainEnd) and not wanted.ingress:
        peer = {"domains": [wanted.other.name]}
    elif cidr := wanted.cidr:
        peer = {"nets": [cidr]}
    else:
        return None
    protocol, port = wanted.connection.protocol, wanted.connection.port
    rule: Rule = {"action": "Allow", "protocol": protocol.value}
    rule["source" if wanted.ingress else "destination"] = peer
    if protocol is Protocol.ICMP:
        if wanted.connection.family == 6:
            rule["protocol"] = "ICMPv6"
        if port is not None:
            rule["icmp"] = {"type": port // 256, "code": port % 256}
    elif port is not None:
        rule.setdefault("destination", {})["ports"] = [port]
    request = wanted.connection.request
    if wanted.above_port and request.http and protocol is Protocol.TCP:
        http: Rule = {}
        if request.method:
            http["methods"] = [request.method]
        if request.path:
            http["paths"] = [{"exact": re.split("[?#]", request.path, maxsplit=1)[0]}]
        if http:
            rule["http"] = http
    return rule


def calico_selector(labels: dict[str, str]) -> str:
    """Return a selector of Calico's that these labels meet."""
    return " && ".join(f"{key} == '{value}'" for key, value in sorted(labels.items()))


# -- Cilium --------------------------------------------------------------------------------------


def cilium_rule(wanted: Wanted, *, clusterwide: bool) -> Rule | None:
    """Return an entry of `ingress` or `egress` of a Cilium policy.

    Args:
        wanted: what is to be allowed.
        clusterwide: whether the policy has no namespace, so that selectors mean all of them.

    Returns:
        The entry; None where none can say it: a domain name as the source.

    Source: Cilium `pkg/policy/api/{ingress,egress,fqdn}.go`; a node is no block there, but an
    entity (`Documentation/security/policy/layer3.rst`, "Entities based").
    """
    word = "from" if wanted.ingress else "to"
    rule: Rule
    if pods := wanted.other_pods:
        workload, labels = pods
        if clusterwide or workload.namespace != wanted.workload.namespace:
            labels = {**labels, "k8s:io.kubernetes.pod.namespace": workload.namespace}
        rule = {f"{word}Endpoints": [{"matchLabels": labels}]}
    elif isinstance(wanted.other, DomainEnd):
        if wanted.ingress:
            return None
        rule = {"toFQDNs": [{"matchName": wanted.other.name}]}
    elif isinstance(wanted.other, AddressEnd):
        rule = {f"{word}CIDR": [wanted.cidr]}
    else:
        rule = {f"{word}Entities": ["host", "remote-node"]}
    return rule | _cilium_traffic(wanted)


def _cilium_traffic(wanted: Wanted) -> Rule:
    protocol, port = wanted.connection.protocol, wanted.connection.port
    if port is None:
        return {}
    if protocol is Protocol.ICMP:
        family = "IPv6" if wanted.connection.family == 6 else "IPv4"
        return {"icmps": [{"fields": [{"type": port // 256, "family": family}]}]}
    entry: Rule = {"ports": [{"port": str(port), "protocol": protocol.value}]}
    request = wanted.connection.request
    if request.dns:
        entry["rules"] = {"dns": [{"matchName": request.dns}]}
    elif wanted.above_port and request.http:
        http = {
            "method": request.method and re.escape(request.method),
            "path": request.path and re.escape(request.path),
            "host": request.host and re.escape(request.host),
        }
        entry["rules"] = {"http": [{key: value for key, value in http.items() if value}]}
    if wanted.above_port and request.sni:
        entry["serverNames"] = [request.sni]
    return {"toPorts": [entry]}


def cilium_dns_rule(name: str) -> Rule:
    """Return the entry of `egress` by which Cilium usually learns a name's addresses.

    Source: Cilium `Documentation/security/dns.rst` (its example allows `kube-dns` port 53, ANY).
    """
    labels = {"k8s:io.kubernetes.pod.namespace": "kube-system", "k8s-app": "kube-dns"}
    ports = [{"port": "53", "protocol": "ANY"}]
    return {
        "toEndpoints": [{"matchLabels": labels}],
        "toPorts": [{"ports": ports, "rules": {"dns": [{"matchName": name}]}}],
    }
