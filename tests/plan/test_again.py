"""The same command again: which plan it goes on with, and when it begins another."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest

from harness.config import Settings
from harness.paper.load import Paper
from harness.plan import journal
from harness.plan.again import plan_for
from harness.plan.asked import items_of
from harness.plan.plan import FILE, Item, Place, find_plans

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.fixture
def items(tiny: Paper, tmp_path: Path, settings: Callable[..., Settings]) -> list[Item]:
    return items_of([settings(tiny.folder, tmp_path / "results", "reference", backend="process")])


@pytest.fixture
def ask(items: list[Item], tmp_path: Path) -> Callable[..., tuple[Place, bool]]:
    """Ask for the items, and let go of the plan at once, as a killed process does."""

    def once(changed: list[Item] | None = None, **rest: Any) -> tuple[Place, bool]:
        with plan_for(changed or items, ["paper=tiny"], results=tmp_path / "results", now=NOW, **rest) as found:
            return found

    return once


Ask = Callable[..., tuple[Place, bool]]


def test_what_was_left_is_gone_on_with(ask: Ask) -> None:
    first, before = ask()
    assert not before
    assert ask() == (first, True)
    journal.note(first.journal, "taken up")
    journal.note(first.journal, "begun", item=1, attempt="a")
    assert ask() == (first, True)
    journal.note(first.journal, "stalled", said="the disk is full")
    assert ask() == (first, True)
    journal.note(first.journal, "ended", item=1, attempt="a")
    assert ask() == (first, True), "nobody has heard of its end yet"


@pytest.mark.parametrize("end", ["done", "cancelled", "cancelling"])
def test_what_has_ended_is_not(ask: Ask, end: Any) -> None:
    first, _ = ask()
    journal.note(first.journal, end)
    second, before = ask()
    assert (second != first, before) == (True, False)


def test_other_settings_and_other_papers_are_something_else(ask: Ask, items: list[Item]) -> None:
    first, _ = ask()
    for changed in ({"paper_version": "0" * 64}, {"settings": {**items[0].settings, "slots": "all"}}):
        other, before = ask([msgspec.structs.replace(items[0], **changed)])
        assert (other != first, before) == (True, False)


def test_anew_cancels_what_was_left(ask: Ask) -> None:
    first, _ = ask()
    second, before = ask(anew=True)
    assert not before
    assert [event.kind for event in journal.read(first.journal)] == ["cancelled"]
    assert ask() == (second, True)


def test_a_damaged_plan_keeps_nobody_from_beginning(ask: Ask) -> None:
    first, _ = ask()
    (first.folder / FILE).write_text("{")
    second, before = ask()
    assert (second != first, before) == (True, False)


def test_many_at_once_get_a_plan_each_and_then_take_up_one_each(items: list[Item], tmp_path: Path) -> None:
    gate = Barrier(8)

    def once(number: int) -> tuple[Path, bool]:
        gate.wait()
        with plan_for(items, [], results=tmp_path / "results", now=NOW) as (place, before):
            gate.wait()
            return place.folder, before

    for expected in (False, True):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(once, range(8)))
        assert len({folder for folder, _ in found}) == 8
        assert {before for _, before in found} == {expected}
    assert len(find_plans(tmp_path / "results")) == 8
