from __future__ import annotations

from datetime import timedelta

import pytest
from handmade import Life

from harness.attempt.clock import Moment, awake_between, now, wall_between

DAY = 86_400.0


@pytest.mark.parametrize("jump", [0.0, DAY, -DAY, 400 * DAY, -50 * 365 * DAY])
def test_setting_the_time_of_day_changes_nothing(jump: float) -> None:
    life = Life()
    before = life.now
    after = life.works(60).sets_its_clock(jump).works(30).now
    assert awake_between(before, after) == pytest.approx(90)
    assert wall_between(before, after) == pytest.approx(90)


def test_a_closed_lid_stops_one_clock_and_not_the_other() -> None:
    life = Life()
    before = life.now
    after = life.works(10).sleeps(8 * 3600).works(5).now
    assert (awake_between(before, after), wall_between(before, after)) == pytest.approx((15, 8 * 3600 + 15))


def test_across_a_restart_only_the_time_of_day_can_tell() -> None:
    life = Life()
    before = life.now
    after = life.works(100).restarts(down=60).works(20).now
    assert awake_between(before, after) == 0
    assert wall_between(before, after) == pytest.approx(180)


def test_no_time_runs_backwards() -> None:
    life = Life()
    early = life.now
    late = life.works(10).now
    lying = life.sets_its_clock(-DAY).restarts(0).now
    assert awake_between(late, early) == wall_between(late, early) == 0
    assert awake_between(late, lying) == wall_between(late, lying) == 0


def test_this_machine_gives_moments_that_follow_one_another() -> None:
    first, second = now(), now()
    assert first.boot == second.boot
    assert 0 <= awake_between(first, second) <= wall_between(first, second) + 0.001 < 5
    assert first.up >= first.awake - 0.001
    assert first.stated.utcoffset() == timedelta(0)
    assert first.stated <= second.stated


def test_a_moment_with_another_zone_is_the_same_instant() -> None:
    berlin = Moment(time="2026-01-05T10:00:00+01:00", boot="a", awake=0, up=0)
    utc = Moment(time="2026-01-05T09:00:00+00:00", boot="b", awake=0, up=0)
    assert wall_between(berlin, utc) == 0
