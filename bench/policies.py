"""Makes up the policies of a generated cluster: default-deny first, then what must be open.

The order is the one in which teams write them: every namespace is closed before anything of it is
opened workload by workload, so that a cluster with few policies is a cluster half-way there.
"""

import random
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from bench.clusters import Cluster, Namespace, Workload

Manifest = dict[str, Any]
Selector = dict[str, Any]

DNS: Manifest = {
    "to": [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
            "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
        }
    ],
    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
}
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")


def draw(cluster: Cluster) -> list[Manifest]:
    """Return as many policy objects as the cluster's shape asks for."""
    wanted = cluster.shape.policies
    rng = random.Random(f"{cluster.shape.seed} policies")
    policies: list[Manifest] = []
    if cluster.shape.cluster_wide:
        policies += cluster_wide(cluster, min(20, max(3, wanted // 50)))
    own = [n for n in cluster.namespaces if n.name != "kube-system"]
    rng.shuffle(own)
    closed = own[: round(len(own) * 0.8)]
    strict = closed[: round(len(own) * 0.35)]
    # Nobody closes a namespace without opening it to itself; single workloads come last.
    limit = max(1, round(wanted * 0.25))
    policies += [default_deny_ingress(n) for n in closed[:limit]]
    policies += [allow_same_namespace(n, strict=n in strict) for n in closed[: limit * 4 // 5]]
    for share, namespaces, make in (
        (0.08, closed, allow_ingress_controller),
        (0.08, closed, allow_monitoring),
        (0.06, strict, default_deny_egress),
        (0.06, strict, allow_dns),
    ):
        limit = min(round(wanted * share), wanted - len(policies))
        policies += [make(namespace) for namespace in namespaces[:limit]]
    strict_names = {namespace.name for namespace in strict}
    policies += for_workloads(rng, cluster, strict_names, wanted - len(policies))
    return policies


def network_policy(namespace: str, name: str, **spec: object) -> Manifest:
    """Return a NetworkPolicy; `policyTypes` are the directions that the spec names."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "podSelector": spec.pop("podSelector", {}),
            "policyTypes": [key.capitalize() for key in ("ingress", "egress") if key in spec],
            **{key: value for key, value in spec.items() if value},
        },
    }


def named(namespace: str) -> Selector:
    """Return the selector of one namespace."""
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def default_deny_ingress(namespace: Namespace) -> Manifest:
    """Close a namespace to what comes in."""
    return network_policy(namespace.name, "default-deny-ingress", ingress=[])


def default_deny_egress(namespace: Namespace) -> Manifest:
    """Close a namespace to what goes out."""
    return network_policy(namespace.name, "default-deny-egress", egress=[])


def allow_same_namespace(namespace: Namespace, *, strict: bool) -> Manifest:
    """Let the pods of a namespace reach each other, databases excepted where it is strict."""
    rules: dict[str, object] = {"ingress": [{"from": [{"podSelector": {}}]}]}
    if strict:
        rules["egress"] = [{"to": [{"podSelector": {}}]}]
        rules["podSelector"] = {"matchExpressions": [requirement("tier", "NotIn", "data")]}
    return network_policy(namespace.name, "allow-same-namespace", **rules)


def allow_dns(namespace: Namespace) -> Manifest:
    """Open the way to the cluster's DNS for every pod of a namespace."""
    return network_policy(namespace.name, "allow-dns", egress=[DNS])


def allow_ingress_controller(namespace: Namespace) -> Manifest:
    """Open a namespace's frontends to the ingress controller: by the port's name in production."""
    peer = {
        "namespaceSelector": named("ingress-nginx"),
        "podSelector": {"matchLabels": {"app.kubernetes.io/component": "controller"}},
    }
    by_name = namespace.labels["env"] == "prod"
    port: Manifest = {"port": "http"} if by_name else {"port": 3000, "endPort": 3100}
    return network_policy(
        namespace.name,
        "allow-ingress-controller",
        podSelector={"matchExpressions": [requirement("tier", "In", "frontend", "edge")]},
        ingress=[{"from": [peer], "ports": [port]}],
    )


def allow_monitoring(namespace: Namespace) -> Manifest:
    """Open the metrics of a namespace to monitoring."""
    return network_policy(
        namespace.name,
        "allow-monitoring",
        ingress=[
            {
                "from": [{"namespaceSelector": named("monitoring")}],
                "ports": [{"port": "metrics"}],
            }
        ],
    )


def requirement(key: str, operator: str, *values: str) -> Selector:
    """Return one of a selector's `matchExpressions`."""
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


def for_workloads(
    rng: random.Random, cluster: Cluster, strict: set[str], count: int
) -> Iterator[Manifest]:
    """Yield policies of single workloads for the calls that they receive, or also make.

    Args:
        rng: draws.
        cluster: whose workloads.
        strict: the namespaces that are closed to what goes out.
        count: how many; workloads get a second one when all have theirs.
    """
    wanted = by_callers(rng, cluster, count)
    blocks = draw_blocks(rng, 10 + cluster.shape.policies // 50)
    for number, workload, sources, targets in wanted:
        spec: dict[str, object] = {"podSelector": own_selector(rng, workload)}
        if sources:
            spec["ingress"] = ingress(rng, workload, sources, blocks)
        if not sources or workload.namespace in strict or rng.random() < 0.2:
            spec["egress"] = egress(rng, workload, targets, blocks)
        suffix = f"-{number}" if number else ""
        yield network_policy(workload.namespace, f"{workload.name}{suffix}", **spec)


def by_callers(
    rng: random.Random, cluster: Cluster, count: int
) -> Iterator[tuple[int, Workload, list[Workload], list[Workload]]]:
    """Return as many times as policies are wanted a workload, who calls it, and whom it calls.

    The number is 0 the first time, then that of the policy: 2, 3, …. All have theirs before any
    gets a second one.
    """
    callers: dict[int, list[int]] = {}
    called: dict[int, list[int]] = {}
    for source, destination in cluster.calls:
        callers.setdefault(destination, []).append(source)
        called.setdefault(source, []).append(destination)
    order = sorted(callers.keys() | called.keys())
    rng.shuffle(order)
    return (
        (
            number // len(order) + 1 if number >= len(order) else 0,
            cluster.workloads[index],
            [cluster.workloads[i] for i in callers.get(index, ())],
            [cluster.workloads[i] for i in called.get(index, ())],
        )
        for number, index in zip(range(count), cycle(order), strict=False)
    )


def ingress(
    rng: random.Random, workload: Workload, callers: list[Workload], blocks: list[Manifest]
) -> list[Manifest]:
    """Return the rules for a workload's callers, and at times for a range of the outside."""
    peers = [pod_peer(rng, workload, caller) for caller in callers[:6]]
    rules = [{"from": peers} | ports_of(rng, workload)]
    if rng.random() < 0.15:
        rules.append({"from": [rng.choice(blocks)]} | ports_of(rng, workload))
    return rules


def egress(
    rng: random.Random, workload: Workload, called: list[Workload], blocks: list[Manifest]
) -> list[Manifest]:
    """Return a rule for DNS and each workload called, at times one for an API of the outside."""
    rules = [DNS]
    rules += [
        {"to": [pod_peer(rng, workload, other)]} | ports_of(rng, other) for other in called[:6]
    ]
    if rng.random() < 0.3:
        https = {"port": 443, "protocol": "TCP"}
        rules.append({"to": [rng.choice(blocks)], "ports": [https]})
    return rules


def own_selector(rng: random.Random, workload: Workload) -> Selector:
    """Return a selector by which a team would name its own workload."""
    labels = workload.labels
    match rng.randrange(10):
        case 0 | 1:
            return {
                "matchLabels": {"app.kubernetes.io/part-of": workload.application},
                "matchExpressions": [
                    requirement("app.kubernetes.io/component", "In", workload.component)
                ],
            }
        case 2:
            return {
                "matchLabels": {"app.kubernetes.io/part-of": workload.application},
                "matchExpressions": [
                    requirement("app.kubernetes.io/version", "Exists"),
                    requirement("pci", "Exists" if "pci" in labels else "DoesNotExist"),
                ],
            }
        case _:
            return {"matchLabels": {"app.kubernetes.io/name": labels["app.kubernetes.io/name"]}}


def pod_peer(rng: random.Random, own: Workload, other: Workload) -> Manifest:
    """Return a peer that covers another workload, narrowly or by what teams share."""
    narrow = {"matchLabels": {"app.kubernetes.io/name": other.name}}
    if rng.random() < 0.2:
        # Platform parts are opened to a kind of pod, wherever it runs.
        return {
            "namespaceSelector": {
                "matchExpressions": [requirement("env", "In", own.labels["env"])]
            },
            "podSelector": {
                "matchLabels": {"app.kubernetes.io/component": other.component},
                "matchExpressions": [requirement("pci", "DoesNotExist")],
            },
        }
    if other.namespace == own.namespace:
        if rng.random() < 0.75:
            return {"podSelector": narrow}
        return {
            "podSelector": {
                "matchExpressions": [
                    requirement("app.kubernetes.io/component", "In", other.component, "debug"),
                    requirement("tier", "NotIn", "batch"),
                ]
            }
        }
    match rng.randrange(4):
        case 0:
            return {"namespaceSelector": named(other.namespace)}
        case 1:
            wanted = [
                requirement("team", "In", other.labels["team"], own.labels["team"]),
                requirement("network-zone", "NotIn", "restricted"),
            ]
            return {"namespaceSelector": {"matchExpressions": wanted}, "podSelector": narrow}
        case _:
            return {"namespaceSelector": named(other.namespace), "podSelector": narrow}


def ports_of(rng: random.Random, workload: Workload) -> Manifest:
    """Return the `ports` of a rule for a workload: numbers, names, a range, or none."""
    if not workload.ports or rng.random() < 0.05:
        return {}
    port = workload.ports[0]
    written: Manifest = {"protocol": port.protocol}
    match rng.randrange(10):
        case 0 | 1 | 2:
            written["port"] = port.name
        case 3:
            first = port.number // 1000 * 1000
            written |= {"port": first, "endPort": first + 999}
        case _:
            written["port"] = port.number
    return {"ports": [written]}


def draw_blocks(rng: random.Random, count: int) -> list[Manifest]:
    """Return `ipBlock` peers: the internet, the company's ranges, partners; both IP families."""
    blocks: list[Manifest] = [
        {"cidr": "0.0.0.0/0", "except": list(PRIVATE)},
        {"cidr": "0.0.0.0/0", "except": [*PRIVATE, "169.254.0.0/16", "100.64.0.0/10"]},
        {"cidr": "172.16.0.0/12", "except": ["172.20.0.0/16"]},
        {"cidr": "2001:db8::/32", "except": ["2001:db8:ffff::/48"]},
    ]
    while len(blocks) < count:
        third = rng.randrange(256)
        match rng.randrange(4):
            case 0:
                blocks.append({"cidr": f"203.0.{third}.0/24"})
            case 1:
                inner = f"198.51.{third}.{rng.choice((0, 64, 128, 192))}/26"
                blocks.append({"cidr": f"198.51.{third}.0/24", "except": [inner]})
            case 2:
                blocks.append({"cidr": f"172.{rng.randint(16, 31)}.{third}.0/24"})
            case _:
                blocks.append({"cidr": f"2001:db8:{third:x}::/48"})
    return [{"ipBlock": block} for block in blocks]


def cluster_wide(cluster: Cluster, count: int) -> list[Manifest]:
    """Return the platform team's ClusterNetworkPolicies: guard rails and a baseline."""
    rng = random.Random(f"{cluster.shape.seed} cluster-wide")
    everyone: Selector = {"namespaces": {}}
    prod: Selector = {"namespaces": {"matchLabels": {"env": "prod"}}}
    policies = [
        cluster_policy(
            "no-metadata-service",
            "Admin",
            10,
            {"namespaces": {"matchExpressions": [requirement("team", "NotIn", "platform")]}},
            egress=[rule("Deny", "to", {"networks": ["169.254.169.254/32"]})],
        ),
        cluster_policy(
            "monitoring",
            "Admin",
            20,
            everyone,
            ingress=[
                rule("Accept", "from", {"namespaces": named("monitoring")})
                | {"protocols": [{"destinationNamedPort": "metrics"}]}
            ],
        ),
        cluster_policy(
            "environments-apart",
            "Baseline",
            10,
            prod,
            ingress=[
                rule("Accept", "from", {"namespaces": {"matchLabels": {"team": "platform"}}}),
                rule(
                    "Deny",
                    "from",
                    {"namespaces": {"matchExpressions": [requirement("env", "NotIn", "prod")]}},
                ),
            ],
        ),
    ]
    teams = sorted({n.labels["team"] for n in cluster.namespaces} - {"platform"})
    for number in range(count - len(policies)):
        team, other = rng.choice(teams), rng.choice(teams)
        peer = {
            "pods": {
                "namespaceSelector": {"matchLabels": {"team": other}},
                "podSelector": {"matchLabels": {"tier": rng.choice(("backend", "frontend"))}},
            }
        }
        subject = {
            "pods": {
                "namespaceSelector": {"matchLabels": {"team": team}},
                "podSelector": {"matchExpressions": [requirement("pci", "Exists")]},
            }
        }
        low = rng.choice((5432, 6379, 8000))
        ports = {"tcp": {"destinationPort": {"range": {"start": low, "end": low + 99}}}}
        policies.append(
            cluster_policy(
                f"{team}-{number}",
                rng.choice(("Admin", "Admin", "Baseline")),
                100 + number,
                subject,
                ingress=[
                    rule(rng.choice(("Pass", "Deny")), "from", peer) | {"protocols": [ports]},
                ],
            )
        )
    return policies


def cluster_policy(
    name: str, tier: str, priority: int, subject: Selector, **rules: list[Manifest]
) -> Manifest:
    """Return a ClusterNetworkPolicy."""
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha2",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"tier": tier, "priority": priority, "subject": subject, **rules},
    }


def rule(action: str, side: str, *peers: Manifest) -> Manifest:
    """Return one rule of a ClusterNetworkPolicy."""
    return {"action": action, side: list(peers)}
