"""Hypothesis strategies for small clusters with policies of every kind, by every profile."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

import calico_companions
import cilium_companions
from cilium_strategies import cilium_policy_sets
from policy_strategies import (
    INHABITED,
    NAMESPACE_LABELS,
    NAMESPACES,
    NODE_LABELS,
    POD_LABELS,
    PORT_NAMES,
    PORTS,
    PROTOCOLS,
    Draw,
    Manifest,
    admin_network_policies,
    baseline_admin_network_policies,
    cluster_network_policies,
    network_policies,
    spoiled,
)
from ringfence import assemble
from ringfence.model.document import Document
from ringfence.model.reading import Reading
from ringfence.model.snapshot import Snapshot

FOUR = ("10.0.0.4", "10.0.0.5", "10.0.0.8", "10.0.255.255", "10.1.0.1", "192.168.0.1", "100.64.0.9")
SIX = ("fd00::5", "fd00::6", "fd00:0:0:1::5", "2001:db8::1", "fe80::1")
POD_CIDRS = (
    (),
    ("10.0.0.0/16",),
    ("10.0.0.0/25", "fd00::/64"),
    ("10.0.0.4/31", "10.1.0.0/16"),
    ("fd00::/64",),
)
PROFILES = (
    *("generic",) * 4, *("calico",) * 3, *("cilium",) * 3, "ovn-kubernetes", "antrea", "none", None,
)  # fmt: skip
"""None: to be detected. Those that mean the most kinds of policy are drawn most."""


@dataclass(frozen=True)
class Situation:
    """Manifests, and what the command line would add to them."""

    manifests: list[Manifest]
    policies: list[Manifest]
    cni: str | None = "generic"
    pod_cidrs: tuple[str, ...] = ()
    staged: bool = False

    def snapshot(self) -> Snapshot:
        """Return the snapshot of all of it."""
        return self.with_policies(self.policies)

    def with_policies(self, policies: Sequence[Manifest]) -> Snapshot:
        """Return the snapshot of the same cluster with other policies."""
        return build([*self.manifests, *policies], self.cni, self.pod_cidrs, self.staged)


def build(
    manifests: Sequence[Manifest],
    cni: str | None = None,
    pod_cidrs: Sequence[str] = (),
    staged: bool = False,
) -> Snapshot:
    """Return the snapshot of manifests, none of which is changed."""
    documents = tuple(map(document, copy.deepcopy(list(manifests))))
    return assemble.build(Reading(documents=documents), cni=cni, pod_cidrs=pod_cidrs, staged=staged)


def document(manifest: Manifest) -> Document:
    """Return a manifest as a source hands it over."""
    metadata = manifest["metadata"]
    return Document(
        api_version=manifest["apiVersion"],
        kind=manifest["kind"],
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        body=manifest,
        file="drawn.yaml",
    )


# -- clusters ------------------------------------------------------------------------------------


def labels(vocabulary: Mapping[str, tuple[str, ...]]) -> st.SearchStrategy[dict[str, str]]:
    """Labels, each of which may be missing."""
    return st.fixed_dictionaries(
        {}, optional={key: st.sampled_from(values) for key, values in vocabulary.items()}
    )


def addresses() -> st.SearchStrategy[list[str]]:
    """The addresses of a pod or node: of one family, both in either order, or none."""
    four, six = st.sampled_from(FOUR), st.sampled_from(SIX)
    return st.one_of(
        four.map(lambda a: [a]),
        st.tuples(four, six).map(list),
        six.map(lambda a: [a]),
        st.tuples(six, four).map(list),
        st.just([]),
    )


@st.composite
def container_ports(draw: Draw) -> list[Manifest]:
    """The ports of a container; the same name may stand for two numbers or protocols."""
    found = []
    for _ in range(draw(st.integers(0, 2))):
        port: Manifest = {"containerPort": draw(st.sampled_from(PORTS))}
        if draw(st.booleans()):
            port["name"] = draw(st.sampled_from(PORT_NAMES[:3]))
        if draw(st.booleans()):
            port["protocol"] = draw(st.sampled_from(PROTOCOLS))
        found.append(port)
    return found


@st.composite
def pod_specs(draw: Draw) -> Manifest:
    """What a pod or a template says of its containers, account and network."""
    spec: Manifest = {
        "containers": [{"name": "main", "image": "x", "ports": draw(container_ports())}]
    }
    if draw(st.integers(0, 3)) == 0:
        spec["initContainers"] = [{"name": "init", "image": "x", "ports": draw(container_ports())}]
    if draw(st.integers(0, 4)) == 0:
        spec["hostNetwork"] = True
    if draw(st.booleans()):
        spec["serviceAccountName"] = "robot"
    return spec


@st.composite
def workloads(draw: Draw, name: str, nodes: tuple[str, ...]) -> list[Manifest]:
    """A bare pod, a template without pods, or pods that a StatefulSet owns."""
    namespace = draw(st.sampled_from(INHABITED))
    spec, own = draw(pod_specs()), draw(labels(POD_LABELS))

    def pod(number: int, **metadata: Any) -> Manifest:
        status: Manifest = {"phase": "Running"}
        found = draw(addresses())
        if spec.get("hostNetwork"):
            found = found[:1]  # two might be those of two nodes, and it can be on but one
        if found:
            status |= {"podIP": found[0], "podIPs": [{"ip": ip} for ip in found]}
        placed = {"nodeName": draw(st.sampled_from(nodes))} if draw(st.booleans()) else {}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{name}-{number}", "namespace": namespace, "labels": own}
            | metadata,
            "spec": spec | placed,
            "status": status,
        }

    form = draw(st.integers(0, 2))
    if form == 0:
        return [pod(0)]
    if form == 1:
        template = {"metadata": {"labels": own}, "spec": spec}
        return [
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"replicas": 2, "selector": {"matchLabels": own}, "template": template},
            }
        ]
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": name, "controller": True}
    return [
        pod(
            number,
            labels=own | {"apps.kubernetes.io/pod-index": str(number)},
            ownerReferences=[owner],
        )
        for number in range(draw(st.integers(1, 3)))
    ]


@st.composite
def nodes(draw: Draw) -> list[Manifest]:
    """Up to two nodes, with and without addresses and pod blocks."""
    found = []
    taken: set[str] = set()
    for name in ("n1", "n2")[: draw(st.integers(0, 2))]:
        own = [address for address in draw(addresses()) if address not in taken]
        taken |= set(own)
        listed = [{"type": "InternalIP", "address": address} for address in own]
        spec: Manifest = {}
        if draw(st.integers(0, 2)) == 0:
            spec["podCIDRs"] = draw(
                st.sampled_from((["10.0.0.0/24"], ["10.1.0.0/16", "fd00::/64"]))
            )
        found.append(
            {
                "apiVersion": "v1",
                "kind": "Node",
                "metadata": {"name": name, "labels": draw(labels(NODE_LABELS))},
                "spec": spec,
                "status": {"addresses": [{"type": "Hostname", "address": name}, *listed]},
            }
        )
    return found


@st.composite
def agents(draw: Draw) -> list[Manifest]:
    """What tells the version of a CNI, or one of its switches; at times nothing."""
    chosen = draw(st.integers(0, 7))
    found = []
    if chosen in {0, 1}:
        repository, versions = (
            ("cilium/cilium", ("v1.19.4", "v1.20.1")),
            ("calico/node", ("v3.31.2", "v3.32.0")),
        )[chosen]
        image = f"quay.io/{repository}:{draw(st.sampled_from(versions))}"
        name = repository.replace("/", "-")
        spec = {"hostNetwork": True, "containers": [{"name": "agent", "image": image}]}
        found.append(
            {
                "apiVersion": "apps/v1",
                "kind": "DaemonSet",
                "metadata": {"name": name, "namespace": "kube-system"},
                "spec": {"selector": {}, "template": {"metadata": {}, "spec": spec}},
            }
        )
    if chosen in {0, 2, 3, 4}:
        found.append(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "cilium-config", "namespace": "kube-system"},
                "data": {
                    "enable-k8s-cluster-network-policy": draw(st.sampled_from(("true", "no")))
                },
            }
        )
    return found


@st.composite
def clusters(draw: Draw) -> list[Manifest]:
    """Three namespaces, up to two nodes, two to six workloads."""
    manifests: list[Manifest] = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": draw(labels(NAMESPACE_LABELS))},
        }
        for name in NAMESPACES[:3]
    ]
    manifests += draw(nodes())
    for number in range(draw(st.integers(2, 6))):
        manifests += draw(workloads(f"w{number}", ("n1", "n2", "n9")))
    return manifests + draw(agents())


# -- policies ------------------------------------------------------------------------------------


@st.composite
def policies(draw: Draw, *, sound: bool = False) -> list[Manifest]:
    """Two to six policies of all kinds; now and then a part of one is malformed.

    Args:
        draw: given by Hypothesis.
        sound: whether all of them are well-formed.
    """
    found: list[Manifest] = []
    for number in range(draw(st.integers(2, 6))):
        match draw(st.integers(0, 7)):
            case 0 | 1 | 2 | 3:
                policy = draw(network_policies(f"np{number}"))
            case 4 | 5:
                policy = draw(cluster_network_policies(f"cnp{number}"))
            case 6:
                policy = draw(admin_network_policies(f"anp{number}"))
            case _ if any(p["kind"].startswith("Baseline") for p in found):
                continue
            case _:
                policy = draw(baseline_admin_network_policies())
        if not sound and draw(st.integers(0, 7)) == 7:
            policy = draw(spoiled(policy))
        found.append(policy)
    return found


@st.composite
def situations(draw: Draw, *, sound: bool = False, cni: str | None = "any") -> Situation:
    """A cluster, its policies, a profile that is given or to be detected, the blocks of pods.

    Args:
        draw: given by Hypothesis.
        sound: whether all policies are well-formed.
        cni: the profile, where it is to be a certain one.
    """
    found = Situation(
        draw(clusters()),
        draw(policies(sound=sound)),
        draw(st.sampled_from(PROFILES)) if cni == "any" else cni,
        draw(st.sampled_from(POD_CIDRS)),
    )
    if found.cni == "calico" and draw(st.integers(0, 3)):
        return draw(with_calico(found, sound=sound))
    if found.cni == "cilium" and draw(st.integers(0, 3)):
        return draw(with_cilium(found, sound=sound))
    return found


@st.composite
def with_calico(draw: Draw, situation: Situation, *, sound: bool = False) -> Situation:
    """The situation with Calico's own objects, and fewer policies of other kinds."""
    own = draw(calico_companions.documents(sound=sound))
    return replace(
        situation,
        manifests=[*situation.manifests, *draw(calico_companions.surroundings())],
        policies=[*situation.policies[: draw(st.integers(0, 2))], *own],
        staged=draw(st.integers(0, 2)) == 0,
    )


@st.composite
def with_cilium(draw: Draw, situation: Situation, *, sound: bool = False) -> Situation:
    """The situation with Cilium's own policies, and an agent with settings and a version."""
    agents = ("DaemonSet", "ConfigMap")
    cluster = [m for m in situation.manifests if m["kind"] not in agents]
    own = draw(cilium_policy_sets())
    if not sound and draw(st.integers(0, 4)) == 0:
        own = [draw(spoiled(policy)) if "spec" in policy else policy for policy in own]
    return replace(
        situation, manifests=[*cluster, *draw(cilium_companions.cilium_companions())], policies=own
    )
