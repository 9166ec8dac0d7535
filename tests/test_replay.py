"""A recorded history, lived through again by the participant `replay`: the whole road on what somebody really did."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from handmade import HOUR, Life, commit, data_of, git
from tiny_paper import STUB, WORK, lean, write_paper

from harness.attempt.budget import LAST_SIGN
from harness.attempt.participant import Outcome
from harness.errors import ConfigError, UsageError
from harness.handing_in import hand_in
from harness.handing_out import work
from harness.overtime import over_time
from harness.pipeline import rerun, score
from harness.road import Road

WORKFILE = "reproduction/work.py"
DONE = Outcome(note="by hand", ended="submitted")
Begin = Callable[..., Road]
Answered = Callable[[Road], Road]


def again(begin: Begin, source: Road, **rest: Any) -> Road:
    """Replay an attempt, and hand in what came of it."""
    of = {"of": str(source.folder)}
    road = begin("replay", adapter="replay", options=of, wall=1e6, **rest)
    hand_in(road, work(road, of))
    return road


def clocked(road: Road) -> float:
    """Working time but for the moment in which the replaying participant itself was at work."""
    return sum(stretch.seconds for stretch in road.desk.account().stretches if "replay" not in (stretch.ended or ""))


@pytest.fixture(scope="module")
def lived(begin: Begin, answered: Answered) -> Road:
    """A person's attempt of two evenings, a night, a suspended laptop, a hand-over; two commits and a last change."""
    road, life = begin("ada", wall=1e6), Life()
    note = road.desk.note
    note("resumed", at=life.now)
    first = commit(road.workspace, {WORKFILE: STUB + "# mine\n"}, "first")
    note("committed", commit=first, at=life.works(0.1 * HOUR).now)
    note("executed", job="j1", command="python x.py", cpu=5.0, wall=6.0, exact=True, at=life.works(60).now)
    note("paused", reason="night", at=life.works(0.2 * HOUR).now)
    note("noted", note="read", working=30.0, cpu=2.0, at=life.sleeps(9 * HOUR).now)
    note("resumed", at=life.works(5).now)
    note("handed over", to="grace", at=life.works(60).sleeps(3600).works(60).now)
    note("resumed", at=life.works(10).now)
    second = commit(road.workspace, {WORKFILE: WORK}, "second")
    note("committed", commit=second, at=life.works(0.3 * HOUR).now)
    note("paused", reason="done", at=life.works(30).now)
    hand_in(road, DONE)
    answered(road)
    rerun(road)
    score(road)
    over_time(road)
    return road


@pytest.fixture(scope="module")
def replayed(begin: Begin, answered: Answered, lived: Road) -> Road:
    road = answered(again(begin, lived))
    rerun(road)
    score(road)
    over_time(road)
    return road


def test_the_commits_are_the_same(lived: Road, replayed: Road) -> None:
    assert replayed.submission().commit == lived.submission().commit
    assert replayed.submission().tree == lived.submission().tree
    assert replayed.submission().history == lived.submission().history
    assert git(replayed.workspace, "log", "--format=%H %s") == git(lived.workspace, "log", "--format=%H %s")
    assert git(replayed.workspace, "status", "--porcelain") == ""


def test_the_working_time_is_the_same(lived: Road, replayed: Road) -> None:
    assert clocked(replayed) == pytest.approx(clocked(lived), abs=0.01)
    before, after = lived.desk.account(), replayed.desk.account()
    assert after.used("cpu") == before.used("cpu") == 7.0
    assert after.declared("working") == before.declared("working") == 30.0
    hours = [[(mark.commit, round(mark.working)) for mark in found.marks] for found in (before, after)]
    assert hours[0] == hours[1]
    assert [stretch.ended for stretch in before.stretches] == [stretch.ended for stretch in after.stretches][1:]


def test_the_wall_time_runs_as_it_did(lived: Road, replayed: Road) -> None:
    before, after = (data_and_moments(road) for road in (lived, replayed))
    assert [kind for kind, _ in before] == [kind for kind, _ in after]
    for (_, early), (_, late) in zip(before, after, strict=True):
        assert late == pytest.approx(early, abs=0.01)


def data_and_moments(road: Road) -> list[tuple[str, float]]:
    """The participant's own events and the seconds since the first of them, on a clock that nobody sets."""
    kept = ("resumed", "noted", "executed", "committed", "handed over")
    events = [event for event in road.desk.events() if event.kind in kept]
    boot = next(event.boot for event in events if event.kind == "executed")
    own = [event for event in events if event.boot == boot]
    return [(event.kind, event.up - own[0].up) for event in own]


def test_the_work_stays_credited_to_who_did_it(lived: Road, replayed: Road) -> None:
    before, after = lived.submission().credits, replayed.submission().credits
    assert before["grace"] == after["grace"]
    assert replayed.desk.account().holder == "grace"


def test_the_score_over_time_is_the_same(lived: Road, replayed: Road) -> None:
    from harness.overtime import FILE, OverTime
    from harness.record.store import read

    before, after = (read(road.records / FILE, OverTime) for road in (lived, replayed))
    assert before == after
    assert before.points[0].verdict == "FAIL"
    assert before.points[-1].verdict == "PASS"


