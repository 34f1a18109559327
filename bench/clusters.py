"""Makes up clusters that look like real ones: who runs where, under which labels, calling whom.

The same shape always gives the same cluster. What is drawn for one aspect (policies, replicas)
never shifts what is drawn for another, so that a series varies one thing alone.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

WORKLOADS_PER_NAMESPACE = 20

NOUNS = (
    "account", "address", "audit", "basket", "billing", "catalog", "checkout", "claim", "contract",
    "coupon", "credit", "customer", "delivery", "device", "document", "export", "feed", "fraud",
    "gift", "image", "import", "insight", "inventory", "invoice", "ledger", "loyalty", "mail",
    "media", "offer", "order", "partner", "payment", "price", "profile", "promo", "quote",
    "rating", "refund", "report", "return", "review", "route", "search", "session", "stock",
    "supply", "tax", "ticket", "tracking", "vendor", "voucher", "warehouse",
)  # fmt: skip
TEAMS = ("atlas", "borealis", "cygnus", "draco", "echo", "fornax", "gemini", "hydra", "indus")
ENVIRONMENTS = ("prod", "prod", "prod", "staging", "dev")
"""A value drawn from here is `prod` three times in five."""


@dataclass(frozen=True)
class Shape:
    """What a cluster is generated from; equal shapes give equal clusters."""

    workloads: int
    policies: int
    """NetworkPolicies and ClusterNetworkPolicies (or those of the dialect) together."""
    pods: int = 0
    """0: the workloads are told by their templates alone, and no pod has an address."""
    cluster_wide: bool = True
    """Whether there are ClusterNetworkPolicies among the policies."""
    scattered: bool = False
    """Whether policies select across namespaces by label, rather than by who calls whom; there
    are no ClusterNetworkPolicies then."""
    dialect: str = ""
    """`calico` or `cilium`: in whose policies half of the rest is written; empty: Kubernetes' own
    alone."""
    mesh: str = ""
    """`istio`, `ambient` or `linkerd`: in which all pods are, with as many policies of its own
    beside those that the plain cluster has; empty: there is no mesh."""
    seed: int = 1


@dataclass(frozen=True)
class Port:
    """A named container port."""

    name: str
    number: int
    protocol: str = "TCP"


@dataclass(frozen=True)
class Component:
    """A part that many applications have: what it listens on, and what it calls."""

    name: str
    kind: str
    tier: str
    ports: tuple[Port, ...]
    calls: tuple[str, ...]


METRICS = Port("metrics", 9090)
COMPONENTS = (
    Component("api", "Deployment", "backend", (Port("http", 8080), METRICS), ("db", "cache")),
    Component("web", "Deployment", "frontend", (Port("http", 3000), METRICS), ("api", "grpc")),
    Component("db", "StatefulSet", "data", (Port("postgres", 5432), Port("metrics", 9187)), ()),
    Component("worker", "Deployment", "backend", (METRICS,), ("db", "queue")),
    Component("cache", "StatefulSet", "data", (Port("redis", 6379),), ()),
    Component("grpc", "Deployment", "backend", (Port("grpc", 8443), METRICS), ("db", "cache")),
    Component("queue", "StatefulSet", "data", (Port("amqp", 5672), Port("http", 15672)), ()),
    Component("voice", "Deployment", "backend", (Port("rtp", 8050, "UDP"), METRICS), ("api",)),
    Component("nightly", "CronJob", "batch", (), ("api", "db")),
)


@dataclass(frozen=True)
class Namespace:
    """A namespace of a team's."""

    name: str
    labels: dict[str, str]
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Workload:
    """A workload and the template of its pods."""

    namespace: str
    name: str
    kind: str
    component: str
    application: str
    labels: dict[str, str]
    """Of the pods; the workload carries them too."""
    ports: tuple[Port, ...]
    service_account: str
    host_network: bool = False

    @property
    def ref(self) -> str:
        """Return `namespace/name`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Cluster:
    """Everything but the policies, which follow from it."""

    shape: Shape
    namespaces: tuple[Namespace, ...]
    workloads: tuple[Workload, ...]
    calls: tuple[tuple[int, int], ...]
    """Indices of caller and called: the dependencies that the policies are written for."""
    replicas: tuple[int, ...]
    """How many pods each workload has; 1 each where the shape has no pods."""


SYSTEM_NAMESPACES = ("kube-system", "ingress-nginx", "monitoring")


def system() -> tuple[list[Namespace], list[Workload]]:
    """Return what every cluster has: DNS, an ingress controller, monitoring, node agents."""
    namespaces = [
        Namespace(name, {"kubernetes.io/metadata.name": name, "team": "platform", "env": "prod"})
        for name in SYSTEM_NAMESPACES
    ]

    def workload(
        namespace: str, name: str, kind: str, ports: tuple[Port, ...], **labels: str
    ) -> Workload:
        return Workload(
            namespace=namespace,
            name=name,
            kind=kind,
            component=name,
            application="platform",
            labels={"app.kubernetes.io/name": name, "team": "platform", "env": "prod", **labels},
            ports=ports,
            service_account=name,
            host_network=kind == "DaemonSet",
        )

    dns = (Port("dns", 53, "UDP"), Port("dns-tcp", 53), Port("metrics", 9153))
    return namespaces, [
        workload("kube-system", "coredns", "Deployment", dns, **{"k8s-app": "kube-dns"}),
        workload("kube-system", "kube-proxy", "DaemonSet", ()),
        workload(
            "ingress-nginx",
            "controller",
            "Deployment",
            (Port("http", 80), Port("https", 443), Port("metrics", 10254)),
            **{"app.kubernetes.io/component": "controller"},
        ),
        workload("monitoring", "prometheus", "StatefulSet", (Port("http", 9090),)),
        workload("monitoring", "node-exporter", "DaemonSet", (Port("metrics", 9100),)),
    ]


def draw(shape: Shape) -> Cluster:
    """Return the cluster of a shape."""
    namespaces, workloads = system()
    rng = random.Random(f"{shape.seed} namespaces")
    count = max(5, shape.workloads // WORKLOADS_PER_NAMESPACE - len(namespaces))
    weights = [rng.lognormvariate(0, 0.9) for _ in range(count)]
    sizes = apportion(shape.workloads - len(workloads), weights)
    for number, size in enumerate(sizes):
        namespace = draw_namespace(rng, number)
        namespaces.append(namespace)
        workloads += draw_workloads(rng, namespace, size)
    return Cluster(
        shape=shape,
        namespaces=tuple(namespaces),
        workloads=tuple(workloads),
        calls=tuple(draw_calls(random.Random(f"{shape.seed} calls"), workloads)),
        replicas=draw_replicas(random.Random(f"{shape.seed} replicas"), shape, workloads),
    )


def apportion(total: int, weights: list[float]) -> list[int]:
    """Return whole parts of a total in proportion to the weights, each at least 1.

    The total must be at least as large as the number of weights.
    """
    free = total - len(weights)
    bounds = [0.0]
    for weight in weights:
        bounds.append(bounds[-1] + weight)
    # Rounding the running sum, not each part, makes the parts add up.
    edges = [round(free * bound / bounds[-1]) for bound in bounds]
    return [1 + high - low for low, high in pairwise(edges)]


def draw_namespace(rng: random.Random, number: int) -> Namespace:
    """Return a team's namespace with the labels that policies select by."""
    team, environment = rng.choice(TEAMS), rng.choice(ENVIRONMENTS)
    name = f"{team}-{environment}-{number}"
    labels = {"kubernetes.io/metadata.name": name, "team": team, "env": environment}
    if rng.random() < 0.3:
        labels["network-zone"] = rng.choice(("dmz", "restricted"))
    return Namespace(name, labels)


