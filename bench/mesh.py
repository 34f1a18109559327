"""Puts a cluster into a mesh: a proxy in every pod, and its policies beside the NetworkPolicies.

`istio` (sidecars) and `linkerd` look into HTTP; `ambient` has no waypoints and so goes by identity
and port. Namespaces that NetworkPolicies close are closed in the mesh, too, and workloads are
opened one by one to the service accounts that call them. NetworkPolicies let through the port by
which the mesh travels.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from bench import policies
from bench.clusters import Cluster, Namespace, Port, Workload
from bench.paths import HTTP_COMPONENTS, methods_of, paths_of
from bench.policies import DNS, Manifest, by_callers

TUNNELS = {"ambient": 15008, "linkerd": 4143}
"""The port by which what is meshed travels, where that is not its own."""
UNMESHED = "kube-system"
STATUS = '{"initContainers":["istio-init"],"containers":["istio-proxy"],"revision":"default"}'


# -- who takes part --------------------------------------------------------------------------------


def joined(cluster: Cluster) -> Cluster:
    """Return a cluster with every namespace but the control plane's in the mesh."""
    mesh = cluster.shape.mesh
    closed = {namespace.name for namespace in closed_namespaces(cluster)}

    def of(namespace: Namespace) -> Namespace:
        if namespace.name == UNMESHED:
            return namespace
        match mesh:
            case "istio":
                return replace(namespace, labels=namespace.labels | {"istio-injection": "enabled"})
            case "ambient":
                own = {"istio.io/dataplane-mode": "ambient"}
                return replace(namespace, labels=namespace.labels | own)
        told = {"linkerd.io/inject": "enabled"}
        if namespace.name in closed:
            told |= {"config.linkerd.io/default-inbound-policy": "deny"}
        return replace(namespace, annotations=told)

    return replace(cluster, namespaces=tuple(of(n) for n in cluster.namespaces))


def injected(cluster: Cluster, pods: Iterator[Manifest]) -> Iterator[Manifest]:
    """Yield running pods with what the injectors have put into them."""
    told = {n.name: n.annotations for n in cluster.namespaces}
    for pod in pods:
        metadata, spec = pod["metadata"], pod["spec"]
        if pod["kind"] != "Pod" or metadata["namespace"] == UNMESHED or spec.get("hostNetwork"):
            yield pod
            continue
        match cluster.shape.mesh:
            case "istio":
                annotations = {"sidecar.istio.io/status": STATUS}
                spec = spec | {"containers": [*spec["containers"], PROXIES["istio"]]}
            case "ambient":
                annotations = {"ambient.istio.io/redirection": "enabled"}
            case _:
                annotations = {
                    name: value
                    for name, value in told[metadata["namespace"]].items()
                    if name.startswith("config.")
                }
                spec = spec | {"containers": [PROXIES["linkerd"], *spec["containers"]]}
                own = metadata["labels"] | {"linkerd.io/control-plane-ns": "linkerd"}
                metadata = metadata | {"labels": own}
        yield pod | {"metadata": metadata | {"annotations": annotations}, "spec": spec}


PROXIES: dict[str, Manifest] = {
    "istio": {
        "name": "istio-proxy",
        "image": "registry.example/istio/proxyv2:1.29.0",
        "args": ["proxy", "sidecar"],
        "ports": [{"name": "http-envoy-prom", "containerPort": 15090, "protocol": "TCP"}],
    },
    "linkerd": {
        "name": "linkerd-proxy",
        "image": "registry.example/linkerd/proxy:edge-26.8.1",
        "ports": [
            {"name": "linkerd-proxy", "containerPort": 4143},
            {"name": "linkerd-admin", "containerPort": 4191},
        ],
    },
}


# -- policies --------------------------------------------------------------------------------------


def draw(cluster: Cluster) -> list[Manifest]:
    """Return the plain cluster's policies, and as many of the mesh beside them."""
    plain = policies.draw(cluster)
    if (tunnel := TUNNELS.get(cluster.shape.mesh)) is not None:
        plain = [let_through(policy, tunnel) for policy in plain]
    if cluster.shape.mesh == "linkerd":
        return [*plain, *linkerd(cluster)]
    return [*plain, *istio(cluster)]


def closed_namespaces(cluster: Cluster) -> list[Namespace]:
    """Return the namespaces that NetworkPolicies close: a quarter of these are for that."""
    names = {p["metadata"]["namespace"] for p in policies.draw(cluster) if is_closing(p)}
    return [n for n in cluster.namespaces if n.name in names]


def is_closing(policy: Manifest) -> bool:
    """Return whether a policy is the one that closes a namespace to what comes in."""
    name: str = policy["metadata"]["name"]
    return name == "default-deny-ingress"


