"""An agent's trajectory of 10 MB: from the proxy's journal, read back, and on the attempt's page.

Run `python benchmarks/trajectory.py [--json] [--repetitions N]`. An attempt at a trivial paper is made and scored; in
its folder a journal is laid of 200 requests, each of which says all that was said before, and 50 kB more. Then, in
turn: the trajectory from the journal, beside the journal's lines only parsed; the same from half the journal, which has
to take about half the time; the kept file read back; and the page drawn, with and without the trajectory.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import Row, Runs, in_turn, options, report
from benchmarks.trivial_paper import write_paper
from harness.config import compose, quoted
from harness.overtime import over_time
from harness.pipeline import attempt
from harness.proxy.exchange import JOURNAL, Exchange, Journal, Tokens, exchanges
from harness.report.dossier import open_dossier
from harness.report.page import draw_page
from harness.road import Road, quiet
from harness.trajectory.derive import derive
from harness.trajectory.keep import FILE, trajectory_of

REQUESTS, SIZE = 200, 50_000
DERIVED, HALF, PARSED = "journal to trajectory", "half the journal", "its lines parsed"
READ, PAGE, BARE = "the kept file read", "the page", "the page without"
MOST_S, MOST_PAGE_S, MOST_MB, MOST_RATIO = 1.0, 2.0, 1.5, 3.0


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    chosen = options(__doc__, repetitions=5).parse_args()
    with tempfile.TemporaryDirectory() as name:
        road = _scored(Path(name))
        _write(road, road.folder / JOURNAL, REQUESTS)
        _write(road, Path(name) / HALF, REQUESTS // 2)
        trajectory_of(road.desk)
        runs = in_turn(_things(road, Path(name) / HALF), chosen.repetitions)
        sizes = {
            "the journal": (road.folder / JOURNAL).stat().st_size,
            "the trajectory": (road.folder / FILE).stat().st_size,
            PAGE: len(draw_page(open_dossier(road.desk)).encode()),
        }
    rows = [*_times(runs), *_sizes(sizes)]
    return report(rows, versions={"requests": str(REQUESTS)}, as_json=chosen.json)


def _scored(folder: Path) -> Road:
    paper = write_paper(folder)
    words = [f"paper={quoted(paper)}", "participant=reference", f"results={quoted(folder / 'kept')}", "tracking=none"]
    [settings] = compose(words)
    road, _ = attempt(settings, tell=quiet)
    over_time(road)
    return road


def _write(road: Road, path: Path, count: int) -> None:
    """A journal of one conversation that grows."""
    journal, said = Journal(path, most=1 << 40), [{"role": "user", "content": "Read BRIEF.md and begin."}]
    for number in range(count):
        call = {"name": "shell", "arguments": json.dumps({"command": f"sed -n {number}p algorithm.py"})}
        answer = {"role": "assistant", "content": f"Step {number}: I look at the next lines.",
                  "tool_calls": [{"id": f"call-{number}", "type": "function", "function": call}]}  # fmt: skip
        at = road.attempt.started + timedelta(seconds=10 * number)
        journal.write(
            Exchange(
                number=number,
                at=at.isoformat(),
                seconds=2.0,
                format="chat",
                model="scripted",
                status=200,
                ended="done",
                request={"model": "scripted", "messages": said},
                answer={"choices": [{"message": answer}]},
                tokens=Tokens(input=20_000, output=100),
                dollars=0.02,
            )
        )
        back = f"{number:05} <a line of what came back & more>\n" * (SIZE // 38)
        said = [*said, answer, {"role": "tool", "tool_call_id": f"call-{number}", "content": back}]
    journal.close()


def _things(road: Road, half: Path) -> dict[str, Callable[[], object]]:
    def derived(path: Path) -> Callable[[], object]:
        return lambda: derive(exchanges(path), attempt=road.attempt.id, agent="agent", version="1")

    journal = road.folder / JOURNAL
    found = open_dossier(road.desk)
    return {
        DERIVED: derived(journal),
        HALF: derived(half),
        PARSED: lambda: [json.loads(line) for line in journal.open("rb")],
        READ: lambda: trajectory_of(road.desk),
        PAGE: lambda: draw_page(open_dossier(road.desk)),
        BARE: lambda: draw_page(replace(found, trajectory=None)),
    }


def _times(runs: Runs) -> Iterator[Row]:
    yield _row(runs, DERIVED, PARSED, most=MOST_S)
    ratio = runs.ratio(DERIVED, HALF)
    yield Row(
        name=DERIVED, measured=runs.median(DERIVED), least=runs.least(DERIVED), unit="s", peer=HALF, ratio=ratio,
        peer_measured=runs.median(HALF), peer_least=runs.least(HALF), goal=f"ratio <= {MOST_RATIO:g}",
        met=ratio <= MOST_RATIO,
    )  # fmt: skip
    yield _row(runs, READ, PARSED)
    yield _row(runs, PAGE, BARE, most=MOST_PAGE_S)


def _row(runs: Runs, name: str, peer: str, *, most: float | None = None) -> Row:
    took = runs.median(name)
    return Row(
        name=name, measured=took, least=runs.least(name), unit="s", peer=peer, peer_measured=runs.median(peer),
        peer_least=runs.least(peer), ratio=runs.ratio(name, peer),
        goal=None if most is None else f"measured <= {most:g}", met=None if most is None else took <= most,
    )  # fmt: skip


def _sizes(sizes: dict[str, int]) -> Iterator[Row]:
    for name, size in sizes.items():
        goal = f"measured <= {MOST_MB:g}" if name == PAGE else None
        met = size <= MOST_MB * 1e6 if goal else None
        yield Row(name=f"size of {name}", measured=size / 1e6, unit="MB", goal=goal, met=met)


if __name__ == "__main__":
    sys.exit(main())
