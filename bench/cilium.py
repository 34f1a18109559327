"""Makes up the policies of a cluster on Cilium: denies, domain names, HTTP and DNS.

The platform's CiliumClusterwideNetworkPolicies deny what nobody may do; the teams write
CiliumNetworkPolicies, and Kubernetes' NetworkPolicies beside them.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from bench import policies
from bench.calico import agent
from bench.clusters import Cluster, Workload
from bench.paths import HTTP_COMPONENTS, domain, methods_of, paths_of, wildcard
from bench.policies import Manifest, Selector, by_callers, requirement

API = "cilium.io/v2"
NAMESPACE = "k8s:io.kubernetes.pod.namespace"
NAMESPACE_LABELS = "k8s:io.cilium.k8s.namespace.labels."
KUBERNETES_SHARE = 0.5
"""Of the policies of namespaces, how many are Kubernetes'."""
CLUSTER_DNS: Selector = {"matchLabels": {NAMESPACE: "kube-system", "k8s:k8s-app": "kube-dns"}}


def surroundings(cluster: Cluster) -> Iterator[Manifest]:
    """Yield what the policies rest upon: Cilium's agent, and the blocks that they share."""
    yield agent("cilium", "quay.io/cilium/cilium:v1.18.1")
    rng = random.Random(f"{cluster.shape.seed} groups")
    for number in range(max(2, cluster.shape.policies // 200)):
        blocks = sorted({f"198.51.{rng.randrange(256)}.0/28" for _ in range(4)})
        yield {
            "apiVersion": "cilium.io/v2alpha1",
            "kind": "CiliumCIDRGroup",
            "metadata": {"name": f"group-{number}"},
            "spec": {"externalCIDRs": blocks},
        }


def written(kind: str, name: str, namespace: str = "", **spec: object) -> Manifest:
    """Return an object of Cilium's."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def draw(cluster: Cluster) -> list[Manifest]:
    """Return as many policy objects as the cluster's shape asks for."""
    wanted = cluster.shape.policies
    everywhere = list(cluster_wide(cluster, min(40, max(6, wanted // 50))))
    count = round((wanted - len(everywhere)) * KUBERNETES_SHARE)
    beside = policies.draw(
        replace(cluster, shape=replace(cluster.shape, policies=count, cluster_wide=False))
    )
    rest = wanted - len(everywhere) - len(beside)
    return [*everywhere, *beside, *for_workloads(cluster, rest)]


# -- the platform's --------------------------------------------------------------------------------


def cluster_wide(cluster: Cluster, count: int) -> Iterator[Manifest]:
    """Yield the CiliumClusterwideNetworkPolicies."""
    rng = random.Random(f"{cluster.shape.seed} cilium cluster-wide")
    kind = "CiliumClusterwideNetworkPolicy"
    open_ = {"ingress": False, "egress": False}
    production = {"matchLabels": {f"{NAMESPACE_LABELS}env": "prod"}}
    others = requirement(f"{NAMESPACE_LABELS}env", "In", "dev", "staging")
    yield written(
        kind,
        "no-metadata-service",
        endpointSelector={
            "matchExpressions": [requirement(f"{NAMESPACE_LABELS}team", "NotIn", "platform")]
        },
        enableDefaultDeny=open_,
        egressDeny=[{"toCIDR": ["169.254.169.254/32"]}],
    )
    yield written(
        kind,
        "dns",
        endpointSelector={},
        enableDefaultDeny=open_,
        egress=[dns()],
    )
    yield written(
        kind,
        "health",
        endpointSelector={},
        enableDefaultDeny=open_,
        ingress=[{"fromEntities": ["host", "remote-node"]}],
    )
    yield written(
        kind,
        "environments-apart",
        endpointSelector=production,
        enableDefaultDeny=open_,
        ingressDeny=[{"fromEndpoints": [{"matchExpressions": [others]}]}],
    )
    yield written(
        kind,
        "monitoring",
        endpointSelector={},
        enableDefaultDeny=open_,
        ingress=[
            {"fromEndpoints": [{"matchLabels": {NAMESPACE: "monitoring"}}]}
            | ports({"port": "metrics", "protocol": "TCP"})
        ],
    )
    teams = sorted({n.labels["team"] for n in cluster.namespaces} - {"platform"})
    for number in range(count - 5):
        team, other = rng.choice(teams), rng.choice(teams)
        low = rng.choice((5432, 6379, 8000))
        tier = rng.choice(("frontend", "backend"))
        denied = {"matchLabels": {f"{NAMESPACE_LABELS}team": other, "tier": tier}}
        yield written(
            kind,
            f"{team}-{number}",
            endpointSelector={
                "matchLabels": {f"{NAMESPACE_LABELS}team": team},
                "matchExpressions": [requirement("pci", "Exists")],
            },
            enableDefaultDeny=open_,
            ingressDeny=[
                {"fromEndpoints": [denied]}
                | ports({"port": str(low), "endPort": low + 99, "protocol": "TCP"})
            ],
        )


def ports(*listed: Manifest, **rules: object) -> Manifest:
    """Return the `toPorts` of a rule."""
    return {"toPorts": [{"ports": list(listed)} | ({"rules": rules} if rules else {})]}


def dns() -> Manifest:
    """Return the rule that opens DNS, and by which Cilium learns what names stand for."""
    both = ({"port": "53", "protocol": "UDP"}, {"port": "53", "protocol": "TCP"})
    return {"toEndpoints": [CLUSTER_DNS]} | ports(*both, dns=[{"matchPattern": "*"}])


# -- the teams' ------------------------------------------------------------------------------------


def for_workloads(cluster: Cluster, count: int) -> Iterator[Manifest]:
    """Yield policies of single workloads for the calls that they receive, and make."""
    rng = random.Random(f"{cluster.shape.seed} cilium workloads")
    for number, workload, sources, targets in by_callers(rng, cluster, count):
        spec: Manifest = {
            "endpointSelector": {"matchLabels": {"app.kubernetes.io/name": workload.name}}
        }
        if sources:
            spec["ingress"] = [ingress(rng, workload, source) for source in sources[:6]]
            if rng.random() < 0.15:
                kind = {"matchLabels": {"tier": rng.choice(("batch", "frontend"))}}
                spec["ingressDeny"] = [{"fromEndpoints": [kind]}]
        if not sources or rng.random() < 0.4:
            spec["egress"] = list(egress(rng, cluster, workload, targets))
            if rng.random() < 0.15:
                spec["egressDeny"] = [{"toCIDRSet": [{"cidr": "10.0.0.0/8"}]}]
        name = f"{workload.name}{number or ''}"
        yield written("CiliumNetworkPolicy", name, workload.namespace, **spec)


def ingress(rng: random.Random, workload: Workload, caller: Workload) -> Manifest:
    """Return the rule for one caller; of a web server, what it may ask for."""
    found: Manifest = {"fromEndpoints": [end(rng, workload, caller)]}
    port = port_of(rng, workload)
    if not port:
        return found
    over_tcp = port["protocol"] == "TCP" and "endPort" not in port
    if not over_tcp or workload.component not in HTTP_COMPONENTS or rng.random() < 0.5:
        return found | ports(port)
    paths: list[str | None] = [*paths_of(rng, workload)] or [None]
    http: list[Manifest] = []
    for path in paths:
        one: Manifest = {"method": rng.choice((methods_of(rng)[0], "GET|HEAD", "POST|PUT"))}
        if path:
            one["path"] = path + rng.choice(("", "/.*", "/[0-9]+", "(/.*)?"))
        if rng.random() < 0.1:
            one["headers"] = [f"X-Tenant: {caller.labels['team']}"]
        http.append(one)
    return found | ports(port, http=http)


def egress(
    rng: random.Random, cluster: Cluster, workload: Workload, called: list[Workload]
) -> Iterator[Manifest]:
    """Yield rules for DNS, for each workload called, and at times for the outside."""
    yield dns()
    for other in called[:6]:
        port = port_of(rng, other)
        found: Manifest = {"toEndpoints": [end(rng, workload, other)]}
        yield found | ports(port) if port else found
    https = {"port": "443", "protocol": "TCP"}
    match rng.randrange(6):
        case 0 | 1:
            names: list[Manifest] = [{"matchName": domain(rng)} for _ in range(rng.randint(1, 3))]
            if rng.random() < 0.3:
                names.append({"matchPattern": wildcard(rng)})
            yield {"toFQDNs": names} | ports(https)
        case 2:
            yield {"toEntities": ["world"]} | ports(https)
        case 3:
            group = rng.randrange(max(2, cluster.shape.policies // 200))
            yield {"toCIDRSet": [{"cidrGroupRef": f"group-{group}"}]} | ports(https)
        case 4:
            yield {"toEntities": ["kube-apiserver"]} | ports({"port": "6443", "protocol": "TCP"})
        case _:
            pass


def end(rng: random.Random, own: Workload, other: Workload) -> Selector:
    """Return a selector that covers another workload, narrowly or by what teams share."""
    name: dict[str, str] = {"app.kubernetes.io/name": other.name}
    elsewhere = {} if own.namespace == other.namespace else {NAMESPACE: other.namespace}
    match rng.randrange(8):
        case 0 if other.service_account != "default":
            account = {"k8s:io.cilium.k8s.policy.serviceaccount": other.service_account}
            return {"matchLabels": account | elsewhere}
        case 1:
            kinds = requirement("app.kubernetes.io/component", "In", other.component, "debug")
            return {"matchExpressions": [kinds, requirement("tier", "NotIn", "batch")]} | (
                {"matchLabels": elsewhere} if elsewhere else {}
            )
        case 2:
            return {
                "matchLabels": {
                    f"{NAMESPACE_LABELS}env": own.labels["env"],
                    "app.kubernetes.io/component": other.component,
                },
                "matchExpressions": [requirement("pci", "DoesNotExist")],
            }
        case _:
            return {"matchLabels": name | elsewhere}


def port_of(rng: random.Random, workload: Workload) -> Manifest:
    """Return a port of a rule for a workload: a number, a name, a range, or none."""
    if not workload.ports or rng.random() < 0.05:
        return {}
    port = workload.ports[0]
    match rng.randrange(10):
        case 0 | 1 | 2:
            return {"port": port.name, "protocol": port.protocol}
        case 3:
            first = port.number // 1000 * 1000
            return {"port": str(first), "endPort": first + 999, "protocol": port.protocol}
        case _:
            return {"port": str(port.number), "protocol": port.protocol}
