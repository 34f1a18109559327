"""From names to ends: what each form means, and what is told where none fits."""

import pytest

from questions.shop import shop
from ringfence.errors import UnknownNameError, UsageError
from ringfence.model.connection import AddressEnd, DomainEnd, NodeEnd, PodEnd
from ringfence.questions.naming import Names

TWICE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: db, namespace: shop}
spec: {selector: {matchLabels: {app: x}}, template: {metadata: {labels: {app: x}}, spec: {}}}
"""


def names(more: str = "") -> Names:
    return Names(shop(more))


def end_of(name: str) -> object:
    (named,) = names().ends(name)
    return named.end


@pytest.mark.parametrize("name", ["shop/web", "shop/Deployment/web", "web"])
def test_a_workload(name: str) -> None:
    end = end_of(name)
    assert isinstance(end, PodEnd)
    assert shop().workloads[end.workload].name == "web"


@pytest.mark.parametrize("name", ["ops/tool", "10.0.0.9"])
def test_a_pod_by_name_and_by_address(name: str) -> None:
    end = end_of(name)
    assert isinstance(end, PodEnd)
    assert shop().workloads[end.workload].name == "tool"


def test_a_node_by_name_and_by_address() -> None:
    assert end_of("node/n1") == NodeEnd(0)
    assert end_of("192.168.0.1") == NodeEnd(0, "192.168.0.1")


def test_an_outside_address_and_a_domain_name() -> None:
    assert end_of("198.51.100.1") == AddressEnd("198.51.100.1")
    assert end_of("2001:DB8::1") == AddressEnd("2001:db8::1")
    assert end_of("API.Stripe.com.") == DomainEnd("api.stripe.com")


@pytest.mark.parametrize("name", ["203.0.112.0/23", "203.0.112.0-203.0.113.255"])
def test_a_range_stands_for_the_parts_that_policies_tell_apart(name: str) -> None:
    assert [named.label for named in names().ends(name)] == [
        "203.0.112.0-203.0.112.255",
        "203.0.113.0-203.0.113.255",
    ]


def test_an_ambiguous_name_names_the_choices() -> None:
    with pytest.raises(UsageError, match="`shop/Deployment/db`, `shop/StatefulSet/db`"):
        names(TWICE).ends("shop/db")


@pytest.mark.parametrize(
    ("name", "near"), [("shop/wbe", "shop/web"), ("prod/db", "shop/db"), ("shop/dbb", "shop/db")]
)
def test_an_unknown_name_is_told_with_its_neighbours(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError, match=f"did you mean .*`{near}`"):
        names().ends(name)


@pytest.mark.parametrize("name", ["", "-", "/", "a/b/c/d", "node/", "10.0.0.9-10.0.0.1"])
def test_what_cannot_be_a_name_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError):
        names().ends(name)
