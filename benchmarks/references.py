"""Seconds per run of each paper's reference in the clean room, and what the harness adds to the bare command.

Run `python benchmarks/references.py [--json] [--repetitions N] [--paper ID ...]`. Every experiment and case is run on
the first of its instances, with the seed of slot 1: in the harness from unit to record, and bare as
`python -m reproduction RUN.json OUT/` in the same files, in turn.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import Row, Runs, compared, cpu_of, in_turn, options, report
from harness.attempt.submission import keep_tree
from harness.attempt.task import reference_files
from harness.cleanroom import layout
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Job, Sandbox
from harness.folders import find_papers
from harness.paper.load import Paper, open_paper
from harness.record.files import Store
from harness.rerun.execute import RunRecord, contract, execute, sandbox_limits
from harness.rerun.plan import Planner, Unit, make_plan
from harness.rerun.runtime import circumstances

INSIDE, BARE = "in the harness", "bare"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """One paper on the bench: where its runs are kept, and how they are done."""

    paper: Paper
    store: Store
    sandbox: Sandbox

    def units(self) -> list[Unit]:
        """One unit for each experiment and case, those they need included."""
        private = self.store.root / f"{self.paper.id}-private"
        digest = circumstances(self.sandbox.description().digest)
        plan = make_plan(self.paper, private)
        planner = Planner(paper=self.paper, plan=plan, folder=private, circumstances=digest)
        tree = keep_tree(reference_files(self.paper), self.store.root)
        first: dict[str, Unit] = {}
        for unit in planner.submission(tree, 1):
            if unit.replicate == 0:
                first.setdefault(json.dumps([unit.experiment, unit.parameters]), unit)
        return list(first.values())

    def inside(self, unit: Unit) -> RunRecord:
        """Do a unit in the harness.

        Raises:
            RuntimeError: The reference's run did not end well.
        """
        never = threading.Event()
        if unit.needs is not None:
            self.inside(unit.needs)
        record = execute(unit, self.paper, store=self.store, sandbox=self.sandbox, cancel=never)
        if not record.usable:
            raise RuntimeError(f"{self.paper.id} {unit.label}: {record.status}, {'; '.join(record.problems)}")
        return record

    def bare(self, unit: Unit) -> float:
        """Do the same as a plain process; gives its CPU seconds.

        Raises:
            RuntimeError: It did not end well.
        """
        experiment = self.paper.spec.experiments[unit.experiment]
        with tempfile.TemporaryDirectory() as name:
            run, out = Path(name, "run"), Path(name, "out")
            run.mkdir()
            out.mkdir()
            content = contract(unit, experiment)
            if unit.needs is not None:
                content["needs"] = {unit.needs.experiment: str(self.store.run(unit.needs.key) / "outputs")}
            (run / "RUN.json").write_text(json.dumps(content), encoding="utf-8")
            unit.instance.write_arrays(run)
            words = [sys.executable, "-m", "reproduction", str(run / "RUN.json"), f"{out}/"]
            return cpu_of(words, self._environment(words, unit), cwd=self.store.trees / unit.tree)

    def _environment(self, words: list[str], unit: Unit) -> dict[str, str]:
        # no bytecode: the clean room mounts the files read-only
        own = {"PYTHONDONTWRITEBYTECODE": "1"}
        return layout.environment(Job(command=tuple(words), limits=sandbox_limits(unit.limits), environment=own))


def main() -> int:
    """Measure and print."""
    parser = options(__doc__, repetitions=3)
    parser.add_argument("--paper", action="append", choices=sorted(find_papers()), help="only this one; repeatable")
    parser.add_argument("--experiment", action="append", help="only this one; repeatable")
    chosen = parser.parse_args()
    sandbox = open_sandbox()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in chosen.paper or sorted(find_papers()):
            bench = Bench(paper=open_paper(name), store=Store(Path(folder)), sandbox=sandbox)
            for unit in bench.units():
                if not chosen.experiment or unit.experiment in chosen.experiment:
                    rows += _rows(bench, unit, chosen.repetitions)
    return report(rows, versions={"clean room": sandbox.description().version}, as_json=chosen.json)


def _rows(bench: Bench, unit: Unit, repetitions: int) -> Iterator[Row]:
    records: list[RunRecord] = []
    cpu: list[float] = []
    # another replicate is another run, so that none is answered from the records
    repeats = iter(range(2, repetitions + 2))
    runs = in_turn(
        {
            INSIDE: lambda: records.append(bench.inside(replace(unit, replicate=next(repeats)))),
            BARE: lambda: cpu.append(bench.bare(unit)),
        },
        repetitions,
        warm=0,
    )
    name = f"{bench.paper.id} {unit.experiment} {' '.join(f'{k}={v}' for k, v in unit.parameters.items())}".strip()
    used = Runs(seconds={INSIDE: [record.spent.cpu for record in records], BARE: cpu})
    yield compared(f"{name}: CPU", used, INSIDE, BARE, scale=1, unit="s")
    added = f"{1e3 * runs.difference(INSIDE, BARE):+.0f} ms"
    yield replace(compared(f"{name}: wall", runs, INSIDE, BARE, scale=1, unit="s"), note=added)


if __name__ == "__main__":
    sys.exit(main())
