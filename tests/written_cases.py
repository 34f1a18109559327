"""Reads `tests/cases/*.md`, and resolves the names that their verdicts use.

A file is a topic. Each `##` heading is a case: prose, manifests in `yaml` fences, and in a
`verdicts` fence one line per connection:

    shop/web -> shop/db tcp/5432: allow by NetworkPolicy/shop/db ingress[0]
    10.1.2.3 -> shop/db tcp/80: deny [profile=cilium family=4]
    shop/web -> shop/db tcp/80: limited [profile=cilium]
    shop/web -> shop/db tcp/80: allow [profile=cilium version=1.18 http=GET:/public]

`limited` is an allow that holds for some of what the question left open above the port. What it
does say: `http=METHOD:PATH` (either may be empty), `host=`, `header=NAME:VALUE`, `http=no`, `dns=`,
`sni=` (empty: there is none), `authenticated=yes` or `no`, `mtls=yes` or `no`. `icmp/8` is a type
of ICMP. With `staged=yes` staged policies count as enforced.

A destination `svc/namespace/name` is called by the Service's address, any other by its own. Where a
mesh is, `layer=` says whose evidence is meant, `wire=` on which port the network layer sees the
connection, `over=mtls` or `over=plaintext` how it goes, and `via=` through which waypoint.

Manifests before the first case belong to every case of the file.
"""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ringfence.model.cluster import Protocol, Service
from ringfence.model.connection import AddressEnd, Connection, DomainEnd, End, NodeEnd, PodEnd
from ringfence.model.layer7 import ANYTHING, Request
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement

FOLDER = Path(__file__).parent / "cases"

_LINE = re.compile(
    r"(?P<source>\S+) -> (?P<destination>\S+) (?P<traffic>\w+(/\d+)?): "
    r"(?P<verdict>allow|deny|unknown|limited)"
    r"( by ((?P<object>\S+/\S+) )?(?P<rule>\S+( node| mesh| taken)?))?"
    r"( \[(?P<options>\w+=\S*( \w+=\S*)*)\])?"
)


@dataclass(frozen=True)
class Expectation:
    """One line of verdicts."""

    text: str
    source: str
    destination: str
    protocol: Protocol
    port: int | None
    verdict: str
    object: str | None
    """What must be among the evidence, with `rule`; None for what no object brings about."""
    rule: str | None
    """None where the line does not say by what."""
    profile: str | None
    family: int | None
    version: str | None = None
    staged: bool = False
    """Whether staged policies count as enforced: `staged=yes`."""
    request: Request = ANYTHING
    layer: str | None = None
    """The layer of what is among the evidence."""
    wire: int | None = None
    over: str | None = None
    """`mtls` or `plaintext`."""
    via: str | None = None
    """The waypoint, as `namespace/name`."""

    def is_met_by(self, found: Judgement) -> bool:
        """Return whether a judge says the same, limits included."""
        said = "limited" if found.verdict == "allow" and found.limited_to else found.verdict.value
        by = {
            (piece.object, piece.rule)
            for piece in found.evidence
            if self.layer in (None, piece.layer)
        }
        met = said == self.verdict and (not self.rule or (self.object, self.rule) in by)
        return met and self._goes_as(found)

    def _goes_as(self, found: Judgement) -> bool:
        """Return whether a judge says the same of how the connection goes."""
        mesh = found.mesh
        if mesh is None:
            return self.wire is None and self.over is None and self.via is None
        over = {True: "mtls", False: "plaintext", None: "unknown"}[mesh.mtls]
        return (
            self.wire in (None, mesh.wire)
            and self.over in (None, over)
            and self.via in (None, mesh.waypoint)
        )


@dataclass
class Case:
    """One heading."""

    topic: str
    heading: str
    manifests: list[str] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.topic}: {self.heading}"


def cases() -> list[Case]:
    """Return the cases of all files, in order."""
    found = [case for path in sorted(FOLDER.glob("*.md")) for case in _read(path)]
    for case in found:
        assert case.expectations, f"{case.name}: no verdicts"
    return found


def _read(path: Path) -> Iterator[Case]:
    shared: list[str] = []
    case: Case | None = None
    fence, block = "", [""]
    for line in path.read_text(encoding="utf-8").splitlines():
        if fence and line != "```":
            block.append(line)
        elif fence:
            if fence == "yaml":
                (case.manifests if case else shared).append("\n".join(block) + "\n")
            else:
                assert case is not None, f"{path.name}: verdicts before the first case"
                case.expectations.extend(_expectation(text) for text in block if text)
            fence = ""
        elif line.startswith("```"):
            fence, block = line.removeprefix("```"), []
            assert fence in ("yaml", "verdicts"), f"{path.name}: a fence of `{fence}`"
        elif line.startswith("## "):
            if case:
                yield case
            case = Case(path.stem, line.removeprefix("## "), list(shared))
    assert not fence, f"{path.name}: a fence is not closed"
    if case:
        yield case


