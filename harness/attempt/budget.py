"""What an attempt has used of its budget and what is left, computed from its ledger alone: one meter for everyone."""

from __future__ import annotations

import contextlib
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

from harness.attempt.attempt import Budget
from harness.attempt.clock import Moment, awake_between, wall_between
from harness.attempt.ledger import Event

State = Literal["ready", "running", "paused", "interrupted", "submitted", "over", "withdrawn"]
"""`interrupted`: the machine went down while the clock ran; `over`: working or wall time is used up."""
ITEMS = ("working", "wall", "cpu", "disk", "env_steps", "tokens", "dollars")
"""What a budget is made of: seconds, seconds, seconds, bytes, steps, tokens, dollars."""
DECLARABLE = ("working", "cpu", "env_steps", "tokens", "dollars")
"""What a participant may declare of work done elsewhere; the same that the ledger counts of commands and models."""
STREAMS = ("training", "evaluation")
"""Of an environment that the harness serves."""
WAITED = "the model's provider was busy"
INTERRUPTED = "the machine went down"
LAST_SIGN = "last_sign"
"""In an event's data: the last moment before it at which the clock is known to have run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A stretch of working time, between the start of a clock and its end."""

    who: str
    since: Moment
    seconds: float
    ended: str | None
    """Why it ended; None while the clock runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What was done outside the stretches: a metered command, a declaration, a note."""

    who: str
    at: Moment
    what: str
    used: Mapping[str, float]
    declared: bool
    exact: bool
    """Whether a cgroup counted it."""
    streams: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Steps by environment that the harness served to it, and by stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A commit that the harness saw at the head of the workspace."""

    commit: str
    who: str
    working: float
    """Seconds of working time that had been used by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An attempt's account at one moment."""

    budget: Budget
    state: State
    holder: str
    """Who works on it now."""
    people: tuple[str, ...]
    """Who worked on it, in the order in which they came."""
    stretches: tuple[Stretch, ...]
    extras: tuple[Extra, ...]
    marks: tuple[Mark, ...]
    wall: float
    disk: int
    submissions: int
    pending: bool
    """Whether there is work that was not handed in: nothing was yet, or the clock was started again since."""
    unrecorded: float
    """Seconds between the last sign of life and now, after the machine went down while the clock ran; else 0."""
    instead: str | None = None
    """Why the last submission is not all that there was, and what it is in its place; None: it is."""

    asked: bool = False
    """Whether a model was asked through our proxy, so that its tokens are known."""
    priced: bool = False
    """Whether all of them had a price."""

    @property
    def unmeasured(self) -> tuple[str, ...]:
        """The items that nobody has measured or declared in this attempt."""
        unknown = (() if self.priced else ("dollars",)) if self.asked else ("tokens", "dollars")
        return tuple(item for item in unknown if not self.declared(item))

    @property
    def in_words(self) -> str:
        """Its state, for people."""
        return "not started yet" if self.state == "ready" else self.state

    @property
    def running(self) -> bool:
        """Whether the clock runs at this moment, even if the time is used up."""
        return bool(self.stretches) and self.stretches[-1].ended is None

    def used(self, item: str) -> float:
        """What was used of one item, declared work included; in the budget's unit."""
        if item in ("wall", "disk"):
            return float(getattr(self, item))
        clocked = sum(stretch.seconds for stretch in self.stretches) if item == "working" else 0.0
        return clocked + sum(extra.used.get(item, 0.0) for extra in self.extras)

    def declared(self, item: str) -> float:
        """The part of it that nobody but the participant has measured."""
        return sum(extra.used.get(item, 0.0) for extra in self.extras if extra.declared)

    @property
    def streams(self) -> dict[str, dict[str, int]]:
        """Steps by environment and stream, as far as the harness served them."""
        found: dict[str, dict[str, int]] = {}
        for extra in self.extras:
            for id, steps in extra.streams.items():
                before = found.get(id, {})
                found[id] = {name: before.get(name, 0) + taken for name, taken in steps.items()}
        return found

    def limit(self, item: str) -> float | None:
        """What there is of one item in all; None: it is not limited."""
        limit = getattr(self.budget, item)
        return None if limit is None else float(limit)

    def left(self, item: str) -> float | None:
        """What is left of one item, at least 0; None: it is not limited."""
        limit = self.limit(item)
        return None if limit is None else max(0.0, limit - self.used(item))

    def used_up_by(self, used: Mapping[str, float]) -> str | None:
        """The item of which nothing would be left if this were used as well; None where there is none."""
        lefts = {item: self.left(item) for item in used}
        return next((item for item, left in lefts.items() if left is not None and used[item] >= left), None)

    @property
    def time_left(self) -> float:
        """Seconds until the attempt ends if its clock runs on."""
        return min(self.left("working") or 0.0, self.left("wall") or 0.0)

    @property
    def ended(self) -> str | None:
        """Which time is used up, in words; None while there is some."""
        spent = next((item for item in ("working", "wall") if self.left(item) == 0), None)
        return None if spent is None else f"the {spent} time is used up"

    @property
    def exact(self) -> bool:
        """Whether a cgroup counted all CPU time that was metered."""
        return all(extra.exact for extra in self.extras)

    @property
    def late(self) -> float:
        """Seconds since the wall time was used up; 0 before."""
        return max(0.0, self.wall - self.budget.wall)

    def credits(self) -> dict[str, dict[str, float]]:
        """By participant: working seconds, CPU seconds, and how many commits the harness saw them make."""
        found: dict[str, dict[str, float]] = defaultdict(lambda: {"working": 0.0, "cpu": 0.0, "commits": 0})
        for who in self.people:
            found[who]["commits"] += 0
        for stretch in self.stretches:
            found[stretch.who]["working"] += stretch.seconds
        for extra in self.extras:
            for item in ("working", "cpu"):
                found[extra.who][item] += extra.used.get(item, 0.0)
        for mark in self.marks:
            found[mark.who]["commits"] += 1
        return dict(found)


