"""A room for a guest: one long command in the clean room that does what it is asked, from commands to files."""

from __future__ import annotations

import io
import json
import shutil
import socket
import sys
import tarfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO, Any

from harness.cleanroom.sandbox import Completed, Mount
from harness.errors import ReproofError

MOST = 128 * 2**20
"""Bytes that one answer may hold."""
_LINE = 64 * 1024
_FILES, _LONGEST = 20_000, 120
"""Files of one answer, and characters of a part of their names."""
_PATIENCE, _FILES_PATIENCE = 20.0, 120.0
"""Seconds that are waited beyond a command's own time, and for files."""
INSIDE = Mount(source=Path(__file__).with_name("inside.py"), target="/reproof/inside.py")
"""What has to be mounted wherever a room is opened."""
Start = Callable[[Sequence[str], int, threading.Event], Completed]
"""Runs words that inherit an open descriptor, until they end or the event is set."""


class RoomError(ReproofError):
    """What was asked of a room could not be done there; `kind` is the name of Python's error, or `Closed`."""

    def __init__(self, kind: str, said: str) -> None:
        """Keep the kind apart, so that another harness's own error can be raised for it."""
        self.kind = kind
        super().__init__(said, where="the clean room", got=kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A command that ended."""

    code: int
    out: bytes
    err: bytes
    late: bool
    """Whether its own time ended it."""


class Room:
    """A guest's room, from its opening until its command has ended."""

    def __init__(self, start: Start) -> None:
        """Open it; `start` is called on a thread of its own."""
        self._line, theirs = socket.socketpair()
        self._cancel, self._lock = threading.Event(), threading.Lock()
        self._waiting: dict[int, Future[tuple[dict[str, Any], bytes]]] = {}
        self._numbers = count(1)
        self._over = ""
        self.ended: Future[Completed] = Future()
        """How its command ended."""
        threading.Thread(target=self._run, args=(start, theirs), daemon=True).start()
        threading.Thread(target=self._listen, daemon=True).start()

    def execute(
        self,
        words: Sequence[str],
        *,
        folder: str,
        environment: Mapping[str, str],
        seconds: float | None = None,
        content: bytes = b"",
    ) -> Ran:
        """Run a command and wait for it, but not for what it leaves in the background.

        Raises:
            RoomError: The room is closed, or the command could not be started.
        """
        asked = {"words": list(words), "folder": folder, "environment": dict(environment), "seconds": seconds}
        told, answer = self._ask("execute", asked, content, seconds=None if seconds is None else seconds + _PATIENCE)
        out = told.get("out", 0)
        code = told.get("code")
        if not isinstance(code, int) or not isinstance(out, int):
            raise RoomError("Garbage", "the room's answer makes no sense")
        return Ran(code=code, out=answer[:out], err=answer[out:], late=told.get("late") is True)

    def put(self, source: Path, folder: str) -> None:
        """Lay a file, or what a folder of ours holds, into a folder of the room.

        Raises:
            RoomError: The room is closed, or refuses it.
        """
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            archive.add(source, arcname="." if source.is_dir() else source.name)
        self._ask("put", {"path": folder}, packed.getvalue(), seconds=_FILES_PATIENCE)

    def put_bytes(self, path: str, content: bytes) -> None:
        """Write one file.

        Raises:
            RoomError: The room is closed, or refuses it.
        """
        packed, target = io.BytesIO(), PurePosixPath(path)
        with tarfile.open(fileobj=packed, mode="w") as archive:
            member = tarfile.TarInfo(target.name)
            member.size, member.mode = len(content), 0o644
            archive.addfile(member, io.BytesIO(content))
        self._ask("put", {"path": str(target.parent)}, packed.getvalue(), seconds=_FILES_PATIENCE)

    def get(self, path: str, into: Path, *, most: int = MOST // 2) -> bool:
        """Bring a file, or the plain files beneath a folder, out of the room; nothing is written outside `into`.

        Returns:
            Whether it was a folder.

        Raises:
            RoomError: The room is closed, there is no such file, or it is too large.
        """
        told, answer = self._ask("get", {"path": path, "most": most}, b"", seconds=_FILES_PATIENCE)
        _unpack(answer, into)
        return told.get("folder") is True

    @property
    def closed(self) -> bool:
        """Whether nothing can be asked any more."""
        return bool(self._over)

    def close(self) -> None:
        """End everything in it."""
        self._over = self._over or "the room was closed"
        self._cancel.set()
        self._hang_up()
        self.ended.exception(_PATIENCE)

    def _run(self, start: Start, theirs: socket.socket) -> None:
        with theirs:
            handle = _above(theirs)
            try:
                words = (sys.executable, "-I", INSIDE.target, str(handle.fileno()))
                self.ended.set_result(start(words, handle.fileno(), self._cancel))
            except BaseException as error:
                self.ended.set_exception(error)
            finally:
                handle.close()
        self._hang_up()

    def _ask(
        self, do: str, asked: Mapping[str, Any], content: bytes, *, seconds: float | None
    ) -> tuple[dict[str, Any], bytes]:
        number, future = next(self._numbers), Future[tuple[dict[str, Any], bytes]]()
        self._waiting[number] = future
        head = json.dumps({"id": number, "do": do, "bytes": len(content), **asked}).encode() + b"\n"
        try:
            with self._lock:
                if self._over:
                    raise RoomError("Closed", self._why())
                self._line.sendall(head + content)
        except OSError:
            self._waiting.pop(number, None)
            raise RoomError("Closed", self._why()) from None
        try:
            told, answer = future.result(seconds)
        except TimeoutError:
            self._waiting.pop(number, None)
            raise RoomError("TimeoutError", "the room does not answer") from None
        if "error" in told:
            raise RoomError(str(told["error"])[:80], str(told.get("said", ""))[:2000])
        return told, answer

    def _listen(self) -> None:
        try:
            with self._line.makefile("rb") as source:
                while self._heard(source):
                    pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._over = self._over or f"the room's answer makes no sense: {type(error).__name__}"
            self._cancel.set()
        self._hang_up()
        with self._lock:
            self._line.close()

    def _heard(self, source: IO[bytes]) -> bool:
        header = source.readline(_LINE)
        if not header:
            return False
        told = json.loads(header)
        size = told.pop("bytes")
        if not 0 <= size <= MOST:
            raise ValueError("an answer too large")
        answer = source.read(size)
        future = self._waiting.pop(told.pop("id"), None)
        if future is not None:
            future.set_result((told, answer))
        return True

    def _hang_up(self) -> None:
        self._over = self._over or "its command has ended"
        try:
            self._line.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        finally:
            while self._waiting:
                _, future = self._waiting.popitem()
                future.set_result(({"error": "Closed", "said": self._why()}, b""))

    def _why(self) -> str:
        """Why the room is closed; what the clean room itself says is worth more than that the line is dead."""
        if not self.ended.done():
            return self._over
        if error := self.ended.exception():
            return str(error)
        done = self.ended.result()
        return f"{self._over}; it was ended by its {done.killed_by} limit" if done.killed_by else self._over


def _above(theirs: socket.socket) -> socket.socket:
    """The same socket under a number that no shell redirects."""
    import fcntl

    return socket.socket(fileno=fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, 64))


def _unpack(packed: bytes, into: Path) -> None:
    """Write an archive's plain files beneath a folder; names that climb and anything but plain files are left out."""
    left = MOST
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:") as archive:
            for number, member in enumerate(archive):
                if member.size < 0 or member.issparse():  # leads back; stands for what is not there
                    raise ValueError("a size that is none")
                left -= member.size
                if number >= _FILES or left < 0:
                    raise RoomError("OverflowError", "more files than are taken")
                if member.isreg() and (target := _target(member.name, into)):
                    _write(archive.extractfile(member), target)
    except (tarfile.TarError, EOFError, ValueError, RecursionError) as error:
        raise RoomError("Garbage", f"the room's files make no sense: {type(error).__name__}") from None


def _target(name: str, into: Path) -> Path | None:
    """Where a member goes; None where its name would lead elsewhere."""
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/" or "\0" in name or max(map(len, parts)) > _LONGEST:
        return None
    way = [into.joinpath(*parts[: depth + 1]) for depth in range(len(parts))]
    if any(one.is_symlink() for one in way) or any(one.exists() and not one.is_dir() for one in way[:-1]):
        return None
    return None if way[-1].is_dir() else way[-1]


def _write(content: IO[bytes] | None, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content or io.BytesIO(), file)
