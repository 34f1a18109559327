"""Names of hosts in Istio's networking objects, and who may see an object.

Source: Istio `pkg/config/host/name.go`, `pilot/pkg/model/service.go` (ResolveShortnameToFQDN),
`pkg/config/visibility`.
"""

from typing import Any

from ringfence.model.cluster import Service
from ringfence.model.document import Path
from ringfence.reference import schema

DOMAIN = "svc.cluster.local"


def host_of(service: Service) -> str:
    """Return the full name of a Service."""
    return f"{service.name}.{service.namespace}.{DOMAIN}"


def full_name(host: str, namespace: str) -> str:
    """Return what a host means in a namespace: a name without a dot is a Service there."""
    return host.lower() if "." in host or "*" in host else f"{host.lower()}.{namespace}.{DOMAIN}"


def covers(pattern: str, host: str) -> bool:
    """Return whether a name, perhaps with a star in front, holds another that may have one, too."""
    if pattern.startswith("*"):
        return host.removeprefix("*").endswith(pattern[1:])
    return pattern == host


def how_specific(pattern: str) -> tuple[bool, int]:
    """Return what orders patterns that all cover a host: exact ones, then the longest."""
    return not pattern.startswith("*"), len(pattern)


def read_export(value: Any, path: Path) -> tuple[str, ...]:  # noqa: ANN401
    """Return the namespaces that may see an object; every one where it does not say."""
    listed = schema.items(value, path)
    return tuple(schema.text(entry, (*path, i)) for i, entry in enumerate(listed)) or ("*",)


def is_seen(export: tuple[str, ...], owner: str, namespace: str) -> bool:
    """Return whether a namespace may see an object of another."""
    return any(one in ("*", namespace) or (one == "." and owner == namespace) for one in export)
