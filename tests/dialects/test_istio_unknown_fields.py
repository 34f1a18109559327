"""Fields that Istio's objects do not have, at any depth; and anything at all in their place."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialects.istio_documents import AP, PA, document, parsed, service

WHOLE: dict[str, dict[str, Any]] = {
    AP: {
        "action": "CUSTOM",
        "provider": {"name": "x"},
        "selector": {"matchLabels": {"app": "web"}},
        "rules": [
            {
                "from": [{"source": {"ipBlocks": ["10.0.0.1"]}}],
                "to": [{"operation": {"ports": ["80"], "methods": ["GET"]}}],
                "when": [{"key": "source.ip", "values": ["10.0.0.1"]}],
            }
        ],
    },
    PA: {
        "selector": {"matchLabels": {"app": "web"}},
        "mtls": {"mode": "STRICT"},
        "portLevelMtls": {"80": {"mode": "DISABLE"}},
    },
    "DestinationRule": {
        "host": "web",
        "workloadSelector": {"matchLabels": {"app": "web"}},
        "trafficPolicy": {
            "tls": {"mode": "SIMPLE"},
            "portLevelSettings": [{"port": {"number": 80}, "tls": {"mode": "DISABLE"}}],
        },
    },
    "Sidecar": {
        "workloadSelector": {"labels": {"app": "web"}},
        "egress": [{"hosts": ["*/*"], "port": {"number": 80, "protocol": "TCP", "name": "a"}}],
        "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
    },
    "ServiceEntry": {"hosts": ["x.io"], "ports": [{"number": 80, "protocol": "TCP", "name": "a"}]},
}
OPEN = ("matchLabels", "labels", "portLevelMtls")
"""What may have any key."""


def maps(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of all maps whose fields are known."""
    if isinstance(value, dict):
        if not path or path[-1] not in OPEN:
            yield path
        for key, child in value.items():
            yield from maps(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from maps(child, (*path, index))


PLACES = [(kind, path) for kind, spec in WHOLE.items() for path in maps(spec)]


def told(kind: str, spec: Any) -> list[str]:
    found = parsed(document(kind, spec), registry_only=True, services=[service()])
    return [problem.message for problem in found.problems if problem.severity == "error"]


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_known_is_read(kind: str) -> None:
    assert told(kind, WHOLE[kind]) == []


@pytest.mark.parametrize(("kind", "path"), PLACES)
def test_a_field_that_is_not_known_is_told_with_its_path(
    kind: str, path: tuple[str | int, ...]
) -> None:
    spec = copy.deepcopy(WHOLE[kind])
    place: Any = spec
    for part in path:
        place = place[part]
    place["unheardOf"] = None
    messages = told(kind, spec)
    assert any("unheardOf" in message for message in messages), messages


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 70000)
    | st.sampled_from(["", "*", "x", "(", "a/b"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["a", "source", "mode", "name"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(deadline=None)
@given(st.sampled_from(PLACES), st.data(), ANYTHING)
def test_whatever_stands_anywhere_is_read_or_told(
    place: tuple[str, tuple[str | int, ...]], data: st.DataObject, junk: Any
) -> None:
    kind, path = place
    spec = copy.deepcopy(WHOLE[kind])
    holder: Any = spec
    for part in path:
        holder = holder[part]
    holder[data.draw(st.sampled_from(sorted(holder)))] = junk
    found = parsed(document(kind, spec), registry_only=True, services=[service()])
    assert hash(found.policies) is not None
