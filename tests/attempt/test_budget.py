from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from handmade import HOUR, Life, budget
from hypothesis import given
from hypothesis import strategies as st

from harness.attempt.asked import toll
from harness.attempt.budget import INTERRUPTED, ITEMS, LAST_SIGN, Account, disk_of

A, B, C = "a" * 40, "b" * 40, "c" * 40


def working(life: Life) -> float:
    return life.account().used("working")


# --- stretches ----------------------------------------------------------------------------------------------------


def test_nothing_is_used_before_the_clock_is_started() -> None:
    found = Life().works(500).account()
    assert (found.state, found.holder, found.pending) == ("ready", "ada", True)
    assert (found.used("working"), found.used("wall")) == (0, 500)
    assert (found.stretches, found.extras, found.marks) == ((), (), ())


def test_a_running_clock_counts_to_this_moment() -> None:
    found = Life().works(10).event("resumed").works(90).account()
    assert (found.state, found.used("working"), found.left("working")) == ("running", 90, HOUR - 90)
    assert [stretch.ended for stretch in found.stretches] == [None]


def test_pauses_are_left_out_and_named() -> None:
    life = Life().event("resumed").works(100).event("paused", reason="lunch").works(3000)
    life.event("resumed").works(50).event("paused", reason="night").sleeps(9 * HOUR)
    found = life.account()
    assert (found.state, found.used("working"), found.used("wall")) == ("paused", 150, 3150 + 9 * HOUR)
    assert [(stretch.seconds, stretch.ended) for stretch in found.stretches] == [(100, "lunch"), (50, "night")]


@pytest.mark.parametrize("stretches", [1, 2, 7, 40])
def test_many_stretches_add_up(stretches: int) -> None:
    life = Life()
    for index in range(stretches):
        life.event("resumed").works(index + 0.25).event("paused", reason="x").works(5)
    assert working(life) == pytest.approx(sum(index + 0.25 for index in range(stretches)))


def test_a_suspended_laptop_is_wall_time_and_not_working_time() -> None:
    found = Life().event("resumed").works(60).sleeps(7200).works(60).account()
    assert (found.used("working"), found.used("wall")) == (120, 7320)


@pytest.mark.parametrize("jump", [-86_400, 86_400, -(10**9), 10**8])
@pytest.mark.parametrize("then", ["running", "paused"])
def test_a_time_of_day_that_was_set_counts_for_nothing(jump: float, then: str) -> None:
    life = Life().event("resumed").works(100).sets_its_clock(jump).works(100)
    if then == "paused":
        life.event("paused", reason="x").sets_its_clock(-jump).works(10)
    found = life.account()
    assert found.state == then
    assert found.used("working") == 200
    assert found.used("wall") == pytest.approx(200 if then == "running" else 210)


# --- the machine goes down ----------------------------------------------------------------------------------------


def test_a_restart_while_the_clock_runs_counts_to_the_last_event() -> None:
    life = Life().event("resumed").works(100).event("noted", note="x").works(900).restarts(300)
    found = life.account()
    assert (found.state, found.used("working")) == ("interrupted", 100)
    assert found.unrecorded == pytest.approx(1200)
    assert found.stretches[-1].ended == INTERRUPTED


def test_a_pulse_counts_as_a_sign_of_life() -> None:
    life = Life().event("resumed").works(100).event("noted", note="x").works(800).beats().works(14).restarts(300)
    found = life.account()
    assert (found.state, found.used("working")) == ("interrupted", 900)
    assert found.unrecorded == pytest.approx(314)


@pytest.mark.parametrize("when", ["before the start", "of an older boot"])
def test_a_pulse_that_is_too_old_tells_nothing(when: str) -> None:
    life = Life().event("resumed").works(50).beats().event("paused", reason="x").works(10)
    if when == "of an older boot":
        life.restarts()
    life.event("resumed").works(40).restarts()
    assert working(life) == 50


