"""The page must stand alone, keep names inert, and hold exactly the answer."""

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from typing import Any

from hypothesis import given

from outputs.answers import IPV4, answer, wide_open
from outputs.test_condense import clusters
from ringfence import outputs
from ringfence.model.connectivity import Connectivity

SVG = "http://www.w3.org/2000/svg"


class Page(HTMLParser):
    """What a browser sees: the tags, and the text of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.raw: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in {"script", "style"} and data.strip():
            self.raw.append((self.tags[-1][0], data))


def html(told: Connectivity) -> str:
    return b"".join(outputs.write(told, "html")).decode()


def data(page: str) -> dict[str, Any]:
    packed = re.search(r'<script type="text/plain" id="data">([^<]*)</script>', page)
    assert packed
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed[1])))
    return found


def test_only_its_own_script_and_style_are_admitted() -> None:
    page = Page(html(answer("shop/web -> shop/db: TCP 1")))
    policy = next(
        attrs["content"] or ""
        for tag, attrs in page.tags
        if tag == "meta" and attrs.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    script, style = page.raw[-1][1], page.raw[0][1]
    for directive, text in (("script-src", script), ("style-src", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy


def test_nothing_is_loaded_from_anywhere() -> None:
    page = html(wide_open("shop/web", "shop/db"))
    assert "://" not in page.replace(SVG, "")
    sources = [v for _, attrs in Page(page).tags for k, v in attrs.items() if k in {"src", "href"}]
    assert [s for s in sources if s and not s.startswith(("#", "data:,"))] == []


def test_scripts_never_turn_text_into_markup() -> None:
    script = Page(html(answer())).raw[-1][1]
    assert "textContent" in script
    for danger in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert danger not in script


def test_names_appear_nowhere_but_in_the_packed_data() -> None:
    hostile = "shop/</script><img src=x onerror=alert(1)>"
    page = html(answer(f"{hostile} -> shop/\"'&db: TCP 1", notes=("<script>alert(2)</script>",)))
    assert "onerror" not in page
    assert "alert(" not in page
    assert hostile in [name for name, *_ in data(page)["peers"]]


def pairs_of(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return the pairs as the page reads them."""
    names = [name for name, *_ in found["peers"]]
    pairs = set()
    for source, number in enumerate(found["row_of"]):
        runs = found["rows"][number]
        for first, count, traffic in zip(runs[::3], runs[1::3], runs[2::3], strict=True):
            for destination in range(first, first + count):
                if destination != source:
                    pairs.add((names[source], names[destination], found["traffic"][traffic][0]))
    return pairs


@given(clusters())
def test_the_page_holds_every_pair_and_no_other(told: Connectivity) -> None:
    words = {"ANY": "any", "TCP": "TCP 80"}
    expected = {(p.source, p.destination, words[p.allow[0].protocol]) for p in told.connections}
    assert pairs_of(data(html(told))) == expected


def test_peers_of_a_group_stand_together() -> None:
    found = data(html(answer("b/x -> a/y: TCP 1", f"{IPV4} -> a/x: TCP 2", "node/n -> b/y: ANY")))
    names = [name for name, *_ in found["peers"]]
    assert [(name, kind, names[first : first + n]) for name, kind, first, n in found["groups"]] == [
        ("a", "namespace", ["a/x", "a/y"]),
        ("b", "namespace", ["b/x", "b/y"]),
        ("(nodes)", "nodes", ["node/n"]),
        ("(outside)", "outside", [IPV4]),
    ]


def test_equal_rows_are_stored_once() -> None:
    found = data(html(wide_open(*(f"a/w{i}" for i in range(50)))))
    assert len(found["rows"]) == 2
    assert found["summary"]["pairs"] == found["summary"]["any"] == 50 * 49
