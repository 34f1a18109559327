"""What a pod, or a template, says that decides how it takes part in a mesh."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

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


Proxies = tuple[tuple[str, tuple[str, ...]], ...]
"""The containers of `PROXIES` that a pod has, sorted, each with its first arguments."""


class Containers(NamedTuple):
    """What the containers of a pod say."""

    carried: Proxies
    probes: Probes = ()
    ports: tuple[tuple[str, int], ...] = ()
    """Names and numbers of the TCP ports that are declared, sorted; a name may be empty."""
    no_token: bool = False
    """Whether no token of its service account is mounted."""

    @property
    def proxies(self) -> frozenset[str]:
        """Return which of `PROXIES` are there."""
        return frozenset(name for name, _ in self.carried)

    @property
    def modes(self) -> tuple[str, ...]:
        """Return the arguments of Istio's proxy: what kind of proxy it is stands among them."""
        return dict(self.carried).get(ISTIO_PROXY, ())


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


def proxies(spec: Mapping[str, Any]) -> Proxies:
    """Return the proxies that a spec has; what is malformed there is told elsewhere."""
    found: list[tuple[str, tuple[str, ...]]] = []
    for field in ("containers", "initContainers"):
        listed = spec.get(field)
        for container in listed if isinstance(listed, list) else ():
            name = container.get("name") if isinstance(container, dict) else None
            if isinstance(name, str) and name in PROXIES:
                given = container.get("args")
                arguments = given[:4] if isinstance(given, list) else ()
                found.append((name, tuple(map(str, arguments))))
    return tuple(sorted(found))


def containers(spec: Mapping[str, Any], carried: Proxies) -> Containers:
    """Return what the containers of a spec say; what is malformed there is told elsewhere.

    Source, of probes: linkerd2 `policy-controller/k8s/index/src/inbound/pod.rs`.
    """
    probes: set[tuple[int, str]] = set()
    ports: set[tuple[str, int]] = set()
    for container in _maps(spec.get("containers")):
        declared = _ports(container)
        ports |= declared
        probes |= _probes(container, declared)
    no_token = spec.get("automountServiceAccountToken") is False
    return Containers(carried, tuple(sorted(probes)), tuple(sorted(ports)), no_token)


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
