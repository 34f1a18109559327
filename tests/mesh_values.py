"""Small clusters with meshes, drawn at random as values: no dialect is needed for them."""

from typing import Any, Final

from hypothesis import strategies as st

from ringfence.model import tiers
from ringfence.model.cluster import (
    ContainerPort,
    Identity,
    Namespace,
    Pod,
    Protocol,
    Service,
    ServicePort,
    Workload,
)
from ringfence.model.document import Document
from ringfence.model.layer7 import Form, HttpMatch, Layer7, Text, exact
from ringfence.model.location import Location
from ringfence.model.mesh import (
    ClientImports,
    ClientTls,
    DataPlane,
    IstioConfig,
    LinkerdConfig,
    Membership,
    Mesh,
    Ports,
)
from ringfence.model.profile import Cni, Profile
from ringfence.model.rule import (
    ANYONE,
    NETWORK_POLICY,
    Action,
    AddressPeer,
    AllPeers,
    Chain,
    ChainPort,
    Direction,
    MeshPeer,
    NotPeer,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    PrincipalPeer,
    Rule,
    ServicePeer,
    Tier,
    Unreadable,
)
from ringfence.model.selector import EVERYTHING, equals
from ringfence.model.snapshot import Snapshot

HERE: Final = Location("mesh.yaml", 1)
TCP: Final = Protocol.TCP
MTLS: Final = Layer7(mtls=True)
GET: Final = HttpMatch(methods=(exact("GET"),))
ADMIN: Final = HttpMatch(paths=(Text(Form.PREFIX, "/admin"),))
NAMES: Final = ("a", "b", "c", "d")
PORTS: Final = (80, 8080, 9000)
SIDECARS: Final = MeshPeer((DataPlane.SIDECAR,))
AMBIENT: Final = MeshPeer((DataPlane.AMBIENT,))
LINKERD: Final = MeshPeer((DataPlane.LINKERD,))


def principal(name: str) -> str:
    return f"cluster.local/ns/shop/sa/{name}"


def member(name: str, plane: DataPlane = DataPlane.SIDECAR, **more: Any) -> Membership:
    return Membership(plane, principal(name), **more)


def workload(name: str, mesh: Membership | None = None, number: int = 1) -> Workload:
    identity = Identity(
        {"app": name},
        name,
        ports=(ContainerPort(8080, TCP, "http"),),
        pods=(Pod(f"{name}-0", (f"10.0.0.{number}",)),),
        mesh=mesh,
    )
    return Workload("Deployment", "shop", name, (identity,), HERE)


def service(name: str, *ports: ServicePort, waypoint: tuple[str, str] | None = None) -> Service:
    listed = ports or (ServicePort(80, 8080, name="http"),)
    return Service(
        "shop", name, "ClusterIP", equals(app=name), tuple(listed), HERE, waypoint=waypoint
    )


def pods(name: str) -> PodPeer:
    return PodPeer(EVERYTHING, equals(app=name))


def policy(
    tier: Tier,
    subject: Peer,
    *rules: Rule,
    isolates: bool = False,
    order: float = 0,
    tie: str = "",
    direction: Direction = Direction.INGRESS,
    unreadable: tuple[Unreadable, ...] = (),
) -> Policy:
    return Policy(
        document=0,
        kind="Made",
        namespace="shop",
        name=f"{tier.name}{order:g}{tie}",
        tier=tier,
        order=order,
        tie=tie,
        subject=subject,
        isolates=(direction,) if isolates else (),
        rules=rules,
        unreadable=unreadable,
    )


def rule(
    action: Action,
    *peers: Peer,
    direction: Direction = Direction.INGRESS,
    **more: Any,
) -> Rule:
    said = {"peers": peers or None, "traffic": None, "path": ("spec",), **more}
    return Rule(direction=direction, action=action, **said)


def snapshot(
    workloads: list[Workload], policies: list[Policy], *services: Service, **more: Any
) -> Snapshot:
    return Snapshot(
        **{
            "profile": Profile(Cni.CALICO),
            "namespaces": (Namespace("shop", {"kubernetes.io/metadata.name": "shop"}),),
            "workloads": tuple(sorted(workloads, key=lambda one: one.name)),
            "services": tuple(sorted(services, key=lambda one: one.name)),
            "policies": tuple(policies),
            "documents": (Document("v1", "Made", "shop", "made", {}, "mesh.yaml"),),
            "mesh": Mesh(IstioConfig(), LinkerdConfig()),
            "pod_cidrs": ("10.0.0.0/16",),
            **more,
        }
    )


# -- drawn ---------------------------------------------------------------------------------------

