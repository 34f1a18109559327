"""The dependency map: who needs to call whom, by which traffic, whose it is, and why.

The map says what *should* be possible, in words that no policy language owns. Its file format
is described in `docs/dependency-map.md` and by `dependency_map.schema.json` beside this file.
"""

import ipaddress
import re
from enum import StrEnum
from typing import Final

import msgspec

from ringfence.model.cluster import Protocol
from ringfence.model.location import Location

API_VERSION: Final = "ringfence.dev/v1"
KIND: Final = "DependencyMap"
ANY_TRAFFIC: Final = "any"
"""What `ports` holds where all traffic of every protocol is meant."""

PRIVATE: Final = (
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
)
"""Never the public internet: RFC 1918, RFC 6598, loopback, and link-local with its metadata
services. Source: IANA IPv4 Special-Purpose Address Registry."""
PRIVATE_V6: Final = ("::1/128", "fc00::/7", "fe80::/10")

_LABEL: Final = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_DOMAIN: Final = re.compile(rf"(\*\.)?({_LABEL}\.)+{_LABEL}", re.IGNORECASE)
_ADDRESS: Final = re.compile(r"[0-9.]+(/[0-9]+)?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/[0-9]+)?")
_PORT: Final = re.compile(r"(?P<first>[0-9]+)(-(?P<last>[0-9]+))?")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_METHOD: Final = re.compile(r"[A-Z]+")


class Malformed(ValueError):  # noqa: N818 - a problem of the map
    """Text that stands for nothing a map can say; the message tells what was expected."""


class WorkloadName(msgspec.Struct, frozen=True, order=True, tag="workload"):
    """A workload as people name it: `namespace/name`, or `namespace/Kind/name`."""

    namespace: str
    name: str
    kind: str = ""

    def __str__(self) -> str:
        """Return the name as it is written."""
        return "/".join(part for part in (self.namespace, self.kind, self.name) if part)


class ServiceName(msgspec.Struct, frozen=True, order=True, tag="service"):
    """A Service, `svc/namespace/name`: whatever stands behind it, at the ports behind it."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """Return the name as it is written."""
        return f"svc/{self.namespace}/{self.name}"


class Pods(msgspec.Struct, frozen=True, order=True, tag="pods"):
    """All pods with certain labels, in one namespace or in namespaces with certain labels."""

    namespace: str | None = None
    namespace_labels: tuple[tuple[str, str], ...] = ()
    """Only where `namespace` is None; empty for every namespace."""
    labels: tuple[tuple[str, str], ...] = ()
    """Empty for all pods there."""

    def __str__(self) -> str:
        """Return the selection in words for people: `pods of shop with tier=db`."""
        if self.namespace is not None:
            where = f"of {self.namespace}"
        elif self.namespace_labels:
            where = f"of namespaces with {_labels_text(self.namespace_labels)}"
        else:
            where = "of every namespace"
        return f"pods {where}" + (f" with {_labels_text(self.labels)}" if self.labels else "")


class Block(msgspec.Struct, frozen=True, order=True, tag="block"):
    """Every address of a CIDR, whoever has it."""

    cidr: str

    def __str__(self) -> str:
        """Return the CIDR; a single address without its prefix."""
        network = ipaddress.ip_network(self.cidr)
        return str(network.network_address) if network.num_addresses == 1 else self.cidr


class Domain(msgspec.Struct, frozen=True, order=True, tag="domain"):
    """A host of the outside by its domain name; `*.x.io` for all names below `x.io`."""

    name: str

    def __str__(self) -> str:
        """Return the name."""
        return self.name


class Place(StrEnum):
    """Ends that have a word of their own."""

    INTERNET = "internet"
    """Public addresses: neither private ones (`PRIVATE`) nor those of the cluster's pods."""
    OUTSIDE = "outside"
    """Every address but those of the cluster's pods: the internet and private networks."""
    NODES = "nodes"
    """The cluster's nodes, and with them what runs on the host network."""
    ANYWHERE = "anywhere"
    """Everything: pods, nodes and the outside."""


End = WorkloadName | ServiceName | Pods | Block | Domain | Place


class Port(msgspec.Struct, frozen=True, order=True):
    """A port by number, a range of ports, or a container port by its name."""

    first: int = 0
    last: int = 0
    name: str = ""
    protocol: Protocol | None = None
    """None: TCP for a number; for a name whatever protocol the container port declares."""

    def __str__(self) -> str:
        """Return the port as it is written: `8080`, `53/UDP`, `8000-8100`, `metrics`."""
        text = self.name or (
            str(self.first) if self.first == self.last else f"{self.first}-{self.last}"
        )
        return f"{text}/{self.protocol.value}" if self.protocol else text


