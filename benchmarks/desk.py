"""What a person waits for: `reproof status` beside `git status`, and what `reproof exec` adds to a command.

Run `python benchmarks/desk.py [--json] [--repetitions N]`. A workspace of the trivial paper, its clock running, with a
ledger of a week's work. What `exec` adds is measured twice: inside the process (the bench, the clean room and the
ledger), and as whole commands, where the interpreter's own start comes on top. Everything runs in turn.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import Row, Runs, command, compared, in_turn, options, ours, report
from benchmarks.trivial_paper import write_paper
from harness.attempt.registry import STATE, remember
from harness.config import compose, quoted
from harness.handing_out import hand_out
from harness.road import Road, quiet

STATUS, HELP, GIT, BARE = "reproof status", "reproof --help", "git status", "python -c pass"
INSIDE, WHOLE, ALONE = "on the bench", "reproof exec -- true", "true"
MOST_STATUS_MS, MOST_EXEC_MS = 150.0, 30.0
WEEK = 5
"""Days of pauses and commands in the ledger."""


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    chosen = options(__doc__, repetitions=30).parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ[STATE] = str(Path(name, "state"))
        road = _at_work(Path(name))
        runs = in_turn(_commands(road), chosen.repetitions)
        lines = len(road.desk.events())
    rows = [*_goals(runs), *(compared(STATUS, runs, STATUS, other) for other in (GIT, HELP, BARE))]
    return report(rows, versions={"events in the ledger": str(lines)}, as_json=chosen.json)


def _at_work(folder: Path) -> Road:
    """An attempt in the middle of its work."""
    paper = write_paper(folder)
    words = [
        f"paper={quoted(paper)}",
        "participant=human",
        "participant.name=ada",
        f"results={quoted(folder / 'kept')}",
    ]
    [settings] = compose([*words, "tracking=none"])
    road = hand_out(settings.model_copy(update={"workspace": folder / "work"}), tell=quiet)
    remember(road.workspace, road.folder)
    for day in range(WEEK):
        for hour in range(8):
            road.desk.start_clock()
            road.desk.note("executed", job=f"{day}-{hour}", command="python train.py", cpu=0.1, wall=0.1, exact=True)
            road.desk.pause_clock("lunch")
    road.desk.start_clock()
    return road


def _commands(road: Road) -> dict[str, Callable[[], object]]:
    here = road.workspace
    return {
        STATUS: command(ours("reproof"), "status", cwd=here),
        HELP: command(ours("reproof"), "--help", cwd=here),
        GIT: command("git", "status", cwd=here),
        BARE: command(sys.executable, "-c", "pass", cwd=here),
        INSIDE: lambda: road.bench.run(["true"]),
        WHOLE: command(ours("reproof"), "exec", "--", "true", cwd=here),
        ALONE: command("true", cwd=here),
    }


def _goals(runs: Runs) -> Iterator[Row]:
    measured = 1e3 * runs.median(STATUS)
    goal = f"measured <= {MOST_STATUS_MS:g}"
    yield Row(name=STATUS, measured=measured, unit="ms", goal=goal, met=measured <= MOST_STATUS_MS)
    added = 1e3 * runs.difference(INSIDE, ALONE)
    yield Row(
        name="exec adds, inside the process", measured=added, unit="ms", peer=ALONE,
        peer_measured=1e3 * runs.median(ALONE), goal=f"measured <= {MOST_EXEC_MS:g}", met=added <= MOST_EXEC_MS,
    )  # fmt: skip
    yield Row(
        name="exec adds, as a whole command", measured=1e3 * runs.difference(WHOLE, ALONE), unit="ms", peer=BARE,
        peer_measured=1e3 * runs.median(BARE), note="an interpreter's start is part of it",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