def test_a_replay_says_that_it_is_one(replayed: Road, lived: Road) -> None:
    assert replayed.attempt.participant.adapter == "replay"
    assert {"reason": "what follows is replayed"} in data_of(replayed.desk, "paused")
    assert replayed.desk.submissions[-1].joinpath("submission.json").exists()
    handed = replayed.submission()
    assert handed.note == f"2 commits of {lived.attempt.id} were replayed"


# --- what else a history may hold ---------------------------------------------------------------------------------


def test_a_history_with_a_resubmission_keeps_its_hours(begin: Begin) -> None:
    # Once: `submitted`, which stopped the clock, is not replayed; the next `resumed` then takes the stretch away.
    road, life = begin(wall=1e6), Life()
    road.desk.note("resumed", at=life.now)
    road.desk.note("committed", commit=commit(road.workspace, {"a": "1"}), at=life.works(100).now)
    handed = hand_in(road, DONE)
    moments_of_submission(road, life.works(20))
    road.desk.note("resumed", at=life.works(500).now)
    road.desk.note("committed", commit=commit(road.workspace, {"a": "2"}), at=life.works(70).now)
    road.desk.note("paused", reason="done", at=life.works(10).now)
    assert handed.commit != hand_in(road, DONE).commit
    moments_of_submission(road, life)
    assert road.desk.account().used("working") == pytest.approx(200, abs=1)
    assert clocked(again(begin, road)) == pytest.approx(200, abs=1)


def moments_of_submission(road: Road, life: Life) -> None:
    """Say that what was just handed in was so at a moment of ours; nothing has anchored that line yet."""
    path = road.folder / "ledger.jsonl"
    *lines, last = path.read_text().splitlines()
    at = life.now
    event = {**json.loads(last), "time": at.time, "boot": at.boot, "awake": at.awake, "up": at.up}
    assert event["kind"] == "submitted"
    path.write_text("\n".join([*lines, json.dumps(event, separators=(",", ":"), ensure_ascii=False)]) + "\n")


def test_the_time_between_the_last_sign_and_the_submission_is_replayed(begin: Begin) -> None:
    # Once: a history that ends with `submitted` on a running clock has no event after its last commit, so an hour that
    # was worked since then is lost; the replayed clock still runs, and counts as interrupted.
    road, life = begin(wall=1e6), Life()
    road.desk.note("resumed", at=life.now)
    road.desk.note("committed", commit=commit(road.workspace, {"a": "1"}), at=life.works(100).now)
    hand_in(road, DONE)
    moments_of_submission(road, life.works(900))
    assert road.desk.account().used("working") == pytest.approx(1000, abs=1)
    assert clocked(again(begin, road)) == pytest.approx(1000, abs=1)


def test_a_history_with_a_crash_keeps_its_hours(begin: Begin) -> None:
    # Once: on the replayed clock, which never restarts, nobody looks at LAST_SIGN: the 50 s up to the pulse are lost.
    road, life = begin(wall=1e6), Life()
    road.desk.note("resumed", at=life.now)
    road.desk.note("committed", commit=commit(road.workspace, {"a": "1"}), at=life.works(100).now)
    sign = life.works(50).now
    road.desk.note("paused", reason="the machine went down", at=life.restarts().now, **{LAST_SIGN: asdict(sign)})
    hand_in(road, DONE)
    assert road.desk.account().used("working") == 150
    assert clocked(again(begin, road)) == pytest.approx(150, abs=1)


def test_the_start_itself_can_be_replayed(begin: Begin) -> None:
    road = begin()
    road.desk.note("resumed")
    hand_in(road, DONE)
    assert again(begin, road).submission().commit == road.attempt.start_commit


def test_nothing_handed_in_is_nothing_to_replay(begin: Begin) -> None:
    with pytest.raises(UsageError, match="handed nothing in"):
        again(begin, begin())


def test_a_history_from_another_start_is_refused(begin: Begin, lived: Road, tmp_path: Path) -> None:
    folder = write_paper(tmp_path / "papers" / "lean", lean)
    (folder / "starter/reproduction/work.py").write_text("# another start\n")
    with pytest.raises(UsageError, match="began at another start commit"):
        again(begin, lived, folder=folder, results=tmp_path / "results")


@pytest.mark.parametrize("options", [{}, {"of": 5}, {"of": "x", "more": 1}])
def test_a_replay_of_nothing_is_told(begin: Begin, options: dict[str, Any]) -> None:
    road = begin("replay", adapter="replay", options=options)
    with pytest.raises(ConfigError, match=r"participant\.of"):
        work(road, options)


def test_a_commit_that_was_rebased_away_is_passed_over(begin: Begin) -> None:
    road = begin(wall=1e6)
    gone = commit(road.workspace, {"a": "1"}, "to be forgotten")
    road.desk.note("resumed")
    road.desk.witness()
    git(road.workspace, "reset", "-q", "--hard", road.attempt.start_commit)
    commit(road.workspace, {"b": "1"}, "kept")
    hand_in(road, DONE)
    assert gone in [data["commit"] for data in data_of(road.desk, "committed")]
    replayed = again(begin, road)
    assert replayed.submission().tree == road.submission().tree
    assert gone in [data["commit"] for data in data_of(replayed.desk, "committed")]
