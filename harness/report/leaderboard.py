"""The leaderboard: what it says of a suite, as JSON, as CSV, and in words; its page is made beside."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from harness.errors import UsageError, unknown
from harness.folders import find_papers
from harness.report.entries import OWN, Kept, LeftOut, Replaced, Waiting
from harness.report.text import inert
from harness.scoring.compare import Comparison
from harness.scoring.standings import FEWEST_PAPERS, Entry, Standing, standings
from harness.scoring.versus import Versus, versus

COSTS = ("working", "cpu", "env_steps", "tokens", "dollars")
"""What attempts cost: seconds, seconds, steps, tokens, dollars; null where nobody has measured it."""
_PRICED, _BESTS = ("working", "cpu", "tokens", "dollars"), (2, 4, 8)
"""Costs and best@k that have a column in CSV."""
_COLUMNS = (
    "participant", "kind", "condition", "rank_first", "rank_last", "suite_score", "suite_low", "suite_high",
    "paper", "attempts", "score", "low", "high", "coverage", "pass", "fail", "undecided", "withdrawn",
    "refused", "best_at_2", "best_at_4", "best_at_8", "paper_versions", "flagged", "flags", "working_s", "cpu_s",
    "tokens", "dollars", "working_s_per_point", "cpu_s_per_point", "tokens_per_point", "dollars_per_point",
    "suite_best_at_2", "suite_best_at_4", "suite_best_at_8", "verified", "last",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SuitePaper:
    """A paper of the suite, and by which of its versions it was scored."""

    paper: str
    attempts: int
    """Of people and agents, counted."""
    versions: Mapping[str, int]
    """Attempts by version of the paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A leaderboard, computed."""

    results: tuple[str, ...]
    suite: tuple[SuitePaper, ...]
    rows: tuple[Standing, ...]
    """People and agents."""
    own: tuple[Standing, ...]
    """The harness's own: reference, starter, mutations; never ranked."""
    versus: tuple[Versus, ...]
    waiting: tuple[Waiting, ...]
    replaced: tuple[Replaced, ...]
    """Attempts on the suite that ended by no fault of their participant; they count nothing."""
    left_out: tuple[LeftOut, ...]
    elsewhere: int
    """Attempts of people and agents on papers outside the suite."""
    flagged: tuple[Entry, ...]
    """Attempts on the suite that a gate asks to audit, the harness's own among them."""

    @property
    def papers(self) -> list[str]:
        """Ids, in the order of the columns."""
        return [paper.paper for paper in self.suite]


def board(kept: Kept, results: Sequence[Path], *, papers: Sequence[str] = ()) -> Board:
    """The leaderboard of some results.

    Args:
        kept: What they hold.
        results: Where, to be shown.
        papers: Which papers make the suite; all that are installed or were attempted unless said.

    Raises:
        UsageError: A paper that nobody knows, or none at all.
    """
    suite = _suite(kept, papers)
    own = [entry for entry in kept.entries if _is_own(entry)]
    others = [entry for entry in kept.entries if not _is_own(entry)]
    return Board(
        results=tuple(str(folder) for folder in results),
        suite=tuple(_suite_paper(paper, others) for paper in suite),
        rows=tuple(standings(others, suite)),
        own=tuple(standings(own, suite)),
        versus=tuple(versus(others, suite)),
        waiting=tuple(waiting for waiting in kept.waiting if waiting.paper in suite and not _is_own(waiting)),
        replaced=tuple(one for one in kept.replaced if one.paper in suite and not _is_own(one)),
        left_out=tuple(kept.left_out),
        elsewhere=sum(entry.paper not in suite for entry in others),
        flagged=tuple(entry for entry in kept.entries if entry.flags and entry.paper in suite),
    )


def flagged(found: Board, *, own: bool) -> list[Entry]:
    """The attempts that a gate asks to audit; with the harness's own only where these are shown."""
    return [entry for entry in found.flagged if own or not _is_own(entry)]


def _is_own(found: Entry | Waiting | Replaced) -> bool:
    return found.kind in OWN or found.condition == "harness"


def _suite(kept: Kept, papers: Sequence[str]) -> list[str]:
    known = {*find_papers(), *(entry.paper for entry in kept.entries), *(waiting.paper for waiting in kept.waiting)}
    for paper in papers:
        if paper not in known:
            raise unknown("paper", paper, known)
    if not known:
        raise UsageError("there is no paper to make a suite of", remedy="name their folder in REPROOF_PAPERS_PATH")
    return sorted(set(papers) or known)


def _suite_paper(paper: str, entries: Iterable[Entry]) -> SuitePaper:
    found = [entry for entry in entries if entry.paper == paper]
    versions = Counter(entry.version for entry in found if entry.version)
    return SuitePaper(paper=paper, attempts=len(found), versions=dict(sorted(versions.items())))


def facts(found: Board, *, own: bool) -> dict[str, Any]:
    """What `reproof leaderboard --json` prints.

    Args:
        found: The leaderboard.
        own: Whether the harness's own participants are shown too, apart.
    """
    return {
        "suite": {
            "papers": [asdict(paper) for paper in found.suite],
            "attempts": sum(row.attempts for row in found.rows),
            "results": list(found.results),
        },
        "rows": [_row(row, found.waiting, ranked=True) for row in found.rows],
        "own": [_row(row, (), ranked=False) for row in found.own] if own else [],
        "comparisons": {f"{side.one} - {side.two}": _side(side) for side in found.versus},
        "said": said(found),
        "notes": list(notes(found, own=own)),
        "flagged": [_flagged(entry) for entry in flagged(found, own=own)],
        "waiting": [asdict(waiting) for waiting in found.waiting],
        "replaced": [asdict(one) for one in found.replaced],
        "left_out": [asdict(left) for left in found.left_out],
    }


