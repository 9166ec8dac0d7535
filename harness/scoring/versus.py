"""Conditions against each other, say people against agents: paired by paper, and whether that is enough to say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.scoring.compare import Comparison, hierarchical_bootstrap, paired_interval
from harness.scoring.standings import FEWEST_PAPERS, Entry

PAIRS = (("human", "agent"), ("human + assistant", "agent"), ("human + assistant", "human"))
"""Conditions that are compared: each with its own kind, never people with and without an assistant as one."""
REPETITIONS = 2000
"""Of the bootstrap; its limits move by about a fiftieth of the interval from one stream to another."""
Scores = Mapping[str, Sequence[float]]
"""By paper, of each attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """One condition against another, on the papers that both have attempted."""

    one: str
    two: str
    papers: tuple[str, ...]
    attempts: tuple[int, int]
    """On these papers."""
    participants: tuple[int, int]
    paired: Comparison | None
    """One minus two, Student's t over papers; None where there are too few papers to say."""
    bootstrap: Comparison | None
    """The same by resampling papers, and within them attempts."""
    said: str
    """What it says, or why it is too little to say anything."""

    @property
    def settled(self) -> bool:
        """Whether the t interval excludes 0."""
        paired = self.paired
        return bool(paired and paired.low is not None and paired.high is not None and paired.low * paired.high > 0)


def versus(entries: Iterable[Entry], suite: Sequence[str]) -> list[Versus]:
    """Every pair of conditions of which both sides have attempted something.

    Args:
        entries: Attempts; those on other papers, or under other conditions, count nothing.
        suite: Ids of the papers.
    """
    sides: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.paper in suite:
            sides[entry.condition].append(entry)
    return [_versus(one, sides[one], two, sides[two], suite) for one, two in PAIRS if sides[one] and sides[two]]


def _versus(one: str, ours: Sequence[Entry], two: str, theirs: Sequence[Entry], suite: Sequence[str]) -> Versus:
    first, second = _by_paper(ours), _by_paper(theirs)
    shared = tuple(paper for paper in suite if paper in first and paper in second)
    paired, drawn = _compared(first, second, shared)
    return Versus(
        one=one,
        two=two,
        papers=shared,
        attempts=(sum(len(first[paper]) for paper in shared), sum(len(second[paper]) for paper in shared)),
        participants=(_participants(ours, shared), _participants(theirs, shared)),
        paired=paired,
        bootstrap=drawn,
        said=_said(one, two, shared, paired),
    )


def _by_paper(entries: Iterable[Entry]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for entry in entries:
        found[entry.paper].append(entry.score)
    return dict(found)


def _participants(entries: Iterable[Entry], papers: Sequence[str]) -> int:
    return len({entry.who for entry in entries if entry.paper in papers})


def _compared(one: Scores, two: Scores, papers: Sequence[str]) -> tuple[Comparison | None, Comparison | None]:
    if len(papers) < FEWEST_PAPERS:
        return None, None
    ours, theirs = [one[paper] for paper in papers], [two[paper] for paper in papers]
    rng = np.random.default_rng(0)  # a fixed stream: the same records say the same tomorrow
    drawn = hierarchical_bootstrap(ours, theirs, rng=rng, repetitions=REPETITIONS)
    return paired_interval([np.mean(a) for a in ours], [np.mean(b) for b in theirs]), drawn


def _said(one: str, two: str, papers: Sequence[str], paired: Comparison | None) -> str:
    if paired is None or paired.low is None or paired.high is None:
        shared = f"{len(papers)} paper{'' if len(papers) == 1 else 's'}"
        return f"too few to say: both have attempted {shared}, and it takes {FEWEST_PAPERS}"
    if paired.low * paired.high <= 0:
        return f"too few to say: over {paired.papers} papers the difference may go either way"
    higher, lower = (one, two) if paired.difference > 0 else (two, one)
    return f"{higher} scores higher than {lower}, over {paired.papers} papers"
