"""Carrying a plan out: one item after another, whatever fails attributed, only our own faults tried again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.attempt.attempt import FAULTS_OF_OURS, HandedIn, attempt_name
from harness.attempt.desk import Desk, head_of
from harness.attempt.participant import Outcome
from harness.attempt.submission import kept_files, picture
from harness.config import Settings
from harness.errors import HarnessFault, RecordError, SubmissionError, UsageError
from harness.handing_in import ensure_submission, hand_in
from harness.handing_out import ensure_work_counts, hand_out, has_worked, work_on
from harness.paper.quantities import show_seconds
from harness.plan import journal
from harness.plan.asked import ensure_still_ready, thawed
from harness.plan.plan import Place, Plan
from harness.plan.standing import ItemStanding, PlanStanding, stalled, standing, superseded
from harness.rerun.engine import Progress, silent
from harness.road import Road, Tell, road_of
from harness.scoring.score import Score

Finish = Callable[[Road], Score]
"""What follows a submission: rerun it, score it, draw its page, mirror it."""


def look(place: Place) -> PlanStanding:
    """How far a plan is at this moment."""
    return standing(place.plan(), journal.read(place.journal), running=place.runner() is not None)


def is_left(place: Place) -> bool:
    """Whether something of a plan is left that can still be done; what is damaged is nothing that one goes on with."""
    try:
        return look(place).state not in ("done", "cancelled")
    except RecordError:
        return False


@dataclass(frozen=True, kw_only=True)
class Carrier:
    """Whoever carries a plan out."""

    place: Place
    plan: Plan
    finish: Finish
    tell: Tell
    progress: Progress = silent
    trying: bool = True
    """Whether faults of ours and of the model are tried again; if not, whoever asked hears of them, and asks again."""

    def carry_out(self, *, failed_too: bool = False) -> None:
        """Take up what is left, item by item, until there is nothing, or somebody cancels it.

        Args:
            failed_too: Whether items that failed by a fault of ours or of the model get all their tries again.

        Raises:
            UsageError: Somebody else carries it out, or an attempt could not be made now.
            HarnessFault: It stalled; it can be taken up again.
        """
        with self.place.taken():
            self.go_on(failed_too=failed_too)
            self.close()

    def go_on(self, *, failed_too: bool = False) -> None:
        """The same of a plan that was taken before, and is closed once its end has been told."""
        try:
            self._carry(failed_too=failed_too)
        except KeyboardInterrupt:
            if self._now().state == "cancelling":
                self._note("cancelled")
            raise

    def close(self) -> None:
        """Say that it has ended, if it has; the same command then asks for something new."""
        self._mark_superseded()
        now = self._now()
        if now.state == "cancelling":
            self._note("cancelled")
        elif now.state != "cancelled" and not now.left and not self._is_closed():
            self._note("done")

    def _is_closed(self) -> bool:
        return any(event.kind == "done" for event in journal.read(self.place.journal)[-1:])

    def _carry(self, *, failed_too: bool) -> None:
        if failed_too:
            self._again()
        if self._left():
            ensure_still_ready([item.item for item in self._left()])
            self._note("taken up")
        while left := self._left():
            self._mark_superseded()
            self._try(left[0], self._said(left))
            self._stop_if_stalled()
        self._mark_superseded()

    @property
    def standing(self) -> PlanStanding:
        """How far it is, once it is left alone."""
        return standing(self.plan, journal.read(self.place.journal), running=False)

    def _now(self) -> PlanStanding:
        return standing(self.plan, journal.read(self.place.journal), running=True)

    def _note(self, kind: journal.Kind, **facts: Any) -> journal.Event:
        return journal.note(self.place.journal, kind, **facts)

    def _left(self) -> list[ItemStanding]:
        """What is to be taken up, in this order; nothing once somebody cancels it."""
        now = self._now()
        return [] if now.state in ("cancelling", "cancelled") else now.left

    def _again(self) -> None:
        for item in self._now().items:
            if item.state == "failed":
                self._note("again", item=item.item.number)

    def _said(self, left: list[ItemStanding]) -> str:
        found, total = self._now(), len(self.plan.items)
        estimate = f"; about {show_seconds(round(found.estimate))} left" if found.estimate else ""
        return f"{total - len(left)} of {total} done, now {left[0].item.label}{estimate}"

    def _stop_if_stalled(self) -> None:
        """Stop before the same fault takes the tries of everybody.

        Raises:
            HarnessFault: It stalled.
        """
        if (why := stalled(journal.read(self.place.journal))) is None:
            return
        self._note("stalled", said=why)
        self._mark_superseded()
        remedy = f"mend it, then: reproof plan resume {self.plan.id} --results {self.place.store.root}"
        raise HarnessFault("the plan was stopped", where=self.plan.id, got=why, remedy=remedy)

    def _try(self, found: ItemStanding, said: str) -> None:
        """One try at an item, and how it ended; an interrupt leaves it open, to be gone on with."""
        number, settings = found.item.number, thawed(found.item)
        road = self._under_way(found)
        name = road.attempt.id if road else self._name(found, settings)
        if self.trying:
            self.tell(f"{self.plan.id}: {said}{', goes on' if road else ''}")
        self._note("continued" if road else "begun", item=number, attempt=name)
        try:
            facts = self._carried(road, settings, name)
        except Exception as error:  # whatever it is, if it is no participant's: attributed, kept, and tried again
            facts = _attributed(error)
            if not self.trying:
                self._note("ended", item=number, attempt=name, **facts)
                raise
        ended = self._note("ended", item=number, attempt=name, **facts)
        if ended.fault in FAULTS_OF_OURS:
            self.tell(f"{name}: a fault of {'the model' if ended.fault == 'model' else 'ours'}: {ended.brief}")

    def _carried(self, road: Road | None, settings: Settings, name: str) -> dict[str, Any]:
        begun = road is None
        road = road or hand_out(settings, tell=self.tell, progress=self.progress, name=name)
        with road.desk.alone(f"plan {self.plan.id}", self.tell):
            handed = _handed_in(road, work_on(road, settings)) if begun else ensure_submission(road)
            if self.trying and handed.fault in FAULTS_OF_OURS:
                return {"fault": handed.fault, "said": handed.note}
            score = self.finish(road)
        return {"fault": handed.fault, "said": handed.ended, "verdict": score.verdict, "score": score.score.value}

    def _name(self, found: ItemStanding, settings: Settings) -> str:
        """What the next attempt is called; one that was begun by name only is begun again under it."""
        last = found.last
        if last is not None and last.ended is None and not self._is_there(last.attempt):
            return last.attempt
        return attempt_name(found.item.paper, settings.participant.name, datetime.now(UTC))

    def _folder(self, attempt: str) -> Path:
        return self.place.store.attempt(attempt)

    def _is_there(self, attempt: str) -> bool:
        return (self._folder(attempt) / "attempt.json").exists()

    def _under_way(self, found: ItemStanding) -> Road | None:
        """The attempt to go on with: there is work, handed in or not, and no fault of ours has ended it."""
        if found.last is None or not self._is_there(found.last.attempt):
            return None
        desk = Desk(folder=self._folder(found.last.attempt))
        private = thawed(found.item).private_path
        road = road_of(desk, tell=self.tell, progress=self.progress, private_path=private)
        if desk.submissions:
            return None if road.submission().fault in FAULTS_OF_OURS else road
        return road if found.last.ended is None and _holds_work(road, thawed(found.item).agents_path) else None

    def _mark_superseded(self) -> None:
        """Say in the ledgers of attempts that count nothing which one stands in their place."""
        for old, by in superseded(self._now()):
            desk = Desk(folder=self._folder(old.attempt))
            if not self._is_there(old.attempt):
                continue
            try:
                if not any(event.kind == "replaced" and event.data.get("by") == by for event in desk.events()):
                    desk.stop_lost_clock()
                    fault = old.ended.fault if old.ended else "harness"
                    desk.note("replaced", plan=self.plan.id, by=by, fault=fault)
            except RecordError as error:
                self.tell(f"{old.attempt} counts nothing, but its ledger cannot say so: {error.message}")


def _handed_in(road: Road, outcome: Outcome) -> HandedIn:
    """What was left is taken in; where a fault of ours ended the work, that decides, not what it left."""
    try:
        return hand_in(road, outcome)
    except SubmissionError:
        if outcome.fault in FAULTS_OF_OURS:
            raise HarnessFault(outcome.note) from None
        raise


def _holds_work(road: Road, agents: Path | None) -> bool:
    """Whether somebody has worked in the workspace since it was handed out, who would not do the same again."""
    with contextlib.suppress(RecordError):  # a ledger that is damaged is told of when the work is handed in
        if has_worked(road):
            return True
        try:
            ensure_work_counts(road, agents)
        except UsageError:
            return False
    if head_of(road.workspace) not in (None, road.attempt.start_commit):
        return True
    try:
        there = picture(road.workspace, sandbox=road.sandbox)
    except SubmissionError:  # it cannot be looked at, which handing it in will say
        return True
    return dict(there) != dict(kept_files(road.attempt.start_tree, road.store.root))


def _attributed(error: Exception) -> dict[str, Any]:
    """Whose fault an error is, and what is said of it."""
    if isinstance(error, SubmissionError):
        return {"fault": "submission", "said": f"refused: {error.message}"}
    return {"fault": "harness", "said": f"{type(error).__name__}: {error}"}


def cancel(place: Place, *, now: bool) -> None:
    """Cancel a plan: at once where nobody carries it out, else after the attempt under way, or in its midst.

    Args:
        place: Where the plan lies.
        now: Whether the attempt under way is interrupted.
    """
    import os
    import signal

    runner = place.runner()
    journal.note(place.journal, "cancelling" if runner is not None else "cancelled")
    if runner and now:
        with contextlib.suppress(ProcessLookupError):
            os.kill(runner, signal.SIGINT)