def draw_workloads(rng: random.Random, namespace: Namespace, count: int) -> Iterator[Workload]:
    """Yield a namespace's workloads, application by application."""
    nouns = rng.sample(NOUNS, len(NOUNS))
    made = 0
    for number in range(count):
        noun = nouns[number % len(nouns)]
        application = noun if number < len(nouns) else f"{noun}{number // len(nouns) + 1}"
        parts = rng.sample(COMPONENTS, rng.randint(2, 6))
        for component in parts[: count - made]:
            made += 1
            yield draw_workload(rng, namespace, application, component)
        if made == count:
            return


def draw_workload(
    rng: random.Random, namespace: Namespace, application: str, component: Component
) -> Workload:
    """Return one component of an application."""
    name = f"{application}-{component.name}"
    version = f"{rng.randint(1, 4)}.{rng.randint(0, 30)}.{rng.randint(0, 9)}"
    labels = {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/component": component.name,
        "app.kubernetes.io/part-of": application,
        "app.kubernetes.io/version": version,
        "team": namespace.labels["team"],
        "tier": component.tier,
        "env": namespace.labels["env"],
        "data-class": rng.choice(("public", "internal", "secret")),
        "release": rng.choice(("stable", "stable", "canary")),
    }
    if rng.random() < 0.1:
        labels["pci"] = "true"
    # The same name stands for another number here and there: a named port must be looked up.
    ports = tuple(
        Port(port.name, port.number + rng.choice((0, 0, 0, 1, 80)), port.protocol)
        for port in component.ports
    )
    return Workload(
        namespace=namespace.name,
        name=name,
        kind=component.kind,
        component=component.name,
        application=application,
        labels=labels,
        ports=ports,
        service_account=name if rng.random() < 0.7 else "default",
    )


