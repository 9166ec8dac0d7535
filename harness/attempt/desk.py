"""An attempt as its participant sees it: the clock, the budget, what was noted; and where wrong moments are told."""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness.attempt import clock, ledger
from harness.attempt.asked import settle, toll
from harness.attempt.attempt import Attempt, HandedIn
from harness.attempt.beside import left_behind, told
from harness.attempt.budget import INTERRUPTED, LAST_SIGN, Account, account, disk_of, latest
from harness.attempt.clock import Moment
from harness.errors import RecordError, UsageError
from harness.paper.quantities import show_seconds
from harness.record.files import NO_JSON, Slip, damaged, locked_file, named, private_file, read_slip, write_text

ATTENDED = 40.0
"""Seconds without a pulse after which nobody can say any more what the workspace held when the time ended."""
EXECUTING, PULSE, SUBMISSIONS = "executing", "pulse.json", "submissions"
STAGE = "stage.lock"
"""In the attempt's folder: locked by who works, reruns or scores, and says who that is."""
SHOWN = "REPROOF_SHOWN_WORKSPACE"
"""Environment variable: what a workspace's path is for whoever asks, if not its own."""
_HASH = re.compile(r"[0-9a-f]{40}")
_REF = re.compile(r"ref: (refs/heads/[^\x00-\x20~^:?*\[\\]{1,200})\n?")
_LARGEST_REF = 1 << 20


