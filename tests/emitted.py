"""Proposals of one policy, written in a dialect and read back, as tests of emitters need them."""

from io import BytesIO
from typing import Any

import yaml

from ringfence import assemble, dialects
from ringfence.model.cluster import Protocol
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text, exact
from ringfence.model.proposal import Emission, ProposedPolicy, ProposedRule, Surroundings
from ringfence.model.rule import (
    NETWORK_POLICY,
    Action,
    Direction,
    IpPeer,
    NamedPort,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    Rule,
    Traffic,
)
from ringfence.model.selector import LabelSelector, from_labels
from ringfence.model.snapshot import Snapshot
from ringfence.sources import manifests

BOTH = (Direction.INGRESS, Direction.EGRESS)
EGRESS, INGRESS = Direction.EGRESS, Direction.INGRESS
HTTPS = PortRange(Protocol.TCP, 443, 443)
OWN = from_labels({"app": "web"})
DATA, SHOP = (from_labels({"kubernetes.io/metadata.name": name}) for name in ("data", "shop"))
DB = PodPeer(DATA, from_labels({"app": "db"}))
BLOCK = IpPeer("192.0.2.0/24")
TRAFFIC: tuple[Traffic, ...] = (
    PortRange(Protocol.UDP),
    PortRange(Protocol.TCP, 0, 80),
    PortRange(Protocol.SCTP, 8000, 8100),
    NamedPort("http", Protocol.TCP),
    NamedPort("dns", None),
)
"""Every form of ports."""


def http(*methods: str, paths: tuple[str, ...] = ()) -> Layer7:
    """Return a limit of HTTP; a path that ends with `*` is a prefix."""
    written = [
        Text(Form.PREFIX, path[:-1]) if path.endswith("*") else exact(path) for path in paths
    ]
    return Layer7(
        http=HttpMatch(
            methods=tuple(map(exact, methods)) or None,
            paths=tuple(written) or None,
        )
    )


POST = http("POST", paths=("/v1/payments",))


def rule(
    *peers: Peer,
    traffic: tuple[Traffic, ...] | None = (HTTPS,),
    action: Action = Action.ALLOW,
    direction: Direction = EGRESS,
    layer7: tuple[Layer7, ...] | None = None,
    anyone: bool = False,
    why: tuple[str, ...] = (),
    echoed: bool = False,
) -> ProposedRule:
    """Return a proposed rule; without peers and not for anyone it is for nobody."""
    return ProposedRule(
        rule=Rule(
            direction=direction,
            action=action,
            peers=None if anyone else peers,
            traffic=traffic,
            path=(),
            layer7=layer7,
        ),
        why=why,
        echoed=echoed,
    )


def policy(
    *rules: ProposedRule,
    name: str = "web",
    namespace: str = "shop",
    pods: LabelSelector = OWN,
    order: float = 0,
    isolates: tuple[Direction, ...] = BOTH,
) -> ProposedPolicy:
    """Return a proposed policy for the workload `shop/web`."""
    return ProposedPolicy(
        policy=Policy(
            document=-1,
            kind="NetworkPolicy",
            namespace=namespace,
            name=name,
            tier=NETWORK_POLICY,
            order=order,
            subject=PodPeer(from_labels({"kubernetes.io/metadata.name": namespace}), pods),
            isolates=isolates,
        ),
        rules=rules,
        subject=(f"{namespace}/web",),
        folder=namespace,
        file=name,
    )


def emit(dialect: str, *rules: ProposedRule, **surroundings: object) -> Emission:
    """Return what one policy with these rules comes to."""
    around = Surroundings(**surroundings)  # type: ignore[arg-type]
    return dialects.emit(dialect, [policy(*rules)], around)


def spec(emission: Emission) -> Any:
    """Return the `spec` of the only object that was written."""
    [file] = emission.files
    return yaml.safe_load(file.text)["spec"]


def egress(emission: Emission) -> Any:
    """Return the egress section of the only object that was written."""
    return spec(emission)["egress"]


def read_back(emission: Emission, cni: str, cluster: str = "", *, staged: bool = False) -> Snapshot:
    """Return the cluster that the written policies, and perhaps more manifests, make.

    Asserts that nothing of them could not be read.
    """
    text = "\n---\n".join([*(file.text for file in emission.files), cluster])
    snapshot = assemble.build(manifests.read(["-"], BytesIO(text.encode())), cni=cni, staged=staged)
    errors = [problem for problem in snapshot.problems if problem.severity == "error"]
    assert not errors, errors
    assert not snapshot.ignored, snapshot.ignored
    return snapshot
