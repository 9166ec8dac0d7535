"""What the harness adds to the bare runs of all papers together, on all cores.

Run `python benchmarks/overhead.py [--json] [--repetitions N] [--paper ID ...]`. For each paper the reference is handed
in and every run of the rerun to the first look (submission and reference, replicates included) is done twice in a row:
once as the harness does it, once as a plain process in the same files; which comes first changes from run to run. As
many such pairs go on at once as there are cores, so that a machine whose speed drifts, as virtual ones do, slows both
alike. What the harness does beside its runs (drawing instances, measuring, looks, score) is timed apart and added:
what one thread does while the others run costs its CPU time; what all wait for costs every core.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import Row, elapsed, options, report
from benchmarks.references import Bench
from harness.config import compose
from harness.folders import find_papers
from harness.handing_in import hand_in
from harness.handing_out import hand_out, work
from harness.pipeline import planner_of, rerun, score, units_of
from harness.rerun.engine import cores
from harness.rerun.plan import Unit
from harness.rerun.runtime import circumstances
from harness.road import Road, quiet

MOST_PERCENT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Core-seconds of one paper's rerun and score, and of the same commands bare."""

    paper: str
    runs: int
    inside: float
    """The runs in the harness, from the job's layout to its record."""
    beside: float
    """What the harness's own thread did while the runs went on: the paper's metrics on what came out, above all."""
    waited: float
    """Drawing instances before the first run, the look and the score after the last: every core waits."""
    bare: float

    @property
    def total(self) -> float:
        """All that the harness costs."""
        return self.inside + self.beside + self.waited


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    parser = options(__doc__, repetitions=1)
    parser.add_argument("--paper", action="append", choices=sorted(find_papers()), help="only this one; repeatable")
    chosen = parser.parse_args()
    names = chosen.paper or sorted(find_papers())
    costs = [_cost(name) for _ in range(chosen.repetitions) for name in names]
    return report([*map(_row, costs), _total(costs)], versions={"at once": str(cores())}, as_json=chosen.json)


def _cost(name: str) -> Cost:
    with tempfile.TemporaryDirectory() as folder:
        road = handed_in(name, Path(folder, "runs"))
        other = handed_in(name, Path(folder, "drawn"))
        drawn = elapsed(lambda: planner_of(other, circumstances("")))
        began = time.thread_time()
        done = rerun(road, slots="first")  # also lays out the files, and the outputs of runs that others need
        beside = time.thread_time() - began - drawn
        units = _once(units_of(road, done))
        bench = Bench(paper=road.paper, store=road.store, sandbox=road.sandbox)
        with ThreadPoolExecutor(max_workers=cores()) as pool:
            pairs = list(pool.map(lambda at: _pair(bench, *at), enumerate(units)))
        ending = elapsed(lambda: (rerun(road, slots="first"), score(road)))  # every run and measurement is known
    return Cost(
        paper=name,
        runs=len(units),
        inside=sum(inside for inside, _ in pairs),
        beside=beside,
        waited=cores() * (drawn + ending),
        bare=sum(bare for _, bare in pairs),
    )


def _pair(bench: Bench, number: int, unit: Unit) -> tuple[float, float]:
    """Wall seconds of a run in the harness and bare, one after the other."""
    again = replace(unit, replicate=unit.replicate + 1000)  # another run, so that it is not answered from the records
    if number % 2:
        bare = elapsed(lambda: bench.bare(unit))
        return elapsed(lambda: bench.inside(again)), bare
    return elapsed(lambda: bench.inside(again)), elapsed(lambda: bench.bare(unit))


def handed_in(name: str, results: Path) -> Road:
    """A paper's reference, handed in and not rerun yet."""
    [settings] = compose([f"paper={name}", "participant=reference", f"results={results}", "tracking=none"])
    road = hand_out(settings, tell=quiet)
    hand_in(road, work(road, {}))
    return road


def _once(units: list[Unit]) -> list[Unit]:
    """Every run once, needed ones first."""
    needed = [unit.needs for unit in units if unit.needs is not None]
    return list({unit.key: unit for unit in [*needed, *units]}.values())


def _row(cost: Cost) -> Row:
    parts = f"runs {cost.inside - cost.bare:+.2f} s, metrics {cost.beside:.2f} s, waited for {cost.waited:.2f} s"
    return Row(
        name=f"{cost.paper}, {cost.runs} runs", measured=cost.total, unit="s", peer="bare", peer_measured=cost.bare,
        ratio=cost.total / cost.bare, note=parts,
    )  # fmt: skip


def _total(costs: Sequence[Cost]) -> Row:
    inside, bare = sum(cost.total for cost in costs), sum(cost.bare for cost in costs)
    metrics = 100 * sum(cost.beside for cost in costs) / bare
    added = 100 * (inside / bare - 1)
    return Row(
        name="added to all papers together", measured=added, unit="%", peer="bare",
        goal=f"measured <= {MOST_PERCENT:g}", met=added <= MOST_PERCENT,
        note=f"{inside:.1f} core-seconds over {bare:.1f}; {metrics:.1f} % are the papers' metrics",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
