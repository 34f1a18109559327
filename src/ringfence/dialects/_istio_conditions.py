"""What a source, an operation or a condition of an AuthorizationPolicy demands.

Authority: istio/api `security/v1beta1/authorization_policy.proto`; Istio
`pilot/pkg/security/authz/model/{model,generator}.go`, `pkg/config/validation/validation.go`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import fields as fields_of
from typing import Any, Final

from ringfence.dialects import _istio_values as values
from ringfence.dialects._istio_identities import Reading
from ringfence.dialects._istio_values import strings
from ringfence.dialects._shared import Malformed, fields, filled
from ringfence.model.document import Path
from ringfence.model.layer7 import HeaderMatch, HttpMatch, Text
from ringfence.model.rule import AddressPeer, AnyPeer, NotPeer, Peer

TOKEN: Final = "the token of a request decides, and a question gives none"
FORWARDED: Final = "what a request says of its first sender (X-Forwarded-For) decides"
SERVER_NAME: Final = "the server name that the mesh's own TLS carries decides"
FILTER: Final = "what other filters of Envoy note decides"
PSEUDO: Final = "what Envoy makes of this header decides"
REWRITTEN: Final = frozenset({"host", ":authority", ":path", ":scheme", ":method"})
"""Headers that are parts of the request line, or come from there."""

SOURCE: Final = (
    *("principals", "notPrincipals", "requestPrincipals", "notRequestPrincipals"),
    *("namespaces", "notNamespaces", "serviceAccounts", "notServiceAccounts"),
    *("trustDomains", "notTrustDomains", "ipBlocks", "notIpBlocks"),
    *("remoteIpBlocks", "notRemoteIpBlocks"),
)
OPERATION: Final = (
    *("hosts", "notHosts", "ports", "notPorts"),
    *("methods", "notMethods", "paths", "notPaths"),
)
AT_ZTUNNEL: Final = frozenset(
    {
        *("principals", "notPrincipals", "namespaces", "notNamespaces"),
        *("serviceAccounts", "notServiceAccounts", "ipBlocks", "notIpBlocks"),
        *("ports", "notPorts"),
        *("source.ip", "source.namespace", "source.principal"),
        *("destination.ip", "destination.port"),
    }
)
"""The fields and keys that ztunnel reads. Source: ambient/authorization.go."""
HTTP_ONLY: Final = frozenset(
    {
        *("requestPrincipals", "notRequestPrincipals", "hosts", "notHosts"),
        *("methods", "notMethods", "paths", "notPaths"),
    }
)
HEADERS: Final = "request.headers"
INLINE_HEADERS: Final = "request.experimental.inline.headers"
CLAIMS: Final = "request.auth.claims"
FILTERS: Final = "experimental.envoy.filters."
REPLACED: Final = ("destination.labels", "destination.namespace", "destination.name")


@dataclass(frozen=True)
class Demands:
    """What must hold together."""

    identities: tuple[Peer, ...] = ()
    """What the peer must prove to be: each of these."""
    not_identities: tuple[Peer, ...] = ()
    """And none of these; who proves nothing is none."""
    addresses: tuple[Peer, ...] = ()
    """What the peer's own address must meet."""
    forwarded: tuple[Peer, ...] = ()
    """What the address must meet from which a request comes; on TCP it is the peer's own."""
    subjects: tuple[Peer, ...] = ()
    ports: tuple[frozenset[int], ...] = ()
    """The port must be in each of these sets."""
    not_ports: frozenset[int] = frozenset()
    methods: tuple[Text, ...] = ()
    paths: tuple[Text, ...] = ()
    hosts: tuple[Text, ...] = ()
    headers: tuple[tuple[HeaderMatch, ...], ...] = ()
    """Of each list one must hold."""
    not_http: tuple[HttpMatch, ...] = ()
    tokens: tuple[str, ...] = ()
    """What of HTTP no question can settle."""
    open: tuple[str, ...] = ()
    """What no question can settle, whatever the protocol."""
    names: tuple[str, ...] = ()
    """The fields and keys that say all this."""

    def __and__(self, other: "Demands") -> "Demands":
        """Return the demands of both."""
        merged = {
            field.name: getattr(self, field.name) + getattr(other, field.name)
            for field in fields_of(self)
            if field.name != "not_ports"
        }
        return Demands(**merged, not_ports=self.not_ports | other.not_ports)

    @property
    def http(self) -> tuple[str, ...]:
        """Return the fields and keys that only HTTP has."""
        return tuple(name for name in self.names if is_http(name))

    @property
    def beyond_ztunnel(self) -> tuple[str, ...]:
        """Return the fields and keys that ztunnel does not read."""
        return tuple(name for name in self.names if name not in AT_ZTUNNEL)


