"""The timeline on a terminal: a line a step, or one step whole; nothing in it is obeyed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from harness.report.text import inline, plain
from harness.report.timeline import Entry, beside, clock, summary
from harness.trajectory.atif import Trajectory

_WIDE = 100
"""Characters of a line's text."""


def trajectory_lines(found: Trajectory, entries: Iterable[Entry]) -> Iterator[str]:
    """A line a step and a call, after a summary."""
    yield summary(found)
    yield from (f"conversation {line}" for line in beside(found))
    if found.notes:
        yield f"note: {inline(found.notes)}"
    yield ""
    for entry in entries:
        yield f"{clock(entry.since):>8} {entry.number:>7} {entry.kind:7} {_head(entry.text or entry.thought)}".rstrip()
        for call in entry.calls:
            yield f"{'':24} {inline(call.name)[:40]}: {_head(call.asked)}{_came_back(call.came_back)}"
        if entry.trouble:
            yield f"{'':24} {inline(entry.trouble)[:_WIDE]}"


def step_lines(entry: Entry) -> Iterator[str]:
    """One step, whole."""
    yield f"step {entry.number} · {entry.kind} · {clock(entry.since)} · {entry.at:%Y-%m-%d %H:%M:%S} UTC"
    yield from filter(None, (entry.figures, inline(entry.trouble)))
    if entry.copied:
        yield "the agent's program put this into the model's mouth"
    yield from _block("reasoning", entry.thought)
    yield from _block("", entry.text)
    for call in entry.calls:
        yield from _block(f"calls {inline(call.name)}", call.asked)
        yield from _block("failed" if call.failed else "came back", call.came_back)


def _block(title: str, text: str | None) -> Iterator[str]:
    if text:
        yield ""
        yield from [f"--- {title}"] if title else []
        yield plain(text)


def _head(text: str) -> str:
    line = inline(" ".join(text[: 4 * _WIDE].split()))
    return line if len(line) <= _WIDE else f"{line[: _WIDE - 1]}…"


def _came_back(text: str | None) -> str:
    return "" if text is None else f"  → {text.count(chr(10)) + 1 if text else 0:,} lines"
