"""The timeline as the attempt's page shows it: bounded, every text escaped, and what is left out said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from markupsafe import Markup, escape

from harness.attempt.quarters import REPORTED
from harness.overtime import Point
from harness.paper.quantities import show_size
from harness.proxy.exchange import JOURNAL
from harness.report.dossier import Dossier
from harness.report.text import bearable, plain
from harness.report.timeline import Entry, beside, clock, entries_of, moments, summary
from harness.trajectory.tame import shortened

MOST_ENTRIES, MOST_CALLS = 600, 1500
MOST_BYTES = 1_200_000
"""Of the whole timeline, escaped, to a good estimate."""
_LEAST_BYTES = 200_000
"""Of its texts, however many entries there are."""
_ENTRY, _FOLD = 350, 400
"""Bytes that an entry and a folded text take without their texts."""
MOST_TEXT = 6000
"""Characters of one text; the more there are, the less of each is shown."""
_MOST_CALLS = 20
"""Of one step."""
_HEAD, _LABEL = 110, 40
"""Characters of the line that stands for what is folded, and of a function's name."""
_MOST_BESIDE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Folded:
    """A text behind a line that stands for it."""

    label: Markup
    head: Markup
    text: Markup
    back: Markup | None
    """What came back, to a call that something came back to."""
    note: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An entry as the page shows it."""

    kind: str
    clock: str
    time: str
    who: str
    number: str
    text: Markup
    folded: list[Folded]
    figures: str
    trouble: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Entries that are left out."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All of it."""

    summary: str
    notes: str
    beside: list[str]
    lines: list[Line | Gap]
    short: int
    """Texts that are shortened."""
    heard: bool
    """Whether a proxy of ours heard it; else it came with the attempt, from elsewhere."""
    reported: str
    """The file in which the agent tells of itself, with its size; empty where there is none."""


def timeline_of(found: Dossier) -> Timeline | None:
    """The timeline of an attempt; None where no model was asked."""
    if found.trajectory is None:
        return None
    began = found.attempt.started
    said = entries_of(found.trajectory, began=began)
    marks = list(moments(found.events, [*found.points, _final(found)], began=began, last=found.handed.ledger[0]))
    shown = _chosen(sorted([*said, *marks], key=lambda entry: entry.at))
    others = list(islice(beside(found.trajectory), _MOST_BESIDE + 1))
    if len(others) > _MOST_BESIDE:
        others[_MOST_BESIDE:] = ["and more"]
    most = _most_calls(shown)
    cut = _Cut(_largest(shown, most))
    return Timeline(
        summary=summary(found.trajectory),
        notes=found.trajectory.notes or "",
        beside=others,
        lines=[_line(entry, cut, most) if isinstance(entry, Entry) else entry for entry in shown],
        short=cut.short,
        heard=(found.folder.parents[1] / JOURNAL).exists(),
        reported=_reported(found.folder.parents[1]),
    )


def _reported(folder: Path) -> str:
    for path in sorted(folder.glob(f"{REPORTED}.*")):
        return f"{path.name}, {show_size(path.stat().st_size)}"
    return ""


def _final(found: Dossier) -> Point:
    """The score of what was handed in."""
    score = found.score
    return Point(
        share=1.0, commit=score.commit, verdict=score.verdict, score=score.score, slots=score.slots, problem=None
    )


def _chosen(entries: Sequence[Entry]) -> list[Entry | Gap]:
    """The first and the last entries, and between them commits."""
    if len(entries) <= MOST_ENTRIES:
        return list(entries)
    end = MOST_ENTRIES * 2 // 5
    middle = entries[end:-end]
    commits = [place for place, entry in enumerate(middle) if entry.kind == "commit"][: MOST_ENTRIES - 2 * end]
    return [*entries[:end], *_around(middle, commits), *entries[-end:]]


def _around(middle: Sequence[Entry], kept: Iterable[int]) -> Iterator[Entry | Gap]:
    last = 0
    for place in kept:
        if place > last:
            yield Gap(kind="gap", count=place - last)
        yield middle[place]
        last = place + 1
    if last < len(middle):
        yield Gap(kind="gap", count=len(middle) - last)