def is_http(name: str) -> bool:
    """Return whether a field or key is of HTTP alone.

    Source: generator.go, what is refused `forTCP`; remote.ip is not.
    """
    return name in HTTP_ONLY or name.startswith("request.")


def source(value: Any, path: Path, reading: Reading) -> Demands:  # noqa: ANN401
    """Return what a source demands.

    Raises:
        Malformed: what Istio refuses, or does not know.
    """
    given = _filled(value, path, "source", SOURCE)
    at = (*path, "source")
    if given.get("serviceAccounts") or given.get("notServiceAccounts"):
        for key in ("principals", "notPrincipals", "namespaces", "notNamespaces"):
            if given.get(key):
                raise Malformed("serviceAccounts go with neither principals nor namespaces", at)
    by_identity: tuple[tuple[str, str, Callable[[list[tuple[Path, str]]], Peer]], ...] = (
        ("principals", "notPrincipals", reading.principals),
        ("namespaces", "notNamespaces", reading.namespaces),
        ("serviceAccounts", "notServiceAccounts", reading.service_accounts),
        ("trustDomains", "notTrustDomains", reading.trust_domains),
    )
    found = Demands()
    for positive, negative, peers in by_identity:
        for key in (positive, negative):
            listed = strings(given, key, at)
            if not listed:
                continue
            if reading.ztunnel and key not in AT_ZTUNNEL:
                found &= Demands(names=(key,))
            elif key == positive:
                found &= Demands(identities=(peers(listed),), names=(key,))
            else:
                found &= Demands(not_identities=(peers(listed),), names=(key,))
    for key, negated in (("ipBlocks", False), ("notIpBlocks", True)):
        if listed := strings(given, key, at):
            found &= Demands(addresses=(_blocks(listed, negated=negated),), names=(key,))
    for key, negated in (("remoteIpBlocks", False), ("notRemoteIpBlocks", True)):
        if listed := strings(given, key, at):
            found &= Demands(forwarded=(_blocks(listed, negated=negated),), names=(key,))
    for key in ("requestPrincipals", "notRequestPrincipals"):
        if strings(given, key, at):
            found &= Demands(tokens=(TOKEN,), names=(key,))
    return found


def operation(value: Any, path: Path) -> Demands:  # noqa: ANN401
    """Return what an operation demands.

    Raises:
        Malformed: what Istio refuses, or does not know.
    """
    given = _filled(value, path, "operation", OPERATION)
    at = (*path, "operation")

    def texts(key: str) -> tuple[Text, ...]:
        listed = strings(given, key, at)
        if key.lower().endswith("hosts"):
            return tuple(values.host(written) for _, written in listed)
        if key.lower().endswith("paths"):
            return tuple(values.path_pattern(written, where) for where, written in listed)
        return tuple(values.pattern(written) for _, written in listed)

    ports = values.ports(strings(given, "ports", at))
    refused = (
        HttpMatch(methods=texts("notMethods") or None),
        HttpMatch(paths=texts("notPaths") or None),
        HttpMatch(hosts=texts("notHosts") or None),
    )
    return Demands(
        ports=(ports,) if ports else (),
        not_ports=values.ports(strings(given, "notPorts", at)),
        methods=texts("methods"),
        paths=texts("paths"),
        hosts=texts("hosts"),
        not_http=tuple(match for match in refused if match != HttpMatch()),
        names=tuple(key for key in OPERATION if given.get(key)),
    )


