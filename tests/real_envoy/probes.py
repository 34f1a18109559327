"""What is asked of a workload: who calls, how, and what a request says; and the asking itself."""

import contextlib
import random
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Final

from real_envoy.certificates import Authority
from real_envoy.compiler import Json
from real_envoy.listeners import Port

PATIENCE: Final = 10.0
NOISE: Final = b"\x01no request\n"
"""What is sent where it is no HTTP."""
SERVER_NAME: Final = "outbound_.80_._.api.shop.svc.cluster.local"

METHODS: Final = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get")
PATHS: Final = (
    *("/", "/admin", "/admin/", "/admin/x", "//admin", "/%2fadmin", "/%61dmin", "/Admin"),
    *("/x/../admin", "/x/%2e%2e/admin", "/./admin", "/admin/.", "/admin/..", "/..", "/../admin"),
    *("/admin?x=1", "/?q=/admin", "/x?y=/../admin", "/admin#part", "/admin;v=1", "/%2Fadmin//x"),
    *("/\\admin", "/x\\..\\admin", "/%5cadmin", "/x%5c../admin", "/%41", "/a%20b", "/a%2", "/a%zz"),
    *("/v1/payment", "/v1/payment/", "/v1//payment", "/v1/payment?x=%2F", "/a/b/c", "/a/b//c"),
    *("/store/1/cart", "/store//cart", "/store/cart", "/pkg.Service/Method", "/x.css", "/*"),
    *("/a*b", "/~u", "/a+b", "/a:b@c", "/a/...", "///", "/a//../admin", "/%7euser", "/{x}"),
)
HOSTS: Final = ("api.example.com", "API.example.COM", "api.example.com:80", "x.internal", "other")


@dataclass(frozen=True)
class Client:
    """A pod that calls."""

    name: str
    """`namespace/name`."""
    address: str
    account: str
    meshed: bool = True

    def principal(self, domain: str) -> str:
        return f"{domain}/ns/{self.name.partition('/')[0]}/sa/{self.account}"


CLIENTS: Final = (
    Client("web/front", "127.1.0.1", "front"),
    Client("web/back", "127.1.0.2", "back"),
    Client("shop/near", "127.1.0.3", "near"),
    Client("lab/plain", "127.1.0.4", "plain", meshed=False),
    Client("lab/member", "127.1.1.5", "default"),
    Client("web-2/front", "127.1.1.6", "front"),
    Client("web/dotted", "127.1.1.7", "front.end"),
    Client("web/dashed", "127.1.2.8", "front-end"),
)


@dataclass(frozen=True)
class Probe:
    """One question."""

    client: Client
    reads: str
    """By which of the workload's ports: `http`, `tcp`, `other`."""
    mtls: bool
    by_service: bool = False
    """Whether the judges are to find out by themselves whether it is mTLS."""
    method: str = ""
    """Empty: it is no HTTP."""
    path: str = "/"
    host: str = "other"
    headers: tuple[tuple[str, str], ...] = ()

    def sent(self) -> bytes:
        """Return what goes over the connection."""
        if not self.method:
            return NOISE
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines += ["Content-Length: 0", "", ""]
        return "\r\n".join(lines).encode()


# -- what to ask -----------------------------------------------------------------------------------


def probes(
    policies: list[Json], modes: dict[str, str], number: int, draw: random.Random
) -> list[Probe]:
    """Return questions about a workload: what its policies speak of above all."""
    found = [
        Probe(client, reads, mtls, mtls and client.meshed and modes[reads] != "DISABLE")
        for reads in ("tcp", "other")
        for client in CLIENTS
        for mtls in ((True, False) if client.meshed else (False,))
    ]
    methods = [*dict.fromkeys([*_spoken(policies, "ethods"), *METHODS[:4], draw.choice(METHODS)])]
    paths = [*_variants(policies, "aths", "/", "/z/y"), *draw.sample(PATHS, 12)]
    hosts = [*_variants(policies, "osts", "zz", "z.y"), *HOSTS]
    headers = _headers(policies, draw)
    while len(found) < number:
        client = draw.choice(CLIENTS)
        reads = draw.choice(("http", "http", "http", "http", "http", "http", "other", "tcp"))
        mtls = client.meshed and draw.random() < 0.7
        natural = mtls == (client.meshed and modes[reads] != "DISABLE") and draw.random() < 0.4
        path = draw.choice(paths)
        found.append(
            Probe(
                client,
                reads,
                mtls,
                natural,
                draw.choice(methods),
                path if path.startswith("/") else f"/{path}",
                draw.choice(hosts),
                draw.choice(headers),
            )
        )
    return found


