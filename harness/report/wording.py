"""How a leaderboard's figures are worded, the same on a terminal and on the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.paper.quantities import show_seconds
from harness.scoring.standings import OnPaper, Standing

_SIGNS = {"PASS": "✔", "FAIL": "✘", "UNDECIDED": "?", "WITHDRAWN": "∅", "REFUSED": "⊘"}


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
    """What all attempts have used, as far as it is known."""
    return [f"{SHOW[item](row.used[item])} {word}".rstrip() for item, word in _COSTS.items() if item in row.used]


def per_point(row: Standing) -> list[str]:
    """What a score of 1 has cost, as far as it is known; money and tokens before time."""
    return [
        f"{SHOW[item](row.per_point[item])} {_COSTS[item]}".rstrip()
        for item in ("dollars", "tokens", "cpu")
        if item in row.per_point
    ]


def dollars(amount: float) -> str:
    """Money, to the cent where that says something.

    >>> dollars(1234.5), dollars(0.0123), dollars(0)
    ('$1,234.50', '$0.012', '$0.00')
    """
    return f"${amount:.2g}" if 0 < amount < 0.1 else f"${amount:,.2f}"


def tokens(amount: float) -> str:
    """Tokens in short, three figures of them.

    >>> tokens(950), tokens(12_345), tokens(1_234_567), tokens(999_999)
    ('950', '12.3 k', '1.23 M', '1 M')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if amount >= size * 0.9995:
            return f"{amount / size:.3g} {unit}"
    return f"{amount:.0f}"


SHOW: dict[str, Callable[[float], str]] = {
    "working": show_seconds,
    "cpu": show_seconds,
    "tokens": tokens,
    "dollars": dollars,
}
_COSTS = {"working": "work", "cpu": "CPU", "tokens": "tokens", "dollars": ""}
