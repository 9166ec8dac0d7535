"""Score over time: what the workspace's history would have earned at each quarter of the working budget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.attempt.budget import Mark, account
from harness.errors import SubmissionError
from harness.handing_in import commit_road
from harness.pipeline import kept_score, rerun, score
from harness.record.store import Record, write
from harness.road import Road, quiet
from harness.scoring.score import Score, Worth

QUARTERS = (0.25, 0.5, 0.75, 1.0)
FILE = "over_time.json"
"""In the submission's folder."""


class Point(Record):
    """The score of the commit that stood at one share of the working budget."""

    share: float
    """Of the working budget."""
    commit: str
    verdict: str | None
    """None where the commit could not be scored; `problem` says why."""
    score: Worth | None
    slots: int
    problem: str | None


class OverTime(Record):
    """The score at each quarter of the budget."""

    points: list[Point]


def commits_at(marks: Iterable[Mark], *, start: str, last: str, budget: float) -> dict[float, str]:
    """The commit that the harness had last seen by each quarter of a budget.

    What was seen, and not what a commit says of its own time, counts; the last quarter is the submission's.

    >>> seen = [Mark(commit="a", who="ada", working=10.0), Mark(commit="b", who="ada", working=60.0)]
    >>> commits_at(seen, start="start", last="b", budget=100.0)
    {0.25: 'a', 0.5: 'a', 0.75: 'b', 1.0: 'b'}
    """
    seen = sorted(marks, key=lambda mark: mark.working)
    by = {
        share: next((mark.commit for mark in reversed(seen) if mark.working <= share * budget), start)
        for share in QUARTERS
    }
    return {**by, QUARTERS[-1]: last}


def over_time(road: Road, *, rerunning: bool = True) -> OverTime:
    """Rerun and score what stood at each quarter of the budget, and keep it beside the score of the last commit.

    Commits before the last one fill the seed slots of the first look only: their intervals are wider.

    Args:
        road: The attempt, its latest submission scored.
        rerunning: False scores again what was rerun before, and nothing else.
    """
    with road.desk.alone("score over time", road.tell):
        return _over_time(road.settled(), rerunning)


def _over_time(road: Road, rerunning: bool) -> OverTime:
    handed, budget = road.submission(), road.attempt.budget
    before = [event for event in road.desk.events() if event.number <= handed.ledger[0]]
    marks = account(before, budget, now=before[-1].moment).marks
    commits = commits_at(marks, start=road.attempt.start_commit, last=handed.commit, budget=budget.working)
    known = {commit: _scored(road, commit, rerunning) for commit in dict.fromkeys(commits.values())}
    done = OverTime(points=[known[commit].model_copy(update={"share": share}) for share, commit in commits.items()])
    write(road.records / FILE, done)
    return done


def _scored(road: Road, commit: str, rerunning: bool) -> Point:
    """One commit's point; its share is filled in later."""
    try:
        there = commit_road(road, commit)
    except SubmissionError as error:
        problem = f"it is not in the history that was handed in ({error.message})"
        return Point(share=0.0, commit=commit, verdict=None, score=None, slots=0, problem=problem)
    kept = kept_score(there.records)
    if kept is not None and kept.paper_version == road.paper.version:
        return _point(kept)
    silently = replace(there, tell=quiet)
    if rerunning:
        road.tell(f"score over time: commit {commit[:12]}")
        rerun(silently, slots="first")
    elif not (there.records / "rerun.json").exists():
        return Point(share=0.0, commit=commit, verdict=None, score=None, slots=0, problem="it was not rerun yet")
    return _point(score(silently, again=not rerunning))


def _point(found: Score) -> Point:
    return Point(
        share=0.0,
        commit=found.commit,
        verdict=found.verdict,
        score=found.score,
        slots=found.slots,
        problem=None,
    )
