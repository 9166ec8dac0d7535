"""A plan: many attempts asked for at once, the settings of each frozen before the first one begins."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness.errors import RecordError, UsageError, unknown
from harness.record.files import Slip, Store, Time, canonical, land, named, private_file, read_slip, write_slip

FILE, JOURNAL, LOCK = "plan.json", "journal.jsonl", "plan.lock"
"""In the plan's folder."""
_LOOKS = 5
_COUNT = Annotated[int, msgspec.Meta(ge=1)]


class Item(Slip, frozen=True):
    """One attempt that is asked for."""

    number: _COUNT
    """Its place in the plan, from 1."""
    repeat: _COUNT
    """Which of its repeats it is, from 1."""
    repeats: _COUNT
    paper: str
    """The paper's id."""
    paper_version: str
    """By which it is to be scored: attempts by two versions do not compare."""
    kind: str
    participant: str
    settings: dict[str, Any]
    """As composed, everything that decides how the attempt is made."""

    @property
    def label(self) -> str:
        """The item in a few words."""
        count = f" ({self.repeat} of {self.repeats})" if self.repeats > 1 else ""
        return f"{self.paper} · {self.participant}{count}"


class Plan(Slip, frozen=True):
    """The attempts of one command, as they were asked for."""

    id: str
    made: Time
    overrides: list[str]
    """What the command said."""
    items: list[Item]
    fingerprint: str
    """SHA-256 of all the rest."""

    def digest(self) -> str:
        """The fingerprint that its content gives."""
        facts = msgspec.to_builtins(self)
        return hashlib.sha256(canonical({name: facts[name] for name in facts if name != "fingerprint"})).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """The folder of a plan."""

    folder: Path

    @property
    def journal(self) -> Path:
        """What happened to its items."""
        return self.folder / JOURNAL

    @property
    def store(self) -> Store:
        """The results folder that it lies in."""
        return Store(self.folder.parents[1])

    def plan(self) -> Plan:
        """The plan, as it was made.

        Raises:
            RecordError: It is damaged, or was changed since.
        """
        found = read_slip(self.folder / FILE, Plan)
        if found.digest() != found.fingerprint or found.id != self.folder.name:
            raise RecordError(
                "this plan was changed since it was made",
                where=self.folder / FILE,
                expected=f"the fingerprint {found.fingerprint[:12]}",
                got=found.digest()[:12],
                remedy="restore the file from a copy, or ask for the attempts anew: reproof attempt ...",
            )
        return found

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Carry it out, and nobody else meanwhile; the kernel lets go of it whatever ends this process.

        Raises:
            UsageError: Somebody carries it out already.
        """
        with _held(self.folder) as mine:
            if not mine:
                remedy = f"`reproof plan show {self.folder.name}` shows how far it is; `reproof plan cancel` stops it"
                raise UsageError("this plan is being carried out", where=self.folder.name, remedy=remedy)
            yield

    def runner(self) -> int | None:
        """The process that carries it out; None: nobody does."""
        try:
            descriptor = os.open(self.folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # two who look do not see each other
        except BlockingIOError:
            said = os.pread(descriptor, 20, 0)
            return int(said) if said.isdigit() else 0
        finally:
            os.close(descriptor)
        return None


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold a plan's lock, with our process id in it; False if somebody else does."""
    descriptor = private_file(folder / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        mine = _locked(descriptor)
        if mine:
            with named(folder / LOCK):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield mine
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock; who only looks whether it is held holds it for a moment, and is waited for."""
    for _ in range(_LOOKS):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.05)
    return False


def keep_plan(items: Sequence[Item], overrides: Sequence[str], *, results: Path, now: datetime) -> Place:
    """Write a plan into a results folder, before anything of it begins."""
    with made_plan(items, overrides, results=results, now=now) as place:
        return place


@contextlib.contextmanager
def made_plan(items: Sequence[Item], overrides: Sequence[str], *, results: Path, now: datetime) -> Iterator[Place]:
    """Write a plan into a results folder, taken already when others find it."""
    with contextlib.ExitStack() as stack:
        landed = False
        while not landed:  # of two who draw the same name, one draws another
            name = f"{now:%Y%m%d-%H%M%S}-{os.urandom(2).hex()}"
            drawn = Plan(id=name, made=now, overrides=list(overrides), items=list(items), fingerprint="")
            place = Place(plans_folder(results) / name)
            with Store(results.resolve()).staging() as staging:
                write_slip(staging / FILE, msgspec.structs.replace(drawn, fingerprint=drawn.digest()))
                stack.enter_context(_held(staging))
                landed = land(staging, place.folder)
        yield place


def plans_folder(results: Path) -> Path:
    """Where a results folder keeps plans."""
    return results.resolve() / "plans"


def find_plans(results: Path) -> list[Place]:
    """Every plan of a results folder, the oldest first."""
    return [Place(path.parent) for path in sorted(plans_folder(results).glob(f"*/{FILE}"))]


def find_plan(name: str | None, results: Path, *, wanted: Callable[[Place], bool] = lambda place: True) -> Place:
    """The plan of that name, or the newest one that is wanted, or the newest one.

    Raises:
        UsageError: There is none.
    """
    found = {place.folder.name: place for place in find_plans(results)}
    if name is not None:
        if name not in found:
            raise unknown("plan", name, found, where=plans_folder(results))
        return found[name]
    if not found:
        remedy = "name another folder with --results; `reproof attempt` makes one: "
        remedy += "reproof attempt paper=tree_search participant.repeats=3"
        raise UsageError("there is no plan here", where=plans_folder(results), remedy=remedy)
    return next((found[name] for name in sorted(found, reverse=True) if wanted(found[name])), found[max(found)])
