"""The graph must be one that Graphviz takes: its grammar, as far as this output uses it."""

import re

import pytest

from outputs.answers import IPV4, IPV6, answer, wide_open
from ringfence import outputs
from ringfence.model.connectivity import Connectivity
from ringfence.outputs.dot import quoted

TOKEN = re.compile(
    r'\s*("(?:[^"\\]|\\.)*"|->|[{}\[\]=,;]|[A-Za-z_][A-Za-z0-9_]*|-?[0-9.]+)', re.DOTALL
)


def dot(told: Connectivity) -> str:
    return b"".join(outputs.write(told, "dot")).decode()


def tokens(text: str) -> list[str]:
    found, at = [], 0
    text = text.rstrip()
    while at < len(text):
        match = TOKEN.match(text, at)
        assert match, text[at : at + 40]
        found.append(match[1])
        at = match.end()
    return found


ODD = 'shop/"web" -> "x" [label=\\"y\\"]; }'


@pytest.mark.parametrize(
    "told",
    [
        answer("shop/web -> shop/db: TCP 5432 | UDP 53", "shop/db -> 1.2.3.4-1.2.3.5: ANY"),
        wide_open("shop/web", "pay/api"),
        answer(f"{ODD} -> shop/\\: ANY", peers=()),
    ],
    ids=["plain", "wide open", "odd names"],
)
def test_every_token_is_of_the_language_and_every_bracket_closed(told: Connectivity) -> None:
    found = tokens(dot(told))
    assert found[:3] == ["digraph", "connectivity", "{"]
    for opening, closing in ("{}", "[]"):
        assert found.count(opening) == found.count(closing)
    assert found[-1] == "}"


def test_quoted_strings_read_back_as_the_name() -> None:
    assert quoted('a"b') == '"a\\"b"'
    assert quoted("a\\") == '"a\\\\"'
    assert quoted("a\\N") == '"a\\\\N"'


def test_workloads_stand_in_their_namespace() -> None:
    written = dot(answer("shop/web -> pay/api: TCP 443"))
    cluster = re.search(r"subgraph cluster_1 \{(.*?)\n  \}", written, re.DOTALL)
    assert cluster
    assert '"shop/web" [label="web"' in cluster[1]
    assert '"shop/web" -> "pay/api" [label="TCP 443"];' in written


def test_an_open_cluster_is_one_edge() -> None:
    assert dot(wide_open(*(f"a/w{i}" for i in range(30)))).count("->") == 1


def test_unknown_traffic_is_dashed_and_any_traffic_thick() -> None:
    told = answer(
        "a/x -> a/y: | TCP 1", "a/y -> a/x: ANY", peers=(IPV4, IPV6, "a/other", "b/other")
    )
    written = dot(told)
    assert '"a/x" -> "a/y" [label="TCP 1?", style=dashed];' in written
    assert '"a/y" -> "a/x" [label="any", penwidth=2.2' in written
