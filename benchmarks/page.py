"""The attempt's page: how long it takes to make, and how large it is, for the paper with the most leaves.

Run `python benchmarks/page.py [--json] [--repetitions N]`. The reference's attempt at `differentiable_simulators` (34
leaves) is made once, which takes a minute. Then, in turn: the page as a warm function (records read, pictures drawn,
file written), with and without two curves for matplotlib to draw, which the paper has none of; the imports alone, each
in a fresh interpreter; and `reproof report` as a whole command, with its imports, beside `import mlflow`, which whoever
opens the same attempt in MLflow's own pages waits for first.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import Row, Runs, command, compared, in_turn, options, ours, report
from harness.config import compose, quoted
from harness.overtime import over_time
from harness.pipeline import attempt
from harness.report.dossier import Dossier, open_dossier
from harness.report.page import draw_page, write_page
from harness.rerun.measure import Measurement
from harness.road import Road, quiet

PAPER = "differentiable_simulators"
WARM, CURVES = "the page, warm", "the same with two curves"
IMPORTS, PLOTTING = "import harness.report.page", "import matplotlib's SVG"
WHOLE, BARE, MLFLOW = "reproof report", "python -c pass", "import mlflow"
MOST_S, MOST_MB = 1.0, 2.0


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    chosen = options(__doc__, repetitions=7).parse_args()
    with tempfile.TemporaryDirectory() as name:
        road = _scored(Path(name))
        found = with_curves(open_dossier(road.desk, paper=road.paper))
        runs = in_turn(_commands(road, found), chosen.repetitions)
        sizes = {WARM: write_page(road.desk).stat().st_size, CURVES: len(draw_page(found).encode())}
    rows = [*_times(runs), *_sizes(sizes)]
    versions = {name: version(name) for name in ("matplotlib", "Jinja2", "mlflow")}
    return report(rows, versions={**versions, "leaves": str(len(found.score.claims))}, as_json=chosen.json)


def _scored(folder: Path) -> Road:
    """The reference's attempt, scored, with its score over time."""
    words = [f"paper={PAPER}", "participant=reference", f"results={quoted(folder / 'kept')}", "tracking=none"]
    [settings] = compose(words)
    road, _ = attempt(settings, tell=quiet)
    over_time(road)
    return road


def with_curves(found: Dossier) -> Dossier:
    """The same attempt with two metrics that are curves, of 100 points over 10 slots, on both sides."""
    like = found.measured[0]
    made = [_curve(like, name, who, slot) for name in "ab" for who in ("submission", "reference") for slot in range(10)]
    return replace(found, measured=[*found.measured, *made])


def _curve(like: Measurement, name: str, author: str, slot: int) -> Measurement:
    points = [[float(x), (1 + 0.1 * slot) / x] for x in range(1, 101)]
    return like.model_copy(update={"metric": f"curve_{name}", "author": author, "slot": slot + 1, "value": points})


def _commands(road: Road, found: Dossier) -> dict[str, Callable[[], object]]:
    draw = "import matplotlib.figure, matplotlib.backends.backend_svg"
    os.environ["MPLBACKEND"] = "svg"
    words = (ours("reproof"), "report", road.attempt.id, "--results", str(road.store.root))
    return {
        WARM: lambda: write_page(road.desk, paper=road.paper),
        CURVES: lambda: draw_page(found),
        IMPORTS: command(sys.executable, "-c", IMPORTS),
        PLOTTING: command(sys.executable, "-c", draw),
        WHOLE: command(*words),
        MLFLOW: command(sys.executable, "-c", MLFLOW),
        BARE: command(sys.executable, "-c", "pass"),
    }


def _times(runs: Runs) -> Iterator[Row]:
    for name in (WARM, CURVES, WHOLE):
        took = runs.median(name)
        least, goal = runs.least(name), f"measured <= {MOST_S:g}"
        yield Row(name=name, measured=took, least=least, unit="s", goal=goal, met=took <= MOST_S)
    yield compared(WHOLE, runs, WHOLE, MLFLOW, unit="s", scale=1.0)
    for name in (IMPORTS, PLOTTING):
        yield compared(name, runs, name, BARE, unit="s", scale=1.0)


def _sizes(sizes: dict[str, int]) -> Iterator[Row]:
    for name, size in sizes.items():
        goal = f"measured <= {MOST_MB:g}"
        yield Row(name=f"size of {name}", measured=size / 1e6, unit="MB", goal=goal, met=size <= MOST_MB * 1e6)


if __name__ == "__main__":
    sys.exit(main())
