"""Where records lie in `results/`, the atomic writes that put them there, and the slips that hurried verbs read."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, TextIO, TypeVar

import msgspec

from harness.errors import RecordError, unknown

NO_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for a text that is not what it should be: a stranger may have nested it without end."""
Time = Annotated[datetime, msgspec.Meta(tz=True)]
"""A moment of a known zone: without one, it can be compared with no other."""
PRIVATE = 0o700
"""Mode of the folders under `results/`: they hold seeds and held-out instances."""
PRIVATE_FILE = 0o600
"""Mode of the files there."""


class Slip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A small frozen value that crosses a file, for verbs that must answer at once: importing pydantic takes longer.

    Unknown keys are errors; numbers are finite.
    """


S = TypeVar("S", bound=Slip)


@dataclass(frozen=True, slots=True)
class Store:
    """The folder of records. Everything in it lands whole or not at all."""

    root: Path

    def attempt(self, name: str) -> Path:
        """The folder of an attempt."""
        return self.root / "attempts" / name

    def known_attempt(self, name: str) -> Path:
        """The folder of an attempt that exists.

        Raises:
            UsageError: No attempt has that name here.
        """
        if name not in (known := self.attempts()):
            raise unknown("attempt", name, known, where=self.root)
        return self.attempt(name)

    def attempts(self) -> list[str]:
        """All attempts that have a record, oldest name first."""
        return sorted(path.parent.name for path in (self.root / "attempts").glob("*/attempt.json"))

    def run(self, key: str) -> Path:
        """The folder of a run."""
        return self.root / "runs" / key[:2] / key

    @property
    def trees(self) -> Path:
        """The folder of submissions' files, one subfolder a Git tree."""
        return self.root / "trees"

    def lock(self, name: str) -> Path:
        """A file to lock on."""
        return private_folder(self.root / "locks") / f"{name}.lock"

    @contextlib.contextmanager
    def staging(self) -> Iterator[Path]:
        """A fresh folder on the store's own file system, gone afterwards."""
        from harness.scratch import scratch  # what is imported here is paid for by verbs that must answer at once

        with scratch(within=private_folder(self.root / "staging")) as folder:
            yield folder


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can read, and those above it that are missing; what is there stays as it is."""
    try:
        path.mkdir(mode=PRIVATE)
    except FileExistsError:
        if not path.is_dir():
            raise
    except FileNotFoundError:
        private_folder(path.parent)  # `parents=True` would leave these to the umask
        path.mkdir(mode=PRIVATE, exist_ok=True)
    return path


def private_file(path: Path, flags: int) -> int:
    """Open a file by `os.open`; one that is made is its owner's alone, whatever the umask."""
    return os.open(path, flags | os.O_CLOEXEC, PRIVATE_FILE)


@contextlib.contextmanager
def locked_file(path: Path, flags: int = 0, *, reading: bool = False) -> Iterator[int]:
    """A file of the owner's alone to read and write, made where it is missing, locked until the end.

    Args:
        path: The file.
        flags: More of them, as `os.open` takes them.
        reading: Whether reading will do where nothing can be written: records that were put away are still read.
    """
    descriptor = _opened(path, os.O_RDWR | os.O_CREAT | flags, reading=reading)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with named(path):
            yield descriptor
    finally:
        os.close(descriptor)


def _opened(path: Path, flags: int, *, reading: bool) -> int:
    try:
        return private_file(path, flags)
    except OSError as error:
        if not reading or error.errno not in (errno.EROFS, errno.EACCES):
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Let an error of the disk name the file that it is about, which those of writing itself do not."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def land(staged: Path, final: Path) -> bool:
    """Move a finished folder to its place by one rename.

    Returns:
        False if another process landed the same work first; its folder stays.
    """
    private_folder(final.parent)
    try:
        staged.rename(final)
    except OSError:
        if not final.is_dir():
            raise
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Make the names in a folder as durable as what they are of."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Replace a file's content in one rename, on disk before the name changes; what died half way is swept."""
    if not path.name:  # `/`, or a name that was left empty
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    private_folder(path.parent)
    _sweep(path)
    staged, file = _staged(path)
    try:
        with named(path), file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise


def _staged(path: Path) -> tuple[Path, TextIO]:
    """A new file beside another one, held as long as it is open; whoever swept it before it was held gets another."""
    while True:
        staged = path.with_name(f".{path.name}.{os.urandom(16).hex()}")
        file = os.fdopen(private_file(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="utf-8")
        with contextlib.suppress(OSError):  # a file system without such locks: then it is swept by nobody either
            fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return staged, file
        file.close()


def _sweep(path: Path) -> None:
    """Remove what writers of a file have left that were killed; those that live hold theirs."""
    for staged in path.parent.glob(f".{glob.escape(path.name)}.{'[0-9a-f]' * 32}"):
        with contextlib.suppress(OSError), staged.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            staged.unlink()


def write_slip(path: Path, slip: Slip) -> None:
    """Write a slip as indented JSON, atomically."""
    write_text(path, msgspec.json.format(msgspec.json.encode(slip), indent=1).decode() + "\n")


def read_slip(path: Path, kind: type[S]) -> S:
    """Read a slip back.

    Raises:
        RecordError: It is missing, damaged, or of another kind.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise missing(path) from None
    except NO_JSON as error:
        raise damaged(path, kind.__name__, str(error)) from None


def missing(path: Path) -> RecordError:
    """The error for a record that is not there."""
    return RecordError("this record does not exist", where=path, remedy="run the stage that writes it first")


def damaged(where: object, kind: str, got: str) -> RecordError:
    """The error for a record that cannot be what it should be."""
    return RecordError(
        "this record is damaged",
        where=where,
        expected=kind,
        got=got,
        remedy="remove the file; the stage that wrote it can be repeated",
    )


def canonical(value: object) -> bytes:
    """The one JSON text of a value, for hashing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=True).encode()
