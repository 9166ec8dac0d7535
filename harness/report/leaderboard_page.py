"""The leaderboard's page: its rows worded, and its pictures as coordinates that the template draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from harness.paper.quantities import show_seconds
from harness.report.html import render
from harness.report.leaderboard import Board, flagged, notes, said
from harness.report.wording import SHOW, audits, bests, costs, gates, interval, limits, per_point, places
from harness.scoring.standings import OnPaper, Standing
from harness.scoring.versus import Versus

MARKED = 8
"""Rows that have a sign of their own in the pictures; the others are grey dots."""
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640.0, 300.0, 44.0, 16.0, 12.0, 40.0
"""Of a picture, and of its margins, in its own units."""
_BAR = 100.0
"""Width of a score's bar."""
_DECADES = tuple(figure * 10.0**power for power in range(-3, 12) for figure in (1, 3))
_AXES = {
    "working": ("working time", (1, 10, 60, 300, 900, 3600, 7200, 14_400, 28_800, 86_400, 259_200)),
    "tokens": ("tokens", _DECADES),
    "dollars": ("dollars", _DECADES),
}
"""What a score is drawn over: what it is called, and where its logarithmic axis may have a tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A row's score in a picture, with the line of its interval."""

    x: float
    y: float
    low: float
    high: float
    mark: int | None
    """The number of its sign; None: a grey dot."""
    title: str


def leaderboard_page(found: Board, *, own: bool, made: datetime) -> str:
    """The whole page: one file that sorts and filters itself.

    Args:
        found: The leaderboard.
        own: Whether the harness's own participants are shown too, apart.
        made: When, in UTC.
    """
    rows = list(found.rows)
    shown = {
        "suite": found.suite,
        "results": found.results,
        "attempts": sum(row.attempts for row in rows),
        "made": f"{made:%Y-%m-%d %H:%M} UTC",
        "said": said(found),
        "notes": list(notes(found, own=own)),
        "rows": [_row(row, place) for place, row in enumerate(rows)],
        "own": [_row(replace(row, ranks=None), place) for place, row in enumerate(found.own)] if own else [],
        "versus": [_versus(side) for side in found.versus],
        "marked": [{"mark": mark, "name": _name(row)} for mark, row in enumerate(rows[:MARKED])],
        "frame": _frame(),
        "time": _time(rows),
        "drawn": [drawn for item in _AXES if (drawn := _cost(rows, item))["spots"]],
        "priced": _priced(rows),
        "flagged": flagged(found, own=own),
        "waiting": found.waiting,
    }
    return render("leaderboard.html", shown, script="leaderboard.js")


def _priced(rows: Sequence[Standing]) -> str:
    """By which cost a point's price is sorted: money where any row's is known."""
    known = {item for row in rows for item in row.per_point}
    return next((item for item in ("dollars", "tokens", "cpu") if item in known), "cpu")


def _name(row: Standing) -> str:
    return f"{row.participant} ({row.condition})"


def _row(row: Standing, place: int) -> dict[str, Any]:
    return {
        "row": row,
        "mark": place if place < MARKED else None,
        "places": places(row),
        "first": row.ranks[0] if row.ranks else place + 1,
        "limits": limits(row.low, row.high),
        "bar": _bar(row),
        "papers": [_on_paper(on) for on in row.papers],
        "best": bests(row.best_at),
        "cost": costs(row),
        "each": per_point(row),
        "declared": show_seconds(row.declared) if row.declared else "",
        "flags": audits(row.flagged, row.attempts, row.flags),
        "working": row.used.get("working", 0.0),
        "quarters": {quarter.share: quarter for quarter in row.over_time},
    }


def _bar(row: Standing) -> dict[str, float]:
    low, high = (row.value if end is None else end for end in (row.low, row.high))
    return {"low": 4 + low * _BAR, "high": 4 + high * _BAR, "value": 4 + row.value * _BAR}