def draw_calls(rng: random.Random, workloads: list[Workload]) -> Iterator[tuple[int, int]]:
    """Yield the dependencies: within an application, and now and then to another's API."""
    calls = {component.name: component.calls for component in COMPONENTS}
    by_part = {(w.namespace, w.application, w.component): i for i, w in enumerate(workloads)}
    interfaces = [i for i, w in enumerate(workloads) if w.component in {"api", "grpc"}]
    for index, workload in enumerate(workloads):
        for component in calls.get(workload.component, ()):
            called = by_part.get((workload.namespace, workload.application, component))
            if called is not None:
                yield index, called
        if workload.component in {"api", "worker", "web"} and rng.random() < 0.4 and interfaces:
            called = rng.choice(interfaces)
            if called != index:
                yield index, called


def draw_replicas(rng: random.Random, shape: Shape, workloads: list[Workload]) -> tuple[int, ...]:
    """Return how many pods each workload has, all of them together the shape's pods.

    A DaemonSet has one for each node; the number of nodes follows from the workloads, so that
    ten times the pods do not bring new nodes.
    """
    if not shape.pods:
        return (1,) * len(workloads)
    nodes = node_count(shape)
    weights = [rng.lognormvariate(0, 1) for _ in workloads]
    others = [i for i, w in enumerate(workloads) if w.kind != "DaemonSet"]
    rest = shape.pods - nodes * (len(workloads) - len(others))
    counts = dict(zip(others, apportion(rest, [weights[i] for i in others]), strict=True))
    largest = max(counts, key=counts.__getitem__)
    for index in others:
        if is_rolling(index) and counts[index] == 1:
            counts[index] += 1
            counts[largest] -= 1
    return tuple(counts.get(i, nodes) for i in range(len(workloads)))


def is_rolling(index: int) -> bool:
    """Return whether a workload, if it is a Deployment, is in the middle of a roll-out.

    It has at least two pods then, so that there are some of each version.
    """
    return index % 50 == 0


def node_count(shape: Shape) -> int:
    """Return how many nodes a cluster with pods has: one for every twenty workloads."""
    return max(3, shape.workloads // 20)
