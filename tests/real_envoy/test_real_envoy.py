"""What both judges say of Istio's policies, held against what a real Envoy does.

Policies are compiled by a compiler that shares nothing with the judges, enforced by an Envoy on
loopback, and probed over plaintext and over mTLS. `make test-envoy` runs this alone.
"""

import random
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import yaml

from real_envoy.certificates import Authority
from real_envoy.probes import CLIENTS, Caller, Probe, probes
from real_envoy.proxy import executable, free_ports, running
from real_envoy.worlds import NAMESPACE, PORTS, ROOT, Case, World
from ringfence import assemble
from ringfence.engine import Engine
from ringfence.engine.repeated_headers import REPEATED
from ringfence.model.cluster import Protocol
from ringfence.model.connection import Connection, PodEnd
from ringfence.model.layer7 import Request
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement, Verdict
from ringfence.reference import judge
from ringfence.sources import manifests

WRITTEN: Final = Path(__file__).parent / "written.yaml"
ANSWERS: Final = {
    "200": Verdict.ALLOW,
    "echo": Verdict.ALLOW,
    "403": Verdict.DENY,
    "reset": Verdict.DENY,
    "handshake": Verdict.DENY,
}
NO_REQUEST: Final = "400"
"""Envoy refuses what is no request, before any policy: of that nothing is compared."""
OPEN: Final = ("emoteIp", "remote.ip", "equestPrincipals", "request.auth", "connection.sni")
"""What no question can settle: the judges may say that it is unknown."""
PSEUDO: Final = ("request.headers[:", "request.headers[host]")
LEAST: Final = {
    "written": 3000,
    "written too": 3000,
    "drawn": 1400,
    "drawn too": 1400,
    "domains": 800,
    "slashes": 600,
    "bare": 300,
}
"""How many answers of each world are compared at least: well over 5,000 together."""


def written(world: World, part: int) -> None:
    for one in yaml.safe_load(WRITTEN.read_text())[part::2]:
        world.add(one["name"], one.get("policies", []), one.get("mtls"))


def world(name: str) -> World:
    """Return one of the worlds."""
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    if name == "domains":
        found = World(name, ports, ("td.example", "cluster.local.old", "old.example"))
        found.level(ROOT, "STRICT")
        found.level(NAMESPACE, "UNSET")
        found.draw(20, seed=2)
    elif name == "slashes":
        found = World(name, ports, normalization="DECODE_AND_MERGE_SLASHES")
        found.level(ROOT, "STRICT")
        found.level(NAMESPACE, "PERMISSIVE")
        found.draw(15, seed=3)
    elif name == "bare":
        found = World(name, ports, normalization="NONE")
        found.level(NAMESPACE, "DISABLE")
        found.draw(8, seed=4)
    elif name.startswith("drawn"):
        found = World(name, ports)
        found.draw(25, seed=5 if name.endswith("too") else 6)
    else:
        found = World(name, ports)
        written(found, int(name.endswith("too")))
    return found


@dataclass
class Judges:
    """Both judges of a world."""

    world: World
    snapshot: Snapshot
    by_name: dict[str, Callable[[Connection], Judgement]]

    def connection(self, case: Case, probe: Probe) -> Connection:
        """Return a probe as a question."""
        mtls = None if probe.by_service else probe.mtls
        request = Request(http=False, mtls=mtls)
        if probe.method:
            request = Request(
                http=True,
                method=probe.method,
                path=probe.path,
                host=probe.host,
                headers=probe.headers,
                mtls=mtls,
            )
        services = [one.name for one in self.snapshot.services]
        return Connection(
            self._pod(*probe.client.name.split("/")),
            self._pod(NAMESPACE, case.app),
            Protocol.TCP,
            self.world.ports[probe.reads],
            request=request,
            service=services.index(case.app) if probe.by_service else None,
        )

    def _pod(self, namespace: str, name: str) -> PodEnd:
        listed = self.snapshot.workloads
        return PodEnd([(one.namespace, one.name) for one in listed].index((namespace, name)), 0)


