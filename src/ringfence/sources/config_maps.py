"""Which ConfigMaps bear on verdicts, and what of them is kept. No other is read, ever.

- `kube-system/cilium-config`: the settings of Cilium's agent
- `istio`, and `istio-REVISION`, if it has `mesh`: Istio's mesh configuration. Of that alone, since
  others have names that begin so
- `linkerd-config`, if it has `values`: how Linkerd was installed
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ringfence.model.document import Document

CILIUM_CONFIG: Final = ("kube-system", "cilium-config")
ISTIO, LINKERD = "istio", "linkerd-config"
REVISION: Final = "istio.io/rev"
CONTROL_PLANE: Final = "linkerd.io/control-plane-ns"
ISTIO_HOME, LINKERD_HOME = "istio-system", "linkerd"


class Wanted(NamedTuple):
    """A ConfigMap that is read, by its names."""

    namespace: str
    name: str
    key: str
    """The one key of its data that is kept; empty: all."""


def wanted(metadata: object, data: object) -> Wanted | None:
    """Return what of a ConfigMap in a manifest is to be kept; None where nothing is."""
    if not isinstance(metadata, Mapping):
        return None
    namespace, name = metadata.get("namespace"), metadata.get("name")
    if (namespace, name) == CILIUM_CONFIG:
        return Wanted(*CILIUM_CONFIG, "")
    if not isinstance(name, str) or not isinstance(namespace, str | None):
        return None
    key = ""
    if name == ISTIO or name.startswith(f"{ISTIO}-"):
        key = "mesh"
    elif name == LINKERD:
        key = "values"
    if not key or not isinstance(data, Mapping) or key not in data:
        return None
    return Wanted(namespace or "default", name, key)


def reduced(body: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a ConfigMap with nothing but one key of its data."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": body.get("metadata"),
        "data": {key: body["data"][key]},
    }


def expected(documents: Sequence[Document]) -> list[Wanted]:
    """Return the ConfigMaps of the meshes that a cluster seems to have, sorted.

    Where nothing of a mesh is in sight, nothing is asked for. The control planes tell where they
    are by the labels of their pods, and which revision they are.
    """
    found: set[Wanted] = set()
    for document in documents:
        if document.kind != "Pod":
            continue
        metadata = document.body.get("metadata")
        labels = metadata.get("labels") if isinstance(metadata, dict) else None
        if not isinstance(labels, dict):
            continue
        if labels.get("app") == "istiod":
            revision = labels.get(REVISION) or "default"
            name = ISTIO if revision == "default" else f"{ISTIO}-{revision}"
            found.add(Wanted(document.namespace, name, "mesh"))
        if home := labels.get(CONTROL_PLANE):
            found.add(Wanted(str(home), LINKERD, "values"))
    groups = {document.api_version.partition("/")[0] for document in documents}
    if any(group.endswith(".istio.io") for group in groups):
        found.add(Wanted(ISTIO_HOME, ISTIO, "mesh"))
    if "policy.linkerd.io" in groups and not any(w.name == LINKERD for w in found):
        found.add(Wanted(LINKERD_HOME, LINKERD, "values"))
    return sorted(found)