def account(
    events: Iterable[Event],
    budget: Budget,
    *,
    now: Moment,
    pulse: Moment | None = None,
    running: Iterable[Mapping[str, Any]] = (),
    disk: int = 0,
) -> Account:
    """Reckon an attempt's account.

    Working time is what passed on a clock that stands still while the machine sleeps, and that nobody can set. Where
    the machine went down while it ran, it counts up to the last sign of life: the last event, or a later pulse.

    Args:
        events: The ledger.
        budget: What was granted.
        now: The moment to reckon for.
        pulse: The last moment at which the clock is known to have run, beside the events.
        running: Commands and requests that are not in the ledger yet, as its events would tell them.
        disk: Bytes that the workspace holds.
    """
    events = list(events)
    reckoning = _Reckoning(signs=[*signs_of(events), *([pulse] if pulse else [])])
    for event in events:
        reckoning.take(event)
    for data in running:
        reckoning.extra(data, now, declared=False)
        reckoning.ask(data)
        if data.get("waited"):
            reckoning.wait({"seconds": data["waited"]}, now)
    return reckoning.close(budget, now, disk)


def signs_of(events: Iterable[Event]) -> list[Moment]:
    """The moments that events name at which the clock is known to have run, whenever that was written down."""
    named = [event.data[LAST_SIGN] for event in events if LAST_SIGN in event.data]
    return [msgspec.convert(sign, Moment) for sign in named]


def latest(moment: Moment, signs: Iterable[Moment]) -> Moment:
    """The latest of a moment and the signs that belong to the same start of the machine."""
    return max([moment, *(sign for sign in signs if sign.boot == moment.boot)], key=lambda sign: sign.up)


def disk_of(folder: Path) -> int:
    """Bytes of allocated blocks beneath a folder; links are not followed, what is too deep to be named is left."""
    total, waiting = 0, [str(folder)]
    while waiting:
        with contextlib.suppress(OSError), os.scandir(waiting.pop()) as entries:  # gone, or closed to us by now
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                else:
                    with contextlib.suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


