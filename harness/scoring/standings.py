"""Where participants stand over a suite of papers: each paper's mean, the suite's, and the places they may have."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from harness.scoring.compare import best_at_k
from harness.scoring.student import quantile

if TYPE_CHECKING:
    from harness.scoring.finding import FloatArray  # it brings scipy with it

FEWEST_PAPERS = 4
"""Fewer say too little of how papers differ: the intervals over papers were simulated from 4 to 20 of them."""
_TIE = 1e-9
"""Differences below this are rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """An integrity gate that asks for an audit of an attempt; it moves neither score nor place."""

    gate: int
    """Its number in docs/scoring.md."""
    name: str
    detail: str
    """What was seen, and what to look at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one attempt counts."""

    attempt: str
    paper: str
    version: str | None
    """Of the paper, that scored it; None where it was withdrawn without a score."""
    participant: str
    kind: str
    condition: str
    score: float
    """In [0, 1]."""
    low: float
    """95 %, over the seed slots."""
    high: float
    coverage: float
    verdict: str
    """PASS, FAIL, UNDECIDED, WITHDRAWN, or REFUSED: what an agent left could not be taken in."""
    used: Mapping[str, float]
    """Of each item of the budget, as far as it is known: seconds, steps, tokens, dollars."""
    declared: float
    """Seconds of working time that only the participant has measured."""
    over_time: Mapping[float, float]
    """The score at shares of the working budget, as far as it is known."""
    at: str | None
    """When it was handed in: ISO 8601, in UTC."""
    verified: bool
    """Whether another rerun gave the same score of this commit by this version of the paper."""
    flags: tuple[Flag, ...] = ()

    @property
    def who(self) -> tuple[str, str, str]:
        """What makes a row of a leaderboard: a person alone and with an assistant are two."""
        return self.participant, self.kind, self.condition


@dataclass(frozen=True, slots=True, kw_only=True)
class OnPaper:
    """A row's attempts on one paper of the suite."""

    paper: str
    attempts: int
    value: float
    """The mean of their scores; 0 where there is none."""
    low: float | None
    """95 %: over attempts, or over the seed slots of the only one; None where there is none."""
    high: float | None
    best_at: Mapping[int, float]
    """The expected best of k attempts, for k = 2, 4, 8 and on, up to half of them."""
    verdicts: Mapping[str, int]
    coverage: float
    versions: tuple[str, ...]
    """Of the paper, that scored them; several do not compare."""
    flagged: int = 0
    """Attempts that a gate asks to audit."""
    flags: tuple[int, ...] = ()
    """Numbers of those gates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarter:
    """The suite's score at one share of the working budget."""

    share: float
    value: float | None
    """None where an attempted paper has no attempt whose score is known there."""
    attempts: int
    """Whose score is known there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A row of the leaderboard: one participant under one condition."""

    participant: str
    kind: str
    condition: str
    papers: tuple[OnPaper, ...]
    """Every paper of the suite, in its order."""
    value: float
    """The mean over the suite's papers, a missing one counted as 0."""
    low: float | None
    """95 %, over papers; None of a suite of one paper."""
    high: float | None
    coverage: float
    """Share of the suite that could be judged: a missing paper and a fault of ours lower it."""
    best_at: Mapping[int, float]
    """As on papers, for every k that each attempted paper has."""
    over_time: tuple[Quarter, ...]
    used: Mapping[str, float]
    """Over all attempts, as far as it is known."""
    per_point: Mapping[str, float]
    """What was used over all attempts, over the sum of their scores; without what is not known of every attempt."""
    declared: float
    last: str | None
    """When the last of the attempts was handed in, in UTC."""
    verified: int
    """Attempts."""
    ranks: tuple[int, int] | None = None
    """The places that it may have, with 95 % confidence; None where there are too few papers to say."""

    @property
    def attempts(self) -> int:
        """On papers of the suite."""
        return sum(on.attempts for on in self.papers)

    @property
    def flagged(self) -> int:
        """Attempts that a gate asks to audit."""
        return sum(on.flagged for on in self.papers)

    @property
    def flags(self) -> tuple[int, ...]:
        """Numbers of those gates."""
        return tuple(sorted({gate for on in self.papers for gate in on.flags}))

    @property
    def attempted(self) -> int:
        """Papers of the suite."""
        return sum(on.attempts > 0 for on in self.papers)


def standings(entries: Iterable[Entry], suite: Sequence[str]) -> list[Standing]:
    """A row a participant, kind and condition, the highest score first.

    Args:
        entries: Attempts; those on other papers count nothing.
        suite: Ids of the papers, at least one.
    """
    rows: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.paper in suite:
            rows[entry.who].append(entry)
    found = sorted((_standing(row, suite) for row in rows.values()), key=lambda row: (-row.value, row.participant))
    if not found:
        return []
    places = rank_ranges(np.array([[on.value for on in row.papers] for row in found]))
    return [replace(row, ranks=places[place] if places else None) for place, row in enumerate(found)]


