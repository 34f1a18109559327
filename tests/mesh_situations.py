"""Hypothesis strategies for small clusters in which some namespaces are in a mesh, with maps."""

from dataclasses import replace
from typing import Any, Final

import msgspec
from hypothesis import strategies as st

from map_strategies import HERE, NUMBER_PORTS, Situation, clusters, maps
from policy_strategies import Draw, Manifest
from ringfence.learn.dependency_map import (
    Dependency,
    DependencyMap,
    Entry,
    HttpRequest,
    WorkloadName,
)
from ringfence.model.snapshot import Snapshot
from strategies import build

LABELS: Final[dict[str, dict[str, str]]] = {
    "none": {},
    "sidecar": {"istio-injection": "enabled"},
    "ambient": {"istio.io/dataplane-mode": "ambient"},
}
INJECTED: Final = {"linkerd.io/inject": "enabled"}
DEFAULT: Final = "config.linkerd.io/default-inbound-policy"
REQUESTS: Final = (
    HttpRequest(("GET",)),
    HttpRequest(("GET", "POST"), "/v1/*"),
    HttpRequest((), "/v1/pay"),
    HttpRequest(("POST",), "/v1/pay"),
    HttpRequest(("PUT",), "/*"),
    HttpRequest((), "/v1"),
    HttpRequest((), "/v*"),
    HttpRequest(("BREW",), "/v1/{id}"),
)
ACCOUNTS: Final = ("default", "one", "two", "three", "four")


@st.composite
def meshed(draw: Draw, mesh: str, cni: str | None = None) -> Situation:
    """Return a cluster of which some namespaces are in a mesh, and a map of it.

    Args:
        draw: Hypothesis's.
        mesh: `istio` or `linkerd`.
        cni: the CNI; None: any.
    """
    manifests = draw(clusters())
    for manifest in manifests:
        _join(draw, mesh, manifest)
    chosen = cni or draw(st.sampled_from(("generic", "calico", "cilium")))
    pod_cidrs = draw(st.sampled_from((("10.0.0.0/16",), ("10.0.0.0/25", "fd00::/64"))))
    snapshot = build(manifests, chosen, pod_cidrs)
    written = draw(maps(snapshot, addresses=True))
    if draw(st.integers(0, 3)):
        written = draw(_with_a_call(snapshot, written))
    entries = tuple(
        msgspec.structs.replace(
            entry,
            calls=tuple(_limited(draw, each) for each in entry.calls),
            callers=tuple(_limited(draw, each) for each in entry.callers),
        )
        for entry in written.workloads
    )
    written = msgspec.structs.replace(written, workloads=entries)
    for manifest in manifests:
        if manifest["metadata"]["name"] not in written.namespaces:
            # What another namespace refuses by itself is no matter of the map's policies.
            manifest["metadata"].get("annotations", {}).pop(DEFAULT, None)
    return Situation(manifests, chosen, pod_cidrs, written)


@st.composite
def _with_a_call(draw: Draw, snapshot: Snapshot, written: DependencyMap) -> DependencyMap:
    """Return a map with one call more, of a workload by another or by itself."""
    names = [WorkloadName(w.namespace, w.name, w.kind) for w in snapshot.workloads]
    called = draw(st.sampled_from(names))
    call = Dependency(
        source=draw(st.sampled_from(names)),
        destination=called,
        ports=(draw(st.sampled_from(NUMBER_PORTS[:2])),),
        location=HERE,
    )
    others = tuple(entry for entry in written.workloads if entry.subject != called)
    entry = Entry(subject=called, callers=(call,), location=HERE)
    covered = tuple(dict.fromkeys((*written.namespaces, called.namespace)))
    return msgspec.structs.replace(written, workloads=(*others, entry), namespaces=covered)


def _limited(draw: Draw, dependency: Dependency) -> Dependency:
    """Return a dependency, perhaps limited to other requests."""
    limited = dependency.ports and any(p.protocol is None for p in dependency.ports)
    if not limited or draw(st.integers(0, 2)):
        return dependency
    http = tuple(draw(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=2, unique=True)))
    return msgspec.structs.replace(dependency, http=http)


def _join(draw: Draw, mesh: str, manifest: Manifest) -> None:
    """Let an object take part in a mesh, or not."""
    metadata: dict[str, Any] = manifest["metadata"]
    match manifest["kind"]:
        case "Namespace" if mesh == "linkerd":
            if draw(st.integers(0, 3)):
                metadata["annotations"] = dict(INJECTED)
                if default := draw(st.sampled_from(("", "deny", "all-authenticated"))):
                    metadata["annotations"][DEFAULT] = default
        case "Namespace":
            plane = draw(st.sampled_from(("none", "sidecar", "sidecar", "ambient", "ambient")))
            metadata["labels"] = {**metadata["labels"], **LABELS[plane]}
        case "Service":
            for port in manifest["spec"]["ports"]:
                before = draw(st.sampled_from(("", "http-", "tcp-")))
                port["name"] = before + port["name"]
        case "Node":
            pass
        case kind:
            spec = manifest["spec"]
            if kind == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            if kind != "Pod":
                spec = spec["template"]["spec"]
            spec["serviceAccountName"] = draw(st.sampled_from(ACCOUNTS))


def under(situation: Situation, cni: str) -> Situation:
    """Return the same under another CNI."""
    return replace(situation, cni=cni)
