"""The notebook page runs as it is written."""

import contextlib
import io
import re
from pathlib import Path

import ringfence
from ringfence import examples

PAGE = Path(__file__).parents[1] / "docs" / "notebook.md"
BLOCK = re.compile(r"```(python|text)\n(.*?)```", re.DOTALL)


def test_every_example_prints_what_the_page_says(tmp_path: Path) -> None:
    scope = {"shop": str(Path(examples.__file__).parent / "shop")}
    printed = ""
    compared = 0
    for language, text in BLOCK.findall(PAGE.read_text()):
        if language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(text, str(PAGE), "exec"), scope)
            printed = out.getvalue()
        else:
            assert printed == text
            compared += 1
    assert compared == 4


def test_every_public_name_is_there() -> None:
    for name in ringfence.__all__:
        assert getattr(ringfence, name).__name__ == name
