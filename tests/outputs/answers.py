"""Small answers written as people read them: `web -> db: TCP 5432 | UDP 53` (`|`: unknown)."""

from ringfence.model.connectivity import Allowance, Connectivity, Pair, Peer
from ringfence.model.outside import parse_range
from ringfence.model.profile import Profile

IPV4, IPV6 = "0.0.0.0-255.255.255.255", "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"


def peer(name: str, kind: str = "") -> Peer:
    if not kind and parse_range(name):
        kind = "External"
    if not kind and name.startswith("node/"):
        kind = "Node"
    if not kind and "/" not in name:
        kind = "Domain"
    return Peer(name, kind or "Deployment")


def allowances(text: str) -> tuple[Allowance, ...]:
    found = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        protocol, _, ports = part.partition(" ")
        protocol, _, family = protocol.partition("/")
        found.append(Allowance(protocol, ports, int(family) if family else None))
    return tuple(found)


def pair(line: str) -> Pair:
    ends, _, traffic = line.partition(": ")
    source, _, destination = ends.partition(" -> ")
    allow, _, unknown = traffic.partition("|")
    return Pair(source, destination, allowances(allow), allowances(unknown))


def answer(
    *lines: str,
    peers: tuple[str | Peer, ...] = (),
    namespace: str | None = None,
    notes: tuple[str, ...] = (),
    unknown_because: tuple[str, ...] = (),
    profile: Profile | None = None,
) -> Connectivity:
    """Return the answer whose pairs are these lines; peers without any pair are given by name."""
    pairs = sorted(map(pair, lines), key=lambda p: (p.source, p.destination))
    known = {p.name: p for p in (p if isinstance(p, Peer) else peer(p) for p in peers)}
    for name in (name for p in pairs for name in (p.source, p.destination)):
        known.setdefault(name, peer(name))
    return Connectivity(
        profile=profile or Profile(),
        endpoints=tuple(sorted(known.values(), key=lambda p: (p.kind == "External", p.name))),
        connections=tuple(pairs),
        namespace=namespace,
        notes=notes,
        unknown_because=unknown_because,
    )


def wide_open(*names: str) -> Connectivity:
    """Return the answer in which anything may send anything everything."""
    peers = [peer(name) for name in (*names, IPV4, IPV6)]
    lines = [
        f"{a.name} -> {b.name}: ANY"
        for a in peers
        for b in peers
        if a != b and "Deployment" in {a.kind, b.kind}
    ]
    return answer(*lines, peers=tuple(peers))