def judges(world: World, folder: Path) -> Judges:
    path = folder / "cluster.yaml"
    path.write_text(yaml.safe_dump_all(world.manifests))
    reading = manifests.read([str(path)])
    assert not reading.problems
    snapshot = assemble.build(reading)
    assert not snapshot.blind_spots
    return Judges(
        world,
        snapshot,
        {"reference": lambda one: judge(snapshot, one), "engine": Engine(snapshot).judge},
    )


@pytest.mark.parametrize("name", LEAST)
def test_the_judges_say_what_envoy_does(name: str, tmp_path: Path) -> None:
    executable()
    made = world(name)
    asked = judges(made, tmp_path)
    authority = Authority(tmp_path / "mesh")
    certificate = authority.issue(f"{made.domains[0]}/ns/{NAMESPACE}/sa/api")
    wrong: dict[str, str] = {}
    count: Counter[str] = Counter()
    with running(made.listeners(authority.path, certificate), tmp_path):
        for case, probe, answer in answers(made, Caller(authority, made.domains[0])):
            if answer == NO_REQUEST:
                continue
            count[answer] += 1
            found = {
                name: judged(asked.connection(case, probe))
                for name, judged in asked.by_name.items()
            }
            if not all(agrees(ANSWERS[answer], one, case) for one in found.values()):
                said = "\n".join(f"{name}: {in_short(one)}" for name, one in found.items())
                wrong[case.app] = f"{case}\n{probe}\nEnvoy: {answer}\n{said}\n"
    assert not wrong, f"{len(wrong)} cases:\n\n" + "\n".join(wrong.values())
    assert count.total() >= LEAST[name], count
    assert min(count[answer] for answer in ("200", "403", "echo", "reset")) >= LEAST[name] // 50


def answers(world: World, caller: Caller) -> Iterator[tuple[Case, Probe, str]]:
    """Yield each question with Envoy's answer."""
    draw = random.Random(world.name)
    for case in world.cases:
        modes = world.modes(case)
        ports = {reads: world.port(case, reads) for reads in world.ports}
        for probe in probes(case.policies, modes, 75, draw):
            # What is no request is refused at a port for HTTP, whatever policies say.
            yield case, probe, caller.ask(probe, ports[probe.reads])
        caller.close()


def agrees(answer: Verdict, found: Judgement, case: Case) -> bool:
    """Return whether a judge says the same, or what no question can settle.

    The engine does not tell what compares a header that comes with several values.
    """
    if found.verdict is Verdict.UNKNOWN:
        spoken = any(word in str(case) for word in (*OPEN, *PSEUDO))
        return spoken or REPEATED in found.unknown_because
    return found.verdict is answer and not found.limited_to


def in_short(found: Judgement) -> str:
    by = [f"{one.action} by {one.object} {one.rule}" for one in found.evidence if one.object]
    return f"{found.verdict} {found.limited_to or ''}: {'; '.join((*by, *found.unknown_because))}"


def test_envoy_knows_nobody_but_whom_the_mesh_knows(tmp_path: Path) -> None:
    executable()
    made = World("strangers", {"http": free_ports(1)[0]})
    made.add("strict", [], {"mode": "STRICT"})
    authority, other = Authority(tmp_path / "mesh"), Authority(tmp_path / "other")
    principal = CLIENTS[0].principal("cluster.local")
    certificate = authority.issue(principal)
    caller = Caller(authority, "cluster.local")
    port = made.port(made.cases[0], "http")
    probe = Probe(CLIENTS[0], "http", mtls=True, method="GET")
    with running(made.listeners(authority.path, certificate), tmp_path):
        assert caller.ask(probe, port) == "200"
        for stranger in ("", other.issue(principal), authority.issue("other.example/ns/a/sa/b")):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                caller.send(probe, port, certificate=str(stranger))
        caller.close()
