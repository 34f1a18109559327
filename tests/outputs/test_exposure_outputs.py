"""An exposure as people and programs read it."""

import json

import yaml

from outputs.answers import IPV4, IPV6, allowances, peer
from ringfence import outputs
from ringfence.model.exposure import Entrance, Exposure, Passage
from ringfence.model.location import Location
from ringfence.model.profile import Profile
from ringfence.model.verdict import Evidence, Verdict

WEB = Entrance(
    kind="Ingress",
    object="Ingress/shop/shop",
    address="shop.example/",
    service="svc/shop/web",
    workload="shop/web",
    protocol="TCP",
    port=8080,
    through=("edge/nginx",),
    verdict=Verdict.ALLOW,
    sources=(IPV4, IPV6),
    location=Location("web.yaml", 7),
)
CLOSED = Entrance(
    kind="NodePort",
    object="Service/shop/db",
    address="any node:30432",
    service="svc/shop/db",
    workload="shop/db",
    protocol="UDP",
    port=5432,
    verdict=Verdict.DENY,
    because=("a reason",),
    evidence=(
        Evidence(
            layer="network",
            direction="ingress",
            action="deny",
            object="NetworkPolicy/shop/db",
            rule="isolation",
            file="db.yaml",
            line=12,
        ),
    ),
    location=Location("db.yaml", 1),
)
PERHAPS = Entrance(
    kind="HostNetwork",
    object="DaemonSet/shop/agent",
    address="its node",
    service="",
    workload="shop/agent",
    protocol="TCP",
    port=None,
    verdict=Verdict.UNKNOWN,
    unknown_sources=("10.0.0.0-10.255.255.255",),
    because=("a reason",),
    location=Location("agent.yaml", 3),
)
TOLD = Exposure(
    profile=Profile(),
    workloads=(peer("shop/agent"), peer("shop/db"), peer("shop/web")),
    entrances=(PERHAPS, CLOSED, WEB),
    exits=(
        Passage(workload="shop/db", outside=(IPV4,), allow=allowances("UDP 53; TCP 53")),
        Passage(workload="shop/web", outside=(IPV4,), allow=allowances("UDP 53; TCP 53")),
        Passage(
            workload="shop/web",
            outside=(
                "0.0.0.0-9.255.255.255",
                "11.0.0.0-255.255.255.255",
                "api.example",
            ),
            allow=allowances("TCP 443"),
        ),
    ),
    admitted=(Passage(workload="shop/web", outside=(IPV4, IPV6), allow=allowances("ANY")),),
    notes=("a note",),
)


def written(told: Exposure, output: str) -> str:
    return b"".join(outputs.write(told, output)).decode()


def test_the_whole_text() -> None:
    assert written(TOLD, "text") == (
        """\
EXPOSURE  profile generic (assumed: the input does not tell the CNI)
  1 of 3 workloads can be reached from outside, 1 perhaps; 2 may reach the outside

STATE           ADDRESS         THROUGH                        TO                FROM
unknown [1]     its node        host network                   shop/agent        unknown: 10.0.0.0/8
closed [2] [1]  any node:30432  Service/shop/db                shop/db:5432/UDP  -
open            shop.example/   Ingress/shop/shop, edge/nginx  shop/web:8080     anywhere
  [1] a reason
  [2] deny by NetworkPolicy/shop/db ingress isolation (db.yaml:12)

MAY REACH THE OUTSIDE
  shop/db, shop/web  any IPv4                                 UDP 53; TCP 53 (DNS only)
  shop/web           any IPv4 except 10.0.0.0/8, api.example  TCP 443

NOT EXPOSED, BUT OPEN TO OUTSIDE ADDRESSES
  shop/web  anywhere  any

NOTES
  - a note
"""
    )


def test_markdown_has_a_table_of_the_ways_in() -> None:
    told = written(TOLD, "markdown")
    assert told.startswith("### Exposure: 1 of 3 workloads can be reached from outside")
    assert (
        "| **closed** | `any node:30432` | `Service/shop/db` | `shop/db:5432/UDP` | - | "
        "deny by NetworkPolicy/shop/db ingress isolation (db.yaml:12)<br>a reason |"
    ) in told
    assert "| `shop/db`, `shop/web` | any IPv4 | UDP 53; TCP 53 (DNS only) |" in told


def test_json_and_yaml_tell_every_entrance() -> None:
    told = json.loads(written(TOLD, "json"))
    assert (told["apiVersion"], told["kind"]) == ("ringfence.dev/v1", "Exposure")
    assert told["entrances"][1] == {
        "kind": "NodePort",
        "object": "Service/shop/db",
        "address": "any node:30432",
        "service": "svc/shop/db",
        "workload": "shop/db",
        "protocol": "UDP",
        "port": 5432,
        "through": [],
        "verdict": "deny",
        "sources": [],
        "unknown_sources": [],
        "because": ["a reason"],
        "evidence": [
            {
                "layer": "network",
                "direction": "ingress",
                "action": "deny",
                "object": "NetworkPolicy/shop/db",
                "rule": "isolation",
                "file": "db.yaml",
                "line": 12,
            }
        ],
        "file": "db.yaml",
        "line": 1,
    }
    assert told["exits"][0]["allow"][0] == {"protocol": "UDP", "ports": "53"}
    assert yaml.safe_load(written(TOLD, "yaml")) == told


def test_a_cluster_without_any_way_in_says_so() -> None:
    told = Exposure(profile=Profile(), workloads=(), entrances=(), exits=(), admitted=())
    assert "Nothing in the input lets the outside in" in written(told, "text")
