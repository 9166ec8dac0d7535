"""Taking the declared files out of a sandbox: a tar stream, read with suspicion."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from harness.cleanroom.sandbox import Collect
from harness.errors import HarnessFault, machine_fault

OK = "ok"
_BLOCK = 512
_LINK = "a symbolic link"
_KINDS = {
    b"1": "a hard link, not a file of its own",
    b"2": _LINK,
    b"3": "a device",
    b"4": "a device",
    b"5": "a folder",
    b"6": "a named pipe",
}


def tail_command(collect: Collect) -> str:
    """The shell words that write the declared files as a tar stream to standard output.

    Hard links are sent as what they link to; everything else that is not a regular file is sent as a header
    alone, so that the reader can name it.
    """
    # the names are plain (Collect sees to it), so they need no quoting
    return (
        f"cd {collect.directory} && TAR_OPTIONS= /usr/bin/tar --create --format=gnu --no-recursion "
        f"--hard-dereference --blocking-factor=128 --file=- -- {' '.join(collect.files)}"
    )


class Receiver:
    """Reads what a sandbox's own shell says: that it started (S), that the command is missing (N), the files (T...).

    Nothing in the stream is believed: only declared names, each once, regular files only, all together within
    the limit; they are made anew, never followed.
    """

    def __init__(self, collect: Collect | None, *, limit: int) -> None:
        """`limit`: bytes for all files together."""
        self.started = False
        self.missing_command = False
        self._collect = collect
        self._left = limit
        self._limit = limit
        self._buffer = bytearray()
        self._said: dict[str, str] = {}
        self._made: list[str] = []
        self._name = ""
        self._want = 0
        self._padding = 0
        self._file: int | None = None
        self._folder = None if collect is None else _open_folder(collect)
        self._steps = self._read()
        next(self._steps)

    def feed(self, data: bytes) -> bool:
        """Take what arrived; False: no more is wanted.

        Raises:
            HarnessFault: a file cannot be written on our side.
        """
        self._buffer += data
        try:
            next(self._steps)
        except StopIteration:
            return False
        return True

    def finish(self, *, keep: bool) -> dict[str, str]:
        """The fate of each declared file; `keep=False` removes everything received again."""
        self._close_file()
        wanted = () if self._collect is None else self._collect.files
        if not keep:
            for name in self._made:
                os.unlink(name, dir_fd=self._folder)
        fate = {name: self._said.get(name, "missing or unreadable") for name in wanted} | self._said
        return fate if keep else dict.fromkeys(wanted, "not collected: the job was killed")

    def close(self) -> None:
        """Give back the folder's handle."""
        self._close_file()
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None

    def _read(self) -> Iterator[None]:
        """The stream's grammar, as a generator that is resumed whenever bytes have arrived."""
        yield
        yield from self._until(1)
        self.started = self._take(1) == b"S"
        if not self.started:
            return
        yield from self._until(1)
        mark = self._take(1)
        self.missing_command = mark == b"N"
        if mark != b"T" or self._collect is None:
            return
        while True:
            yield from self._until(_BLOCK)
            header = self._take(_BLOCK)
            if not header.strip(b"\0") or not self._accept(header):
                return
            while self._want:
                yield from self._until(1)
                self._store(self._take(min(self._want, len(self._buffer))))
            self._close_file(complete=True)
            yield from self._until(self._padding)
            self._take(self._padding)

    def _until(self, size: int) -> Iterator[None]:
        while len(self._buffer) < size:
            yield

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def _accept(self, header: bytes) -> bool:
        """Look at one header; True: go on reading."""
        assert self._collect is not None
        name = header[:100].rstrip(b"\0").decode("ascii", errors="replace").rstrip("/")
        size = _size(header)
        kind = header[156:157]
        self._want = self._padding = 0
        if size is None or not _sums_up(header):
            self._say("(the stream)", "damaged")
            return False
        if name not in self._collect.files or name in self._said:
            self._say(name.encode("unicode_escape").decode("ascii")[:100], "refused: not declared, or sent twice")
            return False
        if kind not in (b"0", b"\0"):
            self._say(name, f"refused: {_KINDS.get(kind, 'not a regular file')}")
            return size == 0 or kind in (b"1", b"2")
        if size > self._left:
            self._say(name, f"refused: too large, {size} bytes where {self._left} of {self._limit} were left")
            return False
        self._begin(name, size)
        return True

    def _begin(self, name: str, size: int) -> None:
        assert self._collect is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(name, flags, 0o600, dir_fd=self._folder)
        except OSError as error:
            raise _unwritten(self._collect.into / name, error) from error
        self._made.append(name)
        self._name, self._want, self._padding = name, size, -size % _BLOCK
        self._left -= size
        self._said[name] = "incomplete"

    def _store(self, data: bytes) -> None:
        assert self._file is not None
        assert self._collect is not None
        self._want -= len(data)
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._file, view) :]
            except OSError as error:
                raise _unwritten(self._collect.into / self._name, error) from error

    def _close_file(self, *, complete: bool = False) -> None:
        if self._file is None:
            return
        os.close(self._file)
        self._file = None
        if complete:
            self._said[self._name] = OK
            return
        self._made.remove(self._name)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._folder)

    def _say(self, name: str, problem: str) -> None:
        self._said[name] = problem


def gather(collect: Collect, folder: Path, *, limit: int) -> dict[str, str]:
    """Copy the declared files out of a folder of the host that untrusted code wrote.

    Raises:
        HarnessFault: a file cannot be written on our side.
    """
    fate: dict[str, str] = {}
    for name in collect.files:
        try:
            handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            fate[name] = "missing or unreadable"
            continue
        except OSError as error:
            fate[name] = f"refused: {_LINK if error.errno == errno.ELOOP else error.strerror}"
            continue
        try:
            about = os.fstat(handle)
            problem = _objection(about, left=limit)
            fate[name] = f"refused: {problem}" if problem else OK
            if not problem:
                limit -= about.st_size
                _copy(handle, collect.into / name, size=about.st_size)
        finally:
            os.close(handle)
    return fate


def _objection(about: os.stat_result, *, left: int) -> str | None:
    if stat.S_ISDIR(about.st_mode):
        return "a folder"
    if not stat.S_ISREG(about.st_mode):
        return "not a regular file"
    return f"too large, {about.st_size} bytes where {left} were left" if about.st_size > left else None


def _copy(source: int, target: Path, *, size: int) -> None:
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(target, flags, 0o600), "wb") as copy:
            while size > 0 and (data := os.read(source, min(size, 1 << 20))):
                copy.write(data)
                size -= len(data)
    except OSError as error:
        raise _unwritten(target, error) from error


def _unwritten(path: Path, error: OSError) -> HarnessFault:
    error.filename = str(path)
    return machine_fault(error, "cannot write a collected file")


def _open_folder(collect: Collect) -> int:
    try:
        return os.open(collect.into, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise HarnessFault(f"no folder for the collected files: {error}", where=collect.into) from error


def _size(header: bytes) -> int | None:
    field = header[124:136]
    if field[0] & 0x80:  # base 256, for sizes of 8 GiB and more
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    return int(digits, 8) if digits and digits.strip(b"01234567") == b"" else None


def _sums_up(header: bytes) -> bool:
    digits = header[148:156].strip(b" \0")
    total = sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")
    return digits.strip(b"01234567") == b"" and digits != b"" and int(digits, 8) == total
