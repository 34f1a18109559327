"""The labels of a Calico object's own metadata, and of its namespace.

Authority: Calico `libcalico-go/lib/backend/k8s/conversion/conversion.go` NamespaceToProfile.
"""

from typing import Any

from ringfence.dialects import Context
from ringfence.dialects._shared import Malformed, text
from ringfence.model.cluster import Namespace
from ringfence.model.document import Document, Path
from ringfence.model.label_space import CALICO_NAME, CALICO_NAMESPACE_PREFIX
from ringfence.yaml_text import type_text


def own_labels(document: Document) -> dict[str, str]:
    """Return an object's labels.

    Raises:
        Malformed: not a map of texts.
    """
    metadata = document.body.get("metadata")
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise Malformed(f"expected a map, found {type_text(metadata)}", ("metadata",))
    return label_map(metadata.get("labels"), ("metadata", "labels"))


def label_map(value: Any, path: Path) -> dict[str, str]:  # noqa: ANN401
    """Return labels; an absent map (None) has none.

    Raises:
        Malformed: not a map of texts.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"expected a map, found {type_text(value)}", path)
    return {key: text(child, (*path, key)) for key, child in value.items()}


def namespaces_by_name(context: Context) -> dict[str, Namespace]:
    """Return the namespaces."""
    return {namespace.name: namespace for namespace in context.namespaces}


def namespace_labels(name: str, context: Context) -> dict[str, str]:
    """Return the labels that what is in a namespace has from it."""
    found = {f"{CALICO_NAMESPACE_PREFIX}{CALICO_NAME}": name}
    namespace = context.once(namespaces_by_name).get(name)
    if namespace is not None:
        found |= {f"{CALICO_NAMESPACE_PREFIX}{k}": v for k, v in namespace.labels.items()}
    found[f"{CALICO_NAMESPACE_PREFIX}{CALICO_NAME}"] = name
    return found
