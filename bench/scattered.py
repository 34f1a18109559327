"""Makes up policies that select across namespaces, by labels that cut through all of them.

Nearly every one of them splits the pods anew, and some of their blocks hold pods: the worst that
teams who label well can do to an evaluator.
"""

import random
from collections.abc import Iterator

from bench.clusters import COMPONENTS, TEAMS, Cluster
from bench.policies import DNS, Manifest, Selector, network_policy, requirement

CUTTING: dict[str, tuple[str, ...]] = {
    "tier": ("frontend", "backend", "data", "batch"),
    "data-class": ("public", "internal", "secret"),
    "release": ("stable", "canary"),
    "app.kubernetes.io/component": tuple(component.name for component in COMPONENTS),
}
"""Labels that cut through all namespaces, and their values."""


def draw(cluster: Cluster) -> list[Manifest]:
    """Return as many policy objects as the cluster's shape asks for, a quarter default-deny."""
    rng = random.Random(f"{cluster.shape.seed} scattered")
    wanted = cluster.shape.policies
    own = [n for n in cluster.namespaces if n.name != "kube-system"][: wanted // 4]
    closed = [network_policy(n.name, "default-deny", ingress=[], egress=[]) for n in own]
    return [*closed, *by_label(rng, cluster, wanted - len(closed))]


def by_label(rng: random.Random, cluster: Cluster, count: int) -> Iterator[Manifest]:
    """Yield policies that select their pods and peers by labels that cut through namespaces."""

    def pods() -> Selector:
        keys = rng.sample(sorted(CUTTING), rng.randint(1, 2))
        return {
            "matchExpressions": [
                requirement(key, rng.choice(("In", "NotIn")), *rng.sample(CUTTING[key], 2))
                for key in keys
            ]
        }

    def peer() -> Manifest:
        match rng.randrange(5):
            case 0:
                hole = f"10.{rng.randrange(256)}.0.0/16"
                return {"ipBlock": {"cidr": "10.0.0.0/8", "except": [hole]}}
            case 1:
                return {"podSelector": pods()}
            case _:
                teams = requirement("team", "In", *rng.sample(TEAMS, 3))
                everywhere: Selector = rng.choice(({}, {"matchExpressions": [teams]}))
                return {"namespaceSelector": everywhere, "podSelector": pods()}

    def ports() -> list[Manifest]:
        match rng.randrange(4):
            case 0:
                return [{"port": rng.choice(("http", "metrics"))}]
            case 1:
                first = rng.randrange(1024, 60000)
                return [{"port": first, "endPort": first + rng.randrange(1, 3000)}]
            case _:
                return [{"port": rng.choice((80, 443, 3000, 5432, 8080, 9090))}]

    for number in range(count):
        yield network_policy(
            rng.choice(cluster.namespaces).name,
            f"by-label-{number}",
            podSelector=pods(),
            ingress=[{"from": [peer(), peer()], "ports": ports()} for _ in range(2)],
            egress=[DNS, *({"to": [peer(), peer()], "ports": ports()} for _ in range(2))],
        )
