import pytest

from assemble.written import documents, policy, template
from ringfence.assemble import catalog

SERVICE = """
---
apiVersion: {version}
kind: Service
metadata: {{name: {name}, namespace: shop}}
spec: {{ports: [{{port: {port}}}]}}
"""


def service(name: str, port: int = 80, version: str = "v1") -> str:
    return SERVICE.format(name=name, port=port, version=version)


def test_objects_are_sorted_by_kind_and_policies_stand_apart() -> None:
    text = service("b") + policy("p", "podSelector: {}") + service("a")
    found = catalog.sort(documents(text))
    assert [document.name for document in found.of("Service")] == ["a", "b"]
    assert [document.name for document in found.policies] == ["p"]
    assert found.of("NetworkPolicy") == found.of("Pod") == []


def test_a_kind_of_the_same_name_in_another_group_is_another_kind() -> None:
    found = catalog.sort(documents(service("a", version="serving.knative.dev/v1")))
    assert found.by_kind == {}


def test_of_two_definitions_the_later_one_counts_and_that_is_told() -> None:
    first = documents(service("a", 80), "one.yaml")
    second = documents(service("a", 81), "two.yaml")
    found = catalog.sort((*first, *second))
    assert found.of("Service") == list(second)
    (problem,) = found.problems
    assert problem.severity == "warning"
    assert "one.yaml" in problem.message
    assert problem.location.file == "two.yaml"


def test_a_definition_repeated_word_for_word_is_not_worth_telling() -> None:
    text = service("a")
    found = catalog.sort(documents(text) + documents(text))
    assert len(found.of("Service")) == 1
    assert found.problems == ()


def test_objects_without_a_name_are_all_kept() -> None:
    text = template("Job", "x").replace("name: x", "generateName: load-")
    assert len(catalog.sort(documents(text + text)).of("Job")) == 2


ROUTE = """
---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: r, namespace: shop}}
spec: {{parentRefs: [{{group: {group}, kind: {parent}, name: p}}]}}
"""


@pytest.mark.parametrize("kind", ["HTTPRoute", "GRPCRoute"])
@pytest.mark.parametrize(
    ("group", "parent", "heeded"),
    [
        ("policy.linkerd.io", "Server", True),
        ("policy.linkerd.io", "EgressNetwork", True),
        ("gateway.networking.k8s.io", "Gateway", False),
        ("example.com", "Server", False),
    ],
)
def test_routes_that_a_mesh_heeds_are_among_the_policies_too(
    kind: str, group: str, parent: str, heeded: bool
) -> None:
    found = catalog.sort(documents(ROUTE.format(kind=kind, group=group, parent=parent)))
    assert len(found.of(kind)) == 1
    assert [document.kind for document in found.policies] == [kind] * heeded


@pytest.mark.parametrize("parents", ["7", "[7]", "null"])
def test_a_route_with_malformed_parents_is_no_policy(parents: str) -> None:
    written = ROUTE.format(kind="HTTPRoute", group="a", parent="b")
    text = f"{written.partition('spec')[0]}spec: {{parentRefs: {parents}}}"
    assert catalog.sort(documents(text)).policies == ()
