"""`python -m bench`: generates the clusters that are missing, measures, prints the tables.

Whole processes are measured, from the shell's point of view: start of Python, reading, judging,
writing. Figures are medians; the counts beside them do not depend on the machine.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from bench import data, measure, peer_tool, table
from bench.clusters import Shape
from bench.measure import Run

RINGFENCE = [str(Path(sys.executable).with_name("ringfence"))]
SCRATCH = data.DATA / f"run-{os.getpid()}"
ANSWER, THEIRS = SCRATCH / "ours", SCRATCH / "theirs"
HOST_NETWORK = "kube-system/kube-proxy,monitoring/node-exporter"
POD_CIDR = "192.168.0.0/16"
"""For comparing answers: network-config-analyzer knows no addresses of pods, so that no block may
hold any."""


@dataclass(frozen=True)
class Target:
    """What is to be reached."""

    wall_s: float | None = None
    peak_mb: float | None = None


@dataclass(frozen=True)
class Plan:
    """What is measured: all of it, or what takes a minute or two."""

    repetitions: int
    yaml: Shape
    """For `connectivity` and `check`, from manifests."""
    snapshot: Shape
    """For all pairs in the engine, from a snapshot; and with ten times the pods."""
    by_workloads: tuple[Shape, ...]
    by_policies: tuple[Shape, ...]
    compared: tuple[Shape, ...]
    """Where the answers of network-config-analyzer are compared with ours."""
    timed: tuple[Shape, ...]
    """Where it is only timed."""
    targets: bool
    """Whether the clusters are the ones for which targets are set."""


DIALECTS = ("", "calico", "cilium")
MESHES = ("istio", "ambient", "linkerd")
ON: tuple[dict[str, Any], ...] = (
    {},
    {"dialect": "calico"},
    {"dialect": "cilium"},
    *({"mesh": mesh} for mesh in MESHES),
)
VARIANTS: tuple[dict[str, Any], ...] = ({}, {"scattered": True}, *ON[1:])

FULL = Plan(
    repetitions=5,
    yaml=Shape(1000, 150),
    snapshot=Shape(20_000, 10_000, 100_000),
    by_workloads=tuple(Shape(n, 400) for n in (500, 1000, 2000, 4000)),
    by_policies=tuple(Shape(1000, n) for n in (50, 100, 200, 500, 1000, 2000)),
    compared=(
        Shape(200, 60, cluster_wide=False),
        Shape(200, 60, scattered=True),
        Shape(1000, 150, cluster_wide=False),
    ),
    timed=(Shape(1000, 150, scattered=True),),
    targets=True,
)
QUICK = Plan(
    repetitions=1,
    yaml=Shape(200, 60),
    snapshot=Shape(2000, 1000, 10_000),
    by_workloads=tuple(Shape(n, 100) for n in (125, 250, 500)),
    by_policies=tuple(Shape(250, n) for n in (50, 100, 200)),
    compared=(Shape(200, 60, cluster_wide=False),),
    timed=(),
    targets=False,
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small clusters, a minute or two")
    parser.add_argument(
        "--limit", type=float, default=300, metavar="S", help="seconds for the other tool"
    )
    args = parser.parse_args()
    plan = QUICK if args.quick else FULL
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} processors, load "
        f"{os.getloadavg()[0]:.1f}; medians of {plan.repetitions}; whole processes; "
        f"no figure of memory below {measure.own_peak_mb():.0f} MB can be seen"
    )
    SCRATCH.mkdir(parents=True)
    try:
        figures(plan)
        growth(plan)
        side_by_side(plan, args.limit, install=not args.quick)
    finally:
        shutil.rmtree(SCRATCH)


def words(shape: Shape) -> str:
    """Return a shape in words."""
    pods = f", {shape.pods:,} pods" if shape.pods else ""
    how = ", labels across namespaces" if shape.scattered else ""
    on = f", on {shape.dialect.capitalize()}" if shape.dialect else ""
    on += f", in a mesh: {shape.mesh}" if shape.mesh else ""
    return f"{shape.workloads:,} workloads{pods}, {shape.policies:,} policies{how}{on}"


# -- the figures to reach ------------------------------------------------------------------------


def figures(plan: Plan) -> None:
    """Print the table of the figures that are to be reached."""
    rows = []
    variants = [replace(plan.yaml, **chosen) for chosen in VARIANTS]
    for shape in variants:
        run, found = connectivity(shape, plan.repetitions)
        rows.append(row(f"connectivity: {words(shape)}", run, allowed(shape, 3, 300), found, plan))
    for shape in variants:
        run, found = check("yaml", shape, plan.repetitions)
        rows.append(row(f"check: {words(shape)}", run, allowed(shape, 2), found, plan))
    repetitions = min(3, plan.repetitions)
    for chosen in ON:
        for pods in (plan.snapshot.pods, plan.snapshot.pods * 10):
            shape = replace(plan.snapshot, pods=pods, **chosen)
            run, found = all_pairs(shape, repetitions)
            same = pods == plan.snapshot.pods
            target = allowed(shape, 10, 2000) if same else Target()
            rows.append(row(f"all pairs: {words(shape)}", run, target, found, plan))
    for chosen in ON:
        shape = replace(plan.snapshot, **chosen)
        run, found = check("snapshot", shape, repetitions)
        rows.append(row(f"check: {words(shape)}", run, Target(), found, plan))
    header = ("", "wall s", "target", "is", "CPU s", "MB", "target", "is", "counts")
    table.show("Figures to reach", header, rows)
    print(
        "\nconnectivity: `ringfence connectivity -o json`, from YAML. check: 10,000 questions by\n"
        "`ringfence check --queries`, from YAML or a snapshot. all pairs: from a snapshot, in the\n"
        "engine."
    )


def allowed(shape: Shape, wall_s: float, peak_mb: float | None = None) -> Target:
    """Return what a cluster may take: twice as much where it has a dialect, or a mesh."""
    factor = 2 if shape.dialect or shape.mesh else 1
    return Target(wall_s * factor, peak_mb and peak_mb * factor)


def row(
    title: str, run: Run, target: Target, found: dict[str, float], plan: Plan
) -> tuple[str, ...]:
    """Return a line of the table; targets are told only where they are set for its cluster."""
    wanted = target if plan.targets else Target()
    return (
        title,
        table.seconds(run.wall_s),
        f"{wanted.wall_s:g}" if wanted.wall_s else "",
        table.share(run.wall_s, wanted.wall_s),
        table.seconds(run.cpu_s),
        table.megabytes(run.peak_mb),
        f"{wanted.peak_mb:g}" if wanted.peak_mb else "",
        table.share(run.peak_mb, wanted.peak_mb),
        table.counts(found),
    )


def connectivity(shape: Shape, repetitions: int) -> tuple[Run, dict[str, float]]:
    """Measure `connectivity -o json` from YAML, and count what it answers."""
    manifests = data.ready("yaml", shape) / "manifests"
    command = [*RINGFENCE, "connectivity", "-o", "json", str(manifests)]
    run = measure.median(command, repetitions)
    measure.median(command, 1, out=ANSWER)
    return run, child("bench.count", str(ANSWER))


def check(form: str, shape: Shape, repetitions: int) -> tuple[Run, dict[str, float]]:
    """Measure `check --queries` with 10,000 questions, and count what it answers."""
    folder = data.ready(form, shape)
    source = folder / ("manifests" if form == "yaml" else "cluster.snapshot")
    command = [*RINGFENCE, "check", str(source), "--queries", str(folder / "queries.jsonl")]
    # Exit code 1: some of the connections asked for are denied.
    run = measure.median(command, repetitions, good=(0, 1))
    measure.median(command, 1, out=ANSWER, good=(0, 1))
    found: dict[str, float] = {"allow": 0, "deny": 0, "unknown": 0}
    with ANSWER.open() as lines:
        for line in lines:
            found[json.loads(line)["verdict"]] += 1
    return run, found


def all_pairs(shape: Shape, repetitions: int) -> tuple[Run, dict[str, float]]:
    """Measure all pairs in the engine, and count what there is."""
    snapshot = data.ready("snapshot", shape) / "cluster.snapshot"
    command = [sys.executable, "-m", "bench.all_pairs", str(snapshot)]
    run = measure.median(command, repetitions, out=ANSWER)
    found = json.loads(ANSWER.read_text())
    return run, {
        name: found[name] for name in ("pairs", "allowed", "identities", "classes", "rules")
    }


def child(module: str, *arguments: str) -> dict[str, float]:
    """Return what a module of this package prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


