from typing import Any

import pytest

from ringfence.reference.istio_rules import Field, read_rule
from ringfence.reference.schema import NotUnderstoodError


def source(**fields: Any) -> dict[str, Any]:
    return {"from": [{"source": fields}]}


def operation(**fields: Any) -> dict[str, Any]:
    return {"to": [{"operation": fields}]}


def test_an_empty_rule_has_no_parts() -> None:
    assert read_rule({}, ()).fields == []


def test_what_is_and_what_is_not_are_one_field() -> None:
    rule = read_rule(source(principals=["a"], notPrincipals=["b"], ipBlocks=["10.0.0.1"]), ())
    assert rule.sources == (
        (Field("principals", ("a",), ("b",)), Field("ipBlocks", ("10.0.0.1",))),
    )


def test_keys_of_conditions_mean_fields() -> None:
    written = [
        {"key": "source.ip", "values": ["10.0.0.0/8"]},
        {"key": "request.headers[X-Team]", "notValues": ["a"]},
        {"key": "request.auth.claims[a][b]", "values": ["c"]},
        {"key": "experimental.envoy.filters.a.b[c]", "values": ["d"]},
    ]
    found = read_rule({"when": written}, ()).conditions
    assert [one.kind for one in found] == ["ipBlocks", "headers", "request.auth", "experimental"]
    assert found[1].header == "x-team"
    assert found[1].not_values == ("a",)


@pytest.mark.parametrize(
    "rule",
    [
        None,
        {"other": 1},
        {"from": []},
        {"to": []},
        {"from": [{}]},
        source(),
        source(principals=[]),
        source(principals=[""]),
        source(principals="a"),
        source(other=["a"]),
        source(serviceAccounts=["a"], principals=["b"]),
        source(serviceAccounts=["a"], notNamespaces=["b"]),
        source(serviceAccounts=["a/b/c"]),
        source(serviceAccounts=["a*"]),
        source(serviceAccounts=["a"] * 17),
        source(ipBlocks=["10.0.0"]),
        operation(),
        operation(ports=["http"]),
        operation(ports=["0"]),
        operation(ports=[80]),
        operation(paths=["/{**}/{*}"]),
        operation(paths=["/{*}/*"]),
        operation(paths=["/{*"]) | {"x": 1},
        {"when": [{"key": "destination.labels", "values": ["a"]}]},
        {"when": [{"key": "source.ip"}]},
        {"when": [{"key": "source.ip", "values": ["a"]}]},
        {"when": [{"values": ["a"]}]},
        {"when": [{"key": "destination.port", "values": ["a"]}]},
    ],
)
def test_what_istio_refuses_is_not_understood(rule: Any) -> None:
    with pytest.raises(NotUnderstoodError):
        read_rule(rule, ("spec", "rules", 0))