def _most_calls(shown: Sequence[Entry | Gap]) -> int:
    """Calls that each step may show."""
    calls = [len(entry.calls) for entry in shown if isinstance(entry, Entry)]
    most = _MOST_CALLS
    while most > 1 and sum(min(count, most) for count in calls) > MOST_CALLS:
        most -= 1
    return most


def _largest(shown: Sequence[Entry | Gap], calls: int) -> int:
    """Bytes that each text may have, so that all together keep within what the page may weigh."""
    sizes = sorted(_weight(text) for text in _texts(shown, calls))
    left = max(_LEAST_BYTES, MOST_BYTES - _ENTRY * len(shown) - _FOLD * len(sizes))
    for place, size in enumerate(sizes):
        share = left // (len(sizes) - place)
        if size > share:
            return share
        left -= size
    return MOST_BYTES


def _texts(shown: Iterable[Entry | Gap], calls: int) -> Iterator[str]:
    for entry in shown:
        if isinstance(entry, Entry):
            yield from filter(None, (entry.text, entry.thought))
            for call in entry.calls[:calls]:
                yield from filter(None, (call.asked, call.came_back))


def _weight(text: str) -> int:
    """Bytes that a text takes on the page."""
    return len(_escaped(shortened(text, MOST_TEXT)).encode())


class _Cut:
    """Shortens and escapes, and counts what it shortened."""

    def __init__(self, most: int) -> None:
        self._most = most
        """Bytes."""
        self.short = 0

    def __call__(self, text: str) -> Markup:
        most = MOST_TEXT
        if len(text) > self._most // 6 and (size := _weight(text)) > self._most:
            most = min(len(text), MOST_TEXT) * self._most // size
        made = shortened(text, most)
        self.short += made is not text
        return _escaped(made.strip("\n"))


def _line(entry: Entry, cut: _Cut, calls: int) -> Line:
    who = {"agent": "agent", "user": "told", "system": "instructions", "commit": "commit", "event": "harness"}
    folded = list(_folded(entry, cut, calls))
    loud = entry.kind in ("agent", "commit", "event") or entry.tone
    return Line(
        kind=entry.kind,
        clock=clock(entry.since),
        time=entry.at.isoformat(timespec="seconds"),
        who="harness" if entry.kind == "system" and entry.tone else who[entry.kind],
        number=entry.number,
        text=cut(entry.text) if loud else Markup(),
        folded=folded,
        figures=entry.figures,
        trouble=entry.trouble,
        tone=entry.tone,
    )


def _folded(entry: Entry, cut: _Cut, most: int) -> Iterator[Folded]:
    if entry.kind in ("user", "system") and not entry.tone:
        yield _fold("", entry.text, cut)
    if entry.thought:
        yield _fold("reasoning", entry.thought, cut)
    for call in entry.calls[:most]:
        note = f"began conversation {call.began}" if call.began else "failed" if call.failed else ""
        back = None if call.came_back is None else cut(call.came_back)
        size = "nothing came back" if call.came_back is None else _size(call.came_back)
        yield _fold(call.name, call.asked, cut, back=back, note=", ".join(filter(None, (note, size))), bad=call.failed)
    if len(entry.calls) > most:
        yield _fold("", f"{len(entry.calls) - most} more calls", cut)


def _fold(label: str, text: str, cut: _Cut, *, back: Markup | None = None, note: str = "", bad: bool = False) -> Folded:
    first = next((line for line in text[:2000].splitlines() if line.strip()), "").strip()
    return Folded(
        label=_line_of(label, _LABEL),
        head=_line_of(first, _HEAD),
        text=cut(text),
        back=back,
        note=note,
        tone="bad" if bad else "",
    )


def _line_of(text: str, most: int) -> Markup:
    """A short text; much shorter where escaping makes it long."""
    short = text if len(text) <= most else f"{text[: most - 1]}…"
    made = _escaped(short)
    return made if len(made) <= 2 * most else _escaped(f"{text[: most // 4]}…")


def _size(text: str) -> str:
    lines = text.count("\n") + 1 if text else 0
    return f"{lines:,} line{'s' if lines != 1 else ''} came back" if lines else "nothing to show came back"


def _escaped(text: str) -> Markup:
    return escape(plain(bearable(text)))
