"""The score at each quarter of the budget, from a history with moments made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handmade import HOUR, Life, commit, git
from tiny_paper import STUB, WORK

from harness.attempt.budget import Mark
from harness.attempt.participant import Outcome
from harness.handing_in import commit_road, hand_in
from harness.overtime import FILE, OverTime, Point, commits_at, over_time
from harness.pipeline import rerun, score
from harness.record.store import read
from harness.road import HISTORY, Road

WORKFILE = "reproduction/work.py"
TODO = "    if parameters['method'] == 'noisy':\n        raise ValueError('to do')\n"
HALF = WORK.replace("    rng = random", f"{TODO}    rng = random")
DONE = Outcome(note="by hand", ended="submitted")
Begin = Callable[..., Road]


def lived(road: Road, steps: list[tuple[float, str | None]]) -> None:
    """Write a history into the ledger: what commit was seen after how many hours of one stretch of work."""
    life = Life()
    road.desk.note("resumed", at=life.now)
    before = 0.0
    for hours, seen in steps:
        life.works((hours - before) * HOUR)
        before = hours
        if seen is None:
            road.desk.note("paused", reason="night", at=life.now)
            life.sleeps(8 * HOUR)
            road.desk.note("resumed", at=life.now)
        else:
            road.desk.note("committed", commit=seen, at=life.now)
    road.desk.note("paused", reason="done", at=life.now)


def growing(road: Road) -> list[str]:
    """A stub, half of it, all of it."""
    texts = (STUB + "\n# mine\n", HALF, WORK)
    return [commit(road.workspace, {WORKFILE: text}, f"step {number}") for number, text in enumerate(texts)]


@pytest.fixture(scope="module")
def scored(begin: Begin, answered: Callable[[Road], Road]) -> tuple[Road, list[str], OverTime]:
    road = begin(wall=1e6)
    first, second, third = growing(road)
    lived(road, [(0.1, first), (0.3, None), (0.4, second), (0.7, third), (0.9, third)])
    hand_in(road, DONE)
    answered(road)
    rerun(road)
    score(road)
    return road, [first, second, third], over_time(road)


def test_the_score_rises_with_the_history(scored: tuple[Road, list[str], OverTime]) -> None:
    road, (first, second, third), found = scored
    assert [(point.share, point.commit) for point in found.points] == [
        (0.25, first), (0.5, second), (0.75, third), (1.0, third)
    ]  # fmt: skip
    worth = [point.score.value for point in found.points if point.score]
    assert worth[0] == 0
    assert 0.1 < worth[1] < 0.6
    assert worth[2] == worth[3] > 0.95
    assert [point.verdict for point in found.points] == ["FAIL", "FAIL", "PASS", "PASS"]
    assert all(point.problem is None for point in found.points)
    assert read(road.records / FILE, OverTime) == found


def test_a_commit_on_the_way_keeps_its_records_apart(scored: tuple[Road, list[str], OverTime]) -> None:
    road, (first, second, third), _ = scored
    assert sorted(path.name for path in (road.records / HISTORY).iterdir()) == sorted([first, second])
    there = commit_road(road, second)
    assert there.submission().commit == second
    assert there.private == road.private, "another commit is scored on the same plan"
    assert commit_road(road, third) is road
    assert road.submission().commit == third
    assert len(road.desk.submissions) == 1


def test_what_is_scored_already_is_not_scored_again(scored: tuple[Road, list[str], OverTime]) -> None:
    road, _, found = scored
    before = len(road.desk.events())
    assert over_time(road) == found
    assert len(road.desk.events()) == before


def test_the_start_counts_where_nothing_was_committed(begin: Begin) -> None:
    road = begin()
    hand_in(road, DONE)
    known = commits_at(road.desk.account().marks, start=road.attempt.start_commit, last="last", budget=3600)
    assert list(known.values()) == [road.attempt.start_commit] * 3 + ["last"]
    assert commit_road(road, road.attempt.start_commit).submission().commit == road.attempt.start_commit


def test_a_commit_that_was_rebased_away_has_no_score_and_ends_nothing(
    begin: Begin, answered: Callable[[Road], Road]
) -> None:
    road = begin(wall=1e6)
    gone = commit(road.workspace, {"notes.txt": "never mind"}, "to be forgotten")
    git(road.workspace, "reset", "-q", "--hard", road.attempt.start_commit)
    last = commit(road.workspace, {WORKFILE: WORK}, "all of it")
    lived(road, [(0.2, gone), (0.6, last)])
    hand_in(road, DONE)
    answered(road)
    rerun(road)
    score(road)
    quarter, half, three, whole = over_time(road).points
    assert (quarter.commit, quarter.score, quarter.verdict) == (gone, None, None)
    assert "not in the history that was handed in" in (quarter.problem or "")
    assert (half.commit, half.problem) == (gone, quarter.problem)
    assert (three.commit, three.verdict) == (whole.commit, whole.verdict) == (last, "PASS")


def test_work_after_the_submission_is_not_part_of_its_curve(begin: Begin, answered: Callable[[Road], Road]) -> None:
    # Once: over_time reads the marks of the whole ledger, also those seen after the submission: their commits are not
    # in its bundle, and points turn into "not in the history" when somebody works on and the rerun is repeated.
    road = begin(wall=1e6)
    last = commit(road.workspace, {WORKFILE: WORK}, "all of it")
    lived(road, [(0.1, last), (0.2, last)])
    hand_in(road, DONE)
    answered(road)
    rerun(road)
    score(road)
    before = over_time(road)
    later = commit(road.workspace, {"notes.txt": "for the next submission"}, "later")
    lived(road, [(0.1, later)])
    assert over_time(road) == before


def marked(*seen: tuple[float, str]) -> list[Mark]:
    return [Mark(commit=name, who="ada", working=working) for working, name in seen]


@pytest.mark.parametrize(
    ("marks", "found"),
    [
        ([], "0 0 0 z"),
        ([(0.0, "a")], "a a a z"),
        ([(25.0, "a"), (25.01, "b")], "a b b z"),
        ([(10.0, "a"), (10.0, "b")], "b b b z"),
        ([(10.0, "a"), (60.0, "b"), (80.0, "c")], "a a b z"),
        ([(500.0, "a")], "0 0 0 z"),
        ([(10.0, "a"), (20.0, "b"), (30.0, "a")], "b a a z"),
    ],
)
def test_what_stood_at_each_quarter(marks: list[tuple[float, str]], found: str) -> None:
    known = commits_at(marked(*marks), start="0", last="z", budget=100.0)
    assert " ".join(known[share] for share in (0.25, 0.5, 0.75, 1.0)) == found


def test_a_report_shows_the_curve(scored: tuple[Road, list[str], OverTime]) -> None:
    import io

    from rich.console import Console

    from harness.report.kept import kept_points, kept_score
    from harness.report.table import score_table

    road, (first, _, third), found = scored
    assert kept_points(road.desk) == found.points
    console = Console(width=120, file=io.StringIO(), record=True)
    shown: list[Point] = found.points
    console.print(score_table(kept_score(road.desk), shown))
    text = console.export_text()
    assert "25%" in text
    assert first[:12] in text
    assert third[:12] in text


def test_a_lost_point_is_told_harmlessly(tmp_path: Path) -> None:
    import io

    from rich.console import Console

    from harness.report.table import _over_time

    point = Point(share=0.25, commit="c" * 40, verdict=None, score=None, slots=0, problem="\x1b[2J[bold]gone")
    console = Console(width=120, file=io.StringIO())
    for line in _over_time([point]):
        console.print(line)
    file: Any = console.file
    assert "\x1b" not in file.getvalue()
    assert "[bold]gone" in file.getvalue()
