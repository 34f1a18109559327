"""From names and ports to destinations: Services stand for their backends."""

import pytest

from questions.shop import shop
from ringfence.errors import UnknownNameError, UsageError
from ringfence.model.cluster import Protocol
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
