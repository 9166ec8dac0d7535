"""What mirroring adds to the rerun of all papers together, and what logging the same bare would take.

Run `python benchmarks/mirror.py [--json] [--repetitions N] [--paper ID ...]`. For each paper the reference is handed
in, rerun to the first look and scored; then its runs are mirrored into a SQLite store that exists, and, beside it,
logged as MLflow's documentation shows it: a run at a time, a metric at a time, by the fluent API (of each paper some
runs, from which the rest is reckoned: all of them take a quarter of an hour). Imports are done before anything is
timed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from statistics import median

from benchmarks.measuring import Row, elapsed, options, report
from benchmarks.overhead import handed_in
from harness.folders import find_papers
from harness.pipeline import rerun, score
from harness.record.entry import Entry
from harness.record.files import Store
from harness.record.tracking import Mirror
from harness.report.mirror import entries, track
from harness.road import Road

MOST_PERCENT = 2.0
_SAMPLE = 6
"""Runs of a paper that the peer logs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Seconds that one paper took."""

    paper: str
    runs: int
    rerun: float
    mirror: float
    again: float
    """Mirroring it a second time, when all is there."""
    bare: float


def main() -> int:
    """Measure, print, and end with 0 if the goal is met."""
    parser = options(__doc__, repetitions=3)
    parser.add_argument("--paper", action="append", choices=sorted(find_papers()), help="only this one; repeatable")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        timed = [bench.timed(name, chosen.repetitions) for name in chosen.paper or sorted(find_papers())]
    return report(list(_rows(timed)), versions={"mlflow": version("mlflow")}, as_json=chosen.json)


class Bench:
    """A store that exists, and another for the peer."""

    def __init__(self, folder: Path) -> None:
        """Create both, which imports everything."""
        self._folder = folder
        for name in ("ours", "bare"):
            Mirror(Store(folder), uri=self._uri(name), prefix="warm")
        self._fluent("warm", [])

    def _uri(self, name: str) -> str:
        return f"sqlite:///{self._folder}/{name}.db"

    def timed(self, paper: str, repetitions: int) -> Timed:
        """Rerun a paper once; mirror it several times, each into an experiment of its own."""
        road = handed_in(paper, self._folder / paper)
        rerunning = elapsed(lambda: (rerun(road, slots="first"), score(road)))
        _, children = entries(road)
        rounds = [self._mirrored(road, number) for number in range(repetitions)]
        return Timed(
            paper=paper,
            runs=len(children),
            rerun=rerunning,
            mirror=median(first for first, _ in rounds),
            again=median(second for _, second in rounds),
            bare=self._bare(paper, children),
        )

    def _bare(self, paper: str, children: list[Entry]) -> float:
        """Seconds that the peer would take for all runs, from some that are spread evenly over them."""
        some = children[:: max(1, len(children) // _SAMPLE)]
        return elapsed(lambda: self._fluent(paper, some)) * len(children) / len(some)

    def _mirrored(self, road: Road, number: int) -> tuple[float, float]:
        """Seconds of mirroring into a store that does not know the attempt, and of doing it again."""
        uri = self._uri("ours")
        _forget(uri, road)
        return elapsed(lambda: track(road, uri=uri)), elapsed(lambda: track(road, uri=uri))

    def _fluent(self, name: str, logged: list[Entry]) -> None:
        """Log entries as a newcomer to MLflow would."""
        import mlflow

        mlflow.set_tracking_uri(self._uri("bare"))
        mlflow.set_experiment(name)
        for entry in logged:
            with mlflow.start_run(run_name=entry.name, tags=dict(entry.tags)):
                mlflow.log_params(dict(entry.params))
                for metric, value, step in entry.metrics:
                    mlflow.log_metric(metric, value, step=step)


def _forget(uri: str, road: Road) -> None:
    """Delete what the store holds of an attempt."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    found = client.get_experiment_by_name(f"{road.attempt.tracking_prefix}{road.paper.id}")
    runs = client.search_runs([found.experiment_id], max_results=1000) if found else []
    for run in runs:
        client.delete_run(run.info.run_id)


def _rows(timed: list[Timed]) -> Iterator[Row]:
    for one in timed:
        yield _beside(
            f"{one.paper}, {one.runs} runs", one.mirror, one.bare, "s",
            note=f"beside a rerun of {one.rerun:.1f} s; again, all there: {one.again:.2f} s",
        )  # fmt: skip
    runs, rerunning = sum(one.runs for one in timed), sum(one.rerun for one in timed)
    ours, bare = sum(one.mirror for one in timed), sum(one.bare for one in timed)
    yield _beside("a run of these", 1e3 * ours / runs, 1e3 * bare / runs, "ms")
    percent = 100 * ours / rerunning
    yield replace(
        _beside("of the rerun's wall time", percent, 100 * bare / rerunning, "%"),
        goal=f"measured <= {MOST_PERCENT:g}",
        met=percent <= MOST_PERCENT,
        note=f"{ours:.2f} s beside {rerunning:.1f} s",
    )


def _beside(name: str, ours: float, bare: float, unit: str, *, note: str = "") -> Row:
    return Row(
        name=name, measured=ours, unit=unit, peer="fluent API", peer_measured=bare, ratio=ours / bare, note=note
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
