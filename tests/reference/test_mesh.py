"""How the layers come together; what either says is in the written cases."""

from dataclasses import replace

import msgspec

from reference.small_cluster import WORKLOADS, ask, cluster, document
from ringfence.model.connection import AddressEnd, Connection, PodEnd
from ringfence.model.document import Document
from ringfence.model.location import Location
from ringfence.model.mesh import DataPlane, IstioConfig, Membership, Mesh, Ports
from ringfence.model.snapshot import BlindSpot, Snapshot
from ringfence.model.verdict import Judgement, MeshVerdict, Verdict
from ringfence.reference import judge
from ringfence.reference.findings import Side
from ringfence.reference.mesh import Found
from ringfence.reference.network import TWO_LIMITS, BothSides

ALLOW = Side(Verdict.ALLOW)
SIDECAR = Membership(DataPlane.SIDECAR, "cluster.local/ns/shop/sa/db")
AMBIENT = Membership(DataPlane.AMBIENT, "cluster.local/ns/shop/sa/web")


def meshed(snapshot: Snapshot, **members: Membership | None) -> Snapshot:
    """Return the small cluster with some of its workloads in a mesh, by their names."""
    workloads = tuple(
        msgspec.structs.replace(
            workload,
            identities=tuple(
                msgspec.structs.replace(identity, mesh=members.get(workload.name))
                for identity in workload.identities
            ),
        )
        for workload in snapshot.workloads
    )
    mesh = Mesh(istio=IstioConfig())
    return msgspec.structs.replace(snapshot, workloads=workloads, mesh=mesh)


def strict() -> Document:
    return document(
        {
            "apiVersion": "security.istio.io/v1",
            "kind": "PeerAuthentication",
            "metadata": {"name": "strict", "namespace": "shop"},
            "spec": {"mtls": {"mode": "STRICT"}},
        }
    )


def test_without_a_mesh_there_is_no_verdict_of_one() -> None:
    found = ask(cluster(), "shop/web", "shop/db")
    assert found.mesh is None
    assert {piece.layer for piece in found.evidence} == {"network"}


def test_a_mesh_at_one_end_gives_a_verdict_of_the_mesh() -> None:
    found = ask(meshed(cluster(), db=SIDECAR), "shop/web", "shop/db")
    assert found.mesh == MeshVerdict(
        egress=Verdict.ALLOW, ingress=Verdict.ALLOW, mtls=False, wire=5432
    )
    rules = [(piece.layer, piece.rule) for piece in found.evidence]
    assert rules == [
        ("network", "default"),
        ("network", "default"),
        ("mesh", "no mesh"),
        ("mesh", "default"),
    ]


def test_the_verdict_is_of_both_layers_and_each_is_told() -> None:
    found = ask(meshed(cluster(strict()), db=SIDECAR), "shop/web", "shop/db")
    assert (found.verdict, found.egress, found.ingress) == ("deny", "allow", "allow")
    assert found.mesh is not None
    assert (found.mesh.egress, found.mesh.ingress) == ("allow", "deny")


def test_who_is_uncertain_is_tried_both_ways() -> None:
    guess = msgspec.structs.replace(AMBIENT, uncertain="who knows")
    snapshot = meshed(cluster(strict()), web=guess, db=SIDECAR)
    found = ask(snapshot, "shop/web", "shop/db")
    assert found.verdict is Verdict.UNKNOWN
    assert "who knows" in found.unknown_because
    assert found.mesh is not None
    assert (found.mesh.mtls, found.mesh.wire, found.mesh.ingress) == (None, None, "unknown")


def test_what_both_ways_say_is_certain() -> None:
    guess = msgspec.structs.replace(AMBIENT, uncertain="who knows")
    found = ask(meshed(cluster(), web=guess, db=SIDECAR), "shop/web", "shop/db")
    assert (found.verdict, found.unknown_because) == ("allow", ())


def test_ports_that_a_proxy_does_not_take() -> None:
    member = msgspec.structs.replace(SIDECAR, inbound=Ports(((5432, 5432),)))
    found = ask(meshed(cluster(strict()), db=member), "shop/web", "shop/db")
    assert found.verdict is Verdict.ALLOW
    assert ("mesh", "not taken") in {(piece.layer, piece.rule) for piece in found.evidence}


def test_what_could_not_be_read_makes_the_mesh_unknown() -> None:
    spots = (BlindSpot("could not be listed", Location("live"), "shop"),)
    found = ask(meshed(cluster(blind_spots=spots), db=SIDECAR), "8.8.8.8", "shop/db")
    assert found.mesh is not None
    assert found.mesh.ingress is Verdict.UNKNOWN
    assert found.unknown_because == ("live: could not be listed",)


def test_a_pod_that_calls_itself_goes_past_its_proxy() -> None:
    snapshot = meshed(cluster(strict()), db=SIDECAR)
    index = next(i for i, one in enumerate(WORKLOADS) if one.name == "db")
    end = PodEnd(index, 0)
    found: Judgement = judge(snapshot, Connection(end, end, port=80))
    assert found.verdict is Verdict.ALLOW
    other = judge(snapshot, Connection(AddressEnd("8.8.8.8"), end, port=80))
    assert other.verdict is Verdict.DENY


def test_two_limits_of_different_layers_are_unknown() -> None:
    limited = replace(ALLOW, limits=({"http": {"method": "GET"}},))
    found = Found(BothSides(ALLOW, limited), ALLOW, limited, mtls=False, wire=80)
    assert (found.verdict, found.because) == (Verdict.UNKNOWN, (TWO_LIMITS,))
    alone = replace(found, network=BothSides(ALLOW, ALLOW))
    assert (alone.verdict, alone.limits) == (Verdict.ALLOW, limited.limits)