class Executing(Slip, frozen=True):
    """What a command under way has used so far."""

    job: str
    """Names it in the ledger, so that its end is counted once."""
    command: str
    cpu: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds."""
    wall: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    """Seconds."""
    memory: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Peak, in bytes."""
    exact: bool = True
    """Whether a cgroup counts it."""
    granted: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Steps of environments that it may take, and that nobody else is granted meanwhile."""
    gateway: str = ""
    """The folder of the server of its environments, which outlives its watcher by a moment."""

    @property
    def counted(self) -> dict[str, Any]:
        """What it has used, as an `executed` event would tell it."""
        closing = left_behind(self.gateway)
        facts = {name: value for name, value in msgspec.structs.asdict(self).items() if name not in _UNCOUNTED}
        return {**facts, **(told(closing.used) if closing else {})}


_UNCOUNTED = ("granted", "gateway")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """One attempt's folder, with its ledger."""

    folder: Path

    @cached_property
    def attempt(self) -> Attempt:
        """The attempt as it was begun.

        Raises:
            RecordError: It is missing or damaged, or another one's.
        """
        found = read_slip(self.folder / "attempt.json", Attempt)
        if found.id != self.folder.name:
            raise damaged(self.folder / "attempt.json", f"the record of {self.folder.name}", f"that of {found.id}")
        return found

    @property
    def workspace(self) -> Path:
        """The participant's repository."""
        return Path(self.attempt.workspace)

    @property
    def submissions(self) -> list[Path]:
        """The folders of what was handed in, oldest first."""
        return sorted(path.parent for path in (self.folder / SUBMISSIONS).glob("*/submission.json"))

    def events(self) -> tuple[ledger.Event, ...]:
        """The ledger, held against what was noted of it at the start and with each submission.

        Raises:
            RecordError: It was changed.
        """
        path, folders = self.folder / ledger.FILE, self.submissions
        state = (_state(path), tuple(folders))
        if state not in self._read:
            events = ledger.read(path)
            noted = [read_slip(folder / "submission.json", HandedIn).ledger for folder in folders]
            ledger.anchored(path, events, {0: self.attempt.anchor, **dict(noted)})
            self._read.clear()
            self._read[state] = events
        return self._read[state]

    @cached_property
    def _read(self) -> dict[object, tuple[ledger.Event, ...]]:
        """The ledger as it was read last, by the file's state then: one verb asks for it several times."""
        return {}

    def account(self, *, disk: bool = False) -> Account:
        """What is used and left at this moment; the workspace is measured only if `disk` is asked for."""
        # looked at before the ledger: what ends meanwhile stands in both and is counted once, never in neither
        executing = [data.counted for _, data in self._executing()]
        events = self.events()
        asked = toll(self.folder, events)
        return account(
            events,
            self.attempt.budget,
            now=clock.now(),
            pulse=self.pulse(),
            running=[*executing, *([asked] if asked else [])],
            disk=disk_of(self.workspace) if disk else 0,
        )

    def env_steps_left(self) -> int | None:
        """Steps of environments that a command may be granted: what is left, less what others hold; None: no limit."""
        left = self.account().left("env_steps")
        if left is None:
            return None
        held = sum(data.granted for path, data in self._executing() if _watched(path))
        return max(0, int(left) - held)

    def note(self, kind: ledger.Kind, *, at: Moment | None = None, **data: Any) -> ledger.Event:
        """Add an event; `at` is for what is replayed."""
        return ledger.append(self.folder / ledger.FILE, kind, data, at=at)

    @contextlib.contextmanager
    def alone(self, doing: str, tell: Callable[[str], None]) -> Iterator[None]:
        """Take what may take hours, work, rerun or score, for oneself; the kernel lets go of it whatever ends us.

        Whoever comes meanwhile is told who is at it, and waits. Within itself it is taken once.

        Args:
            doing: What others are told.
            tell: Hears why one waits.
        """
        if self._taken:
            yield
            return
        descriptor = private_file(self.folder / STAGE, os.O_RDWR | os.O_CREAT)
        try:
            if not _taken_at_once(descriptor):
                tell(_who_is_there(descriptor, self.attempt.id))
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with named(self.folder / STAGE):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} {doing}".encode(), 0)
            self._taken.append(doing)
            yield
        finally:
            self._taken.clear()
            os.close(descriptor)

    @cached_property
    def _taken(self) -> list[str]:
        """What this desk has taken for itself."""
        return []

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep other verbs on this attempt waiting, so that what was looked at is still so when it is changed."""
        with locked_file(self.folder / "desk.lock"):
            yield

    def pulse(self) -> Moment | None:
        """The last moment that the keeper of the clock has noted."""
        try:
            return msgspec.json.decode((self.folder / PULSE).read_bytes(), type=Moment)
        except (OSError, *NO_JSON):
            return None

    def beat(self) -> None:
        """Note that the clock runs at this moment."""
        write_text(self.folder / PULSE, msgspec.json.encode(clock.now()).decode())

    def attended(self) -> bool:
        """Whether the clock runs and was kept up to now, so that nothing was written after its end."""
        sign, now = self.pulse(), clock.now()
        kept = sign is not None and sign.boot == now.boot and clock.awake_between(sign, now) <= ATTENDED
        return kept and self.account().running

    def witness(self) -> str | None:
        """Note the workspace's head if nobody has yet; the ledger's time then bounds when the work was done."""
        head = head_of(self.workspace)
        if head is None or head == self._last_head():
            return head
        self.note("committed", commit=head)
        return head

    def _last_head(self) -> str:
        seen = [event.data["commit"] for event in self.events() if event.kind == "committed"]
        return str(seen[-1]) if seen else self.attempt.start_commit

    def _executing(self) -> list[tuple[Path, Executing]]:
        found = []
        for path in sorted((self.folder / EXECUTING).glob("*.json")):
            try:
                found.append((path, msgspec.json.decode(path.read_bytes(), type=Executing)))
            except (OSError, *NO_JSON):  # it has just ended, or just begun
                continue
        return found

    def recover(self) -> None:
        """Write down what a harness that was killed could not: ends of commands, a model's cost, a submission."""
        settle(self)
        counted = sum(
            event.kind == "submitted" and "commit" in event.data and "again" not in event.data
            for event in self.events()
        )
        for folder in self.submissions[counted:]:
            handed = read_slip(folder / "submission.json", HandedIn)
            facts: dict[str, Any] = {"instead": handed.instead} if handed.instead else {}
            self.note("submitted", commit=handed.commit, tree=handed.tree, **facts)
        written = {event.data.get("job") for event in self.events() if event.kind == "executed"}
        for path, data in self._executing():
            with contextlib.suppress(OSError), path.open("r+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if data.job not in written:
                    self.note("executed", **data.counted, ended="lost")
                path.unlink(missing_ok=True)
                if Path(data.gateway).parent == path.parent:
                    import shutil

                    shutil.rmtree(data.gateway, ignore_errors=True)

    def stop_lost_clock(self) -> None:
        """Stop the clock of a harness that was killed, at its last sign of life."""
        with self.held():
            if self.account().running:
                self.note("paused", reason="the harness was killed", at=self._last_life())

    def _last_life(self) -> Moment:
        last, sign = self.events()[-1].moment, self.pulse()
        return latest(last, [sign] if sign else [])

    def start_clock(self) -> Account:
        """Start the participant's clock.

        Raises:
            UsageError: It runs already, or the attempt is over.
        """
        with self.held():
            found = self.open_account()
            if found.state == "running":
                raise UsageError(
                    "the clock runs already",
                    where=self.attempt.id,
                    got=f"since {found.stretches[-1].since.time}, {show_seconds(found.stretches[-1].seconds)} ago",
                    remedy="`reproof clock pause` stops it",
                )
            if found.state == "interrupted":
                self.note("paused", reason=INTERRUPTED, **self._last_sign())
            self.recover()
            # the sign of an earlier start of the machine is written down before a new pulse replaces it
            sign = self._last_sign()
            self.beat()
            self.note("resumed", **sign)
        return self.account()

    def _last_sign(self) -> dict[str, Any]:
        """The last pulse, for an event's data, if it is of an earlier start of the machine."""
        sign = self.pulse()
        return {LAST_SIGN: asdict(sign)} if sign and sign.boot != clock.now().boot else {}

    def pause_clock(self, reason: str) -> Account:
        """Stop the participant's clock.

        Raises:
            UsageError: It does not run, or no reason is given.
        """
        if not reason.strip():
            raise UsageError("a pause has a reason", remedy='for example: reproof clock pause "lunch"')
        with self.held():
            found = self.open_account()
            if found.state == "interrupted":
                self.note("paused", reason=INTERRUPTED, **self._last_sign())
                return self.account()
            if found.state != "running":
                remedy = "`reproof clock start` starts it"
                raise UsageError("the clock does not run", where=self.attempt.id, got=found.in_words, remedy=remedy)
            self.witness()
            self.note("paused", reason=reason)
        return self.account()

    def declare(self, text: str, used: Mapping[str, Any], *, all_of_it: bool = False) -> Account:
        """Note something, and with it what was used elsewhere; nobody but the participant has measured that.

        Args:
            text: What was done.
            used: By item of the budget; it cannot be taken back.
            all_of_it: Whether it is meant where nothing of an item would be left.

        Raises:
            UsageError: The text is empty, a figure is negative or infinite, nothing would be left without
                `all_of_it`, or the attempt is over.
        """
        for item, value in used.items():
            if not 0 <= value < math.inf:
                raise UsageError("what was used is a finite figure, not below 0", where=item, got=value)
        if not text.strip():
            raise UsageError("a note says something", remedy='for example: reproof clock note "read the proof"')
        with self.held():  # two who declare at once may together use up what neither would alone
            spent = self.open_account().used_up_by(used)
            if spent is not None and not all_of_it:
                raise UsageError(
                    "that would use up the budget, and what is declared cannot be taken back",
                    where=spent,
                    expected=f"less than {self.account().left(spent):g}",
                    got=used[spent],
                    remedy="if it is so, say it with --yes; when the working time is used up, the attempt is over",
                )
            self.witness()  # what is committed by now was there before the time may have been used up
            self.note("noted", note=text, **used)
        return self.account()

    def hand_over(self, to: str) -> Account:
        """Let somebody else go on; what was done stays credited to who did it.

        Raises:
            UsageError: They hold it already, or the attempt is over.
        """
        to = to.strip()
        with self.held():
            found = self.open_account()
            if not to or to == found.holder:
                message = "it is handed over to somebody else"
                raise UsageError(message, where=self.attempt.id, expected=f"a name other than {found.holder}", got=to)
            self.recover()
            self.witness()
            self.note("handed over", to=to)
        return self.account()

    def open_account(self) -> Account:
        """The account of an attempt that can still be worked on.

        Raises:
            UsageError: It is over, or was withdrawn.
        """
        found = self.account()
        if found.state == "withdrawn":
            message = "this attempt was withdrawn"
            remedy = f"begin another: `reproof start {self.attempt.paper} --as NAME`"
            raise UsageError(message, where=self.attempt.id, remedy=remedy)
        if found.state == "over":
            raise UsageError(
                "this attempt is over",
                where=self.attempt.id,
                got=found.ended,
                remedy="what was handed in counts: `reproof report` shows its score",
            )
        return found


def _taken_at_once(descriptor: int) -> bool:
    """Whether a lock could be had without waiting."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _who_is_there(descriptor: int, attempt: str) -> str:
    """Why one waits; who has just taken it may not have said yet what for."""
    pid, _, doing = os.pread(descriptor, 200, 0).decode(errors="replace").partition(" ")
    who = f"process {pid} is at {attempt} ({doing})" if pid.isdigit() else f"another process is at {attempt}"
    return f"{who}; waiting until it is done"


def _watched(path: Path) -> bool:
    """Whether a command's file is locked by who watches the command."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _state(path: Path) -> object:
    """What changes when a file does; None where there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def open_desk(folder: Path) -> Desk:
    """The desk of the attempt in that folder.

    Raises:
        RecordError: There is none.
    """
    if not (folder / "attempt.json").is_file():
        raise RecordError("there is no attempt here", where=folder)
    return Desk(folder=folder)


def head_of(workspace: Path) -> str | None:
    """The commit that a workspace's HEAD names, read from its files without running Git; None if nobody can tell."""
    text = _small(workspace, ".git/HEAD")
    if text is None or _HASH.fullmatch(text.strip()):
        return text.strip() if text else None
    named = _REF.fullmatch(text)
    if named is None or ".." in named[1]:
        return None
    loose = _small(workspace, f".git/{named[1]}")
    found = loose.strip() if loose is not None else _packed(workspace, named[1])
    return found if found and _HASH.fullmatch(found) else None


def _packed(workspace: Path, ref: str) -> str | None:
    for line in (_small(workspace, ".git/packed-refs") or "").splitlines():
        if line.endswith(f" {ref}"):
            return line.partition(" ")[0]
    return None


def _small(workspace: Path, name: str) -> str | None:
    """A plain file's text; None for devices, what is too large, and whatever a link stands on the way to.

    A participant may have put anything here, and nothing outside of the workspace is theirs to be told of.
    """
    *folders, last = name.split("/")
    with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
        at = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        stack.callback(os.close, at)
        for folder in folders:
            at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=at)
            stack.callback(os.close, at)
        file = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=at)
        stack.callback(os.close, file)
        facts = os.fstat(file)
        if stat.S_ISREG(facts.st_mode) and facts.st_size <= _LARGEST_REF:
            return os.read(file, _LARGEST_REF).decode("ascii", errors="replace")
    return None