_PORTS = st.one_of(
    st.none(),
    st.sampled_from(PORTS).map(lambda port: (PortRange(TCP, port, port),)),
    st.sampled_from(list(Chain)).map(lambda chain: (ChainPort(chain),)),
)
_LISTED = st.one_of(
    st.just(Ports()),
    st.sampled_from(PORTS).map(lambda port: Ports(((port, port),))),
    st.sampled_from(PORTS).map(lambda port: Ports(((port, port),), all_but=False)),
)
_BOXES = st.sampled_from(
    [
        (None, ()),
        ((MTLS,), ()),
        (None, (MTLS,)),
        ((Layer7(http=GET),), ()),
        ((Layer7(http=GET, mtls=True),), ()),
        ((Layer7(http=ADMIN),), (MTLS,)),
        ((MTLS,), (Layer7(http=ADMIN),)),
    ]
)
_PEERS: st.SearchStrategy[Peer] = st.one_of(
    st.sampled_from([PrincipalPeer(exact(principal(name))) for name in NAMES]),
    st.just(PrincipalPeer(Text(Form.REGEX, ".*/sa/[ab]"))),
    st.sampled_from([NotPeer(PrincipalPeer(exact(principal(name)))) for name in NAMES]),
    st.sampled_from([AddressPeer("10.0.0.0/30"), AddressPeer("10.0.0.2/32")]),
    st.sampled_from([SIDECARS, AMBIENT, ANYONE]),
)


@st.composite
def _memberships(draw: st.DrawFn, name: str) -> Membership | None:
    plane = draw(st.sampled_from([None, *DataPlane, *DataPlane]))
    if plane is None:
        return None
    unsure = draw(st.sampled_from(["", "", "", "who knows"]))
    inbound, outbound = draw(_LISTED), draw(_LISTED)
    waypoint = draw(st.sampled_from([None, None, None, ("shop", "way"), ("shop", "nowhere")]))
    return member(
        name,
        plane,
        inbound=inbound,
        outbound=outbound,
        uncertain=unsure,
        waypoint_of=waypoint,
        plaintext=draw(st.sampled_from([False, False, False, True])),
        unclear=draw(st.sampled_from(["", "", "", "", "some addresses"])),
    )


_OF_TRANSPORT = st.sampled_from([(None, ()), ((MTLS,), ()), (None, (MTLS,))])
"""PeerAuthentications say nothing of what is within a connection."""


@st.composite
def _rules(draw: st.DrawFn, actions: list[Action], direction: Direction, tier: Tier) -> Rule:
    layer7, not_layer7 = draw(_OF_TRANSPORT if tier == tiers.ISTIO_TRANSPORT else _BOXES)
    peers = draw(st.none() | st.lists(_PEERS, min_size=1, max_size=2).map(tuple))
    if direction is Direction.EGRESS:
        layer7, not_layer7 = None, ()
        called = st.sampled_from([ServicePeer("shop", name) for name in NAMES])
        peers = draw(st.none() | st.lists(called | _PEERS, min_size=1, max_size=2).map(tuple))
    return Rule(
        direction=direction,
        action=draw(st.sampled_from(actions)),
        peers=peers,
        traffic=draw(_PORTS) if direction is Direction.INGRESS else None,
        not_traffic=draw(st.sampled_from([(), (), (), (ChainPort(Chain.TCP),)]))
        if direction is Direction.INGRESS
        else (),
        path=("spec",),
        layer7=layer7,
        not_layer7=not_layer7,
        uncertain=draw(st.sampled_from(["", "", "", "", "that is decided elsewhere"])),
    )


_MESH_TIERS: Final = (
    (tiers.ISTIO_TRANSPORT, [Action.DENY, Action.PASS]),
    (tiers.ISTIO_CUSTOM, [Action.DENY]),
    (tiers.ISTIO_AUDIT, [Action.LOG]),
    (tiers.ISTIO_DENY, [Action.DENY]),
    (tiers.ISTIO_ALLOW, [Action.ALLOW]),
    (tiers.LINKERD_SERVER, [Action.ALLOW, Action.DENY]),
    (tiers.LINKERD_DEFAULT, [Action.ALLOW, Action.DENY]),
    (tiers.MESH_EGRESS, [Action.ALLOW, Action.DENY]),
)


@st.composite
def _mesh_policies(draw: st.DrawFn, number: int) -> Policy:
    tier, actions = draw(st.sampled_from(_MESH_TIERS))
    direction = Direction.EGRESS if tier == tiers.MESH_EGRESS else Direction.INGRESS
    name = draw(st.sampled_from(NAMES))
    if tier.name in ("server", "default"):
        planes: Peer = LINKERD
    elif direction is Direction.EGRESS:
        planes = ANYONE
    else:
        planes = draw(st.sampled_from([SIDECARS, AMBIENT, MeshPeer(tuple(DataPlane)[:2])]))
    chosen: list[Peer] = [ANYONE, pods(name)]
    subject: Peer = AllPeers((planes, draw(st.sampled_from(chosen))))
    if direction is Direction.INGRESS and tier.order < 60 and draw(st.integers(0, 3)) == 0:
        subject = ServicePeer("shop", name)
    return policy(
        tier,
        subject,
        *draw(st.lists(_rules(actions, direction, tier), max_size=3)),
        isolates=tier == tiers.ISTIO_ALLOW,
        order=number,
        tie=str(number),
        direction=direction,
        unreadable=draw(st.sampled_from([()] * 12 + [(Unreadable("odd", ("spec",)),)])),
    )


