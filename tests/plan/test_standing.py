"""How far a plan is, from its journal alone: states, whose turn it is, when it stalls, what counts nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from harness.plan.journal import Event
from harness.plan.plan import Item, Plan
from harness.plan.standing import PlanStanding, stalled, standing, superseded

BEGAN = datetime(2026, 1, 5, 9, tzinfo=UTC)


def plan_of(items: int) -> Plan:
    made = [
        Item(number=n, repeat=1, repeats=1, paper="p", paper_version="v", kind="agent", participant="a", settings={})
        for n in range(1, items + 1)
    ]
    return Plan(id="x", made=BEGAN, overrides=[], items=made, fingerprint="")


def events(*lines: tuple[Any, ...]) -> list[Event]:
    """Each `(kind, item, attempt, fault)`, the latter ones as far as they are needed; ten seconds apart."""
    names = ("kind", "item", "attempt", "fault")
    return [
        Event(
            at=BEGAN + timedelta(seconds=10 * place),
            **dict(zip(names, line, strict=False)),
            verdict="FAIL" if line[0] == "ended" and len(line) < 4 else None,
        )
        for place, line in enumerate(lines)
    ]


def far(items: int, *lines: tuple[Any, ...], running: bool = True) -> PlanStanding:
    return standing(plan_of(items), events(*lines), running=running)


UP = ("taken up",)


@pytest.mark.parametrize(
    ("lines", "running", "state", "items"),
    [
        ((), False, "ready", ["waiting", "waiting"]),
        ((UP,), True, "running", ["waiting", "waiting"]),
        ((UP, ("begun", 1, "a")), True, "running", ["running", "waiting"]),
        ((UP, ("begun", 1, "a")), False, "interrupted", ["interrupted", "waiting"]),
        ((UP, ("begun", 1, "a"), ("ended", 1, "a")), True, "running", ["scored", "waiting"]),
        ((UP, ("begun", 1, "a"), ("ended", 1, "a", "submission")), True, "running", ["refused", "waiting"]),
        ((UP, ("begun", 1, "a"), ("ended", 1, "a", "model")), True, "running", ["to be tried again", "waiting"]),
        ((UP, ("begun", 1, "a"), ("cancelling",)), True, "cancelling", ["running", "waiting"]),
        ((UP, ("begun", 1, "a"), ("cancelling",)), False, "cancelled", ["cancelled", "cancelled"]),
        ((UP, ("begun", 1, "a"), ("ended", 1, "a"), ("cancelled",)), False, "cancelled", ["scored", "cancelled"]),
        ((UP, ("stalled",)), False, "stalled", ["waiting", "waiting"]),
        ((UP, ("stalled",), UP), False, "interrupted", ["waiting", "waiting"]),
    ],
)
def test_states(lines: tuple[tuple[Any, ...], ...], running: bool, state: str, items: list[str]) -> None:
    found = far(2, *lines, running=running)
    assert (found.state, [item.state for item in found.items]) == (state, items)


def test_a_plan_whose_end_was_not_written_down_is_done() -> None:
    assert far(1, UP, ("begun", 1, "a"), ("ended", 1, "a"), running=False).state == "done"


def test_what_was_begun_comes_first_and_who_failed_by_our_fault_last() -> None:
    found = far(
        4, UP, ("begun", 1, "a"), ("ended", 1, "a", "harness"), ("begun", 2, "b"), ("ended", 2, "b"), ("begun", 4, "d"),
        running=False,
    )  # fmt: skip
    assert [item.item.number for item in found.left] == [4, 3, 1]


def test_three_tries_by_our_fault_and_an_item_has_failed_until_it_gets_them_again() -> None:
    tries = [line for name in "abc" for line in (("begun", 1, name), ("ended", 1, name, "model"))]
    found = far(2, UP, *tries)
    assert found.items[0].state == "failed"
    assert [item.item.number for item in found.left] == [2]
    assert [(old.attempt, by) for old, by in superseded(found)] == [("a", "b"), ("b", "c"), ("c", None)]
    again = far(2, UP, *tries, ("again", 1))
    assert again.items[0].state == "to be tried again"
    assert [by for _, by in superseded(again)] == ["b", "c"]


def test_the_participants_own_ends_are_not_tried_again() -> None:
    for fault in ("submission", "budget"):
        found = far(1, UP, ("begun", 1, "a"), ("ended", 1, "a", fault))
        assert not found.left
        assert superseded(found) == []


def test_going_on_with_an_attempt_replaces_nothing() -> None:
    found = far(1, UP, ("begun", 1, "a"), ("ended", 1, "a", "harness"), ("continued", 1, "a"), ("ended", 1, "a"))
    assert [one.attempt for one in found.items[0].tries] == ["a"]
    assert (found.items[0].state, superseded(found)) == ("scored", [])


def row(*faults: tuple[int, str]) -> list[Event]:
    return events(UP, *(("ended", item, f"{item}", fault) for item, fault in faults))


def test_three_faults_in_a_row_on_different_items_stall_a_plan() -> None:
    said = stalled(row((1, "harness"), (2, "harness"), (3, "harness")))
    assert said is not None
    assert "3 attempts in a row ended by a fault of ours" in said
    assert "model's provider" in (stalled(row((1, "harness"), (2, "model"), (3, "model"))) or "")
    assert stalled(row((1, "harness"), (2, "harness"))) is None
    assert stalled(row((1, "harness"), (2, "harness"), (2, "harness"))) is None, "of two items only"
    assert stalled(row((1, "harness"), (2, "budget"), (3, "harness"), (4, "harness"))) is None
    before = row((1, "harness"), (2, "harness"))
    assert stalled([*before, *row((3, "harness"))]) is None, "since it was taken up again"


def test_the_estimate_is_what_the_done_ones_took_times_what_is_left() -> None:
    assert far(3, UP).estimate is None
    found = far(
        3,
        UP,
        ("begun", 1, "a"),
        ("ended", 1, "a"),
        ("begun", 2, "b"),
        ("ended", 2, "b", "harness"),
        ("continued", 2, "b"),
    )
    assert found.estimate == 20.0
