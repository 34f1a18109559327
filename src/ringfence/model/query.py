"""A question about one connection, as people and programs ask it."""

from typing import Any

import msgspec


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """An HTTP request, as far as a rule can see it."""

    method: str | None = None
    path: str | None = None
    host: str | None = None
    headers: dict[str, str] | None = None
    """All headers that matter; None: not said."""


class Query(
    msgspec.Struct,
    frozen=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"source": "from", "destination": "to"},
):
    """One line of `check --queries`."""

    source: str
    destination: str
    id: Any = None
    """Handed back as it came."""
    port: int | str | None = None
    """A number, a container port's name, or None for every port."""
    protocol: str | None = None
    """TCP, UDP, SCTP or ICMP; None: TCP where a port is given, else every protocol."""
    http: Http | None = None
    grpc: dict[str, str] | None = None
    dns: dict[str, str] | None = None
    sni: str | None = None
    mtls: bool | None = None
    """Forces what the mesh would decide, and whether peers authenticated each other."""
    icmp: dict[str, int] | None = None
    """`type`, and `code` (any where it is not given), for protocol ICMP."""