# -- growth --------------------------------------------------------------------------------------


def growth(plan: Plan) -> None:
    """Print how the time grows with workloads and with policies."""
    for (title, series), dialect in product(
        (
            ("Growth with workloads", plan.by_workloads),
            ("Growth with policies", plan.by_policies),
        ),
        DIALECTS,
    ):
        rows = []
        before: tuple[Run, dict[str, float]] | None = None
        for shape in (replace(one, dialect=dialect) for one in series):
            run, found = connectivity(shape, min(3, plan.repetitions))
            rows.append(
                (
                    words(shape),
                    table.seconds(run.wall_s),
                    f"x {run.wall_s / before[0].wall_s:.2f}" if before else "",
                    table.seconds(run.cpu_s),
                    table.megabytes(run.peak_mb),
                    f"{run.cpu_s / found['pairs'] * 1e6:.1f}",
                    table.counts(found),
                )
            )
            before = run, found
        header = ("`connectivity -o json`", "wall s", "grown", "CPU s", "MB", "us/pair", "counts")
        table.show(title, header, rows)


# -- side by side --------------------------------------------------------------------------------


def side_by_side(plan: Plan, limit_s: float, *, install: bool) -> None:
    """Print both tools' times on the same manifests, and whether their answers agree.

    Args:
        plan: what to run.
        limit_s: after so many seconds the other tool is stopped.
        install: whether it may be installed now.
    """
    title = f"Side by side with {peer_tool.NAME}"
    if not install and not peer_tool.PROGRAM.exists():
        print(f"\n{title}\n\nleft out: not installed; `python -m bench` without --quick does it")
        return
    if why := peer_tool.install():
        print(f"\n{title}\n\nleft out: it cannot be installed: {why}")
        return
    rows = []
    for shape in (*plan.compared, *plan.timed):
        manifests = data.ready("yaml", shape) / "manifests"
        own, _ = connectivity(shape, plan.repetitions)
        THEIRS.unlink(missing_ok=True)  # it would be added to
        other = measure.run(peer_tool.command(manifests, THEIRS), limit_s=limit_s)
        agreement = "not compared"
        if other.timed_out:
            agreement = "not compared: stopped"
        elif other.exit_code:
            agreement = f"failed: exit code {other.exit_code}"
        elif shape in plan.compared:
            agreement = compare(manifests)
        rows.append(
            (
                words(shape),
                table.seconds(own.wall_s),
                table.megabytes(own.peak_mb),
                f"> {limit_s:.0f}" if other.timed_out else table.seconds(other.wall_s),
                table.megabytes(other.peak_mb),
                f"x {'> ' if other.timed_out else ''}{other.wall_s / own.wall_s:.1f}",
                agreement,
            )
        )
    header = ("all pairs", "wall s", "MB", "its wall s", "its MB", "time", "answers")
    table.show(title, header, rows)


def compare(manifests: Path) -> str:
    """Return in words how far the two answers agree."""
    command = [*RINGFENCE, "connectivity", "-o", "json", "--pod-cidr", POD_CIDR, str(manifests)]
    measure.median(command, 1, out=ANSWER)
    found = child("bench.compare", str(ANSWER), str(THEIRS), HOST_NETWORK)
    return f"{found['differ']:,} differ of {max(found['ours'], found['theirs']):,}"


if __name__ == "__main__":
    main()