def test_a_restart_while_paused_costs_nothing() -> None:
    life = Life().event("resumed").works(100).event("paused", reason="night").works(10).restarts(8 * HOUR).works(30)
    found = life.account()
    assert (found.state, found.used("working"), found.unrecorded) == ("paused", 100, 0)
    assert found.used("wall") == pytest.approx(140 + 8 * HOUR)


def test_what_was_worked_before_a_restart_stays_when_the_clock_is_started_again() -> None:
    life = Life().event("resumed").works(200).beats().works(5).restarts().works(30)
    assert working(life) == 200
    life.event("paused", reason=INTERRUPTED, **{LAST_SIGN: asdict(life.pulse)}).event("resumed")  # type: ignore[call-overload]
    life.beats().works(70)
    found = life.account()
    assert (found.state, found.used("working"), found.unrecorded) == ("running", 270, 0)
    assert [stretch.seconds for stretch in found.stretches] == [200, 70]


@pytest.mark.parametrize(
    ("kind", "data"),
    [("noted", {"note": "read on"}), ("committed", {"commit": A}), ("disputed", {"leaf": "x"}), ("rerun", {})],
)
def test_an_event_after_a_restart_does_not_take_the_pulse_away(kind: str, data: dict[str, Any]) -> None:
    # Once: the interruption is reckoned at the first event of the new boot, when the LAST_SIGN of the `paused` event
    # that start_clock writes has not been read; pulse.json is of the new boot by then, so 100 seconds are lost.
    life = Life().event("resumed").works(100).beats().works(5).restarts().event(kind, **data)
    assert working(life) == 100
    life.event("paused", reason=INTERRUPTED, **{LAST_SIGN: asdict(life.pulse)})  # type: ignore[call-overload]
    life.event("resumed").beats().works(1)
    assert working(life) == 101


def test_two_restarts_in_a_row() -> None:
    life = Life().event("resumed").works(100).beats().restarts().works(1000).restarts().works(10)
    assert (life.account().state, working(life)) == ("interrupted", 100)


def test_working_time_is_never_more_than_wall_time_though_the_battery_of_the_clock_is_empty() -> None:
    # Once: across a restart wall time is what the time of day says; on a machine that comes up in 1970 the seconds
    # between the last event and the last pulse, which are known, are lost from wall time.
    life = Life().event("resumed").works(100).beats().restarts().sets_its_clock(-(10**9)).works(1)
    found = life.account()
    assert found.used("working") == 100
    assert found.used("wall") >= found.used("working")


def test_a_second_start_does_not_take_the_first_stretch_away() -> None:
    # Once: `resumed` while the clock runs replaces `since`; what had passed by then is lost. Replaying a history with
    # two submissions writes such ledgers, since `submitted`, which had stopped the clock, is not replayed.
    assert working(Life().event("resumed").works(100).event("resumed").works(10)) == 110


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["works", "sleeps"]), st.integers(0, 10_000)),
        st.tuples(st.sampled_from(["start", "pause", "note", "beats", "restarts"]), st.just(0)),
        st.tuples(st.just("sets"), st.integers(-(10**6), 10**6)),
    ),
    max_size=40,
)


class Watch:
    """A stop watch beside the ledger: it goes on only while the clock runs and the machine is awake."""

    def __init__(self) -> None:
        self.life = Life()
        self.counted = self.running = self.unproved = 0.0
        self.on = self.lost = False

    def do(self, what: str, seconds: float) -> None:
        life = self.life
        if what in ("works", "sleeps"):
            getattr(life, what)(seconds)
            self.unproved += seconds if self.on and not self.lost and what == "works" else 0
        elif what == "sets":
            life.sets_its_clock(seconds)
        elif what == "restarts":
            life.restarts(1)
            self.lost, self.unproved = self.on, 0.0
        elif what == "beats" and self.on and not self.lost:
            life.beats()
            self.proved()
        elif what == "note" and not self.lost:
            life.event("noted", note="x")
            self.proved()
        elif what == "pause" and self.on:
            self.close("x")
        elif what == "start" and (not self.on or self.lost):
            self.close(INTERRUPTED)
            life.beats().event("resumed")
            self.on = True

    def proved(self) -> None:
        self.counted, self.unproved = self.counted + self.unproved, 0.0

    def close(self, reason: str) -> None:
        if not self.on:
            return
        sign = {LAST_SIGN: asdict(self.life.pulse)} if self.lost and self.life.pulse else {}
        self.life.event("paused", reason=reason, **sign)
        if not self.lost:
            self.proved()
        self.on = self.lost = False


