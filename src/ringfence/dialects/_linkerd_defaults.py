"""What Linkerd's proxies let in at ports that no Server is for: the default inbound policies.

A pod's own stands in an annotation, which no policy object shows: for each value that pods have
there is a policy whose subjects they are. Pods that say none, or one that is no value, have that of
the control plane.

Authority: linkerd2 `policy-controller/k8s/index/src/inbound/index.rs` default_inbound_server,
`policy-controller/k8s/index/src/defaults.rs`, `charts/linkerd-control-plane/values.yaml`.
"""

from collections.abc import Iterator
from typing import Final

from ringfence.dialects import Context
from ringfence.dialects._linkerd_clients import DEFAULTS, LOCALHOST, Clients, by_default
from ringfence.dialects._linkerd_objects import config, linkerd_members
from ringfence.dialects._linkerd_servers import probes
from ringfence.model import tiers
from ringfence.model.cluster import Protocol
from ringfence.model.document import Document, Path
from ringfence.model.mesh import DataPlane
from ringfence.model.rule import (
    Action,
    AnyPeer,
    Direction,
    MeshPeer,
    Policy,
    PortRange,
    PortUse,
    ProxyPort,
    Rule,
    Traffic,
    Unreadable,
)

KIND: Final = "DefaultInboundPolicy"
ANNOTATION: Final = "config.linkerd.io/default-inbound-policy"
SETTING: Final = "proxy.defaultInboundPolicy"

EVERYTHING: Final = PortRange(Protocol.TCP)
IDENTIFIED: Final = ProxyPort(PortUse.IDENTITY)
OPAQUE: Final = ProxyPort(PortUse.OPAQUE)


def policies(context: Context) -> list[tuple[Document, Policy]]:
    """Return the default policies of pods, and what stands for what says them."""
    said = {each.default_inbound for each in linkerd_members(context)}
    found = [
        _policy(context, value, f"annotation {ANNOTATION}", (value,))
        for value in DEFAULTS
        if value in said
    ]
    setup = config(context)
    if others := tuple(sorted(said.difference(DEFAULTS))):
        source = setup.source or f"default of {SETTING}"
        found.append(_policy(context, setup.default_inbound, source, others))
    return found


def _policy(
    context: Context, value: str, source: str, said: tuple[str, ...]
) -> tuple[Document, Policy]:
    """Return the default policy of the pods whose annotation says one of some values."""
    name = value if value in said else f"{value}-of-the-cluster"
    subjects = tuple(MeshPeer((DataPlane.LINKERD,), default_inbound=each) for each in said)
    known = value in DEFAULTS
    wrong = Unreadable(f"`{value}` is none of {', '.join(DEFAULTS)}")
    policy = Policy(
        document=0,
        kind=KIND,
        namespace="",
        name=name,
        tier=tiers.LINKERD_DEFAULT,
        tie=name,
        subject=subjects[0] if len(subjects) == 1 else AnyPeer(subjects),
        isolation_path=(),
        rules=tuple(_rules(context, value)) if known else (),
        unreadable=() if known else (wrong,),
    )
    return Document("", KIND, "", name, {}, source), policy


def _rules(context: Context, value: str) -> Iterator[Rule]:
    """Yield what a default policy lets in, and the denial of all else.

    Source: `index.rs` default_inbound_server: on ports that ask for an identity, whoever is
    allowed must have one; `deny` and `audit` are as they are.
    """
    setup = config(context)
    admitted = by_default(value, setup)
    identified = by_default(value, setup, asked=True)
    asked = any(each.identity_ports for each in linkerd_members(context))
    tightened = asked and identified is not None and identified != admitted
    if admitted == Clients() and not tightened:
        yield _allow(admitted, EVERYTHING)
        return
    yield _allow(LOCALHOST, EVERYTHING)
    yield from probes(context, (), without=(OPAQUE,))
    if identified is not None and tightened:
        yield _allow(identified, IDENTIFIED)
        yield _deny(IDENTIFIED)
    if admitted is not None:
        yield _allow(admitted, EVERYTHING)
    if admitted != Clients():
        yield _deny(EVERYTHING)


def _allow(clients: Clients, traffic: Traffic, path: Path = ()) -> Rule:
    return Rule(
        direction=Direction.INGRESS,
        action=Action.ALLOW,
        peers=clients.peers,
        traffic=(traffic,),
        path=path,
        layer7=clients.limited(None),
    )


def _deny(traffic: Traffic) -> Rule:
    return Rule(
        direction=Direction.INGRESS,
        action=Action.DENY,
        peers=None,
        traffic=(traffic,),
        path=(),
    )
