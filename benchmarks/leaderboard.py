"""How long `reproof leaderboard` takes for a thousand attempts, and how that grows to ten thousand.

Run `python benchmarks/leaderboard.py [--json] [--repetitions N] [--most ATTEMPTS]`. Attempts are hand-made through the
real records, each with 30 leaves, a ledger, a submission and its score over time; four papers, a participant for every
twenty attempts. Whole commands are timed, the interpreter's start and imports included. Beside them stand a bare
interpreter's start and `reproof attempts`, which reads every score with all of its leaves validated. No other
harness's leaderboard reads attempts from files.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.made_attempts import LEAVES, fill
from benchmarks.measuring import Row, Runs, command, compared, in_turn, options, ours, report

PAPERS = ("differentiable_simulators", "open_loop", "persistent_es", "tree_search")
SIZES = (100, 1000, 10_000)
GOAL_SIZE, MOST_MS = 1000, 1000.0
BARE, LIST = "python -c pass", "reproof attempts"


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    parser = options(__doc__, repetitions=7)
    parser.add_argument(
        "--most", type=int, default=SIZES[-1], help="attempts in the largest folder (default %(default)s)"
    )
    chosen = parser.parse_args()
    sizes = [size for size in SIZES if size <= chosen.most]
    with tempfile.TemporaryDirectory() as name:
        for size in sizes:
            fill(Path(name, str(size)), size, PAPERS, participants=max(6, size // 20))
        runs = in_turn(_commands(Path(name), sizes), chosen.repetitions)
    rows = [*_rows(runs, sizes), compared(_json(sizes[0]), runs, _json(sizes[0]), BARE)]
    if GOAL_SIZE in sizes:
        rows.append(compared(_json(GOAL_SIZE), runs, _json(GOAL_SIZE), LIST))
    return report(rows, versions={"leaves an attempt": str(LEAVES)}, as_json=chosen.json)


def _json(size: int) -> str:
    return f"leaderboard --json, {size} attempts"


def _page(size: int) -> str:
    return f"leaderboard --page, {size} attempts"


def _commands(folder: Path, sizes: list[int]) -> dict[str, Callable[[], object]]:
    found: dict[str, Callable[[], object]] = {BARE: command(sys.executable, "-c", "pass", cwd=folder)}
    for size in sizes:
        words = ("leaderboard", "--results", str(size))
        found[_json(size)] = command(ours("reproof"), *words, "--json", cwd=folder)
        found[_page(size)] = command(ours("reproof"), *words, "--json", "--page", "board.html", cwd=folder)
    if GOAL_SIZE in sizes:
        found[LIST] = command(ours("reproof"), "attempts", "--results", str(GOAL_SIZE), "--json", cwd=folder)
    return found


def _rows(runs: Runs, sizes: list[int]) -> Iterator[Row]:
    for size in sizes:
        for name in (_json(size), _page(size)):
            measured, goal = 1e3 * runs.median(name), size == GOAL_SIZE
            yield Row(
                name=name, measured=measured, unit="ms", least=1e3 * runs.least(name),
                goal=f"measured <= {MOST_MS:g}" if goal else None, met=measured <= MOST_MS if goal else None,
                note=f"{1e3 * measured / size:.0f} us an attempt",
            )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
