"""Runs whole processes and measures them: wall time, processor time, peak of memory."""

import os
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

KILOBYTES_PER_UNIT = 1 if sys.platform.startswith("linux") else 1 / 1024
"""`ru_maxrss` is in kilobytes on Linux, in bytes on macOS."""


@dataclass(frozen=True)
class Run:
    """What one process took, or the median of several.

    Units: seconds, megabytes (10^6 bytes).
    """

    wall_s: float
    cpu_s: float
    """User and system time together."""
    peak_mb: float
    exit_code: int
    timed_out: bool = False


def run(command: Sequence[str], *, out: Path | None = None, limit_s: float = 900) -> Run:
    """Run a command to its end, or to a limit at which it is killed with all its children.

    The peak of memory that a process inherits counts as its own, so that this one stays small:
    it neither holds generated clusters nor reads answers back.

    Args:
        command: the program and its arguments.
        out: where its standard output goes; nowhere if None.
        limit_s: seconds until it is killed.
    """
    target = out or Path(os.devnull)
    with target.open("wb") as stream:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.DEVNULL, start_new_session=True
        )
        killed = threading.Event()
        timer = threading.Timer(limit_s, _kill, (process.pid, killed))
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            _kill(process.pid, killed)
            raise
        finally:
            timer.cancel()
        wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    return Run(
        wall_s=wall,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss * KILOBYTES_PER_UNIT * 1024 / 1e6,
        exit_code=process.returncode,
        timed_out=killed.is_set(),
    )


def _kill(pid: int, killed: threading.Event) -> None:
    killed.set()
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        killed.clear()  # it ended by itself in the last moment


def median(
    command: Sequence[str],
    repetitions: int,
    *,
    out: Path | None = None,
    good: tuple[int, ...] = (0,),
) -> Run:
    """Run a command several times and return the median of each figure.

    Raises:
        RuntimeError: it ended with an exit code that is not among the good ones.
    """
    runs = [run(command, out=out) for _ in range(repetitions)]
    for one in runs:
        if one.exit_code not in good:
            raise RuntimeError(f"exit code {one.exit_code} of {' '.join(command)}")
    return Run(
        wall_s=statistics.median(one.wall_s for one in runs),
        cpu_s=statistics.median(one.cpu_s for one in runs),
        peak_mb=statistics.median(one.peak_mb for one in runs),
        exit_code=runs[0].exit_code,
    )


def own_peak_mb() -> float:
    """Return the peak of memory of this process, below which no child can be measured."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_maxrss * KILOBYTES_PER_UNIT * 1024 / 1e6