@dataclass(slots=True)
class _Reckoning:
    """The state of an account while its ledger is read."""

    signs: list[Moment]
    """Moments at which the clock is known to have run, beside the events."""
    holder: str = ""
    people: list[str] = field(default_factory=list)
    state: State = "ready"
    since: Moment | None = None
    """When the running clock was started."""
    last: Moment | None = None
    wall: float = 0.0
    stretches: list[Stretch] = field(default_factory=list)
    extras: list[Extra] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    jobs: set[str] = field(default_factory=set)
    submissions: int = 0
    instead: str | None = None
    pending: bool = True
    asked: bool = False
    priced: bool = True

    def take(self, event: Event) -> None:
        """Count one event."""
        at = event.moment
        self._pass(at)
        if self.since and at.boot != self.since.boot:
            self._interrupt()
        match event.kind:
            case "started":
                self._hold(str(event.data.get("name", "")))
            case "resumed":
                self._stop(at, "running", "started again")
                self.since, self.pending = at, True
            case "paused":
                self._stop(at, "paused", str(event.data.get("reason", "")))
            case "submitted":
                self._submitted(event)
            case "withdrawn" | "replaced":
                self._stop(at, "withdrawn", event.kind)
            case "handed over":
                self._stop(at, "paused", f"handed over to {event.data.get('to')}")
                self._hold(str(event.data.get("to")))
            case "executed" | "noted" | "asked":
                self.extra(event.data, at, declared=event.kind == "noted")
                self.ask(event.data)
            case "waited":
                self.wait(event.data, at)
            case "committed":
                commit = str(event.data.get("commit"))
                self.marks.append(Mark(commit=commit, who=self.holder, working=self._working(at)))
            case _:
                pass
        self.last = at

    def _pass(self, at: Moment) -> None:
        """Let wall time pass; where the machine was started again, as far as it is known to have run before."""
        if self.last is not None:
            sign = latest(self.last, self.signs) if at.boot != self.last.boot else self.last
            self.wall += wall_between(self.last, sign) + wall_between(sign, at)

    def _hold(self, name: str) -> None:
        self.holder = name
        self.people = list(dict.fromkeys([*self.people, name]))

    def _submitted(self, event: Event) -> None:
        if "refused" in event.data:
            return
        if "again" not in event.data:
            self.submissions += 1
            self.instead = event.data.get("instead")
        self.pending = False
        self._stop(event.moment, "submitted", "submitted")

    def extra(self, data: Mapping[str, Any], at: Moment, *, declared: bool) -> None:
        """Count a command or a declaration; a command that was written down twice counts once."""
        job = data.get("job")
        if job is not None and job in self.jobs:
            return
        self.jobs.add(str(job))
        used = {item: float(data[item]) for item in DECLARABLE if (data.get(item) or 0) > 0}
        exact = bool(data.get("exact", True))
        what = str(data.get("command") or data.get("note") or "")
        streams = {
            id: {name: int(steps[name]) for name in STREAMS} for id, steps in data.get("environments", {}).items()
        }
        extra = Extra(who=self.holder, at=at, what=what, used=used, declared=declared, exact=exact, streams=streams)
        self.extras.append(extra)

    def ask(self, data: Mapping[str, Any]) -> None:
        """Note whether what a model was asked is known, and has a price."""
        if "requests" in data:
            self.asked, self.priced = True, self.priced and "dollars" in data

    def wait(self, data: Mapping[str, Any], at: Moment) -> None:
        """Leave out of the working time what passed while a model's provider was too busy to answer."""
        seconds = min(max(0.0, float(data.get("seconds", 0.0))), self._working(at))
        self.extras.append(
            Extra(who=self.holder, at=at, what=WAITED, used={"working": -seconds}, declared=False, exact=True)
        )

    def _stop(self, at: Moment, state: State, why: str) -> None:
        if self.state != "withdrawn":
            self.state = state
        if self.since is not None:
            self._end(at, why)

    def _interrupt(self) -> None:
        assert self.since is not None
        self.state = "interrupted"
        self._end(self._last_sign(), INTERRUPTED)

    def _end(self, at: Moment, why: str | None) -> None:
        assert self.since is not None
        seconds = awake_between(self.since, at)
        self.stretches.append(Stretch(who=self.holder, since=self.since, seconds=seconds, ended=why))
        self.since = None

    def _last_sign(self) -> Moment:
        assert self.since is not None
        return latest(self.since, [*([self.last] if self.last else []), *self.signs])

    def _working(self, at: Moment) -> float:
        running = awake_between(self.since, at) if self.since else 0.0
        clocked = running + sum(stretch.seconds for stretch in self.stretches)
        return clocked + sum(extra.used.get("working", 0.0) for extra in self.extras)

    def close(self, budget: Budget, now: Moment, disk: int) -> Account:
        """The account at a moment that lies after all events."""
        self._pass(now)
        unrecorded = 0.0
        if self.since and now.boot == self.since.boot:
            self._end(now, None)
        elif self.since:
            unrecorded = wall_between(self._last_sign(), now)
            self._interrupt()
        found = Account(
            budget=budget,
            state=self.state,
            holder=self.holder,
            people=tuple(self.people),
            stretches=tuple(self.stretches),
            extras=tuple(self.extras),
            marks=tuple(self.marks),
            wall=self.wall,
            disk=disk,
            submissions=self.submissions,
            instead=self.instead,
            pending=self.pending,
            unrecorded=unrecorded,
            asked=self.asked,
            priced=self.asked and self.priced,
        )
        return found if self.state == "withdrawn" or found.ended is None else replace(found, state="over")
