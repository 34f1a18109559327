"""What DestinationRules say of the TLS with which the proxies of clients call Services.

Source: Istio `pilot/pkg/model/push_context.go` destinationRule, `sidecar.go` DestinationRule.
"""

from collections.abc import Iterable
from functools import cache
from typing import Final

from ringfence.engine.universe import Universe
from ringfence.model.cluster import Service
from ringfence.model.mesh import ClientTls, IstioConfig

DOMAIN: Final = "svc.cluster.local"
"""Of Services, where nothing says otherwise."""

Saying = tuple[str, str]
"""A mode, empty where none is said; and why it is not known, where it is not."""

Key = tuple[str, tuple[bool, ...]]
"""What tells clients apart: their namespace, and which workload selectors select them."""


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
        self.signature = cache(self._signature)
        self.mode = cache(self._mode)

    def __bool__(self) -> bool:
        """Return whether anything is said."""
        return bool(self._told)

    def key(self, element: int) -> Key:
        """Return what tells an identity from other clients."""
        if not self._told:
            return "", ()
        universe = self._universe
        labels = universe.identity(element).labels.items()
        namespace = universe.snapshot.workloads[universe.identities[element][0]].namespace
        return namespace, tuple(set(one.workloads) <= set(labels) for one in self._selecting)

    def _signature(self, number: int) -> tuple[int, ...]:
        """Return what tells a Service from others: the settings that may be for it."""
        name = host_of(self._universe.snapshot.services[number])
        namespace = self._universe.snapshot.services[number].namespace
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
        namespace, selected = client
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