def _standing(entries: Sequence[Entry], suite: Sequence[str]) -> Standing:
    by_paper: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_paper[entry.paper].append(entry)
    papers = tuple(_on_paper(paper, by_paper[paper]) for paper in suite)
    value, low, high = _mean([on.value for on in papers])
    participant, kind, condition = entries[0].who
    return Standing(
        participant=participant,
        kind=kind,
        condition=condition,
        papers=papers,
        value=value,
        low=low,
        high=high,
        coverage=sum(on.coverage for on in papers) / len(papers),
        best_at=_suite_best(papers),
        over_time=_over_time([by_paper[paper] for paper in suite]),
        used=_used(entries),
        per_point=_per_point(entries),
        declared=sum(entry.declared for entry in entries),
        last=max((entry.at for entry in entries if entry.at), default=None),
        verified=sum(entry.verified for entry in entries),
    )


def _on_paper(paper: str, entries: Sequence[Entry]) -> OnPaper:
    scores = [entry.score for entry in entries]
    value, low, high = _mean(scores)
    if len(entries) == 1:
        low, high = entries[0].low, entries[0].high
    return OnPaper(
        paper=paper,
        attempts=len(entries),
        value=value,
        low=low,
        high=high,
        best_at={k: best_at_k(scores, k) for k in _doublings(len(scores) // 2)},
        verdicts=dict(sorted(Counter(entry.verdict for entry in entries).items())),
        coverage=sum(entry.coverage for entry in entries) / len(entries) if entries else 0.0,
        versions=tuple(sorted({entry.version for entry in entries if entry.version})),
        flagged=sum(bool(entry.flags) for entry in entries),
        flags=tuple(sorted({flag.gate for entry in entries for flag in entry.flags})),
    )


def _mean(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """A mean of scores with Student's t interval, within [0, 1]."""
    n = len(values)
    if n < 2:
        return (values[0] if values else 0.0), None, None
    mean = sum(values) / n
    spread = (sum((value - mean) ** 2 for value in values) / (n - 1)) ** 0.5
    half = quantile(0.975, n - 1) * spread / n**0.5
    return mean, max(0.0, mean - half), min(1.0, mean + half)


def _doublings(most: int) -> list[int]:
    """2, 4, 8 and on.

    >>> _doublings(9)
    [2, 4, 8]
    """
    return [1 << power for power in range(1, most.bit_length())]


def _suite_best(papers: Sequence[OnPaper]) -> dict[int, float]:
    tried = [on for on in papers if on.attempts]
    shared = set.intersection(*(set(on.best_at) for on in tried))
    return {k: sum(on.best_at[k] for on in tried) / len(papers) for k in sorted(shared)}


def _over_time(papers: Sequence[Sequence[Entry]]) -> tuple[Quarter, ...]:
    shares = sorted({share for entries in papers for entry in entries for share in entry.over_time})
    return tuple(_quarter(share, papers) for share in shares)


def _quarter(share: float, papers: Sequence[Sequence[Entry]]) -> Quarter:
    known = [[entry.over_time[share] for entry in entries if share in entry.over_time] for entries in papers]
    unknown = any(entries and not scores for entries, scores in zip(papers, known, strict=True))
    value = sum(sum(scores) / len(scores) for scores in known if scores) / len(papers)
    return Quarter(share=share, value=None if unknown else value, attempts=sum(map(len, known)))


def _used(entries: Iterable[Entry]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for entry in entries:
        for item, amount in entry.used.items():
            total[item] += amount
    return dict(total)


def _per_point(entries: Sequence[Entry]) -> dict[str, float]:
    """A ratio of sums, so that a failed attempt costs what it cost; nothing where no attempt has scored."""
    points = sum(entry.score for entry in entries)
    known = set.intersection(*(set(entry.used) for entry in entries))
    return {item: sum(entry.used[item] for entry in entries) / points for item in sorted(known)} if points else {}


def rank_ranges(scores: FloatArray) -> list[tuple[int, int]] | None:
    """The places that each row may have: who is certainly better comes before, who is certainly worse after.

    Certain is a paired t interval over papers that excludes 0, at 95 % for all comparisons of a row together
    (Bonferroni), as confidence sets for ranks are made (Mogstad, Romano, Shaikh & Wilhelm 2024).

    Args:
        scores: Shape [rows, papers], missing papers 0.

    Returns:
        First and last place of each row; None with fewer than FEWEST_PAPERS papers.
    """
    rows, papers = scores.shape
    if papers < FEWEST_PAPERS:
        return None
    critical = quantile(1 - 0.025 / max(1, rows - 1), papers - 1) / papers**0.5
    ranges = []
    for row in scores:
        gaps = row - scores
        ahead = gaps.mean(axis=1)
        certain = np.abs(ahead) > critical * gaps.std(axis=1, ddof=1) + _TIE
        ranges.append((1 + int((certain & (ahead < 0)).sum()), rows - int((certain & (ahead > 0)).sum())))
    return ranges
