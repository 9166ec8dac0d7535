"""How a leaderboard's figures are worded, the same on a terminal and on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.paper.quantities import show_seconds
from harness.scoring.standings import OnPaper, Standing

_SIGNS = {"PASS": "✔", "FAIL": "✘", "UNDECIDED": "?", "WITHDRAWN": "∅"}


def interval(value: float, low: float | None, high: float | None) -> str:
    """A figure with its limits, if they are known.

    >>> interval(0.5, 0.25, 0.75), interval(0.5, None, None)
    ('0.500 [0.250, 0.750]', '0.500')
    """
    return f"{value:.3f} {limits(low, high)}".rstrip()


def limits(low: float | None, high: float | None) -> str:
    """An interval; nothing where it is not known."""
    return "" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"


def places(row: Standing) -> str:
    """The places that a row may have: `2–5`; a dash where nobody can say."""
    if row.ranks is None:
        return "–"
    first, last = row.ranks
    return f"{first}" if first == last else f"{first}–{last}"


def verdicts(on: OnPaper) -> str:
    """How the attempts on a paper ended, in short: a word for one, signs for several."""
    if on.attempts == 1:
        return next(iter(on.verdicts))
    return " ".join(f"{count}{_SIGNS.get(verdict, verdict)}" for verdict, count in on.verdicts.items())


def audits(flagged: int, attempts: int, flags: Sequence[int]) -> str:
    """How many attempts are flagged for an audit, and by which gates; nothing where none is.

    >>> audits(2, 5, (3, 5)), audits(1, 1, (5,)), audits(0, 3, ())
    ('⚑ 2 of 5 flagged for an audit: gates 3, 5', '⚑ flagged for an audit: gate 5', '')
    """
    if not flagged:
        return ""
    count = f"{flagged} of {attempts} " if attempts > 1 else ""
    return f"⚑ {count}flagged for an audit: {gates(flags)}"


def gates(numbers: Sequence[int]) -> str:
    """Integrity gates by number.

    >>> gates((3, 5)), gates((5,))
    ('gates 3, 5', 'gate 5')
    """
    return f"gate{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"


def bests(best_at: Mapping[int, float]) -> list[str]:
    """The expected best of k attempts, for every k."""
    return [f"best of {k}: {value:.3f}" for k, value in best_at.items()]


def costs(row: Standing) -> list[str]:
    """Working and CPU time, as far as they are known."""
    words = {"working": "work", "cpu": "CPU"}
    return [f"{show_seconds(row.used[item])} {word}" for item, word in words.items() if item in row.used]
