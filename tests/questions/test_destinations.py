"""From names and ports to destinations: Services stand for their backends."""

import pytest

from assemble.written import snapshot
from questions.shop import MANIFESTS, shop
from ringfence.errors import UnknownNameError, UsageError
from ringfence.model.cluster import Protocol
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Verdict
from ringfence.questions.check import check
from ringfence.questions.destinations import Destinations
from ringfence.questions.naming import Names


def destinations(more: str = "") -> Destinations:
    return Destinations(Names(shop(more)))


@pytest.mark.parametrize(
    "name", ["svc/shop/db", "svc/db", "10.96.0.7", "db.shop.svc", "db.shop.svc.cluster.local"]
)
@pytest.mark.parametrize("port", [80, "sql"])
def test_a_service_stands_for_its_backends_at_the_target_port(name: str, port: int | str) -> None:
    (target,) = destinations().targets(name, port, Protocol.TCP)
    assert (target.label, target.port) == ("shop/db", 5432)


def test_a_service_is_looked_for_near_the_source_first() -> None:
    other = "{kind: Service, apiVersion: v1, metadata: {name: db, namespace: lab},"
    other += " spec: {selector: {app: tool}, ports: [{port: 80}]}}"
    (target,) = destinations(other).targets("svc/db", 80, Protocol.TCP, near="shop")
    assert target.label == "shop/db"
    with pytest.raises(UsageError, match="ambiguous"):
        destinations(other).targets("svc/db", 80, Protocol.TCP, near="nowhere")


@pytest.mark.parametrize(
    ("name", "port", "message"),
    [
        ("svc/shop/nobody", 80, "selects no workload"),
        ("svc/shop/unnamed", 80, "targetPort `metrics`, which none of the pods"),
        ("svc/shop/db", 82, "no TCP port `82`; its ports: 80/TCP, 81/TCP"),
        ("svc/shop/dbb", 80, "no workload, pod or Service"),
        ("dbb.shop.svc", 80, "no Service `shop/dbb`"),
    ],
)
def test_a_service_that_leads_nowhere_is_told(name: str, port: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        destinations().targets(name, port, Protocol.TCP)


def test_a_port_name_is_looked_up_at_the_destination() -> None:
    (target,) = destinations().targets("shop/db", "sql", Protocol.TCP)
    assert target.port == 5432
    with pytest.raises(UnknownNameError, match="no UDP port named `sql`"):
        destinations().targets("shop/db", "sql", Protocol.UDP)


def test_a_service_that_is_named_is_the_one_by_whose_address_it_is_called() -> None:
    found = destinations()
    (target,) = found.targets("svc/shop/db", 80, Protocol.TCP)
    assert target.service is not None
    assert shop().services[target.service].ref == "svc/shop/db"
    (target,) = found.targets("shop/db", 5432, Protocol.TCP)
    assert (target.service, target.through) == (None, "")


def meshed(more: str = "") -> Snapshot:
    """Return the shop with every pod of namespace `shop` in a mesh."""
    own, enabled = "labels: {team: shop}", "labels: {team: shop, istio-injection: enabled}"
    assert own in MANIFESTS
    return snapshot(f"{MANIFESTS.replace(own, enabled)}\n---\n{more}")


def ways(name: str, port: int | str, protocol: Protocol = Protocol.TCP) -> list[str]:
    found = Destinations(Names(meshed())).targets(name, port, protocol)
    return [f"{target.through} -> {target.port}" for target in found]


def test_where_a_mesh_is_a_port_stands_for_every_way_to_it() -> None:
    expected = ["its own address -> 5432", "svc/shop/db:80 -> 5432"]
    assert ways("shop/db", 5432) == ways("shop/db", "sql") == expected
    assert ways("shop/db", 5433) == [" -> 5433"]
    assert ways("shop/db", 5432, Protocol.UDP) == [" -> 5432"]
    assert ways("svc/shop/db", 80) == [" -> 5432"]


STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
"""


def test_ways_that_differ_are_told() -> None:
    """To a pod's own address a sidecar sends plaintext, which the pod refuses."""
    found = meshed(STRICT)
    judgement = check(found, "shop/db", "shop/web", 8080)
    assert judgement.verdict is Verdict.ALLOW
    assert judgement.limited_to == ({"through": "svc/shop/web:80"},)
    assert check(found, "shop/db", "svc/shop/web", 80).limited_to == ()
    assert check(found, "ops/tool", "shop/web", 8080).verdict is Verdict.DENY


def test_ways_that_agree_are_one() -> None:
    judgement = check(meshed(STRICT.replace("STRICT", "PERMISSIVE")), "shop/db", "shop/web", 8080)
    assert (judgement.verdict, judgement.limited_to) == (Verdict.ALLOW, ())


def test_without_a_port_the_ports_of_services_stand_by_themselves() -> None:
    judgement = check(meshed(STRICT), "shop/db", "shop/web", protocol="TCP")
    assert judgement.limited_to == (
        {"protocol": "TCP", "ports": "8080", "through": "svc/shop/web:80"},
        {"protocol": "TCP", "ports": "15020-15021,15090"},
    )
