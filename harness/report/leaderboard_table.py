"""The leaderboard as a terminal shows it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.report.console import show
from harness.report.leaderboard import Board, flagged, notes, said
from harness.report.text import inline
from harness.report.wording import audits, bests, costs, interval, per_point, places, verdicts
from harness.scoring.standings import Entry, Standing


def print_board(found: Board, *, own: bool) -> None:
    """The whole leaderboard on standard output."""
    show(board_table(found, own=own))


def board_table(found: Board, *, own: bool) -> RenderableType:
    """The suite, a row a participant, the same paper by paper, conditions against each other, and what else to know."""
    return Group(*_parts(found, own))


def _parts(found: Board, own: bool) -> Iterator[RenderableType]:
    papers = ", ".join(f"{paper.paper} ({paper.attempts})" for paper in found.suite)
    yield Text(f"suite, with attempts on each paper: {inline(papers)}", style="bold")
    yield Text("score: mean over the suite's papers, a missing one 0; in brackets 95 % over papers", style="dim")
    yield from _rows(found.rows)
    if not found.rows:
        yield Text("no scored attempts of people or agents; begin with: reproof start tree_search --as NAME")
    if own and found.own:
        yield Text("\nthe harness's own, which try the papers and are not ranked", style="bold")
        yield from _rows([replace(row, ranks=None) for row in found.own])
    yield Text(f"\n{inline(said(found))}", style="bold")
    for side in found.versus:
        numbers = f": {interval(side.paired.difference, side.paired.low, side.paired.high)}" if side.paired else ""
        yield Text(f"{side.one} against {side.two}: {side.said}{numbers}")
    yield from _flagged(flagged(found, own=own))
    yield from (Text(inline(note), style="dim") for note in notes(found, own=own))


def _flagged(entries: Sequence[Entry]) -> Iterator[RenderableType]:
    """What an auditor should look at, attempt by attempt."""
    if entries:
        yield Text("\nflagged for an audit, which moves neither score nor place", style="bold")
    for entry in entries:
        yield Text(f"⚑ {inline(entry.attempt)}", style="yellow")
        for flag in entry.flags:
            yield Padding(
                Text(f"gate {flag.gate}, {inline(flag.name)}: {inline(flag.detail)}", style="dim"), (0, 0, 0, 2)
            )


def _rows(rows: Sequence[Standing]) -> Iterator[RenderableType]:
    """Two lines a row: where it stands, and how on each paper; narrow terminals have no room for a column a paper."""
    if rows:
        yield Text("")
        yield _line([Text(name, style="dim") for name in ("place", "participant", "score", "coverage", "verified")])
    for row in rows:
        yield _line(_cells(row))
        yield Padding(Text(" · ".join(_on_papers(row)), style="dim"), (0, 0, 0, 8))


def _line(cells: Sequence[Text]) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    for width in (7, None, 21, 8, 8):
        table.add_column(width=width, ratio=None if width else 1, overflow="fold")
    table.add_row(*cells)
    return table


def _cells(row: Standing) -> list[Text]:
    kind = "" if row.condition.startswith(row.kind) else f" {row.kind},"
    who = Text(inline(row.participant), style="bold") + Text(f" ({inline(f'{kind} {row.condition}').strip()})")
    score = Text(interval(row.value, row.low, row.high))
    return [Text(places(row)), who, score, Text(f"{row.coverage:.0%}"), Text(f"{row.verified} of {row.attempts}")]


def _on_papers(row: Standing) -> Iterator[str]:
    for on in row.papers:
        count = f" ×{on.attempts}" if on.attempts > 1 else ""
        if on.attempts:
            yield f"{inline(on.paper)} {on.value:.3f}{count} {verdicts(on)}"
    if missing := [inline(on.paper) for on in row.papers if not on.attempts]:
        yield f"missing: {', '.join(missing)}"
    yield from (*bests(row.best_at), *costs(row))
    if each := per_point(row):
        yield f"a point costs {', '.join(each)}"
    if flags := audits(row.flagged, row.attempts, row.flags):
        yield flags