ENDLESS = budget(working=1e12, wall=1e12)


@given(OPERATIONS)
def test_every_second_of_a_running_clock_is_counted_and_none_besides(operations: list[tuple[str, int]]) -> None:
    watch = Watch()
    for what, seconds in operations:
        watch.do(what, seconds)
        found = watch.life.account(ENDLESS)
        expected = watch.counted + (0.0 if watch.lost else watch.unproved)
        assert found.used("working") == pytest.approx(expected, abs=0.01)
        assert found.used("wall") >= 0
        assert (found.state == "running") == (watch.on and not watch.lost)
        assert (found.state == "interrupted") == watch.lost
        credited = sum(sums["working"] for sums in found.credits().values())
        assert credited == pytest.approx(found.used("working"))


@given(OPERATIONS.map(lambda found: [one for one in found if one[0] not in ("sets", "restarts")]))
def test_working_time_is_never_more_than_wall_time(operations: list[tuple[str, int]]) -> None:
    watch, before = Watch(), 0.0
    for what, seconds in operations:
        watch.do(what, seconds)
        found = watch.life.account()
        assert before <= found.used("working") <= found.used("wall") + 0.01
        before = found.used("working") - 0.01


# --- commands and declarations ------------------------------------------------------------------------------------


def ran(**facts: Any) -> dict[str, Any]:
    return {"job": "j1", "command": "python x.py", "cpu": 3.0, "wall": 4.0, "memory": 5, "exact": True, **facts}


def test_commands_are_counted_once_however_often_they_were_written_down() -> None:
    life = Life().event("executed", **ran()).event("executed", **ran(ended="lost"))
    life.event("executed", **ran(job="j2", cpu=1.5))
    found = life.account(running=[ran(), ran(job="j3", cpu=0.5)])
    assert found.used("cpu") == 5.0
    assert [extra.what for extra in found.extras] == ["python x.py"] * 3


def test_what_is_under_way_counts_already() -> None:
    found = Life().account(running=[ran(cpu=2.0), ran(job="j2", cpu=4.0)])
    assert (found.used("cpu"), found.left("cpu")) == (6.0, 594.0)


def test_declared_work_counts_and_is_shown_apart() -> None:
    life = Life().event("resumed").works(100).event("executed", **ran(cpu=10.0))
    life.event("noted", note="lab", working=50.0, cpu=7.0, env_steps=1000).event("noted", note="read")
    found = life.account()
    assert [found.used(item) for item in ("working", "cpu", "env_steps")] == [150, 17, 1000]
    assert [found.declared(item) for item in ("working", "cpu", "env_steps")] == [50, 7, 1000]
    assert [(extra.what, extra.declared) for extra in found.extras] == [
        ("python x.py", False),
        ("lab", True),
        ("read", True),
    ]


def test_a_command_that_no_cgroup_counted_makes_the_account_an_estimate() -> None:
    assert Life().event("executed", **ran()).account().exact
    assert not Life().event("executed", **ran(exact=False)).account().exact


def test_a_declaration_cannot_give_budget_back() -> None:
    # Once: `Desk.declare` and the reckoning take negative figures: used CPU time falls below what was metered.
    life = Life().event("executed", **ran(cpu=10.0)).event("noted", note="x", cpu=-8.0, working=-50.0)
    found = life.account()
    assert found.used("cpu") == 10.0
    assert found.used("working") == 0


