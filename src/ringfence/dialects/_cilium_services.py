"""What `toServices` stands for: the pods behind a Service, or its addresses outside.

Authority: Cilium `pkg/policy/k8s/service.go`, `pkg/policy/api/service.go`.
"""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from ringfence.dialects._cilium_blocks import UnknownBlocks
from ringfence.dialects._cilium_selectors import in_namespace, label_peer, meets, terms
from ringfence.dialects._shared import Malformed, fields, text
from ringfence.model.cluster import Service
from ringfence.model.document import Path
from ringfence.model.rule import ANYONE, IpPeer, Peer


def service_peers(value: Any, path: Path, known: Iterable[Service]) -> list[Peer]:  # noqa: ANN401
    """Return what an item of `toServices` means, of the Services that are there.

    A Service with a selector stands for the pods that it selects, whatever their readiness; one
    without, for the addresses in its EndpointSlices, which as blocks can be no pod's. A
    `k8sServiceSelector` has precedence over a `k8sService`; without a namespace either means all.

    Raises:
        Malformed: what the API server or Cilium would reject.
        UnknownBlocks: which Services are meant cannot be told.
    Source: `service.go` processRule, serviceSelectorMatches, serviceRefMatches.
    """
    chosen = _chooser(value, path)
    found: set[Peer] = set()
    ordered: list[Peer] = []
    for service in known:
        if not chosen(service):
            continue
        for peer in _behind(service):
            if peer not in found:
                found.add(peer)
                ordered.append(peer)
    return ordered


def _chooser(value: Any, path: Path) -> Callable[[Service], bool]:  # noqa: ANN401
    given = fields(value, path, ("k8sService", "k8sServiceSelector"))
    name, of_name = "", ""
    if "k8sService" in given:
        at = (*path, "k8sService")
        by_name = fields(given["k8sService"], at, ("serviceName", "namespace"))
        name = text(by_name.get("serviceName", ""), (*at, "serviceName"))
        of_name = text(by_name.get("namespace", ""), (*at, "namespace"))
    if "k8sServiceSelector" not in given:
        return lambda service: service.name == name and of_name in ("", service.namespace)
    at = (*path, "k8sServiceSelector")
    by_label = fields(given["k8sServiceSelector"], at, ("selector", "namespace"))
    if "selector" not in by_label:
        raise Malformed("`selector` is required", at)
    requirements = [term.requirement for term in terms(by_label["selector"], (*at, "selector"))]
    namespace = text(by_label.get("namespace", ""), (*at, "namespace"))

    def chosen(service: Service) -> bool:
        if namespace not in ("", service.namespace):
            return False
        if requirements and service.labels is None:
            raise UnknownBlocks(f"the labels of {service.ref} were not read", (), (ANYONE,))
        return meets(requirements, service.labels or {})

    return chosen


def _behind(service: Service) -> list[Peer]:
    if service.selector is not None:
        own = in_namespace(service.namespace)
        return [label_peer([own, *service.selector.requirements])]
    addresses = sorted({backend.address for backend in service.backends})
    return [IpPeer(str(ipaddress.ip_network(address))) for address in addresses]
