"""Finds the hosts that a workload's manifest names: in environment values, arguments, commands.

These are hints for drafting a dependency map, and change no verdict. Values hold passwords, so
of each only host and port are kept, and of a value that looks secret nothing but its URLs is
looked at.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any, Final

from ringfence.assemble.values import mapping, mappings, parse_address, sequence, text
from ringfence.model.cluster import Reference
from ringfence.model.document import Document, Path

Host = tuple[str, int | None]
"""A host's name or address, and a port."""

MOST_CHARACTERS: Final = 65536
"""Of one value: a longer one holds data, and hosts stand at its beginning if anywhere."""

LONGEST_NAME: Final = 260
"""A domain name has at most 253 characters; a port and its colon, six."""
LABEL: Final = r"[a-z0-9](?:[-a-z0-9_]{0,61}[a-z0-9])?"
NAME: Final = re.compile(rf"{LABEL}(?:\.{LABEL})*\.?", re.IGNORECASE)
# Bounded: an unbounded scheme would be sought anew from each letter of a long word.
URL: Final = re.compile(r"([a-z][a-z0-9+.-]{0,31})://([^\s\"'`<>|\\]*)", re.IGNORECASE)
SCHEME_PORTS: Final = {
    "amqp": 5672,
    "amqps": 5671,
    "http": 80,
    "https": 443,
    "ldap": 389,
    "ldaps": 636,
    "mongodb": 27017,
    "mqtt": 1883,
    "mqtts": 8883,
    "mysql": 3306,
    "nats": 4222,
    "postgres": 5432,
    "postgresql": 5432,
    "redis": 6379,
    "rediss": 6379,
    "sftp": 22,
    "smtp": 25,
    "smtps": 465,
    "ssh": 22,
    "ws": 80,
    "wss": 443,
}
"""The port that a URL means where it names none: IANA's registry, or the project's own word."""
HOST_AND_PORT: Final = re.compile(
    rf"(\[[0-9a-f:.]+\]|{LABEL}(?:\.{LABEL})*\.?):(\d{{1,5}})", re.IGNORECASE
)
SEPARATORS: Final = re.compile(r"[\s,;=|&\"'`<>(){}]+")
CLUSTER_NAME: Final = re.compile(
    rf"(?:{LABEL}\.)*({LABEL})\.({LABEL})\.svc(?:\.{LABEL})*", re.IGNORECASE
)
"""`[pod.]service.namespace.svc[.cluster-domain]`."""
HOST_WORDS: Final = re.compile(
    r"(^|[_.-])(HOST(NAME)?S?|UR[LI]S?|ADDR(ESS(ES)?)?S?|ENDPOINTS?|SERVERS?)($|[_.-])|"
    r"(HOST|URL|URI|ADDR|ENDPOINT|SERVER)S?$",
    re.IGNORECASE,
)
SECRET_WORDS: Final = re.compile(
    r"PASS(WORD|WD|PHRASE)?|SECRET|TOKEN|CREDENTIAL|(^|[_.-])(KEY|AUTH|PW|PWD|CREDS?)($|[_.-])|APIKEY",
    re.IGNORECASE,
)
NO_DOMAINS: Final = re.compile(
    "bak|cfg|class|conf|cpp|crt|csr|css|csv|db|der|doc|env|gif|go|gz|html?|ini|jar|java|jks|"
    "jpe?g|js|json|key|lock|log|lua|md|mjs|p12|pem|php|pid|png|properties|pyc?|rb|rs|sh|"
    "sock|socket|sql|sqlite|svg|tar|tgz|tmpl|toml|tsx?|txt|war|wasm|whl|xml|ya?ml|zip"
)
"""Ends of file names. Some are top-level domains as well, hardly ever of a service's."""
LOOPBACK: Final = frozenset({"localhost", "localhost.localdomain"})