@pytest.mark.parametrize("item", ITEMS)
def test_what_is_left_is_never_less_than_nothing(item: str) -> None:
    life = Life().event("resumed").works(10 * HOUR).event("noted", note="x", cpu=1e6, env_steps=10**6)
    life.event("asked", requests=2, tokens=70, dollars=0.5)
    found = life.account(budget(wall=60.0, env_steps=5, tokens=60, dollars=0.25), disk=2**40)
    assert found.left(item) == 0
    assert found.used(item) > (found.limit(item) or math.inf)


def test_an_item_without_a_limit_has_no_rest() -> None:
    found = Life().event("noted", note="x", env_steps=7).account()
    assert (found.limit("env_steps"), found.left("env_steps"), found.used("env_steps")) == (None, None, 7)


def test_the_disk_counts_blocks_and_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(bytes(1 << 20))
    folder = tmp_path / "workspace"
    (folder / "deep" / "deeper").mkdir(parents=True)
    (folder / "deep" / "deeper" / "file").write_bytes(b"x" * 10_000)
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    (folder / "link").symlink_to(outside)
    (folder / "loop").symlink_to(folder)
    assert 10_000 <= disk_of(folder) < 100_000
    assert disk_of(tmp_path / "nowhere") == 0


# --- the end ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slow", ["working", "wall"])
def test_an_attempt_is_over_when_either_time_is_used_up(slow: str) -> None:
    life = Life().event("resumed").works(100)
    found = life.account(budget(**{slow: 100.0}))
    assert (found.state, found.time_left) == ("over", 0)
    assert found.ended == f"the {slow} time is used up"
    assert life.account(budget(**{slow: 100.1})).state == "running"


def test_no_cpu_time_is_no_end() -> None:
    found = Life().event("resumed").event("executed", **ran(cpu=1e6)).account()
    assert (found.state, found.left("cpu")) == ("running", 0)


def test_declared_working_time_can_end_an_attempt() -> None:
    assert Life().event("noted", note="x", working=HOUR).account().state == "over"


def test_late_is_what_lies_beyond_the_wall_time() -> None:
    life = Life().event("resumed").works(100)
    assert life.account(budget(wall=70.0)).late == pytest.approx(30)
    assert life.account(budget(wall=700.0)).late == 0


def test_withdrawn_stays_withdrawn_whatever_follows() -> None:
    life = Life().event("resumed").works(10).event("withdrawn", reason="x").works(20)
    for kind in ("rerun", "scored", "noted", "committed", "submitted"):
        life.event(kind, commit=A)
    found = life.works(10 * HOUR).account()
    assert (found.state, found.used("working")) == ("withdrawn", 10)


def test_a_submission_stops_the_clock_and_nothing_is_pending() -> None:
    life = Life().event("resumed").works(10).event("submitted", commit=A).works(50)
    found = life.account()
    assert (found.state, found.submissions, found.pending, found.used("working")) == ("submitted", 1, False, 10)
    found = life.event("resumed").works(5).account()
    assert (found.state, found.pending, found.used("working")) == ("running", True, 15)
    found = life.event("submitted", commit=B).account()
    assert (found.submissions, found.pending) == (2, False)


def test_a_refused_submission_changes_nothing() -> None:
    found = Life().event("resumed").works(10).event("submitted", refused="a link").works(5).account()
    assert (found.state, found.submissions, found.pending, found.used("working")) == ("running", 0, True, 15)


# --- whose work it was --------------------------------------------------------------------------------------------


def handed_over() -> Account:
    life = Life("ada").event("resumed").works(100).event("committed", commit=A).event("executed", **ran(cpu=5.0))
    life.works(20).event("handed over", to="grace").works(500).event("resumed").works(30)
    life.event("noted", note="x", working=4.0, cpu=2.0).event("committed", commit=B).event("committed", commit=C)
    return life.event("paused", reason="x").account()


