"""A trivial paper from brief to score, beside a one-sample Inspect eval and a trivial Harbor trial.

Run `python benchmarks/road.py [--json] [--repetitions N] [--no-peers] [--inspect-ai-python PYTHON]
[--harbor-python PYTHON]`. The paper has one experiment with two instances, three seed slots, a replicate and the
reference's two slots on the held-out instance: nine runs in the clean room. The peers run without isolation (a local
sandbox, a plain local process), write one file and read it once, so what is compared is what each harness adds.
"""

from __future__ import annotations

import contextlib
import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import Row, Runs, command, compared, in_turn, options, ours, report
from benchmarks.peers import PEERS, Peer, chosen_peers, tried, version_of
from benchmarks.road_peers import Inside, whole, write_task
from benchmarks.trivial_paper import write_paper
from harness.config import Settings, compose, quoted
from harness.pipeline import attempt
from harness.report.mirror import track

MOST_SECONDS = 1.0
INSIDE, FRESH, KEPT = "attempt, after imports", "the same, new SQLite mirror", "the same, existing SQLite mirror"
COMPOSING, WHOLE = "settings composed by Hydra", "reproof attempt, whole process"


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    chosen = options(__doc__, repetitions=7, peers=tuple(PEERS)).parse_args()
    peers = chosen_peers(chosen)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        bench = Bench(folder)
        bench.mirrored(bench.results(INSIDE))  # every lazy import, before anything is timed
        things: dict[str, Callable[[], object]] = {
            COMPOSING: lambda: bench.settings(folder),
            INSIDE: lambda: bench.scored(bench.results(INSIDE)),
            FRESH: lambda: bench.mirrored(bench.results(FRESH)),
            KEPT: lambda: bench.mirrored(folder / "kept"),
        }
        processes: dict[str, Callable[[], object]] = {WHOLE: bench.process}
        places = {peer.name: write_task(peer, folder) for peer in peers}
        peers = [tried(peer, lambda one: whole(one, places[one.name])()) for peer in peers]
        for peer in peers:
            if peer.python is not None:
                inside = Inside(peer, places[peer.name])
                stack.callback(inside.close)
                things[_inside(peer)] = inside
                processes[_whole(peer)] = whole(peer, places[peer.name])
        runs, outside = in_turn(things, chosen.repetitions), in_turn(processes, max(1, chosen.repetitions // 2))
    rows = [*_rows(runs, peers), *_whole_rows(outside, peers)]
    return report(rows, versions={peer.name: version_of(peer) for peer in peers}, as_json=chosen.json)


class Bench:
    """The trivial paper, and attempts on it."""

    def __init__(self, folder: Path) -> None:
        """Write the paper."""
        self._folder = folder
        self._paper = write_paper(folder)
        self._serial = itertools.count()
        self._composed = {mirror: self.settings(folder, "sqlite" if mirror else "none") for mirror in (False, True)}

    def results(self, name: str) -> Path:
        """A results folder that nothing was written to."""
        return self._folder / "results" / name.replace(" ", "-") / str(next(self._serial))

    def settings(self, results: Path, tracking: str = "none") -> Settings:
        """What `reproof attempt` would compose."""
        words = [f"paper={self._paper}", "participant=reference", f"results={results}", f"tracking={tracking}"]
        return compose(words)[0]

    def scored(self, results: Path) -> None:
        """An attempt from brief to score, which must be a PASS."""
        self._attempt(results, mirror=False)

    def mirrored(self, results: Path) -> None:
        """The same, mirrored to MLflow's SQLite store inside the results folder."""
        self._attempt(results, mirror=True)

    def process(self) -> None:
        """The whole command, as a person would type it."""
        words = ("attempt", f"paper={self._paper}", "participant=reference", "tracking=none")
        command(ours("reproof"), *words, f"results={quoted(self.results(WHOLE))}", "--json")()

    def _attempt(self, results: Path, *, mirror: bool) -> None:
        settings = self._composed[mirror].model_copy(update={"results": results})
        road, score = attempt(settings, tell=lambda text: None)
        if score.verdict != "PASS":
            raise RuntimeError(f"the trivial paper got {score.verdict}: {score.reasons}")
        if mirror:
            track(road)
            if not (results / "mlflow" / "mlflow.db").is_file():
                raise RuntimeError("nothing was mirrored")


def _inside(peer: Peer) -> str:
    return {"inspect-ai": "inspect eval(), after imports", "harbor": "harbor Job.run(), after imports"}[peer.name]


def _whole(peer: Peer) -> str:
    return {"inspect-ai": "inspect eval", "harbor": "harbor run"}[peer.name]


def _alone(name: str, runs: Runs) -> Row:
    return Row(name=name, measured=runs.median(name), least=runs.least(name), unit="s")


def _rows(runs: Runs, peers: list[Peer]) -> Iterator[Row]:
    row = _alone(INSIDE, runs)
    assert row.measured is not None
    yield replace(row, goal=f"measured <= {MOST_SECONDS:g}", met=row.measured <= MOST_SECONDS)
    yield from (compared(INSIDE, runs, INSIDE, _inside(peer), scale=1, unit="s") for peer in peers if peer.python)
    yield from (_alone(name, runs) for name in (FRESH, KEPT, COMPOSING))


def _whole_rows(runs: Runs, peers: list[Peer]) -> Iterator[Row]:
    for peer in peers:
        if peer.python is None:
            yield Row(name=WHOLE, measured=None, unit="s", peer=_whole(peer), note=f"absent: {peer.absent}")
        else:
            yield compared(WHOLE, runs, WHOLE, _whole(peer), scale=1, unit="s")
    if not peers:
        yield _alone(WHOLE, runs)


if __name__ == "__main__":
    sys.exit(main())
