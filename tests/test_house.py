"""Rules of the house that no linter knows."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import ringfence
from ringfence import errors, rooms
from ringfence.cli import main as entry
from ringfence.dialects import Dialect
from ringfence.errors import RingfenceError

ROOT = Path(__file__).parents[1]


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    defined = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, RingfenceError)
    ]
    assert ["RingfenceError", *drawn] == defined


def test_every_error_raised_on_purpose_has_an_exit_code_of_the_contract() -> None:
    codes = {name: cls.exit_code for name, cls in vars(errors).items() if hasattr(cls, "exit_code")}
    assert set(codes.values()) == {2, 3, 4}


def test_every_module_can_be_imported_and_says_what_it_knows() -> None:
    listed = pkgutil.walk_packages(ringfence.__path__, "ringfence.")
    modules = [importlib.import_module(info.name) for info in listed]
    assert len(modules) > 100
    assert [module.__name__ for module in modules if not module.__doc__] == []


@pytest.mark.parametrize("room", ["engine", "reference", "dialects", "questions"])
def test_the_map_of_a_large_room_names_every_file(room: str) -> None:
    package = importlib.import_module(f"ringfence.{room}")
    named = re.findall(r"`([a-z0-9_*]+)`", package.__doc__ or "")
    files = [info.name for info in pkgutil.iter_modules(package.__path__)]
    assert len(files) > 20
    dialects = rooms.members(package, "DIALECT", Dialect) if room == "dialects" else {}
    listed = [*named, *dialects]
    assert [f for f in files if not any(fnmatchcase(f, name) for name in listed)] == []


def test_the_table_of_rooms_is_true() -> None:
    table = (ROOT / "docs" / "contributing.md").read_text()
    named = re.findall(r"^\| `([a-z0-9_]+)(?:/|\.py)` \|", table, re.MULTILINE)
    there = [info.name for info in pkgutil.iter_modules(ringfence.__path__)]
    assert sorted(named) == sorted(there)


def test_help_imports_nothing_heavy() -> None:
    heavy = ("numpy", "yaml", "lightkube", "rich", "httpx2", "ringfence.engine")
    program = (
        "import sys\n"
        "from ringfence.cli.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit:\n"
        f"    print([m for m in {heavy!r} if m in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_room_without_its_value_is_told() -> None:
    with pytest.raises(rooms.RoomError, match="exposes no `DIALECT`"):
        rooms.members(importlib.import_module("ringfence.model"), "DIALECT", int)


def test_the_readme_names_every_verb() -> None:
    readme = (ROOT / "README.md").read_text()
    verbs = re.findall(r"^\| `([a-z-]+)", readme, re.MULTILINE)
    parser = entry.build_parser()
    (offered,) = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
    assert sorted(verbs) == sorted(offered)


def test_the_repository_names_no_host_of_a_package_registry() -> None:
    hosts = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "crates" + ".io")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    ).stdout.split("\0")
    for name in filter(None, listed):
        path = ROOT / name
        if path.is_file():
            text = path.read_text(errors="ignore")
            assert not [host for host in hosts if host in text], name