def test_work_is_credited_to_who_did_it() -> None:
    found = handed_over()
    assert found.holder == "grace"
    assert found.credits() == {
        "ada": {"working": 120, "cpu": 5, "commits": 1},
        "grace": {"working": 34, "cpu": 2, "commits": 2},
    }
    assert sum(sums["working"] for sums in found.credits().values()) == found.used("working")


def test_who_started_is_named_before_who_went_on() -> None:
    # Once: credits() touches the present holder first, so a score calls the pair "grace, ada", the later one first.
    assert list(handed_over().credits()) == ["ada", "grace"]


def test_a_hand_over_stops_the_clock_and_says_so() -> None:
    found = handed_over()
    assert [stretch.ended for stretch in found.stretches] == ["handed over to grace", "x"]
    assert [stretch.who for stretch in found.stretches] == ["ada", "grace"]


def test_commits_are_marked_with_the_working_time_they_were_seen_at() -> None:
    life = Life().event("committed", commit=A).works(10).event("resumed").works(60).event("committed", commit=B)
    life.works(40).event("paused", reason="x").works(1000).event("committed", commit=C)
    life.event("resumed").works(5).event("committed", commit=A)
    marks = [(mark.commit, mark.working) for mark in life.account().marks]
    assert marks == [(A, 0), (B, 60), (C, 100), (A, 105)]


# --- models -------------------------------------------------------------------------------------------------------


def test_what_a_model_was_asked_adds_up() -> None:
    life = Life().event("resumed").works(5).event("asked", requests=2, tokens=70, dollars=0.5)
    life.event("asked", requests=1, tokens=30, dollars=0.25)
    found = life.account(budget(tokens=120, dollars=1.0))
    assert (found.used("tokens"), found.left("tokens")) == (100, 20)
    assert (found.used("dollars"), found.left("dollars")) == (0.75, 0.25)
    assert found.unmeasured == ()


def test_tokens_that_nobody_counted_and_dollars_without_a_price_are_told_apart_from_none() -> None:
    assert Life().account().unmeasured == ("tokens", "dollars")
    unpriced = Life().event("asked", requests=1, tokens=30).event("asked", requests=1, tokens=3, dollars=1.0)
    assert unpriced.account().unmeasured == ("dollars",)


def test_waiting_for_a_provider_is_wall_time_and_not_working_time() -> None:
    life = Life().event("resumed").works(100).event("waited", seconds=40.0).works(10).event("committed", commit=A)
    found = life.account()
    assert (found.used("working"), found.used("wall"), found.time_left) == (70, 110, HOUR - 70)
    assert found.marks[-1].working == 70
    assert found.credits()["ada"]["working"] == 70


def test_nobody_gains_more_time_by_waiting_than_has_passed() -> None:
    life = Life().event("resumed").works(10).event("waited", seconds=1e9).event("waited", seconds=-50.0).works(5)
    assert life.account().used("working") == 5


def test_what_a_proxy_counted_beyond_the_ledger_counts_once(tmp_path: Path) -> None:
    spent = {"requests": 3, "tokens": {"input": 50, "output": 20}, "dollars": 0.7, "waited": 12.0, "final": None}
    (tmp_path / "spent.json").write_text(json.dumps(spent))
    life = Life().event("resumed").works(100).event("asked", requests=1, input=10, output=5, tokens=15, dollars=0.2)
    rest = toll(tmp_path, life.events)
    assert (rest["requests"], rest["tokens"], rest["dollars"], rest["waited"]) == (2, 55, 0.5, 12.0)
    found = life.account(running=[rest])
    assert (found.used("tokens"), found.used("working")) == (70, 88)
    life.event("asked", **{name: value for name, value in rest.items() if name != "waited"})
    assert toll(tmp_path, life.event("waited", seconds=12.0).events) == {}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"requests": "x"}', '{"waited": 1e400}'])
def test_a_damaged_count_counts_for_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "spent.json").write_text(text)
    assert toll(tmp_path, Life().events) == {}
