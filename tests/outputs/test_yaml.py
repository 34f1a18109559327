import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from outputs.answers import answer, peer
from ringfence import outputs
from ringfence.outputs.yaml import scalar


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4, unique=True))
def test_yaml_says_what_json_says(names: list[str]) -> None:
    told = answer(
        "shop/web -> shop/db: TCP 5432 | UDP 53",
        peers=tuple(peer(name, "Deployment") for name in names),
        notes=tuple(names),
    )
    written = b"".join(outputs.write(told, "yaml"))
    assert yaml.safe_load(written) == json.loads(b"".join(outputs.write(told, "json")))


@pytest.mark.parametrize(
    "value", ["yes", "NO", "on", "y", "null", "~", "1e3", "0x1F", "1_000", "2024-01-02", "a: b", ""]
)
def test_strings_that_look_like_something_else_are_quoted(value: str) -> None:
    assert scalar(value) == f'"{value}"'


@pytest.mark.parametrize("value", ["shop/web", "kube-system/coredns", "TCP", "from", "svc/a/b"])
def test_names_need_no_quotes(value: str) -> None:
    assert scalar(value) == value


def test_true_and_one_are_not_confused() -> None:
    assert (scalar(1), scalar(True), scalar(None)) == ("1", "true", "null")