class Search:
    """Looks for hosts, knowing the Services of the cluster."""

    def __init__(self, services: Collection[tuple[str, str]]) -> None:
        """Take namespace and name of every Service."""
        self._services = frozenset(services)

    def of(self, document: Document, pod_spec: Path) -> tuple[Reference, ...]:
        """Return the references in the pod spec that stands at a path of a document, sorted.

        Raises:
            Malformed: a container, or its environment, is not as the API demands.
        """
        spec: dict[str, Any] = document.body
        for depth, part in enumerate(pod_spec):
            spec = mapping(spec, str(part), pod_spec[:depth])
        found: dict[tuple[str, int | None, str], Path] = {}
        for field in ("containers", "initContainers"):
            for index, container in enumerate(mappings(spec, field, pod_spec)):
                at: Path = (*pod_spec, field, index)
                owner = f"of container {text(container, 'name', at) or index}"
                for where, path, hosts in self._places(container, at, document.namespace):
                    for host, port in hosts:
                        found.setdefault((host, port, f"{where} {owner}"), path)
        return tuple(
            Reference(host, port, evidence, document.location_of(path))
            for (host, port, evidence), path in sorted(found.items(), key=_order)
        )

    def _places(
        self, container: dict[str, Any], at: Path, namespace: str
    ) -> Iterator[tuple[str, Path, list[Host]]]:
        """Yield what each part of a container is called, its path, and the hosts in it."""
        literals: dict[str, tuple[str, Path]] = {}
        for index, entry in enumerate(mappings(container, "env", at)):
            where: Path = (*at, "env", index)
            name, value = text(entry, "name", where), text(entry, "value", where)
            if value:
                literals[name] = (value, (*where, "value"))
        for name, (value, where) in literals.items():
            hosts = self.hosts(value, namespace, name)
            if len(hosts) == 1 and hosts[0][1] is None:
                hosts = [(hosts[0][0], _port_beside(name, literals))]
            yield f"env {name}", where, hosts
        for field in ("command", "args"):
            flag = ""
            for index, value in enumerate(sequence(container, field, at)):
                where = (*at, field, index)
                if not isinstance(value, str):
                    text({"": value}, "", where)
                    continue
                own, equals, rest = value.partition("=")
                if value.startswith("-") and equals and not SEPARATORS.search(own):
                    yield f"{field}[{index}]", where, self.hosts(rest, namespace, own.lstrip("-"))
                elif value.startswith("-"):
                    flag = value.lstrip("-")
                    continue
                else:
                    yield f"{field}[{index}]", where, self.hosts(value, namespace, flag)
                flag = ""

    def hosts(self, value: str, namespace: str, name: str = "") -> list[Host]:
        """Return the hosts in a value, each once, in their order.

        Args:
            value: an environment value or an argument.
            namespace: where bare names of Services are looked up.
            name: what the variable or the flag is called, as `DB_ADDR`; empty if it has no name.
        """
        value = value[:MOST_CHARACTERS]
        found: dict[Host, None] = {}
        for match in URL.finditer(value):
            for host in _authority(match[1].lower(), match[2]):
                found[host] = None
        if SECRET_WORDS.search(name) and not HOST_WORDS.search(name):
            return [host for host in found if _remote(host[0])]
        rest = URL.sub(" ", value)
        words = [word.strip(".:") for word in SEPARATORS.split(rest)]
        whole = len(words) == 1 and rest == value
        for word in words:
            stem, slash, _ = word.partition("/")
            named = self._word(stem, namespace, exact=not slash)
            if named is None and whole and HOST_WORDS.search(name):
                named = _outside(stem)
            if named is not None:
                found[named] = None
        return [host for host in found if _remote(host[0])]

    def _word(self, word: str, namespace: str, *, exact: bool) -> Host | None:
        """Return a word that names a host whatever stands around it."""
        if len(word) > LONGEST_NAME:
            return None
        match = HOST_AND_PORT.fullmatch(word)
        if match:
            host, port = _clean(match[1]), int(match[2])
            if not 0 < port < 65536:
                return None
            known = self._is_service(host, namespace) or CLUSTER_NAME.fullmatch(host)
            if known or "." not in host:
                return (host, port) if known or _bare(host) else None
            outside = _outside(host)
            return (host, port) if outside else None
        if not exact or not NAME.fullmatch(word):
            return None
        host = _clean(word)
        if self._is_service(host, namespace) or CLUSTER_NAME.fullmatch(host):
            return host, None
        return None

    def _is_service(self, host: str, namespace: str) -> bool:
        """Return whether a name is `service`, or `service.namespace`, of the cluster."""
        service, _, other = host.partition(".")
        return (other or namespace, service) in self._services


def _authority(scheme: str, after_scheme: str) -> Iterator[Host]:
    """Yield the hosts of a URL: those between user information and path.

    Source: RFC 3986 section 3.2; several hosts as the drivers of MongoDB, Kafka and PostgreSQL
    accept them.
    """
    authority = re.split(r"[/?#;]", after_scheme, maxsplit=1)[0]
    if "@" not in authority and ":" in authority and "@" in after_scheme:
        # A password with an unescaped slash in it would look like a port.
        return
    for part in authority.rpartition("@")[2].split(","):
        if len(part) > LONGEST_NAME:
            continue
        match = HOST_AND_PORT.fullmatch(part)
        if match and 0 < int(match[2]) < 65536:
            yield _clean(match[1]), int(match[2])
        elif NAME.fullmatch(part) or parse_address(part.strip("[]")):
            yield _clean(part), SCHEME_PORTS.get(scheme)


def _outside(host: str) -> Host | None:
    """Return a host of the outside: an address, or a domain name that may well be one."""
    host = _clean(host)
    if len(host) > LONGEST_NAME:
        return None
    if parse_address(host):
        return host, None
    stem, dot, top = host.rpartition(".")
    plausible = dot and len(top) > 1 and top.isalpha() and not NO_DOMAINS.fullmatch(top)
    return (host, None) if plausible and NAME.fullmatch(stem) else None


def _bare(host: str) -> bool:
    """Return whether a name without a dot may be a host's: a number alone is none."""
    return bool(parse_address(host)) or any(character.isalpha() for character in host)


def _clean(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()


def _remote(host: str) -> bool:
    """Return whether a host is another one: neither this pod itself nor an address to listen on."""
    address = parse_address(host)
    if address is None:
        return host not in LOOPBACK
    family, value = address
    if family == 6:
        return value > 1
    return value != 0 and value >> 24 != 127


def _port_beside(name: str, literals: dict[str, tuple[str, Path]]) -> int | None:
    """Return the port that a variable beside `DB_HOST` gives, as `DB_PORT` does."""
    stem, _, _ = name.rpartition("_")
    value, _ = literals.get(f"{stem}_PORT", ("", ()))
    return int(value) if value.isdecimal() and len(value) < 6 and 0 < int(value) < 65536 else None


def _order(item: tuple[tuple[str, int | None, str], Path]) -> tuple[str, int, str]:
    (host, port, evidence), _ = item
    return host, port or 0, evidence
