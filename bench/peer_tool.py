"""network-config-analyzer, a tool of the same purpose, in a virtual environment of its own.

It is run side by side on the same manifests: for its time, and as a second opinion on answers.
"""

import subprocess
import sys
import venv
from pathlib import Path

from bench.data import DATA, ROOT

NAME = "network-config-analyzer 2.1.0"
LOCK = ROOT.parent / "requirements" / "bench.txt"
VENV = DATA / "venv"
PROGRAM = VENV / "bin" / "nca"


def install() -> str:
    """Make it ready to run; return why that cannot be done, or an empty string."""
    ready = VENV / ".ready"
    if ready.exists() and ready.read_bytes() == LOCK.read_bytes():
        return ""
    print(f"installing {NAME} ...", file=sys.stderr, flush=True)
    DATA.mkdir(exist_ok=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    try:
        venv.create(VENV, clear=True, with_pip=True)
        subprocess.run(
            [*pip, "--disable-pip-version-check", "--require-hashes", "-r", str(LOCK)],
            check=True,
            capture_output=True,
            text=True,
            timeout=600,
        )
    except subprocess.CalledProcessError as error:
        lines = str(error.stderr or error).strip().splitlines()
        return lines[-1] if lines else str(error)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    ready.write_bytes(LOCK.read_bytes())
    return ""


def command(manifests: Path, out: Path, *, pairs: bool = True) -> list[str]:
    """Return how it is asked for all connections.

    Args:
        manifests: the folder.
        out: where it writes its answer.
        pairs: pair by pair, as `connectivity -o json` answers; else what it prints unasked, which
            it first minimizes to few rules.
    """
    form = ["-o", "txt_no_fw_rules"] if pairs else []
    return [
        str(PROGRAM),
        "--connectivity",
        "--print_ipv6",
        "-r",
        str(manifests),
        *form,
        "-f",
        str(out),
    ]
