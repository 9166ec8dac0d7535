"""What each attempt of a results folder counts on a leaderboard, read quickly: only the fields that it needs."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from harness.attempt.attempt import FAULTS_OF_OURS
from harness.attempt.budget import ITEMS
from harness.attempt.desk import Desk
from harness.attempt.ledger import FILE as LEDGER
from harness.errors import RecordError, UsageError
from harness.record.files import damaged
from harness.scoring.standings import Entry, Flag

OWN = ("reference", "starter", "mutation")
"""Kinds of participants that are the harness's own: they try the paper, and are never ranked."""
NOT_HANDED_IN, NOT_SCORED = "not handed in", "not scored"
Progress = Callable[[int, int, str], None]
_STEP = 250
"""Attempts between two signs of progress."""
_LONGEST = 600
"""Characters of what a gate saw; the attempt's own page has it whole."""
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Amount = Annotated[float, msgspec.Meta(ge=0)]


class _Part(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The fields of a record that a leaderboard needs; the others are skipped, which is most of the time saved."""


class _Who(_Part, frozen=True):
    kind: str
    name: str
    model: str | None = None

    @property
    def called(self) -> str:
        """Their name on a leaderboard: one agent with two models is two participants."""
        return f"{self.name} · {self.model}" if self.model else self.name


class _Worth(_Part, frozen=True):
    value: _Share
    low: _Share
    high: _Share
    coverage: _Share


class _Gate(_Part, frozen=True):
    gate: int
    name: str
    fired: bool
    denies_pass: bool
    detail: str


class _Score(_Part, frozen=True):
    attempt: str
    paper: str
    paper_version: str
    participant: _Who
    condition: str
    commit: str
    verdict: Literal["PASS", "FAIL", "UNDECIDED"]
    score: _Worth
    integrity: tuple[_Gate, ...] = ()


class _Begun(_Part, frozen=True):
    paper: str
    participant: _Who
    condition: str


class _Handed(_Part, frozen=True):
    at: datetime
    used: dict[str, _Amount]
    declared: dict[str, _Amount]
    fault: str = "none"


class _Point(_Part, frozen=True):
    share: _Share
    score: _Worth | None


class _OverTime(_Part, frozen=True):
    points: list[_Point]


class _Verified(_Part, frozen=True):
    attempt: str
    commit: str
    paper_version: str
    same: bool


class _Event(_Part, frozen=True):
    kind: str
    data: dict[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An attempt that counts nothing yet."""

    attempt: str
    paper: str
    participant: str
    kind: str
    condition: str
    why: str
    """`not handed in` or `not scored`."""

    @property
    def who(self) -> tuple[str, str, str]:
        """The row that it belongs to."""
        return self.participant, self.kind, self.condition


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """An attempt that a fault of ours or of the model ended: it counts nothing, and another stands in its place."""

    attempt: str
    paper: str
    participant: str
    kind: str
    condition: str
    fault: str
    """`harness` or `model`."""
    by: str | None
    """None: its plan has given it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """An attempt, or a part of one, that cannot be counted."""

    attempt: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What some results folders hold."""

    entries: list[Entry] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    replaced: list[Replaced] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


P = TypeVar("P", bound=_Part)


def silent(done: int, total: int, label: str) -> None:
    """Shows no progress."""


def read_results(folders: Sequence[Path], *, progress: Progress = silent) -> Kept:
    """What every attempt counts; one that cannot be read hides no other.

    Args:
        folders: Results folders; an attempt that lies in several counts once.
        progress: Is told how many attempts are read, of how many.

    Raises:
        UsageError: A folder is not there, or is no results folder.
    """
    kept = Kept()
    found = [(str(folder), name) for folder in folders for name in _attempts(folder)]
    first: dict[str, str] = {}
    for done, (results, name) in enumerate(found, start=1):
        if first.setdefault(name, results) is not results:
            kept.left_out.append(LeftOut(attempt=name, problem=f"it lies in {first[name]} too, and counts once"))
        else:
            _take(results, name, kept)
        if done % _STEP == 0 or done == len(found):
            progress(done, len(found), "attempts read")
    return kept


def _attempts(results: Path) -> list[str]:
    if (results / "attempt.json").is_file() or results.name == "attempts":
        whole = results.resolve().parents[0 if results.name == "attempts" else 1]
        remedy = f"name the folder that holds `attempts`: --results {whole}"
        raise UsageError("this is a part of a results folder", where=results, remedy=remedy)
    if not results.is_dir():
        remedy = "name the folder that `reproof attempt` or `reproof start` wrote to: --results FOLDER"
        raise UsageError("there is no results folder here", where=results, remedy=remedy)
    return sorted(_folders(f"{results}/attempts"))


def _folders(path: str) -> list[str]:
    # Strings, not Paths, from here on: thousands of attempts take half the time.
    try:
        with os.scandir(path) as found:
            return [item.name for item in found if item.is_dir()]
    except FileNotFoundError:
        return []


def _take(results: str, name: str, kept: Kept) -> None:
    folder = f"{results}/attempts/{name}"
    try:
        last = _last_submission(folder)
        found = _entry(results, name, last, kept.left_out) if last else None
        if found:
            kept.entries.append(found)
            return
        if last is None and not os.path.exists(f"{folder}/attempt.json"):  # noqa: PTH110 -- as below
            return  # it is being handed out at this moment, or that was interrupted: nobody has begun
        begun = _read(f"{folder}/attempt.json", _Begun)
        if (event := _replaced(f"{folder}/{LEDGER}")) is not None:
            kept.replaced.append(_given_place(name, begun, event))
        elif last is None and (verdict := _ended(f"{folder}/{LEDGER}", begun)) is not None:
            kept.entries.append(_given_up(name, begun, verdict, _spent(folder)))
        else:
            kept.waiting.append(_waiting(name, begun, NOT_SCORED if last else NOT_HANDED_IN))
    except (RecordError, OSError) as error:
        kept.left_out.append(LeftOut(attempt=name, problem=_one_line(error)))


def _last_submission(folder: str) -> str | None:
    """The last one counts, scored or not."""
    for name in sorted(_folders(f"{folder}/submissions"), reverse=True):
        if os.path.exists(f"{folder}/submissions/{name}/submission.json"):  # noqa: PTH110 -- as above
            return f"{folder}/submissions/{name}"
    return None


def _entry(results: str, name: str, submission: str, problems: list[LeftOut]) -> Entry | None:
    """None where it is not scored yet, or was replaced: which no attempt is that only its participant has ended."""
    try:
        score = _read(f"{submission}/score.json", _Score)
    except FileNotFoundError:
        return None
    if score.attempt != name:
        raise damaged(f"{submission}/score.json", f"the score of {name}", f"that of {score.attempt}")
    handed = _part(f"{submission}/submission.json", _Handed, name, problems)
    if handed and handed.fault in FAULTS_OF_OURS and _replaced(f"{results}/attempts/{name}/{LEDGER}"):
        return None
    over = _part(f"{submission}/over_time.json", _OverTime, name, problems)
    return Entry(
        attempt=name,
        paper=score.paper,
        version=score.paper_version,
        participant=_called(f"{results}/attempts/{name}", score.participant),
        kind=score.participant.kind,
        condition=score.condition,
        score=score.score.value,
        low=score.score.low,
        high=score.score.high,
        coverage=score.score.coverage,
        verdict=score.verdict,
        used=handed.used if handed else {},
        declared=handed.declared.get("working", 0.0) if handed else 0.0,
        over_time={point.share: point.score.value for point in over.points if point.score} if over else {},
        at=handed.at.astimezone(UTC).isoformat(timespec="seconds") if handed else None,
        verified=_verified(results, score),
        flags=tuple(
            Flag(gate=gate.gate, name=gate.name, detail=gate.detail[:_LONGEST])
            for gate in score.integrity
            if gate.fired and not gate.denies_pass
        ),
    )


def _called(folder: str, scored: _Who) -> str:
    """A score names nobody's model, the attempt does; people are called as they were credited."""
    return _read(f"{folder}/attempt.json", _Begun).participant.called if scored.kind == "agent" else scored.name


def _given_up(name: str, begun: _Begun, verdict: str, used: Mapping[str, float]) -> Entry:
    """What is withdrawn without anything handed in, or refused, counts 0: a bad attempt cannot be taken back."""
    return Entry(
        attempt=name, paper=begun.paper, version=None, participant=begun.participant.called,
        kind=begun.participant.kind, condition=begun.condition, score=0.0, low=0.0, high=0.0, coverage=1.0,
        verdict=verdict, used=used, declared=0.0, over_time={}, at=None, verified=False,
    )  # fmt: skip


def _waiting(name: str, begun: _Begun, why: str) -> Waiting:
    who = begun.participant
    return Waiting(
        attempt=name, paper=begun.paper, participant=who.called, kind=who.kind, condition=begun.condition, why=why
    )


def _given_place(name: str, begun: _Begun, event: _Event) -> Replaced:
    who, by = begun.participant, event.data.get("by")
    return Replaced(
        attempt=name, paper=begun.paper, participant=who.called, kind=who.kind, condition=begun.condition,
        fault=str(event.data.get("fault", "harness"))[:20], by=None if by is None else str(by),
    )  # fmt: skip


def _replaced(ledger: str) -> _Event | None:
    """The event that says so."""
    try:
        data = _bytes(ledger)
    except FileNotFoundError:
        return None
    said = [event for event in _events(data) if event.kind == "replaced"]
    return said[-1] if said else None  # what a plan says of it comes after what the attempt says itself


def _ended(ledger: str, begun: _Begun) -> str | None:
    """How an attempt ended of which nothing was taken in; None: it may still be handed in.

    A person whose work was refused mends it and hands it in again; an agent's time is over then.
    """
    events = list(_events(_bytes(ledger)))
    if any(event.kind == "withdrawn" for event in events):
        return "WITHDRAWN"
    refused = any(event.kind == "submitted" and "refused" in event.data for event in events)
    return "REFUSED" if refused and begun.participant.kind == "agent" else None


def _spent(folder: str) -> dict[str, float]:
    """What an attempt has used by its ledger; nothing where that cannot be read."""
    try:
        found = Desk(folder=Path(folder)).account()
    except (RecordError, OSError):
        return {}
    return {item: found.used(item) for item in ITEMS if item not in ("wall", "disk", *found.unmeasured)}


def _events(data: bytes) -> Iterator[_Event]:
    """What `reproof report` checks, the chain, is left to it; a torn last line is no event."""
    for line in data.splitlines():
        with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
            yield msgspec.json.decode(line, type=_Event)


def _verified(results: str, score: _Score) -> bool:
    """Whether somebody has rerun this very commit, by this version of the paper, and found the same."""
    places = (f"{results}/attempts/{score.attempt}/verified.json", f"{results}/verified/{score.attempt}.json")
    return any(_confirms(path, score) for path in places)


def _confirms(path: str, score: _Score) -> bool:
    try:
        found = _read(path, _Verified)
    except (RecordError, OSError):  # not there, or of a kind that confirms nothing
        return False
    same = (found.attempt, found.commit, found.paper_version) == (score.attempt, score.commit, score.paper_version)
    return found.same and same


def _read(path: str, kind: type[P]) -> P:
    try:
        return msgspec.json.decode(_bytes(path), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise damaged(path, kind.__name__.strip("_"), str(error)) from None


def _bytes(path: str) -> bytes:
    """A plain file's content: results may come from elsewhere, and nobody waits for a pipe in them."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"{path} is no plain file")
        return os.read(descriptor, facts.st_size)
    finally:
        os.close(descriptor)


def _part(path: str, kind: type[P], attempt: str, problems: list[LeftOut]) -> P | None:
    """A record without which the score still counts."""
    try:
        return _read(path, kind)
    except FileNotFoundError:
        return None
    except (RecordError, OSError) as error:
        problems.append(LeftOut(attempt=attempt, problem=f"its score counts, but: {_one_line(error)}"))
        return None


def _one_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
