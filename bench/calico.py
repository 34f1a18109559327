"""Makes up the policies of a cluster on Calico: three tiers of the platform's, and the teams' own.

The platform's GlobalNetworkPolicies pass on or deny; the teams write Calico's policies in the tier
of the applications, and Kubernetes' NetworkPolicies beside them, as they find it easier.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from bench import policies
from bench.clusters import Cluster, Workload
from bench.paths import HTTP_COMPONENTS, methods_of, paths_of
from bench.policies import Manifest, by_callers

API = "projectcalico.org/v3"
TIERS = {"platform": (100, "Pass"), "security": (200, "Deny"), "applications": (300, "Deny")}
"""Order and default action of each."""
KUBERNETES_SHARE = 0.5
"""Of the policies of namespaces, how many are Kubernetes'."""
CLUSTER_DNS: Manifest = {
    "namespaceSelector": "projectcalico.org/name == 'kube-system'",
    "selector": "k8s-app == 'kube-dns'",
    "ports": [53],
}


def surroundings(cluster: Cluster) -> Iterator[Manifest]:
    """Yield what the policies rest upon: Calico's agent, tiers, network sets, accounts."""
    yield agent("calico-node", "docker.io/calico/node:v3.30.0")
    for name, (order, default) in TIERS.items():
        yield written("Tier", name, order=order, defaultAction=default)
    rng = random.Random(f"{cluster.shape.seed} network sets")
    teams = sorted({n.labels["team"] for n in cluster.namespaces})
    for number in range(max(4, cluster.shape.policies // 100)):
        nets = [f"198.51.{rng.randrange(256)}.{16 * rng.randrange(16)}/28" for _ in range(4)]
        labels = {"role": rng.choice(("partner", "payment", "threat")), "team": rng.choice(teams)}
        yield written("GlobalNetworkSet", f"set-{number}", labels=labels, nets=sorted(set(nets)))
    for namespace, account in sorted({(w.namespace, w.service_account) for w in cluster.workloads}):
        metadata = {"name": account, "namespace": namespace, "labels": {"account": account}}
        yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def agent(name: str, image: str) -> Manifest:
    """Return the DaemonSet of a CNI, by which its profile is detected."""
    labels = {"k8s-app": name}
    containers = [{"name": name, "image": image}]
    template = {
        "metadata": {"labels": labels},
        "spec": {"hostNetwork": True, "containers": containers},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system", "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def written(
    kind: str,
    name: str,
    *,
    namespace: str = "",
    labels: dict[str, str] | None = None,
    **spec: object,
) -> Manifest:
    """Return an object of Calico's."""
    metadata: Manifest = {"name": name}
    if namespace:
        metadata["namespace"] = namespace
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


def draw(cluster: Cluster) -> list[Manifest]:
    """Return as many policy objects as the cluster's shape asks for."""
    wanted = cluster.shape.policies
    everywhere = list(cluster_wide(cluster, min(40, max(8, wanted // 50))))
    count = round((wanted - len(everywhere)) * KUBERNETES_SHARE)
    beside = policies.draw(
        replace(cluster, shape=replace(cluster.shape, policies=count, cluster_wide=False))
    )
    rest = wanted - len(everywhere) - len(beside)
    return [*everywhere, *beside, *for_workloads(cluster, rest)]


# -- the platform's --------------------------------------------------------------------------------


def cluster_wide(cluster: Cluster, count: int) -> Iterator[Manifest]:
    """Yield the GlobalNetworkPolicies of the three tiers."""
    rng = random.Random(f"{cluster.shape.seed} calico cluster-wide")
    prometheus: Manifest = {"namespaceSelector": "projectcalico.org/name == 'monitoring'"}
    dns = [{"action": "Allow", "protocol": p, "destination": CLUSTER_DNS} for p in ("UDP", "TCP")]
    yield everywhere("platform", "dns", 10, types=["Egress"], egress=dns)
    yield everywhere(
        "platform",
        "no-metadata-service",
        20,
        types=["Egress"],
        namespaceSelector="team != 'platform'",
        egress=[{"action": "Deny", "destination": {"nets": ["169.254.169.254/32"]}}],
    )
    scraped = {"ports": ["metrics", 9090]}
    yield everywhere(
        "platform",
        "monitoring",
        30,
        types=["Ingress"],
        ingress=[
            {"action": "Allow", "protocol": "TCP", "source": prometheus, "destination": scraped}
        ],
    )
    yield everywhere(
        "security",
        "threats",
        10,
        types=["Ingress", "Egress"],
        ingress=[
            {"action": "Deny", "source": {"selector": "role == 'threat'"}},
            {"action": "Pass"},
        ],
        egress=[
            {"action": "Log", "destination": {"selector": "role == 'threat'"}},
            {"action": "Deny", "destination": {"selector": "role == 'threat'"}},
            {"action": "Pass"},
        ],
    )
    yield everywhere(
        "security",
        "environments-apart",
        5,
        types=["Ingress"],
        namespaceSelector="env == 'prod'",
        ingress=[
            {"action": "Pass", "source": {"namespaceSelector": "env == 'prod'"}},
            {"action": "Deny", "source": {"namespaceSelector": "env in {'dev', 'staging'}"}},
        ],
    )
    teams = sorted({n.labels["team"] for n in cluster.namespaces} - {"platform"})
    for number in range(count - 5):
        team, other = rng.choice(teams), rng.choice(teams)
        low = rng.choice((5432, 6379, 8000))
        tier = rng.choice(("frontend", "backend"))
        source = {"namespaceSelector": f"team == '{other}'", "selector": f"tier == '{tier}'"}
        yield everywhere(
            rng.choice(("platform", "security")),
            f"{team}-{number}",
            1 + number,
            types=["Ingress"],
            selector="has(pci)",
            namespaceSelector=f"team == '{team}'",
            ingress=[
                {
                    "action": rng.choice(("Pass", "Deny")),
                    "protocol": "TCP",
                    "source": source,
                    "destination": {"ports": [f"{low}:{low + 99}"]},
                },
                {"action": "Pass"},
            ],
        )


def everywhere(tier: str, name: str, order: int, **spec: object) -> Manifest:
    """Return a GlobalNetworkPolicy of a tier."""
    found = written("GlobalNetworkPolicy", f"{tier}.{name}", tier=tier, order=order)
    found["spec"] |= spec
    return found


# -- the teams' ------------------------------------------------------------------------------------


def for_workloads(cluster: Cluster, count: int) -> Iterator[Manifest]:
    """Yield policies of single workloads for the calls that they receive, and make."""
    rng = random.Random(f"{cluster.shape.seed} calico workloads")
    for number, workload, sources, targets in by_callers(rng, cluster, count):
        spec: Manifest = {
            "selector": f"app.kubernetes.io/name == '{workload.name}'",
            "types": ["Ingress", "Egress"] if rng.random() < 0.4 or not sources else ["Ingress"],
            "ingress": [ingress(rng, workload, source) for source in sources[:6]],
        }
        if "Egress" in spec["types"]:
            spec["egress"] = list(egress(rng, workload, targets))
        for rules in (spec["ingress"], spec.get("egress", [])):
            match rng.randrange(4):
                case 0:
                    rules.append({"action": "Pass"})
                case 1:
                    rules += [{"action": "Log"}, {"action": "Deny"}]
                case _:
                    pass
        yield written(
            "NetworkPolicy",
            f"applications.{workload.name}{number or ''}",
            namespace=workload.namespace,
            tier="applications",
            order=rng.choice((50, 100, 100, 200)),
            **spec,
        )


def ingress(rng: random.Random, workload: Workload, caller: Workload) -> Manifest:
    """Return the rule for one caller; of a web server, what it may ask for."""
    found: Manifest = {"action": "Allow", "protocol": "TCP", "source": end(rng, workload, caller)}
    found |= ports_of(rng, workload)
    over_tcp = found["protocol"] == "TCP"
    if over_tcp and workload.component in HTTP_COMPONENTS and rng.random() < 0.5:
        paths = paths_of(rng, workload)
        wanted: Manifest = {"methods": methods_of(rng)}
        if paths:
            wanted["paths"] = [{rng.choice(("exact", "prefix")): path} for path in paths]
        found["http"] = wanted
    return found


def egress(rng: random.Random, workload: Workload, called: list[Workload]) -> Iterator[Manifest]:
    """Yield a rule for DNS, for each workload called, at times for partners or the internet."""
    for protocol in ("UDP", "TCP"):
        yield {"action": "Allow", "protocol": protocol, "destination": CLUSTER_DNS}
    for other in called[:6]:
        found = ports_of(rng, other)
        found["destination"] = end(rng, workload, other) | found.pop("destination", {})
        yield {"action": "Allow", "protocol": "TCP"} | found
    match rng.randrange(6):
        case 0:
            team = f"team == '{workload.labels['team']}'"
            to: Manifest = {"selector": f"role in {{'partner', 'payment'}} && {team}"}
            yield {"action": "Allow", "protocol": "TCP", "destination": to | {"ports": [443]}}
        case 1:
            to = {"notNets": list(policies.PRIVATE), "nets": ["0.0.0.0/0"], "ports": [443]}
            yield {"action": "Allow", "protocol": "TCP", "destination": to}
        case _:
            pass


def end(rng: random.Random, own: Workload, other: Workload) -> Manifest:
    """Return an end of a rule that covers another workload: by labels, or by its account."""
    narrow = f"app.kubernetes.io/name == '{other.name}'"
    there = f"projectcalico.org/name == '{other.namespace}'"
    elsewhere: Manifest = {} if own.namespace == other.namespace else {"namespaceSelector": there}
    match rng.randrange(8):
        case 0 if other.service_account != "default":
            return {"serviceAccounts": {"names": [other.service_account]}} | elsewhere
        case 1:
            kinds = f"app.kubernetes.io/component in {{'{other.component}', 'debug'}}"
            return {"selector": f"{kinds} && tier not in {{'batch'}}"} | elsewhere
        case 2:
            wanted = f"env == '{own.labels['env']}'"
            kind = f"app.kubernetes.io/component == '{other.component}' && !has(pci)"
            return {"namespaceSelector": wanted, "selector": kind}
        case _:
            return {"selector": narrow} | elsewhere


def ports_of(rng: random.Random, workload: Workload) -> Manifest:
    """Return protocol and ports of a rule for a workload: numbers, names, ranges, or none."""
    if not workload.ports or rng.random() < 0.05:
        return {}
    port = workload.ports[0]
    numbers: list[int | str]
    match rng.randrange(10):
        case 0 | 1 | 2:
            numbers = [port.name]
        case 3:
            first = port.number // 1000 * 1000
            numbers = [f"{first}:{first + 999}"]
        case _:
            numbers = [port.number]
    return {"protocol": port.protocol, "destination": {"ports": numbers}}