@st.composite
def _network_policies(draw: st.DrawFn) -> Policy:
    direction = draw(st.sampled_from(list(Direction)))
    ports = draw(
        st.none() | st.lists(st.sampled_from([*PORTS, 15008, 4143]), max_size=2, unique=True)
    )
    boxes = draw(st.sampled_from([None, None, None, (Layer7(http=GET),)]))
    allowed = Rule(
        direction=direction,
        action=Action.ALLOW,
        peers=draw(st.none() | st.sampled_from([(pods(name),) for name in NAMES])),
        traffic=None if ports is None else tuple(PortRange(TCP, port, port) for port in ports),
        path=("spec",),
        layer7=boxes,
    )
    subject = draw(st.sampled_from([pods(name) for name in NAMES]))
    return policy(NETWORK_POLICY, subject, allowed, isolates=True, direction=direction)


@st.composite
def _services(draw: st.DrawFn, name: str) -> Service:
    ports = draw(
        st.lists(
            st.builds(
                ServicePort,
                st.sampled_from([80, 3306]),
                st.sampled_from([8080, 9000]),
                name=st.sampled_from(["http", "tcp", "", "grpc-web-x"]),
            ),
            min_size=1,
            max_size=2,
        )
    )
    selected = draw(st.sampled_from([name, name, "a"]))
    return Service(
        "shop",
        name,
        "ClusterIP",
        equals(app=selected),
        tuple(ports),
        HERE,
        headless=draw(st.sampled_from([False, False, False, True])),
        waypoint=draw(st.sampled_from([None, None, ("shop", "way"), ("shop", "nowhere")])),
        export_to=draw(st.sampled_from([("*",), ("*",), ("*",), ("shop",), ()])),
    )


_CLIENTS = st.builds(
    ClientTls,
    st.just(0),
    st.just(("spec",)),
    st.just("shop"),
    st.sampled_from(["*", "a.shop.svc.cluster.local", "*.shop.svc.cluster.local"]),
    st.sampled_from(["DISABLE", "SIMPLE", "ISTIO_MUTUAL", ""]),
    ports=st.sampled_from([(), (), ((80, "DISABLE"),)]),
    workloads=st.sampled_from([(), (), (("app", "b"),)]),
    unreadable=st.sampled_from(["", "", "", "odd"]),
)


_HOSTS = st.sampled_from(
    ["*", "a.shop.svc.cluster.local", "*.shop.svc.cluster.local", "b.shop.svc.cluster.local"]
)
_IMPORTS = st.builds(
    ClientImports,
    st.just(0),
    st.sampled_from(["", "shop", "shop"]),
    workloads=st.sampled_from([(), (), (("app", "b"),)]),
    rank=st.tuples(st.integers(0, 2), st.sampled_from(["1", "2"])),
    listeners=st.lists(
        st.tuples(
            st.sampled_from([None, None, 80]),
            st.lists(
                st.tuples(st.sampled_from(["*", ".", "shop", "far"]), _HOSTS),
                min_size=1,
                max_size=2,
            ).map(tuple),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
    unreadable=st.sampled_from(["", "", "", "odd"]),
)


@st.composite
def meshes(draw: st.DrawFn) -> Snapshot:
    """Return a cluster of a few workloads, with policies of both layers."""
    found = [workload(name, draw(_memberships(name)), n) for n, name in enumerate(NAMES, 1)]
    if draw(st.booleans()):
        way = member("way", gateway="way", waypoint=True)
        found.append(workload("way", way, 9))
    made = draw(st.lists(st.integers(0, 2), max_size=6))
    policies = [
        draw(_network_policies() if kind == 0 else _mesh_policies(number))
        for number, kind in enumerate(made)
    ]
    services = [
        draw(_services(name)) for name in draw(st.lists(st.sampled_from(NAMES), unique=True))
    ]
    return snapshot(
        found,
        policies,
        *services,
        profile=Profile(draw(st.sampled_from([Cni.CALICO, Cni.CILIUM, Cni.GENERIC]))),
        client_tls=tuple(draw(st.lists(_CLIENTS, max_size=2))),
        client_imports=tuple(draw(st.lists(_IMPORTS, max_size=2))),
        mesh=Mesh(
            IstioConfig(auto_mtls=draw(st.sampled_from([True, True, False]))),
            LinkerdConfig(transport_header=draw(st.booleans())),
        ),
    )
