"""One HTML page that needs nothing else: no network, no server, no library.

The data stands in it as gzipped JSON in base64, which no browser takes for markup; scripts and
styles are admitted by their hashes alone, so that nothing else could run even if it got in.
"""

import base64
import gzip
import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import Final

import msgspec

from ringfence.model.connectivity import Connectivity
from ringfence.outputs import Output, Style
from ringfence.outputs._page_data import page_data

SCRIPTS: Final = ("model.js", "matrix.js", "lanes.js", "page.js")


def connectivity_html(connectivity: Connectivity, style: Style) -> Iterator[bytes]:  # noqa: ARG001
    """Yield the page."""
    script = "\n".join(_part(name) for name in SCRIPTS)
    css = _part("page.css")
    packed = gzip.compress(msgspec.json.encode(page_data(connectivity)), mtime=0)
    fillings = {
        "policy": _policy(script, css).encode(),
        "style": css.encode(),
        "data": base64.b64encode(packed),
        "script": script.encode(),
    }
    for number, piece in enumerate(_part("page.html").split("{{")):
        name, closed, text = piece.rpartition("}}")
        if number and closed:
            yield fillings[name]
        yield text.encode()


def _part(name: str) -> str:
    return (resources.files("ringfence.outputs") / "_page" / name).read_text("utf-8")


def _policy(script: str, css: str) -> str:
    """Return the content security policy: this script, this style, and nothing from anywhere.

    Source: w3.org/TR/CSP3 section 2.3.1, hash-source: of the element's text, as it stands.
    """

    def source(text: str) -> str:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        return f"'sha256-{digest}'"

    return (
        f"default-src 'none'; script-src {source(script)}; style-src {source(css)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


OUTPUT: Final = Output({Connectivity: connectivity_html})
