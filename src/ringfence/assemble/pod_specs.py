"""Reads pod specs: service account, host network, declared ports.

Authority: core/v1 `types.go` PodSpec.
"""

from typing import Any, Final

from ringfence.assemble.values import Malformed, flag, mappings, port, text
from ringfence.model.cluster import ContainerPort, Protocol
from ringfence.model.document import Path

CONTAINER_FIELDS: Final = (("containers", False), ("initContainers", True))


class PodSpecs:
    """Reads the specs of a cluster; what many pods declare alike is read once."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._known: dict[tuple[object, ...], tuple[ContainerPort, ...]] = {}

    def ports(self, spec: dict[str, Any], path: Path) -> tuple[ContainerPort, ...]:
        """Return the ports that a pod's containers declare, in their order, each once.

        Raises:
            Malformed: something is not as the API demands.
        """
        raw: list[object] = []
        try:
            for field, _ in CONTAINER_FIELDS:
                for container in spec.get(field) or ():
                    if listed := container.get("ports"):
                        raw += [tuple(declared.items()) for declared in listed]
                raw.append(field)
            key = tuple(raw)
            found = self._known.get(key)
        except (TypeError, AttributeError):
            # No list, no map, or nothing that can be hashed: malformed, and told in detail.
            return _read_ports(spec, path)
        if found is None:
            found = self._known[key] = _read_ports(spec, path)
        return found


def service_account(spec: dict[str, Any], path: Path) -> str:
    """Return the service account that pods of a spec run as.

    Raises:
        Malformed: not a string.
    Source: core/v1 `types.go` DeprecatedServiceAccount, the older field's name.
    """
    return text(spec, "serviceAccountName", path) or text(spec, "serviceAccount", path) or "default"


def host_network(spec: dict[str, Any], path: Path) -> bool:
    """Return whether pods of a spec share their node's network.

    Raises:
        Malformed: not a truth value.
    """
    return flag(spec, "hostNetwork", path)


def _read_ports(spec: dict[str, Any], path: Path) -> tuple[ContainerPort, ...]:
    found: dict[ContainerPort, None] = {}
    for field, init in CONTAINER_FIELDS:
        for index, container in enumerate(mappings(spec, field, path)):
            at = (*path, field, index)
            for number, declared in enumerate(mappings(container, "ports", at)):
                where = (*at, "ports", number)
                found[
                    ContainerPort(
                        port(declared, "containerPort", where),
                        protocol(declared, where),
                        text(declared, "name", where),
                        init,
                    )
                ] = None
    return tuple(found)


def protocol(declared: dict[str, Any], path: Path) -> Protocol:
    """Return the transport protocol of a declared port; TCP where it names none.

    Raises:
        Malformed: not TCP, UDP or SCTP.
    """
    written = text(declared, "protocol", path) or "TCP"
    if written not in ("TCP", "UDP", "SCTP"):
        raise Malformed(f"`{written}` is none of TCP, UDP, SCTP", (*path, "protocol"))
    return Protocol(written)
