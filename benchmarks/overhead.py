"""What the harness adds to the bare runs of all papers together, on all cores.

Run `python benchmarks/overhead.py [--json] [--repetitions N] [--paper ID ...]`. For each paper the reference is handed
in; then the rerun to the first look (submission and reference, replicates included), its measurements and the score
are timed, and beside them the same commands, as plain processes in the same files, as many at once.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import Row, elapsed, options, report
from benchmarks.references import Bench
from harness.config import compose
from harness.folders import find_papers
from harness.handing import hand_in, hand_out, work
from harness.pipeline import Rerun, rerun, score, units_of
from harness.record.store import read
from harness.rerun.engine import cores
from harness.rerun.plan import Unit
from harness.road import Road, quiet

MOST_PERCENT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One round of one paper."""

    paper: str
    inside: float
    """Wall seconds of rerun and score."""
    bare: float
    """Wall seconds of the same commands alone."""
    runs: int


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    parser = options(__doc__, repetitions=1)
    parser.add_argument("--paper", action="append", choices=sorted(find_papers()), help="only this one; repeatable")
    chosen = parser.parse_args()
    names = chosen.paper or sorted(find_papers())
    rounds = [[_pair(name, first=turn % 2 == 0) for name in names] for turn in range(chosen.repetitions)]
    return report([*_rows(rounds), _total(rounds)], versions={"at once": str(cores())}, as_json=chosen.json)


def _pair(name: str, *, first: bool) -> Pair:
    """Time a paper in the harness and bare; which comes first changes from round to round."""
    with tempfile.TemporaryDirectory() as folder:
        road = handed_in(name, Path(folder, "timed"))
        planned = handed_in(name, Path(folder, "planned"))
        inside = elapsed(lambda: (rerun(road, slots="first"), score(road))) if first else None
        # the bare commands need the files and the outputs of needed runs: another attempt's rerun lays them out
        rerun(planned, slots="first")
        units = _units(planned)
        bare = elapsed(lambda: _bare(planned, units))
        inside = inside or elapsed(lambda: (rerun(road, slots="first"), score(road)))
    return Pair(paper=name, inside=inside, bare=bare, runs=len(units))


def handed_in(name: str, results: Path) -> Road:
    """A paper's reference, handed in and not rerun yet."""
    [settings] = compose([f"paper={name}", "participant=reference", f"results={results}", "tracking=none"])
    road = hand_out(settings, tell=quiet)
    hand_in(road, work(road, {}))
    return road


def _units(road: Road) -> list[Unit]:
    """Every run once, needed ones included."""
    units = units_of(road, read(road.records / "rerun.json", Rerun))
    needed = [unit.needs for unit in units if unit.needs is not None]
    return list({unit.key: unit for unit in [*needed, *units]}.values())


def _bare(road: Road, units: list[Unit]) -> None:
    bench = Bench(paper=road.paper, store=road.store, sandbox=road.sandbox)
    with ThreadPoolExecutor(max_workers=cores()) as pool:
        for _ in pool.map(bench.bare, units):
            pass


def _rows(rounds: list[list[Pair]]) -> Iterator[Row]:
    for pairs in zip(*rounds, strict=True):
        inside, bare = (min(getattr(pair, which) for pair in pairs) for which in ("inside", "bare"))
        yield Row(
            name=f"{pairs[0].paper}, {pairs[0].runs} runs", measured=inside, unit="s", peer="bare", peer_measured=bare,
            ratio=inside / bare,
        )  # fmt: skip


def _total(rounds: list[list[Pair]]) -> Row:
    inside = sum(min(pair.inside for pair in pairs) for pairs in zip(*rounds, strict=True))
    bare = sum(min(pair.bare for pair in pairs) for pairs in zip(*rounds, strict=True))
    added = 100 * (inside / bare - 1)
    return Row(
        name="added to all papers together", measured=added, unit="%", peer="bare",
        goal=f"measured <= {MOST_PERCENT:g}", met=added <= MOST_PERCENT, note=f"{inside:.1f} s over {bare:.1f} s",
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