def let_through(policy: Manifest, tunnel: int) -> Manifest:
    """Return a policy whose rules let through the port of the mesh wherever they let any through.

    Rules that deny stay as they are: a proxy's port says nothing of the application's.
    """
    spec = policy["spec"]
    opened: Manifest = {}
    for direction in ("ingress", "egress"):
        rules = []
        for rule in spec.get(direction, ()):
            own = rule
            if rule is not DNS and "ports" in rule:
                own = rule | {"ports": [*rule["ports"], {"port": tunnel}]}
            elif rule.get("action") == "Accept" and "protocols" in rule:
                port = {"tcp": {"destinationPort": {"number": tunnel}}}
                own = rule | {"protocols": [*rule["protocols"], port]}
            rules.append(own)
        if direction in spec:
            opened[direction] = rules
    return policy | {"spec": spec | opened}


def callers(cluster: Cluster) -> Iterator[tuple[Workload, list[Workload]]]:
    """Yield the workloads that are opened in the mesh, each with its callers."""
    rng = random.Random(f"{cluster.shape.seed} mesh")
    count = cluster.shape.policies - len(closed_namespaces(cluster))
    made: set[str] = set()
    for _, workload, sources, _ in by_callers(rng, cluster, 4 * len(cluster.workloads)):
        if len(made) == count:
            return
        if sources and workload.ports and workload.ref not in made | {UNMESHED}:
            made.add(workload.ref)
            yield workload, sources


# -- Istio's ---------------------------------------------------------------------------------------


def istio(cluster: Cluster) -> Iterator[Manifest]:
    """Yield mTLS for all, nothing allowed in closed namespaces, and who may call whom."""
    yield written(
        "security.istio.io/v1", "PeerAuthentication", "istio-system", "default", mtls=STRICT
    )
    for namespace in closed_namespaces(cluster):
        yield authorization(namespace.name, "allow-nothing")
    rng = random.Random(f"{cluster.shape.seed} istio")
    sidecars = cluster.shape.mesh == "istio"
    for workload, sources in callers(cluster):
        principals = [
            f"cluster.local/ns/{source.namespace}/sa/{source.service_account}"
            for source in sources[:6]
        ]
        operation: Manifest = {"ports": [str(workload.ports[0].number)]}
        if sidecars and workload.component in HTTP_COMPONENTS:
            operation["methods"] = methods_of(rng)
            if paths := paths_of(rng, workload):
                operation["paths"] = [path if "z" in path[-1] else f"{path}*" for path in paths]
        rules: list[Manifest] = [
            {
                "from": [{"source": {"principals": sorted(set(principals))}}],
                "to": [{"operation": operation}],
            }
        ]
        if metrics := metrics_of(workload):
            rules.append(
                {
                    "from": [{"source": {"namespaces": ["monitoring"]}}],
                    "to": [{"operation": {"ports": [str(metrics.number)]}}],
                }
            )
        yield authorization(
            workload.namespace,
            workload.name,
            selector={"matchLabels": {"app.kubernetes.io/name": workload.name}},
            action="ALLOW",
            rules=rules,
        )


STRICT = {"mode": "STRICT"}


def authorization(namespace: str, name: str, **spec: object) -> Manifest:
    """Return an AuthorizationPolicy of Istio."""
    return written("security.istio.io/v1", "AuthorizationPolicy", namespace, name, **spec)


def metrics_of(workload: Workload) -> Port | None:
    """Return the port by which a workload is watched."""
    return next((port for port in workload.ports if port.name == "metrics"), None)


def written(version: str, kind: str, namespace: str, name: str, **spec: object) -> Manifest:
    """Return an object of a mesh's."""
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}


# -- Linkerd's -------------------------------------------------------------------------------------


def linkerd(cluster: Cluster) -> Iterator[Manifest]:
    """Yield Servers, who may call them, and routes where HTTP is limited."""
    rng = random.Random(f"{cluster.shape.seed} linkerd")
    group = "policy.linkerd.io"
    for workload, sources in callers(cluster):
        namespace, name = workload.namespace, workload.name
        http = workload.component in HTTP_COMPONENTS
        yield written(
            f"{group}/v1beta3",
            "Server",
            namespace,
            name,
            podSelector={"matchLabels": {"app.kubernetes.io/name": name}},
            port=workload.ports[0].name,
            proxyProtocol="HTTP/1" if http else "opaque",
        )
        yield written(
            f"{group}/v1alpha1",
            "MeshTLSAuthentication",
            namespace,
            name,
            identityRefs=[
                {"kind": "ServiceAccount", "name": account, "namespace": space}
                for space, account in sorted({(s.namespace, s.service_account) for s in sources})
            ],
        )
        target: Manifest = {"group": group, "kind": "Server", "name": name}
        if http and (paths := paths_of(rng, workload)):
            target["kind"] = "HTTPRoute"
            yield written(
                f"{group}/v1beta3",
                "HTTPRoute",
                namespace,
                name,
                parentRefs=[{"group": group, "kind": "Server", "name": name}],
                rules=[
                    {
                        "matches": [
                            {"method": method, "path": {"type": "PathPrefix", "value": path}}
                            for method in methods_of(rng)
                            for path in paths
                        ]
                    }
                ],
            )
        yield written(
            f"{group}/v1alpha1",
            "AuthorizationPolicy",
            namespace,
            name,
            targetRef=target,
            requiredAuthenticationRefs=[
                {"group": group, "kind": "MeshTLSAuthentication", "name": name}
            ],
        )
