"""Handing in as a person does: again, late, after the paper was changed, at a withdrawal, after a hand-over."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from handmade import Life, commit, data_of, git, kinds
from tiny_paper import STUB, WORK, lean, write_paper

from harness.attempt.participant import Outcome
from harness.attempt.submission import UNCOMMITTED
from harness.errors import RecordError, SubmissionError, UsageError
from harness.handing_in import close, ensure_submission, hand_in, withdraw
from harness.handing_out import begun_by, hand_out
from harness.paper.load import load_paper
from harness.pipeline import rerun, score
from harness.record.store import read
from harness.rerun.plan import Plan
from harness.road import Road, resume
from harness.scoring.finding import Verdict
from harness.scoring.score import Score

WORKFILE = "reproduction/work.py"
DONE = Outcome(note="by hand", ended="submitted")
Begin = Callable[..., Road]
Answered = Callable[[Road], Road]


def silent(text: str) -> None:
    """Tell nobody."""


def scored(road: Road) -> Score:
    rerun(road)
    return score(road)


def test_the_last_submission_counts_and_the_first_is_kept_with_a_plan_of_its_own(begin: Begin) -> None:
    road = begin()
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: STUB + "# mine\n"}, "stub")
    first = hand_in(road, DONE)
    worse = scored(road)
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: WORK}, "all of it")
    second = hand_in(road, DONE)
    better = scored(road)
    assert (worse.verdict, better.verdict) == ("FAIL", "PASS")
    assert road.submission() == second
    assert [path.name for path in road.desk.submissions] == ["001", "002"]
    kept, last = road.desk.submissions
    assert read(kept / "score.json", Score) == worse
    assert read(last / "score.json", Score) == better
    plans = [read(folder / "private" / "plan.json", Plan) for folder in (kept, last)]
    assert not set(plans[0].seeds) & set(plans[1].seeds)
    assert plans[0].held_out != plans[1].held_out
    assert plans[0].entropy != plans[1].entropy
    assert second.history[0][0] == first.commit
    assert road.desk.account().submissions == 2
    # And a third that is worse replaces the second: the last one counts.
    road.desk.start_clock()
    git(road.workspace, "reset", "-q", "--hard", first.commit)
    assert hand_in(road, DONE).commit == first.commit
    assert road.submission().commit == first.commit


def test_what_is_not_committed_is_committed_first(begin: Begin) -> None:
    road = begin()
    road.desk.start_clock()
    (road.workspace / WORKFILE).write_text(WORK)
    handed = hand_in(road, DONE)
    assert handed.saved
    assert git(road.workspace, "log", "-1", "--format=%s") == UNCOMMITTED
    assert git(road.workspace, "rev-parse", "HEAD") == handed.commit
    assert git(road.workspace, "status", "--porcelain") == ""
    road.desk.start_clock()
    commit(road.workspace, {"notes.txt": "x"})
    assert not hand_in(road, DONE).saved


def test_what_is_unchanged_is_the_same_submission_with_the_same_plan(begin: Begin, answered: Answered) -> None:
    road = begin()
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: WORK})
    handed = hand_in(road, DONE)
    answered(road)
    before = scored(road)
    road.desk.start_clock()
    git(road.workspace, "commit", "-q", "--allow-empty", "-m", "the dice again, please")
    assert hand_in(road, DONE) == handed
    assert [path.name for path in road.desk.submissions] == ["001"]
    found = road.desk.account()
    assert (found.state, found.submissions, found.pending) == ("submitted", 1, False)
    assert score(road).score == before.score
    road.desk.start_clock()
    road.desk.recover()
    assert road.desk.account().submissions == 1, "what was handed in again is counted once"


def test_a_refusal_is_told_kept_and_costs_nothing(begin: Begin) -> None:
    road = begin()
    road.desk.start_clock()
    (road.workspace / "link").symlink_to("/etc/passwd")
    with pytest.raises(SubmissionError, match="link"):
        hand_in(road, DONE)
    found = road.desk.account()
    assert (found.state, found.submissions, found.pending) == ("running", 0, True)
    assert "link" in data_of(road.desk, "submitted")[0]["refused"]
    assert road.desk.submissions == []
    assert not list((road.store.root / "staging").iterdir())
    (road.workspace / "link").unlink()
    assert hand_in(road, DONE).files
    assert road.desk.account().submissions == 1


def test_late_is_recorded(begin: Begin) -> None:
    road, life = begin(wall=1000.0), Life()
    life.day = datetime.now(UTC)
    road.desk.note("resumed", at=life.now)
    road.desk.note("paused", reason="night", at=life.works(100).now)
    road.desk.note("noted", note="slept over it", at=life.sleeps(1400).now)
    handed = hand_in(road, Outcome(note="late", ended="deadline"))
    assert handed.late == pytest.approx(500, abs=5)
    assert handed.ended == "deadline"
    assert handed.used["working"] == 100
    assert hand_in(begin(), DONE).late == 0


def over(road: Road) -> Road:
    """An attempt whose time was used up by a declaration, its clock paused, with one commit made in time."""
    road.desk.start_clock()
    commit(road.workspace, {"notes.txt": "in time"}, "in time")
    road.desk.pause_clock("night")
    road.desk.declare("worked on paper", {"working": 4000.0}, all_of_it=True)
    assert road.desk.account().state == "over"
    return road


def test_what_is_written_after_the_end_does_not_count(begin: Begin) -> None:
    road = over(begin())
    in_time = git(road.workspace, "rev-parse", "HEAD")
    commit(road.workspace, {WORKFILE: WORK}, "after the end")
    (road.workspace / "more.txt").write_text("uncommitted")
    handed = close(road)
    assert (handed.commit, handed.ended, handed.saved) == (in_time, "deadline", False)
    files = {path.name for path in (road.store.trees / handed.tree).rglob("*")}
    assert "notes.txt" in files
    assert "more.txt" not in files
    assert WORK not in (road.store.trees / handed.tree / WORKFILE).read_text()
    assert (road.workspace / "more.txt").exists(), "nothing of the workspace is touched"
    assert [event["commit"] for event in data_of(road.desk, "committed")] == [in_time]


def test_what_a_declaration_leaves_uncommitted_is_told_beforehand(begin: Begin) -> None:
    road = begin()
    with pytest.raises(UsageError, match=r"use up the budget(.|\n)*less than 3600(.|\n)*--yes"):
        road.desk.declare("typed one nought too many", {"working": 36_000.0})
    assert kinds(road.desk) == ["started"]
    commit(road.workspace, {"notes.txt": "x"}, "in time")
    road.desk.declare("so it was", {"working": 36_000.0}, all_of_it=True)
    assert kinds(road.desk) == ["started", "committed", "noted"], "what is committed by then is seen first"


def test_a_score_says_what_of_the_budget_was_declared_and_what_went_beyond(begin: Begin, answered: Answered) -> None:
    road = begin()
    road.desk.declare("elsewhere", {"cpu": 7200.0}, all_of_it=True)
    road.desk.start_clock()
    hand_in(road, DONE)
    spent = scored(answered(road)).budget["cpu"]
    assert (spent.used, spent.limit, spent.declared) == (7200.0, 600.0, 7200.0)


def test_a_paper_whose_public_files_changed_still_takes_the_submission_in(
    begin: Begin, answered: Answered, lean_finished: Any, tmp_path: Path
) -> None:
    folder = write_paper(tmp_path / "papers" / "lean", lean)
    road = begin(folder=folder, results=tmp_path / "results")
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: WORK}, "before")
    (folder / "brief.md").write_text("# Another brief\n\n<!-- reproof:experiments -->\n<!-- /reproof:experiments -->\n"
                                     "<!-- reproof:claims -->\n<!-- /reproof:claims -->\n")  # fmt: skip
    (folder / "starter/reproduction/extra.py").write_text("# new in the starter\n")
    (folder / "metrics.py").write_text((folder / "metrics.py").read_text() + "\n# mended\n")
    later = resume(road.attempt.id, tmp_path / "results", tell=silent)
    assert later.paper.version != road.attempt.paper_version
    handed = hand_in(later, DONE)
    assert handed.commit == git(road.workspace, "rev-parse", "HEAD")
    shutil.copytree(lean_finished[0].store.root / "runs", tmp_path / "results" / "runs", dirs_exist_ok=True)
    answered(later)
    result = scored(later)
    assert result.verdict == "PASS"
    assert result.paper_version == load_paper(folder).version != road.attempt.paper_version


def test_withdrawn_work_is_kept_and_can_be_scored(begin: Begin, answered: Answered) -> None:
    road = begin()
    road.desk.start_clock()
    (road.workspace / WORKFILE).write_text(WORK)
    kept = withdraw(road, "the project ends")
    assert (kept.ended, kept.note, kept.saved) == ("withdrawn", "the project ends", True)
    assert kinds(road.desk)[-2:] == ["submitted", "withdrawn"]
    assert road.desk.account().state == "withdrawn"
    for verb in (lambda: withdraw(road, "again"), road.desk.start_clock, lambda: road.desk.pause_clock("x")):
        with pytest.raises(UsageError, match="was withdrawn"):
            verb()
    answered(road)
    assert scored(road).verdict == "PASS"
    assert road.desk.account().state == "withdrawn"


def test_a_withdrawal_after_a_submission_hands_in_only_what_is_new(begin: Begin) -> None:
    road = begin()
    road.desk.start_clock()
    handed = hand_in(road, DONE)
    assert withdraw(road, "x") == handed
    other = begin()
    other.desk.start_clock()
    hand_in(other, DONE)
    other.desk.start_clock()
    new = commit(other.workspace, {"notes.txt": "x"})
    assert withdraw(other, "x").commit == new
    assert other.desk.account().submissions == 2


def test_who_cannot_hand_in_can_still_withdraw(begin: Begin) -> None:
    # Once: a workspace that cannot be taken in (a link, an alien history) is an error of `withdraw`, and the attempt
    # goes on for ever: nobody can end it before its time, and `start` says that they work on the paper already.
    road = begin()
    road.desk.start_clock()
    (road.workspace / "link").symlink_to("/etc/passwd")
    with contextlib.suppress(SubmissionError):
        withdraw(road, "I give up")
    assert road.desk.account().state == "withdrawn"


def test_handed_over_work_names_both(begin: Begin, answered: Answered) -> None:
    road = begin("ada")
    road.desk.start_clock()
    commit(road.workspace, {"notes.txt": "x"}, "ada's")
    road.desk.hand_over("grace")
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: WORK}, "grace's")
    road.desk.witness()
    handed = hand_in(road, DONE)
    assert set(handed.credits) == {"ada", "grace"}
    assert [handed.credits[name]["commits"] for name in ("ada", "grace")] == [1, 1]
    assert handed.credits["ada"]["working"] > 0
    answered(road)
    result = scored(road)
    assert set(result.participant["name"].split(", ")) == {"ada", "grace"}
    assert result.condition == "human"
    assert all(claim.verdict is not Verdict.MISSING for claim in result.claims)


def test_nothing_handed_in_is_nothing_to_score(begin: Begin) -> None:
    road = begin()
    with pytest.raises(RecordError, match="nothing was handed in yet"):
        score(road)


def test_a_damaged_ledger_stops_the_submission(begin: Begin) -> None:
    road = begin()
    road.desk.start_clock()
    road.desk.pause_clock("x")
    path = road.folder / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"reason":"x"', b'"reason":"y"').replace(b"ada", b"eve"))
    with pytest.raises(RecordError, match=r"ledger\.jsonl"):
        hand_in(road, DONE)
    assert road.desk.submissions == []


def test_nobody_begins_the_same_paper_twice_by_mistake(
    begin: Begin, settings: Callable[..., Any], tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    results = tmp_path / "results"
    road = begin("ada", results=results)
    asked = settings(home / "papers" / "lean", results, "human", name="ada")
    with pytest.raises(UsageError, match="you work on this paper already") as caught:
        begun_by(asked)
    assert str(road.workspace) in str(caught.value)
    begun_by(settings(home / "papers" / "lean", results, "human", name="grace"))
    begun_by(settings(home / "papers" / "tiny", results, "human", name="ada"))
    withdraw(road, "x")
    begun_by(asked)


def test_a_workspace_that_is_not_new_leaves_no_attempt_behind(
    settings: Callable[..., Any], tmp_path: Path, home: Path
) -> None:
    # Once: hand_out makes the attempt's folder before the workspace, and leaves it empty when that is refused.
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "mine.txt").write_text("x")
    asked = settings(home / "papers" / "lean", tmp_path / "results", "human", name="ada", workspace=taken)
    with pytest.raises(UsageError, match="needs a new folder"):
        hand_out(asked, tell=silent)
    assert [path.name for path in taken.iterdir()] == ["mine.txt"]
    attempts = tmp_path / "results" / "attempts"
    assert not attempts.exists() or list(attempts.iterdir()) == []


def test_stages_that_are_gone_through_again_write_nothing_twice(begin: Begin, answered: Answered) -> None:
    """Once: whoever went on after a kill left each stage's event twice."""
    road = begin()
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: WORK})
    hand_in(road, DONE)
    answered(road)
    scored(road)
    before = kinds(road.desk)
    scored(road)
    assert kinds(road.desk) == before


def test_a_submission_that_landed_before_its_event_is_told_by_whoever_goes_on(begin: Begin) -> None:
    """Once: the clock of an attempt that was killed in between ran on for good."""
    road = begin()
    road.desk.start_clock()
    commit(road.workspace, {WORKFILE: WORK})
    handed = hand_in(road, DONE)
    path = road.folder / "ledger.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert road.desk.account().running
    assert ensure_submission(road) == handed
    assert not road.desk.account().running
    assert kinds(road.desk).count("submitted") == 1