def _expectation(text: str) -> Expectation:
    found = _LINE.fullmatch(text)
    assert found, f"no verdict: {text}"
    options = dict(part.split("=", 1) for part in (found["options"] or "").split())
    protocol, _, port = found["traffic"].partition("/")
    number = int(port) * (256 if protocol == "icmp" else 1) if port else None
    version, profile, family = (options.pop(key, None) for key in ("version", "profile", "family"))
    staged = options.pop("staged", "no") == "yes"
    layer, over, via, wire = (options.pop(key, None) for key in ("layer", "over", "via", "wire"))
    return Expectation(
        text=text,
        source=found["source"],
        destination=found["destination"],
        protocol=Protocol(protocol.upper()),
        port=number,
        verdict=found["verdict"],
        object=found["object"],
        rule=found["rule"],
        profile=profile,
        family=int(family) if family else None,
        version=version,
        staged=staged,
        request=_request(options, text),
        layer=layer,
        wire=int(wire) if wire else None,
        over=over,
        via=via,
    )


def _request(options: dict[str, str], text: str) -> Request:
    """Return what is said above the port."""
    known = {"http", "host", "header", "dns", "sni", "authenticated", "mtls"}
    assert options.keys() <= known, text
    method, _, path = options.get("http", "").partition(":")
    http = method != "no" if options.keys() & {"http", "host", "header"} else None
    name, colon, value = options.get("header", "").partition(":")
    return Request(
        http=http,
        method=(method or None) if http else None,
        path=(path or None) if http else None,
        host=options.get("host"),
        headers=((name.lower(), value),) if colon else None,
        dns=options.get("dns"),
        sni=options.get("sni"),
        authenticated={"yes": True, "no": False}.get(options.get("authenticated", "")),
        mtls={"yes": True, "no": False}.get(options.get("mtls", "")),
    )


def connection(snapshot: Snapshot, asked: Expectation) -> Connection:
    """Return what is asked, its names resolved; a Service gives way to what is behind it."""
    source, port = end(snapshot, asked.source), asked.port
    destination: End
    service: int | None = None
    if asked.destination.startswith("svc/"):
        destination, port = _behind(snapshot, asked)
        service = [one.ref for one in snapshot.services].index(asked.destination)
    else:
        destination = end(snapshot, asked.destination)
    return Connection(
        source, destination, asked.protocol, port, asked.family, asked.request, service
    )


def end(snapshot: Snapshot, name: str) -> End:
    """Return the end of a name.

    `namespace/name` and `namespace/Kind/name` are workloads, `namespace/pod` one pod, `node/name`
    a node; an address is the pod's or the node's that has it, else outside; the rest is a domain.
    """
    if name.startswith("node/"):
        return NodeEnd([node.name for node in snapshot.nodes].index(name.removeprefix("node/")))
    if "/" in name:
        return _workload(snapshot, name)
    try:
        address = str(ipaddress.ip_address(name))
    except ValueError:
        return DomainEnd(name)
    for number, node in enumerate(snapshot.nodes):
        if address in node.addresses:
            return NodeEnd(number)
    for number, workload in enumerate(snapshot.workloads):
        for place, identity in enumerate(workload.identities):
            for index, pod in enumerate(identity.pods):
                if address in pod.addresses:
                    return PodEnd(number, place, index)
    return AddressEnd(address)


def _workload(snapshot: Snapshot, name: str) -> PodEnd:
    namespace, _, rest = name.partition("/")
    for number, workload in enumerate(snapshot.workloads):
        if workload.namespace != namespace:
            continue
        if rest in (workload.name, f"{workload.kind}/{workload.name}"):
            assert len(workload.identities) == 1, f"`{name}` has several identities: name a pod"
            return PodEnd(number, 0)
        for place, identity in enumerate(workload.identities):
            for index, pod in enumerate(identity.pods):
                if pod.name == rest:
                    return PodEnd(number, place, index)
    raise AssertionError(f"the case has no `{name}`")


def _behind(snapshot: Snapshot, asked: Expectation) -> tuple[PodEnd, int]:
    """Return the only workload behind a Service, and the port that it listens on."""
    service = next(one for one in snapshot.services if one.ref == asked.destination)
    target = next(
        port.target
        for port in service.ports
        if (port.port, port.protocol) == (asked.port, asked.protocol)
    )
    backends = [
        PodEnd(number, place)
        for number, workload in enumerate(snapshot.workloads)
        for place, identity in enumerate(workload.identities)
        if workload.namespace == service.namespace and _selects(service, identity.labels)
    ]
    assert len(backends) == 1, f"`{asked.destination}` has {len(backends)} backends"
    if isinstance(target, int):
        return backends[0], target
    ports = snapshot.workloads[backends[0].workload].identities[backends[0].identity].ports
    return backends[0], next(port.port for port in ports if port.name == target)


def _selects(service: Service, labels: dict[str, str]) -> bool:
    wanted = service.selector.requirements if service.selector else ()
    return bool(wanted) and all(labels.get(one.key) in one.values for one in wanted)