def _row(row: Standing, waiting: Iterable[Waiting], *, ranked: bool) -> dict[str, Any]:
    who = (row.participant, row.kind, row.condition)
    return {
        "participant": row.participant,
        "kind": row.kind,
        "condition": row.condition,
        "ranks": list(row.ranks) if row.ranks and ranked else None,
        "papers": {on.paper: _on_paper(on) for on in row.papers},
        "score": {"value": row.value, "low": row.low, "high": row.high},
        "coverage": row.coverage,
        "attempts": row.attempts,
        "best_at": {str(k): value for k, value in row.best_at.items()},
        "over_time": [asdict(quarter) for quarter in row.over_time],
        "cost": {**{item: row.used.get(item) for item in COSTS}, "declared_working": row.declared},
        "per_point": {item: row.per_point.get(item) for item in COSTS},
        "verified": row.verified,
        "flagged": row.flagged,
        "flags": list(row.flags),
        "last": row.last,
        "waiting": dict(Counter(item.why for item in waiting if item.who == who)),
    }


def _on_paper(on: Any) -> dict[str, Any]:
    return {
        "attempts": on.attempts,
        "score": {"value": on.value, "low": on.low, "high": on.high},
        "best_at": {str(k): value for k, value in on.best_at.items()},
        "verdicts": dict(on.verdicts),
        "coverage": on.coverage,
        "versions": list(on.versions),
        "flagged": on.flagged,
        "flags": list(on.flags),
    }


def _flagged(entry: Entry) -> dict[str, Any]:
    who = {"participant": entry.participant, "kind": entry.kind, "condition": entry.condition}
    return {"attempt": entry.attempt, "paper": entry.paper, **who, "flags": [asdict(flag) for flag in entry.flags]}


def _side(side: Versus) -> dict[str, Any]:
    return {
        "papers": list(side.papers),
        "attempts": list(side.attempts),
        "participants": list(side.participants),
        "paired": _interval(side.paired),
        "bootstrap": _interval(side.bootstrap),
        "settled": side.settled,
        "said": side.said,
    }


def _interval(found: Comparison | None) -> dict[str, Any] | None:
    return None if found is None else {"difference": found.difference, "low": found.low, "high": found.high}


def said(found: Board) -> str:
    """Who is first, if that can be said."""
    if not found.rows:
        return "nobody's attempt is scored yet"
    if len(found.rows) == 1:
        return "there is nobody to compare with"
    if found.rows[0].ranks is None:
        papers = "one paper" if len(found.suite) == 1 else f"{len(found.suite)} papers"
        return f"too few to say who is ahead: the suite has {papers}, and places need {FEWEST_PAPERS}"
    first = [row for row in found.rows if row.ranks and row.ranks[0] == 1]
    if len(first) == 1:
        return f"{first[0].participant} ({first[0].condition}) is first"
    return f"too few to say who is first: any of {len(first)} may be, of {len(found.rows)}"


def notes(found: Board, *, own: bool) -> Iterator[str]:
    """What a reader has to know besides the rows."""
    for paper in found.suite:
        if len(paper.versions) > 1:
            yield (
                f"scores of {paper.paper} are by {len(paper.versions)} versions of it, which do not compare: "
                f"`reproof rescore --paper {paper.paper}` brings them together"
            )
    waiting = Counter(item.why for item in found.waiting)
    if waiting:
        yield "not counted yet: " + ", ".join(f"{count} {why}" for why, count in sorted(waiting.items()))
    if found.replaced:
        faults = Counter("of ours" if one.fault == "harness" else "of the model's provider" for one in found.replaced)
        yield "not counted, ended by no fault of the participant: " + ", ".join(
            f"{_attempts(count)} by a fault {whose}" for whose, count in sorted(faults.items())
        )
    if found.elsewhere:
        yield f"{_attempts(found.elsewhere)} on papers outside the suite"
    if not own and (tried := sum(row.attempts for row in found.own)):
        yield f"{_attempts(tried)} of the harness's own (reference, starter, mutations): --all shows them, apart"
    for left in found.left_out:
        yield f"left out: {left.attempt}: {left.problem}"


def _attempts(count: int) -> str:
    return "1 attempt" if count == 1 else f"{count} attempts"


def as_csv(found: Board, *, own: bool) -> str:
    """One line a row and paper of the suite, empty where nothing is known; no text becomes a formula."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in (*found.rows, *(found.own if own else ())):
        ranks = row.ranks if row in found.rows else None
        for on in row.papers:
            writer.writerow(map(_cell, (*_head(row, ranks), *_cells(on), *_tail(row))))
    return text.getvalue()


def _head(row: Standing, ranks: tuple[int, int] | None) -> list[object]:
    return [row.participant, row.kind, row.condition, *(ranks or (None, None)), row.value, row.low, row.high]


def _cells(on: Any) -> list[object]:
    verdicts = [on.verdicts.get(verdict, 0) for verdict in ("PASS", "FAIL", "UNDECIDED", "WITHDRAWN", "REFUSED")]
    interval = [on.value, on.low, on.high, on.coverage]
    flags = [on.flagged, " ".join(map(str, on.flags))]
    return [on.paper, on.attempts, *interval, *verdicts, *map(on.best_at.get, _BESTS), " ".join(on.versions), *flags]


def _tail(row: Standing) -> list[object]:
    used, each = ([of.get(item) for item in _PRICED] for of in (row.used, row.per_point))
    return [*used, *each, *map(row.best_at.get, _BESTS), row.verified, row.last]


def _cell(value: object) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else inert(str(value))
