"""What DestinationRules say of the TLS with which the proxies of clients call Services.

Source: Istio `pilot/pkg/model/push_context.go` destinationRule, `sidecar.go` DestinationRule.
"""

from collections.abc import Iterable
from functools import cache
from typing import Final

from ringfence.engine.universe import Universe
from ringfence.model.cluster import Service
from ringfence.model.mesh import ClientImports, ClientTls, IstioConfig

DOMAIN: Final = "svc.cluster.local"
"""Of Services, where nothing says otherwise."""

Saying = tuple[str, str]
"""A mode, empty where none is said; and why it is not known, where it is not."""

EVERYTHING: Final = ((None, (("*", "*"),)),)
"""What a Sidecar imports that says nothing of it."""

UNKNOWN_HOST: Final[Saying] = ("DISABLE", "")
"""What a proxy does not know as a host it passes on as it is.

Source: Istio `pilot/pkg/networking/core/listener.go` (PassthroughCluster)."""

Key = tuple[str, tuple[bool, ...], int]
"""What tells clients apart: their namespace, which workload selectors select them, and the number
of their Sidecar (-1: they have none)."""


def host_of(service: Service) -> str:
    """Return the full name of a Service."""
    return f"{service.name}.{service.namespace}.{DOMAIN}"


def covers(host: str, name: str) -> bool:
    """Return whether a host of a DestinationRule means a name."""
    return host in (name, "*") or (host.startswith("*.") and name.endswith(host[1:]))


class Clients:
    """The TLS settings of clients, found by client and Service."""

    def __init__(self, universe: Universe) -> None:
        """Keep the settings."""
        snapshot = universe.snapshot
        self._universe = universe
        self._told = snapshot.client_tls if universe.meshed else ()
        self._root = (snapshot.mesh.istio or IstioConfig()).root_namespace
        self._selecting = [one for one in self._told if one.workloads]
        imports = snapshot.client_imports if universe.meshed else ()
        limited = any(one.unreadable or one.listeners != EVERYTHING for one in imports)
        self._sidecars = imports if limited else ()
        self._kept = any("*" not in service.export_to for service in snapshot.services)
        """Whether any Service is not known everywhere."""
        self.signature = cache(self._signature)
        self.mode = cache(self._mode)

    def __bool__(self) -> bool:
        """Return whether anything is said."""
        return bool(self._told or self._sidecars or self._kept)

    def key(self, element: int) -> Key:
        """Return what tells an identity from other clients."""
        if not self:
            return "", (), -1
        universe = self._universe
        labels = set(universe.identity(element).labels.items())
        namespace = universe.snapshot.workloads[universe.identities[element][0]].namespace
        selected = tuple(set(one.workloads) <= labels for one in self._selecting)
        member = universe.identity(element).mesh
        meant = [
            (one.rank, number)
            for number, one in enumerate(self._sidecars)
            if one.namespace in ("", namespace) and set(one.workloads) <= labels
        ]
        has_one = meant and not (member and member.gateway)
        return namespace, selected, min(meant)[1] if has_one else -1

    def _signature(self, number: int) -> tuple[int, ...]:
        """Return what tells a Service from others: the settings that may be for it."""
        service = self._universe.snapshot.services[number]
        name, namespace = host_of(service), service.namespace
        if self._sidecars or self._kept:
            # By its own: nearly every Service is imported by others than its neighbours are.
            return (-2, number)
        found = [n for n, one in enumerate(self._told) if one.unreadable or covers(one.host, name)]
        return (self._number(namespace), *found) if found else ()

    def _number(self, namespace: str) -> int:
        names = sorted({one.namespace for one in self._told})
        return names.index(namespace) if namespace in names else -1

    def _mode(self, client: Key, number: int, port: int | None) -> Saying:
        """Return what a client is told of a Service.

        Args:
            client: its key.
            number: of the Service.
            port: of the Service; None where only what is said of all its ports matters.
        """
        service = self._universe.snapshot.services[number]
        namespace, selected, sidecar = client
        if not service.is_known_in(namespace):
            return UNKNOWN_HOST
        if sidecar >= 0:
            imports = self._sidecars[sidecar]
            if imports.unreadable:
                return "", imports.unreadable
            if not _imports(imports, service, namespace, port):
                return UNKNOWN_HOST
        order = [namespace] if namespace != self._root else []
        for place in dict.fromkeys((*order, service.namespace, self._root)):
            here = [
                one
                for one in self._told
                if one.namespace == place and _is_for(one, namespace) and _may_mean(one, service)
            ]
            unreadable = [one.unreadable for one in here if one.unreadable]
            if unreadable:
                return "", unreadable[0]
            if here:
                return self._chosen(_most_specific(here), place == namespace, selected, port), ""
        return "", ""

    def _chosen(
        self,
        found: list[ClientTls],
        own: bool,  # noqa: FBT001 - whether they are of the client's namespace
        selected: tuple[bool, ...],
        port: int | None,
    ) -> str:
        general = [one for one in found if not one.workloads]
        special = [
            one
            for one, chosen in zip(self._selecting, selected, strict=True)
            if own and chosen and any(one is other for other in found)
        ]
        for one in (*special[:1], *general[:1])[:1]:
            return dict(one.ports).get(port or -1, one.mode)
        return ""


def _imports(imports: ClientImports, service: Service, namespace: str, port: int | None) -> bool:
    """Return whether a Sidecar imports a port of a Service: by what is for it, else for all.

    Source: sidecar.proto IstioEgressListener; Istio `pilot/pkg/model/sidecar.go` selectServices.
    """
    of_port = [
        hosts for number, hosts in imports.listeners if number is not None and number == port
    ]
    for listed in of_port or [hosts for number, hosts in imports.listeners if number is None]:
        hosts: dict[str, list[str]] = {}
        for place, host in listed:
            hosts.setdefault(namespace if place == "." else place, []).append(host)
        for host in hosts.get(service.namespace, hosts.get("*", [])):
            if host == "*" or covers(host, host_of(service)):
                return True
    return False


def _is_for(one: ClientTls, namespace: str) -> bool:
    if one.namespace == namespace:
        return True
    return "*" in one.export_to or namespace in one.export_to


def _may_mean(one: ClientTls, service: Service) -> bool:
    if one.unreadable and not one.host:
        return True
    return covers(one.host, host_of(service))


def _most_specific(found: Iterable[ClientTls]) -> list[ClientTls]:
    listed = list(found)
    longest = max((not one.host.startswith("*"), len(one.host)) for one in listed)
    return [one for one in listed if (not one.host.startswith("*"), len(one.host)) == longest]
