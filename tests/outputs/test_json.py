import json

from outputs.answers import IPV4, answer, peer
from ringfence import outputs
from ringfence.model.connectivity import Connectivity
from ringfence.model.location import Location, Problem
from ringfence.model.profile import Cni, Profile


def written(told: Connectivity) -> bytes:
    return b"".join(outputs.write(told, "json"))


def test_the_shape_is_that_of_the_design() -> None:
    told = answer(
        "shop/web -> shop/db: TCP 5432",
        "shop/web -> 10.0.0.0-10.255.255.255: ANY",
        "shop/job -> shop/db: TCP 80,443,8000-8100 | UDP 53",
        peers=(peer("shop/job", "CronJob"),),
        notes=("a note",),
        unknown_because=("a reason",),
        profile=Profile(Cni.CALICO, "detected", "DaemonSet kube-system/calico-node", "3.30.1"),
    )
    assert json.loads(written(told)) == {
        "apiVersion": "ringfence.dev/v1",
        "kind": "Connectivity",
        "profile": "calico",
        "profile_details": {
            "chosen": "detected",
            "evidence": "DaemonSet kube-system/calico-node",
            "version": "3.30.1",
        },
        "endpoints": [
            {"name": "shop/db", "kind": "Deployment"},
            {"name": "shop/job", "kind": "CronJob"},
            {"name": "shop/web", "kind": "Deployment"},
            {"name": "10.0.0.0-10.255.255.255", "kind": "External"},
        ],
        "connections": [
            {
                "from": "shop/job",
                "to": "shop/db",
                "allow": [{"protocol": "TCP", "ports": "80,443,8000-8100"}],
                "unknown": [{"protocol": "UDP", "ports": "53"}],
            },
            {
                "from": "shop/web",
                "to": "10.0.0.0-10.255.255.255",
                "allow": [{"protocol": "ANY"}],
                "unknown": [],
            },
            {
                "from": "shop/web",
                "to": "shop/db",
                "allow": [{"protocol": "TCP", "ports": "5432"}],
                "unknown": [],
            },
        ],
        "unknown_because": ["a reason"],
        "notes": ["a note"],
        "problems": [],
    }


def test_problems_name_file_and_line() -> None:
    problem = Problem("no such port", Location("a.yaml", 3), object="NetworkPolicy/shop/db")
    told = Connectivity(profile=Profile(), endpoints=(), connections=(), problems=(problem,))
    assert json.loads(written(told))["problems"] == [
        {
            "message": "no such port",
            "file": "a.yaml",
            "line": 3,
            "object": "NetworkPolicy/shop/db",
            "severity": "error",
        }
    ]


def test_each_connection_is_a_line_of_its_own_whatever_names_hold() -> None:
    odd = 'shop/a\nb"c'
    told = answer(f"{IPV4} -> {odd}: ANY", "shop/web -> shop/db: TCP 1")
    lines = written(told).decode().splitlines()
    assert sum('"allow"' in line for line in lines) == 2
    assert json.loads(written(told))["connections"][0]["to"] == odd


def test_many_connections_are_written_in_bounded_pieces() -> None:
    told = answer(*(f"shop/a{i} -> shop/b{j}: TCP 80" for i in range(100) for j in range(80)))
    pieces = list(outputs.write(told, "json"))
    assert max(map(len, pieces)) < 300_000
    assert sum(map(len, pieces)) > 500_000
    assert len(json.loads(b"".join(pieces))["connections"]) == 8_000
