"""How far a plan is, computed from its items and its journal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from harness.attempt.attempt import FAULTS_OF_OURS, Fault
from harness.plan.journal import Event
from harness.plan.plan import Item, Plan

TRIES = 3
"""How often an item is tried where the fault is ours or the model's."""
IN_A_ROW = 3
"""Faults of ours or of the model on as many different items, with nothing between them, stop a plan."""
ItemState = Literal[
    "waiting", "running", "interrupted", "to be tried again", "scored", "refused", "failed", "cancelled"
]
PlanState = Literal["ready", "running", "cancelling", "interrupted", "stalled", "cancelled", "done"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One attempt at an item."""

    attempt: str
    begun: datetime
    ended: Event | None = None
    """None: it is under way, or was interrupted."""

    @property
    def ours(self) -> bool:
        """Whether it ended by a fault that no participant answers for."""
        return self.ended is not None and self.ended.fault in FAULTS_OF_OURS


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemStanding:
    """How far one item is."""

    item: Item
    state: ItemState
    tries: tuple[Try, ...]
    """All that were ever begun, the oldest first."""
    faults: int
    """Faults of ours or of the model that count against its tries."""

    @property
    def last(self) -> Try | None:
        """The try that counts, or is about to."""
        return self.tries[-1] if self.tries else None

    @property
    def open(self) -> bool:
        """Whether something is left to do."""
        return self.state in ("waiting", "running", "interrupted", "to be tried again")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStanding:
    """How far a plan is."""

    plan: Plan
    state: PlanState
    items: tuple[ItemStanding, ...]
    said: str
    """Why it stalled, if it did."""
    seconds: tuple[float, ...]
    """That tries took which ended without a fault of ours."""

    @property
    def left(self) -> list[ItemStanding]:
        """Items with something left to do, in the order in which they are taken up."""
        return sorted((item for item in self.items if item.open), key=_turn)

    @property
    def estimate(self) -> float | None:
        """Seconds until it is done, if what is left takes as long as what was done; None: nothing is known yet."""
        return len(self.left) * sum(self.seconds) / len(self.seconds) if self.seconds else None

    def count(self, state: ItemState) -> int:
        """Items in a state."""
        return sum(item.state == state for item in self.items)


def _turn(item: ItemStanding) -> tuple[int, int]:
    """What was begun is ended first; who failed by our fault waits until all others had their turn."""
    if item.state in ("running", "interrupted"):
        return -1, item.item.number
    return item.faults, item.item.number


@dataclass(slots=True)
class _Told:
    """What the journal tells of one item."""

    tries: dict[str, Try] = field(default_factory=dict)
    since: datetime | None = None
    faults: int = 0


def standing(plan: Plan, events: Sequence[Event], *, running: bool) -> PlanStanding:
    """How far a plan is.

    Args:
        plan: What was asked for.
        events: Its journal.
        running: Whether somebody carries it out at this moment.
    """
    told = {item.number: _Told() for item in plan.items}
    seconds: list[float] = []
    for event in events:
        if event.item in told:
            _take(told[event.item], event, seconds)
    state = _state(events, running=running)
    items = tuple(_item(item, told[item.number], state) for item in plan.items)
    if state == "interrupted" and not any(item.open for item in items):
        state = "done"
    last = next((event for event in reversed(events) if event.kind in ("stalled", "taken up")), None)
    said = last.said if last and last.kind == "stalled" else ""
    return PlanStanding(plan=plan, state=state, items=items, said=said, seconds=tuple(seconds))


def _take(told: _Told, event: Event, seconds: list[float]) -> None:
    name = event.attempt or ""
    match event.kind:
        case "begun" | "continued":
            first = told.tries.pop(name, None)
            told.tries[name] = Try(attempt=name, begun=first.begun if first else event.at)
            told.since = event.at
        case "ended":
            begun = told.tries[name].begun if name in told.tries else event.at
            told.tries[name] = Try(attempt=name, begun=begun, ended=event)
            if event.fault in FAULTS_OF_OURS:
                told.faults += 1
            else:
                seconds.append((event.at - (told.since or event.at)).total_seconds())
        case "again":
            told.faults = 0
        case _:
            pass


def _state(events: Sequence[Event], *, running: bool) -> PlanState:
    kinds = [event.kind for event in events]
    if "cancelled" in kinds or "cancelling" in kinds:
        return "cancelling" if running and "cancelled" not in kinds else "cancelled"
    if running:
        return "running"
    if not kinds:
        return "ready"
    return {"done": "done", "stalled": "stalled"}.get(kinds[-1], "interrupted")  # type: ignore[return-value]


def over(events: Sequence[Event]) -> bool:
    """Whether a plan has come to its end and said so, or was cancelled."""
    kinds = [event.kind for event in events]
    return kinds[-1:] == ["done"] or "cancelled" in kinds or "cancelling" in kinds


def _item(item: Item, told: _Told, plan: PlanState) -> ItemStanding:
    tries = tuple(told.tries.values())
    return ItemStanding(item=item, state=_item_state(tries, told.faults, plan), tries=tries, faults=told.faults)


def _item_state(tries: Sequence[Try], faults: int, plan: PlanState) -> ItemState:
    last = tries[-1].ended if tries else None
    if last is not None and last.verdict is not None:
        return "scored"
    if last is not None and last.fault not in FAULTS_OF_OURS:
        return "refused"
    if plan == "cancelled":
        return "cancelled"
    if last is not None:
        return "failed" if faults >= TRIES else "to be tried again"
    if tries:
        return "running" if plan in ("running", "cancelling") else "interrupted"
    return "waiting"


def stalled(events: Sequence[Event]) -> str | None:
    """Why a plan should stop: so many faults in a row, each on another item, since it was taken up; else None."""
    row: list[Event] = []
    for event in reversed(events):
        if event.kind == "taken up" or (event.kind == "ended" and event.fault not in FAULTS_OF_OURS):
            break
        if event.kind == "ended":
            row.append(event)
    if len({event.item for event in row[:IN_A_ROW]}) < IN_A_ROW:
        return None
    last: Fault = row[0].fault
    whose = "of the model's provider" if last == "model" else "of ours"
    return f"{IN_A_ROW} attempts in a row ended by a fault {whose}: {row[0].brief}"


def superseded(found: PlanStanding) -> list[tuple[Try, str | None]]:
    """Tries that count nothing, each with the attempt in its place; None where there is none."""
    pairs: list[tuple[Try, str | None]] = []
    for item in found.items:
        pairs += [(old, new.attempt) for old, new in zip(item.tries, item.tries[1:], strict=False)]
        if item.state == "failed" and item.last is not None:
            pairs.append((item.last, None))
    return pairs