class HttpRequest(msgspec.Struct, frozen=True, order=True):
    """Requests that a dependency is limited to; what is empty is not limited."""

    methods: tuple[str, ...] = ()
    path: str = ""
    """Exact, or with a final `*` everything that begins so."""

    def __str__(self) -> str:
        """Return the request in words: `GET,HEAD /v1/*`."""
        return f"{','.join(self.methods) or 'any method'} {self.path or '/*'}"


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that one end needs of another."""

    source: End
    destination: End
    ports: tuple[Port, ...] | None
    """None: all traffic. Empty, for a Service only: the Service's own ports."""
    http: tuple[HttpRequest, ...] = ()
    owner: str = ""
    reason: str = ""
    evidence: str = ""
    """For a drafted guess, what it was guessed from: `env DB_ADDR of container app, x.yaml:8`."""
    location: Location

    @property
    def traffic(self) -> str:
        """The traffic in words: `8080`, `53/UDP, 53`, `all traffic`, `the Service's ports`."""
        if self.ports is None:
            return "all traffic"
        return ", ".join(map(str, self.ports)) or "the Service's ports"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """What a map says of one workload, or of some pods."""

    subject: WorkloadName | Pods
    owner: str = ""
    calls: tuple[Dependency, ...] = ()
    """Each with the subject as its source."""
    callers: tuple[Dependency, ...] = ()
    """Each with the subject as its destination."""
    location: Location


class DependencyMap(msgspec.Struct, frozen=True, kw_only=True):
    """A whole map."""

    name: str = ""
    namespaces: tuple[str, ...]
    """The namespaces that the map covers: in them, what it does not list is to be denied."""
    dns: bool = True
    """Every pod of the covered namespaces may ask the cluster's DNS."""
    workloads: tuple[Entry, ...] = ()
    location: Location

    @property
    def dependencies(self) -> tuple[Dependency, ...]:
        """Every dependency, in the order in which it is written."""
        return tuple(d for entry in self.workloads for d in (*entry.calls, *entry.callers))


def parse_end(text: str) -> End:
    """Return what the text of a `to` or `from` stands for.

    Raises:
        Malformed: it is none of the forms that there are.
    """
    if text in tuple(Place):
        return Place(text)
    if _ADDRESS.fullmatch(text):
        return Block(parse_cidr(text))
    parts = text.split("/")
    if parts[0] == "svc" and len(parts) == 3 and all(parts):
        return ServiceName(parts[1], parts[2])
    if len(parts) in (2, 3) and parts[0] != "svc":
        return parse_workload(text)
    if len(parts) == 1 and _DOMAIN.fullmatch(text.removesuffix(".")):
        return Domain(text.removesuffix(".").lower())
    raise Malformed(
        f"`{text}` is no workload (`namespace/name`), Service (`svc/namespace/name`), CIDR, "
        "domain name, `internet`, `outside`, `nodes` or `anywhere`"
    )


def parse_workload(text: str) -> WorkloadName:
    """Return the workload that a text names.

    Raises:
        Malformed: it is neither `namespace/name` nor `namespace/Kind/name`.
    """
    parts = text.split("/")
    if len(parts) not in (2, 3) or not all(parts):
        raise Malformed(f"`{text}` is no workload: write `namespace/name`")
    return WorkloadName(parts[0], parts[-1], parts[1] if len(parts) == 3 else "")


def parse_cidr(text: str) -> str:
    """Return a CIDR in canonical form; an address alone is a CIDR of one.

    Raises:
        Malformed: neither, or with bits set behind the prefix, which is mostly a slip.
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise Malformed(f"`{text}` is no address or CIDR") from None
    if str(network.network_address) != str(ipaddress.ip_address(text.partition("/")[0])):
        raise Malformed(f"`{text}` has bits set behind its prefix: `{network}` is meant, or fewer")
    return str(network)


def parse_port(value: str | int) -> Port:
    """Return the port that a number or a text stands for.

    Raises:
        Malformed: neither a port, a range, nor a port's name.
    """
    text = str(value)
    body, slash, protocol_text = text.partition("/")
    protocol = None
    if slash:
        if protocol_text.upper() not in ("TCP", "UDP", "SCTP"):
            raise Malformed(f"`{protocol_text}` is none of TCP, UDP, SCTP")
        protocol = Protocol(protocol_text.upper())
    if matched := _PORT.fullmatch(body):
        first = int(matched["first"])
        last = int(matched["last"] or first)
        if not 1 <= first <= last <= 65535:
            raise Malformed(f"`{text}` is no port from 1 to 65535, nor a range of such")
        return Port(first=first, last=last, protocol=None if protocol is Protocol.TCP else protocol)
    if _PORT_NAME.fullmatch(body):
        return Port(name=body, protocol=protocol)
    raise Malformed(f"`{text}` is no port: write `8080`, `53/UDP`, `8000-8100` or a port's name")


def parse_method(text: str) -> str:
    """Return an HTTP method.

    Raises:
        Malformed: it is not written in capital letters, as methods are.
    """
    if not _METHOD.fullmatch(text):
        raise Malformed(f"`{text}` is no HTTP method: write `GET`, `POST` …")
    return text


def parse_path(text: str) -> str:
    """Return the path of an HTTP request.

    Raises:
        Malformed: it does not begin with `/`, or has a `*` elsewhere than at its end.
    """
    if not text.startswith("/") or "*" in text[:-1]:
        raise Malformed(f"`{text}` is no path: write `/v1/charges`, or `/v1/*` for all below it")
    return text


def _labels_text(labels: tuple[tuple[str, str], ...]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels)
