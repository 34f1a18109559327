"""Clusters and dependency maps from text, as tests write them."""

from io import BytesIO

from ringfence import assemble
from ringfence.learn.dependency_map import DependencyMap
from ringfence.learn.read_map import read_text
from ringfence.model.snapshot import Snapshot
from ringfence.sources import manifests

HEAD = "apiVersion: ringfence.dev/v1\nkind: DependencyMap\n"


def cluster(text: str, cni: str | None = None, pod_cidrs: tuple[str, ...] = ()) -> Snapshot:
    """Return the cluster that manifests describe; each workload may be shortened, see `short`."""
    return assemble.build(
        manifests.read(["-"], BytesIO(text.encode())), cni=cni, pod_cidrs=pod_cidrs
    )


def workload(
    name: str,
    labels: str = "",
    ports: str = "[]",
    kind: str = "Deployment",
    selector: str | None = None,
    env: str = "[]",
    host: bool = False,
) -> str:
    """Return the manifest of a workload, `namespace/name`; labels in YAML without braces."""
    namespace, _, own = name.partition("/")
    labels = labels or f"app: {own}"
    template = (
        f"{{metadata: {{labels: {{{labels}}}}}, spec: {{hostNetwork: {str(host).lower()}, "
        f"containers: [{{name: c, ports: {ports}, env: {env}}}]}}}}"
    )
    version = "batch/v1" if kind in ("Job", "CronJob") else "apps/v1"
    chosen = "" if kind == "Job" else f"selector: {{matchLabels: {{{selector or labels}}}}}, "
    spec = f"{{{chosen}template: {template}}}"
    if kind == "CronJob":
        spec = f"{{schedule: '* * * * *', jobTemplate: {{spec: {{template: {template}}}}}}}"
    return (
        f"---\napiVersion: {version}\nkind: {kind}\n"
        f"metadata: {{namespace: {namespace}, name: {own}}}\nspec: {spec}\n"
    )


def service(name: str, selector: str, ports: str, more: str = "") -> str:
    """Return the manifest of a Service, `namespace/name`; `more` are further fields of its spec."""
    namespace, _, own = name.partition("/")
    chosen = f"selector: {{{selector}}}, " if selector else ""
    return (
        f"---\napiVersion: v1\nkind: Service\nmetadata: {{namespace: {namespace}, name: {own}}}\n"
        f"spec: {{{chosen}ports: {ports}{', ' + more if more else ''}}}\n"
    )


def node(name: str, address: str, pod_cidr: str = "") -> str:
    """Return the manifest of a node."""
    spec = f"spec: {{podCIDR: {pod_cidr}, podCIDRs: [{pod_cidr}]}}\n" if pod_cidr else ""
    return (
        f"---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\n{spec}"
        f"status: {{addresses: [{{type: InternalIP, address: {address}}}]}}\n"
    )


def dependency_map(text: str) -> DependencyMap:
    """Return a map; its first two lines may be left out."""
    reading = read_text(text if "apiVersion" in text else HEAD + text, "map.yaml")
    assert reading.map is not None, reading.problems
    return reading.map