def _on_paper(on: OnPaper) -> dict[str, Any]:
    if not on.attempts:
        return {"paper": on.paper, "attempts": 0}
    judged = [f"{100 * on.coverage:.0f} % judged"] if on.coverage < 1 else []
    return {
        "paper": on.paper,
        "attempts": on.attempts,
        "value": on.value,
        "limits": limits(on.low, on.high),
        "lines": [_counted(on), *bests(on.best_at), *judged],
        "mixed": len(on.versions) > 1,
        "flags": f"⚑ flagged: {gates(on.flags)}" if on.flags else "",
    }


def _counted(on: OnPaper) -> str:
    """How the attempts ended, in words: a single one's verdict, or how many of each."""
    if on.attempts == 1:
        return next(iter(on.verdicts))
    return ", ".join(f"{count} {verdict}" for verdict, count in on.verdicts.items())


def _versus(side: Versus) -> dict[str, Any]:
    def words(of: Any) -> str:
        return "not computed" if of is None else f"{of.difference:+.3f} [{of.low:+.3f}, {of.high:+.3f}]"

    return {"side": side, "paired": words(side.paired), "bootstrap": words(side.bootstrap)}


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(score: float) -> float:
    return HEIGHT - BOTTOM - score * (HEIGHT - TOP - BOTTOM)


def _frame() -> dict[str, Any]:
    ticks = [{"y": _y(score), "text": f"{score:g}"} for score in (0.0, 0.25, 0.5, 0.75, 1.0)]
    edges = {"left": LEFT, "right": WIDTH - RIGHT, "bottom": HEIGHT - BOTTOM, "top": TOP}
    return {"width": WIDTH, "height": HEIGHT, "ticks": ticks, **edges}


def _time(rows: Sequence[Standing]) -> dict[str, Any]:
    """Score over the working budget: a line a marked row, through the quarters at which its score is known."""
    shares = sorted({quarter.share for row in rows for quarter in row.over_time})
    lines = [{"mark": mark, "title": _name(row), "points": _points(row)} for mark, row in enumerate(rows[:MARKED])]
    return {
        "shares": shares,
        "ticks": [{"x": _x(share), "text": f"{share:.0%}"} for share in shares],
        "lines": [line for line in lines if line["points"]],
    }


def _points(row: Standing) -> list[tuple[float, float]]:
    return [(_x(quarter.share), _y(quarter.value)) for quarter in row.over_time if quarter.value is not None]


def _cost(rows: Sequence[Standing], item: str) -> dict[str, Any]:
    """Score over what an attempt used, which spans so much that its axis is logarithmic."""
    label, ticks = _AXES[item]
    known = {place: row.used[item] / row.attempts for place, row in enumerate(rows) if row.used.get(item)}
    if not known:
        return {"spots": []}
    logs = {place: math.log(max(ticks[0], spent)) for place, spent in known.items()}
    least, most = min(logs.values()), max(logs.values())
    room = max(most - least, 1.0) * 1.1
    start = (least + most - room) / 2
    spots = [_spot(rows[place], place, (logs[place] - start) / room, SHOW[item](known[place])) for place in known]
    return {
        "item": item,
        "label": label,
        "ticks": [{"x": _x(share), "text": SHOW[item](tick)} for tick, share in _ticks(ticks, start, room)],
        "spots": sorted(spots, key=lambda spot: spot.mark is not None),
    }


def _ticks(ticks: Sequence[float], start: float, room: float) -> Iterator[tuple[float, float]]:
    """The ticks that an axis shows, with their places on it."""
    for tick in ticks:
        if 0 <= (share := (math.log(tick) - start) / room) <= 1:
            yield tick, share


def _spot(row: Standing, place: int, share: float, spent: str) -> Spot:
    low, high = (row.value if end is None else end for end in (row.low, row.high))
    title = f"{_name(row)}: {interval(row.value, row.low, row.high)}, {spent} an attempt"
    mark = place if place < MARKED else None
    return Spot(x=_x(share), y=_y(row.value), low=_y(low), high=_y(high), mark=mark, title=title)
