"""Carrying a plan out with real workspaces and submissions: whose fault an end is, what is tried again, what counts."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from harness.attempt.desk import Desk
from harness.config import Settings
from harness.errors import HarnessFault, RecordError, UsageError
from harness.plan import journal
from harness.plan.asked import items_of
from harness.plan.carry import Carrier, cancel, look
from harness.plan.plan import Place, keep_plan
from harness.plan.standing import PlanStanding, over
from harness.report.entries import read_results
from harness.road import Road
from harness.scoring.score import Score

Attempted = tuple[Road, Score]
MOODY = '''\
"""Works as the next line of a file says."""

from pathlib import Path

from harness.attempt.participant import Outcome


def work(assignment):
    moods = Path(assignment.options["moods"])
    mood, _, rest = moods.read_text().partition("\\n")
    moods.write_text(rest)
    note = assignment.workspace / "reproduction" / "note.txt"
    if mood == "idle":
        raise KeyboardInterrupt
    note.write_text("work")
    if mood == "refused":
        config = assignment.workspace / ".git" / "config"  # what nobody can take anything out of
        config.unlink()
        config.symlink_to("/etc/passwd")
    if mood == "interrupted":
        raise KeyboardInterrupt
    if mood == "raises":
        raise RuntimeError("the adapter broke")
    fault = mood if mood in ("budget", "submission", "model", "harness") else "none"
    return Outcome(note=f"in a mood: {mood}", ended=fault if fault != "none" else "done", fault=fault)
'''


@dataclass
class Plans:
    """Plans of one moody participant, scored by a stub in place of a rerun."""

    place: Place
    moods: Path
    score: Score
    finished: list[str] = field(default_factory=list)
    troubles: list[BaseException] = field(default_factory=list)

    def finish(self, road: Road) -> Score:
        self.finished.append(road.attempt.id)
        if self.troubles:
            raise self.troubles.pop(0)
        return self.score

    def carry(self, *moods: str, failed_too: bool = False) -> PlanStanding:
        self.moods.write_text("\n".join(moods))
        self.carrier().carry_out(failed_too=failed_too)
        return look(self.place)

    def carrier(self) -> Carrier:
        return Carrier(place=self.place, plan=self.place.plan(), finish=self.finish, tell=lambda text: None)

    def ledger(self, name: str | None) -> list[Any]:
        assert name is not None
        events = Desk(folder=self.place.store.attempt(name)).events()
        return [event.data for event in events if event.kind == "replaced"]


@pytest.fixture
def plans(
    lean_finished: Attempted,
    home: Path,
    settings: Callable[..., Settings],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[[int], Plans]:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents/moody.py").write_text(MOODY)
    monkeypatch.setenv("REPROOF_AGENTS_PATH", str(tmp_path / "agents"))

    def make(repeats: int) -> Plans:
        moods = tmp_path / "moods"
        options = {"moods": str(moods), "repeats": repeats}
        asked = settings(home / "papers" / "lean", tmp_path / "results", "moody", options=options)
        who = asked.participant.model_copy(update={"kind": "agent"})
        items = items_of([asked.model_copy(update={"participant": who})])
        place = keep_plan(items, [], results=tmp_path / "results", now=datetime.now(UTC))
        return Plans(place=place, moods=moods, score=lean_finished[1])

    return make


def states(found: PlanStanding) -> list[str]:
    return [item.state for item in found.items]


def test_what_the_participant_answers_for_counts_and_is_not_tried_again(plans: Callable[[int], Plans]) -> None:
    one = plans(4)
    found = one.carry("good", "budget", "submission", "refused")
    assert (found.state, states(found)) == ("done", ["scored", "scored", "scored", "refused"])
    faults = [item.last.ended.fault for item in found.items if item.last and item.last.ended]
    assert faults == ["none", "budget", "submission", "submission"]
    assert len(one.finished) == 3
    kept = read_results([one.place.store.root])
    assert [entry.verdict for entry in kept.entries] == ["REFUSED"], "the others are not really scored here"


def test_a_fault_of_the_model_or_of_ours_is_tried_again_in_a_new_attempt(plans: Callable[[int], Plans]) -> None:
    one = plans(2)
    found = one.carry("model", "raises", "good", "good")
    assert states(found) == ["scored", "scored"]
    for item in found.items:
        first, second = (one_try.attempt for one_try in item.tries)
        [data] = one.ledger(first)
        fault = "model" if item.item.number == 1 else "harness"
        assert data == {"plan": found.plan.id, "by": second, "fault": fault}
        assert one.ledger(second) == []
    kept = read_results([one.place.store.root])
    assert {(gone.attempt, gone.by) for gone in kept.replaced} == {
        (item.tries[0].attempt, item.tries[1].attempt) for item in found.items
    }
    said = [event.said for event in journal.read(one.place.journal) if event.fault == "harness"]
    assert said == ["RuntimeError: the adapter broke"]


def test_three_tries_and_an_item_has_failed_until_it_is_resumed_with_its_tries_again(
    plans: Callable[[int], Plans],
) -> None:
    one = plans(1)
    found = one.carry("model", "model", "model", "good")
    assert (found.state, states(found)) == ("done", ["failed"])
    last = found.items[0].tries[-1].attempt
    assert [data["by"] for data in one.ledger(last)] == [None]
    assert states(one.carry("good")) == ["failed"]
    found = one.carry("good", failed_too=True)
    assert states(found) == ["scored"]
    assert [data["by"] for data in one.ledger(last)] == [None, found.items[0].tries[-1].attempt]


def test_work_that_was_handed_in_is_not_thrown_away_for_a_fault_of_the_rerun(plans: Callable[[int], Plans]) -> None:
    one = plans(1)
    one.troubles = [HarnessFault("no room on the disk"), OSError("again")]
    found = one.carry("good")
    assert states(found) == ["scored"]
    assert len(found.items[0].tries) == 1
    assert len(one.finished) == 3
    assert len(set(one.finished)) == 1
    assert one.ledger(one.finished[0]) == []


def test_three_faults_in_a_row_stop_a_plan_which_goes_on_when_it_is_resumed(plans: Callable[[int], Plans]) -> None:
    one = plans(4)
    with pytest.raises(HarnessFault, match="3 attempts in a row ended by a fault of the model's provider: in a mood"):
        one.carry("model", "model", "model", "good", "good")
    found = look(one.place)
    assert found.state == "stalled"
    assert "in a row" in found.said
    assert states(found) == ["to be tried again"] * 3 + ["waiting"]
    found = one.carry("good", "good", "good", "good")
    assert (found.state, states(found), found.said) == ("done", ["scored"] * 4, "")


def test_an_interrupted_attempt_with_work_is_ended_and_one_without_begun_anew(plans: Callable[[int], Plans]) -> None:
    one = plans(2)
    with pytest.raises(KeyboardInterrupt):
        one.carry("interrupted")
    found = look(one.place)
    assert (found.state, states(found)) == ("interrupted", ["interrupted", "waiting"])
    worked = found.items[0].tries[0].attempt
    with pytest.raises(KeyboardInterrupt):
        one.carry("idle")
    assert one.finished == [worked], "what was left is handed in and rerun"
    found = one.carry("good")
    assert states(found) == ["scored", "scored"]
    [idle, good] = found.items[1].tries
    assert [data["by"] for data in one.ledger(idle.attempt)] == [good.attempt]
    assert one.ledger(worked) == []


def test_an_attempt_that_was_begun_by_name_only_is_begun_under_that_name(plans: Callable[[int], Plans]) -> None:
    one = plans(1)
    name = "20260105-090000-lean-moody-abcd"
    journal.note(one.place.journal, "begun", item=1, attempt=name)
    found = one.carry("good")
    assert [one_try.attempt for one_try in found.items[0].tries] == [name] == one.finished


def test_cancelled_ones_end_after_the_attempt_under_way_or_in_its_midst(plans: Callable[[int], Plans]) -> None:
    one = plans(3)
    again = one.finish

    def finish(road: Road) -> Score:
        cancel(one.place, now=False)
        assert look(one.place).state == "cancelling"
        return again(road)

    one.finish = finish  # type: ignore[method-assign]
    found = one.carry("good", "good", "good")
    assert (found.state, states(found)) == ("cancelled", ["scored", "cancelled", "cancelled"])
    two = plans(2)

    def wait(road: Road) -> Score:
        cancel(two.place, now=True)
        threading.Event().wait(20)
        raise AssertionError("nobody has interrupted it")

    two.finish = wait  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        two.carry("good", "good")
    assert (look(two.place).state, states(look(two.place))) == ("cancelled", ["cancelled", "cancelled"])
    three = plans(2)
    cancel(three.place, now=True)
    assert look(three.place).state == "cancelled"


def test_a_resumed_plan_does_nothing_twice(plans: Callable[[int], Plans]) -> None:
    one = plans(2)
    one.carry("good", "good")
    before = journal.read(one.place.journal)
    one.carry()
    assert journal.read(one.place.journal) == before
    assert len(one.finished) == 2


def test_what_is_missing_is_said_before_anything_begins(
    plans: Callable[[int], Plans], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = plans(2)
    monkeypatch.delenv("REPROOF_AGENTS_PATH")
    with pytest.raises(UsageError, match="unknown adapter"):
        one.carry("good")
    assert journal.read(one.place.journal) == ()


def test_a_ledger_that_is_damaged_stops_no_plan(plans: Callable[[int], Plans]) -> None:
    one = plans(1)
    with pytest.raises(KeyboardInterrupt):
        one.carry("idle")
    [idle] = look(one.place).items[0].tries
    path = one.place.store.attempt(idle.attempt) / "ledger.jsonl"
    path.write_bytes(path.read_bytes().replace(b"moody", b"other"))
    with pytest.raises(RecordError):
        Desk(folder=path.parent).events()
    assert states(one.carry("good")) == ["scored"]


def test_an_interrupt_from_outside_leaves_the_attempt_open(plans: Callable[[int], Plans]) -> None:
    one = plans(1)

    def interrupted(road: Road) -> Score:
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(20)
        raise AssertionError("no interrupt came")

    finish, one.finish = one.finish, interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        one.carry("good")
    assert states(look(one.place)) == ["interrupted"]
    one.finish = finish  # type: ignore[method-assign]
    found = one.carry()
    assert states(found) == ["scored"]
    assert len(found.items[0].tries) == 1


def test_who_does_the_same_each_time_is_begun_anew_and_not_handed_in_by_half(
    plans: Callable[[int], Plans], tmp_path: Path
) -> None:
    """Once: a reference that was killed while it was laid out was handed in as far as it lay there, and failed."""
    one = plans(1)
    (tmp_path / "agents/moody.py").write_text(f"{MOODY}\n\nREPEATABLE = True\n")
    with pytest.raises(KeyboardInterrupt):
        one.carry("interrupted")
    found = one.carry("good")
    first, second = (one_try.attempt for one_try in found.items[0].tries)
    assert states(found) == ["scored"]
    assert [data["by"] for data in one.ledger(first)] == [second]
    assert Desk(folder=one.place.store.attempt(first)).submissions == []
    assert one.finished == [second]


def test_work_that_came_to_its_end_is_handed_in_whoever_did_it(plans: Callable[[int], Plans], tmp_path: Path) -> None:
    one = plans(1)
    (tmp_path / "agents/moody.py").write_text(f"{MOODY}\n\nREPEATABLE = True\n")
    one.troubles = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        one.carry("good")
    [handed] = look(one.place).items[0].tries
    found = one.carry()
    assert [one_try.attempt for one_try in found.items[0].tries] == [handed.attempt]
    assert states(found) == ["scored"]


def test_alone_a_fault_is_raised_and_asked_for_again_it_goes_on(plans: Callable[[int], Plans]) -> None:
    one = plans(1)
    one.moods.write_text("good")
    one.troubles = [HarnessFault("the disk is full")]
    alone = replace(one.carrier(), trying=False)
    with pytest.raises(HarnessFault, match="the disk is full"), one.place.taken():
        alone.go_on()
    assert states(look(one.place)) == ["to be tried again"]
    with one.place.taken():
        alone.go_on(failed_too=True)
        assert not over(journal.read(one.place.journal)), "nobody has heard of its end yet"
        alone.close()
    assert over(journal.read(one.place.journal))
    [item] = look(one.place).items
    assert (item.state, len(item.tries)) == ("scored", 1), "what was handed in is not worked on again"
