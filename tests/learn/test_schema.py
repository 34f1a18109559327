"""The JSON schema says the same as the reader, as far as a schema can."""

import json
from importlib import resources
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from map_strategies import clusters, maps
from ringfence.assemble.distinctions import PER_POD_LABELS
from ringfence.examples import MAP, shop
from ringfence.learn.init import draft
from ringfence.learn.read_map import read_text
from ringfence.learn.write_map import write
from strategies import build

SCHEMA = json.loads(
    (resources.files("ringfence.learn") / "dependency_map.schema.json").read_text("utf-8")
)
VALIDATOR = Draft202012Validator(SCHEMA)


def errors(written: str | bytes) -> list[str]:
    """Return what the schema has against a map."""
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(written))]


def test_the_schema_itself_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_example_is_valid() -> None:
    assert errors(shop()[MAP]) == []


@settings(deadline=None)
@given(data=st.data())
def test_whatever_is_written_is_valid(data: st.DataObject) -> None:
    snapshot = build(data.draw(clusters()))
    assert errors(write(data.draw(maps(snapshot, addresses=True)))) == []
    drafted = draft(snapshot).map
    if drafted.namespaces:
        assert errors(write(drafted)) == []


def entry(**fields: Any) -> dict[str, Any]:
    return {"namespaces": ["a"], "workloads": [{"workload": "a/b", **fields}]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"namespaces": []},
        {"namespaces": ["a", "a"]},
        {"namespaces": ["a"], "dns": "true"},
        {"namespaces": ["a"], "extra": 1},
        {"namespaces": ["a"], "metadata": {"labels": {}}},
        {"namespaces": ["a"], "workloads": [{}]},
        {"namespaces": ["a"], "workloads": [{"workload": "b"}]},
        {"namespaces": ["a"], "workloads": [{"workload": "a/b", "pods": {"namespace": "a"}}]},
        {"namespaces": ["a"], "workloads": [{"pods": {"labels": {}}}]},
        entry(extra=1),
        entry(calls=[{"ports": [80]}]),
        entry(calls=[{"to": "a/c"}]),
        entry(calls=[{"to": "a/c", "ports": []}]),
        entry(calls=[{"to": "svc/a/c", "ports": []}]),
        entry(calls=[{"to": "svc/a", "ports": [80]}]),
        entry(calls=[{"to": "word", "ports": [80]}]),
        entry(calls=[{"to": "a/c", "ports": [0]}]),
        entry(calls=[{"to": "a/c", "ports": [True]}]),
        entry(calls=[{"to": "a/c", "ports": ["80/ICMP"]}]),
        entry(calls=[{"to": "a/c", "ports": [80], "from": "a/d"}]),
        entry(calls=[{"to": "a/c", "ports": [80], "http": [{}]}]),
        entry(calls=[{"to": "a/c", "ports": [80], "http": [{"methods": []}]}]),
        entry(calls=[{"to": "a/c", "ports": [80], "http": [{"methods": ["get"]}]}]),
        entry(calls=[{"to": "a/c", "ports": [80], "http": [{"path": "/a*b"}]}]),
        entry(callers=[{"from": "svc/a/c", "ports": [80]}]),
        entry(callers=[{"from": "x.example", "ports": [80]}]),
        entry(callers=[{"from": "internet"}]),
        *(
            entry(calls=[{"to": {"namespace": "a", "labels": {key: "x"}}, "ports": "any"}])
            for key in sorted(PER_POD_LABELS)
        ),
    ],
)
def test_both_refuse(body: dict[str, Any]) -> None:
    whole = {"apiVersion": "ringfence.dev/v1", "kind": "DependencyMap", **body}
    assert not VALIDATOR.is_valid(whole)
    assert read_text(json.dumps(whole), "map.yaml").map is None
