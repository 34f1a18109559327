"""What a pod, or a template, says that decides how it takes part in a mesh."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

ISTIO_PROXY, LINKERD_PROXY = "istio-proxy", "linkerd-proxy"
PROXIES: Final = frozenset({ISTIO_PROXY, LINKERD_PROXY})
PROBES: Final = ("livenessProbe", "readinessProbe", "startupProbe")

Probes = tuple[tuple[int, str], ...]
"""Ports and paths, sorted."""


@dataclass(frozen=True)
class Space:
    """What a namespace says."""

    name: str
    labels: Mapping[str, str] | None
    """None where no object of the input defines it: its labels are not known then."""
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class Containers:
    """What the containers of a pod say."""

    proxies: frozenset[str]
    """The containers of `PROXIES` that are there."""
    modes: tuple[str, ...]
    """The arguments of `istio-proxy`: what kind of proxy it is stands among them."""
    probes: Probes
    ports: tuple[tuple[str, int], ...]
    """Names and numbers of the TCP ports that are declared, sorted; a name may be empty."""
    no_token: bool
    """Whether no token of its service account is mounted."""


@dataclass(frozen=True)
class PodFacts:
    """All that decides about one pod."""

    space: Space
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    account: str
    containers: Containers
    created: bool
    """Whether it was admitted: what it carries is all that there will be."""
    running: bool
    """Whether it has an address, too."""

    def told(self, annotation: str) -> str | None:
        """Return an annotation of the pod or, where it has none, of its namespace."""
        found = self.annotations.get(annotation)
        return self.space.annotations.get(annotation) if found is None else found


def containers(spec: Mapping[str, Any]) -> Containers:
    """Return what the containers of a spec say; what is malformed there is told elsewhere.

    Source, of probes: linkerd2 `policy-controller/k8s/index/src/inbound/pod.rs`.
    """
    proxies: set[str] = set()
    modes: tuple[str, ...] = ()
    probes: set[tuple[int, str]] = set()
    ports: set[tuple[str, int]] = set()
    for field in ("containers", "initContainers"):
        for container in _maps(spec.get(field)):
            name = container.get("name")
            if name in PROXIES:
                proxies.add(str(name))
            if name == ISTIO_PROXY and isinstance(container.get("args"), list):
                modes = tuple(str(argument) for argument in container["args"][:4])
            if field == "containers":
                declared = _ports(container)
                ports |= declared
                probes |= _probes(container, declared)
    return Containers(
        frozenset(proxies),
        modes,
        tuple(sorted(probes)),
        tuple(sorted(ports)),
        spec.get("automountServiceAccountToken") is False,
    )


def _maps(listed: object) -> list[dict[str, Any]]:
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _ports(container: dict[str, Any]) -> set[tuple[str, int]]:
    return {
        (str(port.get("name") or ""), number)
        for port in _maps(container.get("ports"))
        if isinstance(number := port.get("containerPort"), int)
        and str(port.get("protocol") or "TCP").upper() == "TCP"
    }


def _probes(container: dict[str, Any], declared: set[tuple[str, int]]) -> set[tuple[int, str]]:
    """Return ports and paths of a container's HTTP probes, names looked up in it alone."""
    found: set[tuple[int, str]] = set()
    for field in PROBES:
        probe = container.get(field)
        get = probe.get("httpGet") if isinstance(probe, dict) else None
        if not isinstance(get, dict):
            continue
        port, path = get.get("port"), get.get("path")
        if isinstance(port, str):
            same = (n for name, n in sorted(declared) if name and name.lower() == port.lower())
            port = next(same, None)
        if isinstance(port, int) and 0 < port <= 65535:
            written = path if isinstance(path, str) and path else "/"
            found.add((port, written.partition("?")[0].partition("#")[0]))
    return found