def _values(value: object, ending: str) -> Iterator[str]:
    """Yield the strings of all fields whose name ends so."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key.endswith(ending) and isinstance(inner, list):
                yield from inner
            else:
                yield from _values(inner, ending)
    elif isinstance(value, list):
        for inner in value:
            yield from _values(inner, ending)


def _spoken(policies: list[Json], ending: str) -> list[str]:
    found = [value.strip("*") for value in _values(policies, ending)]
    return [value for value in found if value.isalpha()]


def _variants(policies: list[Json], ending: str, *fillings: str) -> list[str]:
    return [one for value in _values(policies, ending) for one in _variants_of(value, fillings)]


def _variants_of(value: str, fillings: tuple[str, ...]) -> list[str]:
    """Return strings that a pattern is for, and some that are next to those."""
    found = [
        value.replace("{**}", filling).replace("{*}", filling).replace("*", filling)
        for filling in ("", *fillings)
    ]
    plain = found[0]
    return [one for one in (*found, value, plain + "x", "x" + plain, plain.swapcase()) if one]


def _headers(policies: list[Json], draw: random.Random) -> list[tuple[tuple[str, str], ...]]:
    """Return sets of headers: without, with one value, empty, with several."""
    found: dict[str, list[str]] = {}
    for policy in policies:
        for rule in policy["spec"].get("rules", []):
            for one in rule.get("when", []):
                name = one["key"].partition("[")[2].removesuffix("]").lower()
                if one["key"].startswith("request.headers") and not name.startswith(":"):
                    spoken = [*one.get("values", []), *one.get("notValues", [])]
                    texts = [text for value in spoken for text in _variants_of(value, ("z",))]
                    found.setdefault(name, []).extend(["", "zz", *texts])
    found.pop("host", None)
    sets: list[tuple[tuple[str, str], ...]] = [(), ()]
    for name, values in found.items():
        sets += [((name, value),) for value in values]
        pairs = list(product(values, values))
        sets += [
            tuple(sorted(((name, one), (name, other))))
            for one, other in draw.sample(pairs, min(4, len(pairs)))
        ]
    if len(found) > 1:
        sets += [
            tuple(sorted((name, draw.choice(values)) for name, values in found.items()))
            for _ in range(12)
        ]
    return sets


# -- asking ----------------------------------------------------------------------------------------


@dataclass
class Caller:
    """Calls workloads in the name of clients; connections stay open from request to request."""

    authority: Authority
    domain: str
    _open: dict[tuple[Client, Port, bool], socket.socket] = field(default_factory=dict)
    _contexts: dict[tuple[str, str], ssl.SSLContext] = field(default_factory=dict)

    def ask(self, probe: Probe, port: Port) -> str:
        """Return the answer: a status, `echo`, `handshake` or `reset`."""
        key = (probe.client, port, probe.mtls)
        if port.reads == "http" and key in self._open:
            with contextlib.suppress(OSError):
                answer = self._answer(self._open[key], probe, key)
                if answer != "reset":
                    return answer
            self._forget(key)
        try:
            connection = self.connect(probe.client, port, mtls=probe.mtls, http=bool(probe.method))
        except (ssl.SSLError, ConnectionError):
            return "handshake"
        if port.reads == "http":
            self._open[key] = connection
        try:
            return self._answer(connection, probe, key)
        except (ssl.SSLError, ConnectionError):
            self._forget(key)
            return "handshake" if probe.mtls else "reset"
        finally:
            if key not in self._open:
                connection.close()

    def connect(
        self, client: Client, port: Port, *, mtls: bool, http: bool, certificate: str | None = None
    ) -> socket.socket:
        """Return a connection from a client's own address."""
        plain = socket.create_connection(
            (port.address, port.number), PATIENCE, source_address=(client.address, 0)
        )
        # Else the last of the handshake waits for what the kernel acknowledges late: 40 ms each.
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not mtls:
            return plain
        if certificate is None:
            certificate = str(self.authority.issue(client.principal(self.domain)))
        try:
            context = self._context(certificate, "istio-http/1.1" if http else "istio")
            return context.wrap_socket(plain, server_hostname=SERVER_NAME)
        except OSError:
            plain.close()
            raise

    def send(self, probe: Probe, port: Port, certificate: str) -> None:
        """Send a request with a certificate that is not the client's.

        Raises:
            ssl.SSLError: it is refused in the handshake.
            ConnectionError: it is refused without a word.
        """
        with self.connect(
            probe.client, port, mtls=True, http=bool(probe.method), certificate=certificate
        ) as connection:
            connection.sendall(probe.sent())
            if not connection.recv(1):
                raise ConnectionError

    def _context(self, certificate: str, alpn: str) -> ssl.SSLContext:
        key = (certificate, alpn)
        if key not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.load_verify_locations(self.authority.path)
            context.set_alpn_protocols([alpn])
            if certificate:
                context.load_cert_chain(certificate)
            self._contexts[key] = context
        return self._contexts[key]

    def _answer(
        self, connection: socket.socket, probe: Probe, key: tuple[Client, Port, bool]
    ) -> str:
        connection.sendall(probe.sent())
        found = b""
        end = -1
        while end < 0:
            more = connection.recv(65536)
            found += more
            if found == probe.sent():
                return "echo"
            if not more:
                self._forget(key)
                return "reset"
            end = found.find(b"\r\n\r\n")
        if not found.startswith(b"HTTP/1.1 "):
            return self._answer_of_echo(connection, found, probe)
        head = found[:end].decode().lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in head[1:])
        length = 0 if probe.method == "HEAD" else int(headers.get("content-length", "0"))
        rest = len(found) - end - 4
        while rest < length:
            more = connection.recv(65536)
            assert more, found
            rest += len(more)
        if headers.get("connection") == "close":
            self._forget(key)
        return head[0].split(" ")[1]

    def _answer_of_echo(self, connection: socket.socket, found: bytes, probe: Probe) -> str:
        while found != probe.sent():
            more = connection.recv(65536)
            assert more, found
            found += more
        return "echo"

    def _forget(self, key: tuple[Client, Port, bool]) -> None:
        connection = self._open.pop(key, None)
        if connection is not None:
            connection.close()

    def close(self) -> None:
        """Close what is open."""
        for key in list(self._open):
            self._forget(key)
