"""Writes a generated cluster as the objects of the Kubernetes API."""

from collections.abc import Iterator
from typing import Any

from bench.clusters import Cluster, Workload, is_rolling, node_count

Manifest = dict[str, Any]

POD_BITS = 12
"""Every node has 4,096 pod addresses: ten times the replicas fit without new nodes."""


def namespaces(cluster: Cluster) -> Iterator[Manifest]:
    """Yield the Namespaces."""
    for namespace in cluster.namespaces:
        metadata: Manifest = {"name": namespace.name, "labels": namespace.labels}
        if namespace.annotations:
            metadata["annotations"] = namespace.annotations
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def nodes(cluster: Cluster) -> Iterator[Manifest]:
    """Yield the Nodes."""
    for number in range(node_count(cluster.shape)):
        yield {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {
                "name": f"node-{number}",
                "labels": {
                    "kubernetes.io/hostname": f"node-{number}",
                    "kubernetes.io/os": "linux",
                    "topology.kubernetes.io/zone": f"zone-{number % 3}",
                },
            },
            "spec": {"podCIDRs": [f"{address(10 << 24, number << POD_BITS)}/{32 - POD_BITS}"]},
            "status": {"addresses": [{"type": "InternalIP", "address": node_address(number)}]},
        }


def address(base: int, offset: int) -> str:
    """Return an IPv4 address as text."""
    value = base + offset
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def node_address(number: int) -> str:
    """Return the address of a node."""
    return address(172 << 24 | 31 << 16, number + 1)


def workload_manifests(workload: Workload, replicas: int) -> Iterator[Manifest]:
    """Yield a workload and, where it serves anything, its Service."""
    stable = {"app.kubernetes.io/name": workload.name}
    template = {"metadata": {"labels": workload.labels}, "spec": pod_spec(workload)}
    spec: Manifest
    match workload.kind:
        case "CronJob":
            template["spec"]["restartPolicy"] = "OnFailure"
            spec = {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": template}}}
        case "DaemonSet":
            spec = {"selector": {"matchLabels": stable}, "template": template}
        case kind:
            spec = {
                "replicas": replicas,
                "selector": {"matchLabels": stable},
                "template": template,
            }
            if kind == "StatefulSet":
                spec["serviceName"] = workload.name
    yield {
        "apiVersion": "batch/v1" if workload.kind == "CronJob" else "apps/v1",
        "kind": workload.kind,
        "metadata": {
            "name": workload.name,
            "namespace": workload.namespace,
            "labels": workload.labels,
        },
        "spec": spec,
    }
    if workload.ports:
        yield {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": workload.name, "namespace": workload.namespace},
            "spec": {
                "selector": stable,
                "ports": [
                    {
                        "name": port.name,
                        "port": port.number,
                        "targetPort": port.name,
                        "protocol": port.protocol,
                    }
                    for port in workload.ports
                ],
            },
        }


def pod_spec(workload: Workload) -> Manifest:
    """Return the `spec` of a workload's pods, with what a container usually carries."""
    container: Manifest = {
        "name": workload.component,
        "image": f"registry.example/{workload.application}/{workload.component}:1.0",
        "ports": [
            {"name": port.name, "containerPort": port.number, "protocol": port.protocol}
            for port in workload.ports
        ],
        "env": [
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    spec: Manifest = {"serviceAccountName": workload.service_account, "containers": [container]}
    if workload.host_network:
        spec["hostNetwork"] = True
    return spec


class Addresses:
    """Hands out pod addresses, node by node in turn."""

    def __init__(self, node_total: int) -> None:
        """Begin with every node empty."""
        self._used = [0] * node_total
        self._next = 0

    def take(self) -> tuple[int, str]:
        """Return the next node's number and a free address of its block."""
        node = self._next
        self._next = (node + 1) % len(self._used)
        self._used[node] += 1
        if self._used[node] >= (1 << POD_BITS) - 1:
            raise OverflowError(f"node-{node} has no free pod address")
        return node, address(10 << 24, (node << POD_BITS) + self._used[node])


def pods(cluster: Cluster) -> Iterator[Manifest]:
    """Yield each workload's ReplicaSets or Jobs where it has such, and its pods.

    One Deployment in fifty is in the middle of a roll-out: its pods have one of two versions. The
    pods of a StatefulSet carry the labels by which each can be told from the next. Parts that
    pods have in common are the same objects, so that a million of them fit into memory.
    """
    addresses = Addresses(node_count(cluster.shape))
    for index, (workload, replicas) in enumerate(
        zip(cluster.workloads, cluster.replicas, strict=True)
    ):
        spec = pod_spec(workload)
        found = owners_of(workload, rolling=is_rolling(index))
        owners, labels = [owner for owner, _ in found], [own for _, own in found]
        for owner in owners:
            if owner["kind"] in {"ReplicaSet", "Job"}:
                yield intermediate(workload, owner)
        references = [[owner] for owner in owners]
        for number in range(replicas):
            which = number % len(owners)
            if workload.host_network:
                node, ip = number, node_address(number)
            else:
                node, ip = addresses.take()
            name, own = f"{owners[which]['name']}-{number:05x}", labels[which]
            if workload.kind == "StatefulSet":
                name = f"{workload.name}-{number}"
                own = own | {
                    "statefulset.kubernetes.io/pod-name": name,
                    "apps.kubernetes.io/pod-index": str(number),
                }
            yield {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    "name": name,
                    "namespace": workload.namespace,
                    "labels": own,
                    "ownerReferences": references[which],
                },
                "spec": spec | {"nodeName": f"node-{node}"},
                "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
            }


def owners_of(workload: Workload, *, rolling: bool) -> list[tuple[Manifest, dict[str, str]]]:
    """Return the owner references that a workload's pods have, each with its pods' labels."""
    if workload.kind in {"StatefulSet", "DaemonSet"}:
        return [(owner_reference("apps/v1", workload.kind, workload.name), workload.labels)]
    if workload.kind == "CronJob":
        job = f"{workload.name}-28900000"
        labels = workload.labels | {"batch.kubernetes.io/job-name": job}
        return [(owner_reference("batch/v1", "Job", job), labels)]
    owners = []
    for number in range(2 if rolling else 1):
        fingerprint = f"5d8c7f{number:04x}"
        labels = workload.labels | {"pod-template-hash": fingerprint}
        if number:
            labels["app.kubernetes.io/version"] = "5.0.0"
        name = f"{workload.name}-{fingerprint}"
        owners.append((owner_reference("apps/v1", "ReplicaSet", name), labels))
    return owners


def owner_reference(api_version: str, kind: str, name: str) -> Manifest:
    """Return an owner reference of a controller."""
    return {"apiVersion": api_version, "kind": kind, "name": name, "controller": True}


def intermediate(workload: Workload, owner: Manifest) -> Manifest:
    """Return the ReplicaSet or Job that stands between a workload and its pods."""
    template = {"metadata": {"labels": workload.labels}, "spec": pod_spec(workload)}
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "metadata": {
            "name": owner["name"],
            "namespace": workload.namespace,
            "labels": workload.labels,
            "ownerReferences": [
                owner_reference(
                    "batch/v1" if owner["kind"] == "Job" else "apps/v1",
                    workload.kind,
                    workload.name,
                )
            ],
        },
        "spec": {"template": template},
    }
