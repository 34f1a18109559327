"""ServiceEntries of Istio: what a mesh knows beside the Services of the cluster.

Authority: istio/api `networking/v1alpha3/service_entry.proto`; Istio
`pilot/pkg/networking/core/listener.go` (of a host without addresses, HTTP and TLS are told by
what they say; TCP goes there whatever the address), `pkg/config/protocol/instance.go`.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from ringfence.dialects import Context
from ringfence.dialects import _istio_values as values
from ringfence.dialects._istio_reader import Reader
from ringfence.dialects._shared import Malformed, fields, filled, integer, items, text
from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path
from ringfence.model.layer7 import DomainPattern, Form, HttpMatch, Layer7, Text
from ringfence.model.rule import (
    Action,
    AddressPeer,
    Direction,
    DomainPeer,
    Peer,
    PortRange,
    Rule,
    Unreadable,
)

KIND: Final = "ServiceEntry"
SPEC: Final = (
    *("hosts", "addresses", "ports", "location", "resolution", "endpoints"),
    *("workloadSelector", "exportTo", "subjectAltNames"),
)
PORT: Final = ("number", "protocol", "name", "targetPort")
HTTP: Final = frozenset({"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"})
TLS: Final = frozenset({"HTTPS", "TLS"})


class Port(msgspec.Struct, frozen=True):
    """A port of a ServiceEntry, and what is spoken there."""

    number: int
    protocol: str


class Entry(msgspec.Struct, frozen=True):
    """What a ServiceEntry says of where one may connect to."""

    document: Document
    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    ports: tuple[Port, ...]
    export_to: tuple[str, ...]
    """Namespaces; `*` for all, `~` for none."""
    unreadable: tuple[Unreadable, ...]

    def is_for(self, namespace: str) -> bool:
        """Return whether the pods of a namespace know it."""
        return "*" in self.export_to or namespace in self.export_to

    def rules(
        self, hosts: tuple[str, ...], path: Path, only: int | None, without: frozenset[int]
    ) -> Iterator[Rule]:
        """Yield the rules that let out what goes to some of its hosts.

        Args:
            hosts: of its own.
            path: of what imports them.
            only: the one port that counts; None: all.
            without: ports that do not.
        """
        allow = partial(Rule, direction=Direction.EGRESS, action=Action.ALLOW, path=path)
        if self.unreadable:
            for wrong in self.unreadable:
                yield allow(peers=None, traffic=None, unreadable=wrong)
            return
        names: tuple[Peer, ...] = tuple(DomainPeer(DomainPattern(host)) for host in hosts)
        addresses: tuple[Peer, ...] = tuple(map(AddressPeer, self.addresses))
        for port in self.ports:
            if port.number in without or only not in (None, port.number):
                continue
            traffic = (PortRange(Protocol.TCP, port.number, port.number),)
            yield allow(peers=(*names, *addresses), traffic=traffic)
            if not addresses and (limit := _told_by(port.protocol, hosts)) != ():
                yield allow(peers=None, traffic=traffic, layer7=limit)


def _told_by(protocol: str, hosts: tuple[str, ...]) -> tuple[Layer7, ...] | None:
    """Return what of a port's traffic goes to some hosts, by what it says; None: all of it."""
    if protocol in HTTP:
        texts = tuple(text for host in hosts for text in _as_said(host))
        return (Layer7(http=HttpMatch(hosts=texts)),)
    if protocol in TLS:
        return (Layer7(server_names=tuple(DomainPattern(host) for host in hosts)),)
    return None


def _as_said(host: str) -> tuple[Text, ...]:
    """Return a host as requests say it: with a port behind it, or without."""
    stem = host.removeprefix("*")
    before = ".+" if host.startswith("*") else ""
    return (Text(Form.REGEX, f"{before}(?i:{values.quoted(stem)})(:[0-9]+)?"),)


def entries(context: Context) -> list[Entry]:
    """Return what all ServiceEntries say."""
    return [read(document) for _, document in context.by_title.get(KIND, ())]


def read(document: Document) -> Entry:
    """Return what a ServiceEntry says of where one may connect to."""
    reader = Reader()
    spec = reader.spec(document, *SPEC)
    hosts = reader.read(partial(_hosts, spec), ())
    addresses = reader.read(partial(_addresses, spec), ())
    ports = reader.read(partial(_ports, spec), ())
    exported = reader.read(partial(exported_to, spec, document.namespace), ("*",))
    return Entry(document, hosts, addresses, ports, exported, tuple(reader.unreadable))


def _hosts(spec: dict[str, Any]) -> tuple[str, ...]:
    listed = [
        filled(value, at).lower() for at, value in items(spec.get("hosts"), ("spec", "hosts"))
    ]
    if not listed:
        raise Malformed("at least one host is required", ("spec", "hosts"))
    return tuple(listed)


def _addresses(spec: dict[str, Any]) -> tuple[str, ...]:
    listed = items(spec.get("addresses"), ("spec", "addresses"))
    return tuple(values.block(filled(value, at), at) for at, value in listed)


def _ports(spec: dict[str, Any]) -> tuple[Port, ...]:
    found = []
    for at, value in items(spec.get("ports"), ("spec", "ports")):
        given = fields(value, at, PORT)
        number = integer(given.get("number"), (*at, "number"), 1, values.HIGHEST_PORT)
        found.append(Port(number, text(given.get("protocol", ""), (*at, "protocol")).upper()))
    return tuple(found)


def exported_to(spec: dict[str, Any], namespace: str) -> tuple[str, ...]:
    """Return the namespaces to which an object is exported; `*` for all.

    Raises:
        Malformed: no list of strings.
    """
    listed = [filled(value, at) for at, value in items(spec.get("exportTo"), ("spec", "exportTo"))]
    return tuple(sorted({namespace if one == "." else one for one in listed})) or ("*",)
