from typing import Any

import pytest

from ringfence.reference import selectors
from ringfence.reference.schema import NotUnderstoodError

LABELS = {"app": "web", "tier": ""}


def requirement(operator: str, key: str, *values: str) -> dict[str, Any]:
    found: dict[str, Any] = {"key": key, "operator": operator}
    if values:
        found["values"] = list(values)
    return {"matchExpressions": [found]}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, True),
        ({"matchLabels": None, "matchExpressions": None}, True),
        ({"matchLabels": {}}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchLabels": {"app": "web", "absent": "x"}}, False),
        ({"matchLabels": {"tier": ""}}, True),
        ({"matchLabels": {"absent": ""}}, False),
        (requirement("In", "app", "db", "web"), True),
        (requirement("In", "app", "db"), False),
        (requirement("In", "absent", "db"), False),
        (requirement("NotIn", "app", "db"), True),
        (requirement("NotIn", "app", "web"), False),
        (requirement("NotIn", "absent", "web"), True),
        (requirement("Exists", "tier"), True),
        (requirement("Exists", "absent"), False),
        (requirement("DoesNotExist", "tier"), False),
        (requirement("DoesNotExist", "absent"), True),
        ({"matchLabels": {"app": "web"}, **requirement("Exists", "absent")}, False),
        ({"matchExpressions": [{"key": "app", "operator": "Exists", "values": []}]}, True),
    ],
)
def test_selector(selector: dict[str, Any], expected: bool) -> None:
    assert selectors.matches(selector, (), LABELS) is expected


@pytest.mark.parametrize(
    ("selector", "path"),
    [
        ([], ()),
        ({"matchLabel": {}}, ("matchLabel",)),
        ({"matchLabels": []}, ("matchLabels",)),
        ({"matchLabels": {"app": 1}}, ("matchLabels", "app")),
        ({"matchLabels": {"app": None}}, ("matchLabels", "app")),
        ({"matchLabels": {"app": "-web"}}, ("matchLabels", "app")),
        ({"matchLabels": {"app": "x" * 64}}, ("matchLabels", "app")),
        ({"matchLabels": {"": "web"}}, ("matchLabels", "")),
        ({"matchLabels": {"/app": "web"}}, ("matchLabels", "/app")),
        ({"matchLabels": {"Team_/app": "web"}}, ("matchLabels", "Team_/app")),
        ({"matchExpressions": {}}, ("matchExpressions",)),
        ({"matchExpressions": [None]}, ("matchExpressions", 0)),
        ({"matchExpressions": [{"operator": "Exists"}]}, ("matchExpressions", 0)),
        ({"matchExpressions": [{"key": "app"}]}, ("matchExpressions", 0)),
        (requirement("in", "app", "web"), ("matchExpressions", 0, "operator")),
        (requirement("In", "app"), ("matchExpressions", 0)),
        (requirement("NotIn", "app"), ("matchExpressions", 0)),
        (requirement("Exists", "app", "web"), ("matchExpressions", 0, "values")),
        (requirement("DoesNotExist", "app", "web"), ("matchExpressions", 0, "values")),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": "a"}]}, None),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]}, None),
        ({"matchExpressions": [{"key": "a", "operator": "Exists", "value": "b"}]}, None),
    ],
)
def test_selector_that_is_not_understood(selector: Any, path: Any) -> None:
    with pytest.raises(NotUnderstoodError) as caught:
        selectors.matches(selector, (), LABELS)
    if path is not None:
        assert caught.value.path == path


def test_what_does_not_match_is_read_to_its_end() -> None:
    broken = {"matchLabels": {"app": "db"}, **requirement("Near", "app")}
    with pytest.raises(NotUnderstoodError):
        selectors.matches(broken, (), LABELS)


@pytest.mark.parametrize("key", ["app.kubernetes.io/name", "a", "x" * 63, "a.b/C_d.e-f"])
def test_keys_that_labels_may_have(key: str) -> None:
    assert selectors.matches({"matchLabels": {key: "v"}}, (), {key: "v"})
