"""Protocols and ports: the entries of each dialect against a connection's destination."""

import re
from typing import Any

from ringfence.model.cluster import Protocol
from ringfence.model.document import Path
from ringfence.model.profile import Cni
from ringfence.reference import schema
from ringfence.reference.ends import Approach, OwnPod
from ringfence.reference.schema import NotUnderstoodError

WITH_PORTS = (Protocol.TCP, Protocol.UDP, Protocol.SCTP)

_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")


def port_number(value: Any, path: Path) -> int:  # noqa: ANN401
    """Return a port number, 1 to 65535.

    Source: apimachinery `pkg/util/validation` IsValidPortNum; network-policy-api `Port.number`.

    Raises:
        NotUnderstoodError: anything else.
    """
    return schema.integer(value, path, 1, 65535)


def port_name(value: Any, path: Path) -> str:  # noqa: ANN401
    """Return a port's name: up to 15 of `a-z0-9-`, a letter among them; so `"80"` is none.

    Source: apimachinery `pkg/util/validation` IsValidPortName.

    Raises:
        NotUnderstoodError: anything else.
    """
    found = schema.text(value, path)
    if len(found) > 15 or not _PORT_NAME.fullmatch(found):
        raise NotUnderstoodError(f"`{found}` is no port name", path)
    return found


def protocol(value: Any, path: Path) -> Protocol:  # noqa: ANN401
    """Return one of the three protocols that have ports.

    Raises:
        NotUnderstoodError: anything else.
    """
    return Protocol(schema.choice(value, path, WITH_PORTS))


def is_named_port(name: str, wanted: Protocol | None, here: Approach) -> bool:
    """Return whether the connection goes to a container port of that name.

    The name is looked up on the destination pod, of any container that declares it; the
    connection's protocol is the container port's, and the one wanted if one is. What is no pod,
    or is a host-network one, has no named ports. Only Calico looks at init containers.

    Source: networking/v1 NetworkPolicyPort.port; KNP evaluatePorts, `pkg/api/helper.go`; Calico
    `workload_endpoint_default.go`.
    """
    destination = here.destination
    if not isinstance(destination, OwnPod):
        return False
    return any(
        declared.name == name
        and declared.port == here.port
        and declared.protocol == here.protocol
        and wanted in (None, declared.protocol)
        and (not declared.init or here.cni is Cni.CALICO)
        for declared in destination.ports
    )
