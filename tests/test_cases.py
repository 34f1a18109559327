"""Every written case, by both judges: see `written_cases` for how a case is written."""

from collections.abc import Callable
from pathlib import Path

import pytest

import written_cases
from ringfence import assemble
from ringfence.engine import Engine
from ringfence.model.connection import Connection
from ringfence.model.snapshot import Snapshot
from ringfence.model.verdict import Judgement
from ringfence.reference import judge
from ringfence.sources import manifests
from written_cases import Case

JUDGES: dict[str, Callable[[Snapshot], Callable[[Connection], Judgement]]] = {
    "reference": lambda snapshot: lambda connection: judge(snapshot, connection),
    "engine": lambda snapshot: Engine(snapshot).judge,
}


@pytest.mark.parametrize("which", JUDGES)
@pytest.mark.parametrize("case", written_cases.cases(), ids=lambda case: case.name)
def test_case(case: Case, which: str, tmp_path: Path) -> None:
    for number, text in enumerate(case.manifests):
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    reading = manifests.read([str(tmp_path)])
    # A case may show what cannot be read; what is no Kubernetes object at all is a mistake in it.
    assert all(problem.affects for problem in reading.problems)
    snapshots = {
        (profile, version, staged): assemble.build(
            reading, cni=profile, version=version, staged=staged
        )
        for profile, version, staged in {
            (asked.profile, asked.version, asked.staged) for asked in case.expectations
        }
    }
    judges = {chosen: JUDGES[which](snapshot) for chosen, snapshot in snapshots.items()}
    wrong = []
    for asked in case.expectations:
        chosen = asked.profile, asked.version, asked.staged
        found = judges[chosen](written_cases.connection(snapshots[chosen], asked))
        if not asked.is_met_by(found):
            by = sorted({(piece.object, piece.rule) for piece in found.evidence}, key=str)
            limits = f", limited to {found.limited_to}," if found.limited_to else ""
            because = f" because {found.unknown_because}" if found.unknown_because else ""
            wrong.append(
                f"{asked.text}\n    but {which} says {found.verdict}{limits} by {by}{because}"
            )
    assert not wrong, "\n".join(["", *wrong])