def _filled(value: Any, path: Path, key: str, known: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401
    """Return a source or an operation, which say something."""
    inner = fields(value, path, (key,)).get(key)
    if inner is None:
        raise Malformed(f"`{key}` is required", path)
    given = fields(inner, (*path, key), known)
    if not any(given.values()):
        raise Malformed("may not be empty", (*path, key))
    return given


def condition(value: Any, path: Path, reading: Reading) -> Demands:  # noqa: ANN401
    """Return what a condition demands.

    Raises:
        Malformed: what Istio refuses, or does not know.
    Source: security.go ValidateAttribute; model.go New.
    """
    given = fields(value, path, ("key", "values", "notValues"))
    at = (*path, "key")
    key = filled(given.get("key"), at)
    wanted, refused = strings(given, "values", path), strings(given, "notValues", path)
    if not wanted and not refused:
        raise Malformed("one of values and notValues is required", path)
    named = Demands(names=(key,))
    match key:
        case "source.ip":
            return named & Demands(addresses=_both(wanted, refused))
        case "remote.ip":
            return named & Demands(forwarded=_both(wanted, refused))
        case "destination.ip":
            return named & Demands(subjects=_both(wanted, refused))
        case "destination.port":
            ports = values.ports(wanted)
            return named & Demands(
                ports=(ports,) if wanted else (), not_ports=values.ports(refused)
            )
        case "source.principal":
            return named & _identity(wanted, refused, reading.principals)
        case "source.namespace":
            return named & _identity(wanted, refused, reading.namespaces)
        case "source.serviceAccount":
            return named & _identity(wanted, refused, reading.service_accounts)
        case "source.trustDomain":
            return named & _identity(wanted, refused, reading.trust_domains)
        case "request.auth.principal" | "request.auth.audiences" | "request.auth.presenter":
            return named & Demands(tokens=(TOKEN,))
        case "connection.sni":
            return named & Demands(open=(SERVER_NAME,))
    if key.startswith(HEADERS):
        return named & _header(values.header_name(key, HEADERS, at), wanted, refused)
    if key.startswith(INLINE_HEADERS):
        values.header_name(key, INLINE_HEADERS, at)
        return named & Demands(tokens=(PSEUDO,))
    if key.startswith(CLAIMS):
        values.header_name(key, CLAIMS, at)
        return named & Demands(tokens=(TOKEN,))
    if key.startswith(FILTERS):
        before, bracket, name = key.partition("[")
        if not bracket or not name.endswith("]") or len(name) == 1 or before == FILTERS:
            raise Malformed(f"`{key}` should have the form {FILTERS}filter[name]", at)
        return named & Demands(open=(FILTER,))
    raise Malformed(f"unknown key `{key}`", at)


def _identity(
    wanted: list[tuple[Path, str]],
    refused: list[tuple[Path, str]],
    peers: Callable[[list[tuple[Path, str]]], Peer],
) -> Demands:
    return Demands(
        identities=(peers(wanted),) if wanted else (),
        not_identities=(peers(refused),) if refused else (),
    )


def _header(name: str, wanted: list[tuple[Path, str]], refused: list[tuple[Path, str]]) -> Demands:
    if name in REWRITTEN:
        return Demands(tokens=(PSEUDO,))
    positive = tuple(values.header(name, written) for _, written in wanted)
    return Demands(
        headers=(positive,) if positive else (),
        not_http=tuple(
            HttpMatch(headers=(values.header(name, written),)) for _, written in refused
        ),
    )


def _both(wanted: list[tuple[Path, str]], refused: list[tuple[Path, str]]) -> tuple[Peer, ...]:
    return (
        *((_blocks(wanted, negated=False),) if wanted else ()),
        *((_blocks(refused, negated=True),) if refused else ()),
    )


def _blocks(listed: list[tuple[Path, str]], *, negated: bool) -> Peer:
    blocks = dict.fromkeys(values.block(written, at) for at, written in listed)
    peers = tuple(AddressPeer(cidr) for cidr in blocks)
    found = peers[0] if len(peers) == 1 else AnyPeer(peers)
    return NotPeer(found) if negated else found
