"""The broker: does `reproof status`, `check` and `exec` outside for an agent that asks from inside its quarters.

Whatever comes over its socket is hostile. A verb is the command line of a person, in a process of its own, with the
attempt named by us; words that could name anything else are refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import msgspec

from harness.attempt.desk import SHOWN, Desk
from harness.attempt.work import MEMORY, WORKSPACE
from harness.errors import UsageError

AT_ONCE, CONNECTIONS = 4, 16
"""Verbs under way at once; connections answered at once."""
MOST = 5000
"""Commands and rehearsals of one attempt: each leaves an event, and a rehearsal its outputs."""
LARGEST = 1 << 18
"""Bytes of a request."""
_PATIENCE, _SEND_PATIENCE, _GRACE = 10.0, 120.0, 10.0
"""Seconds for a request to come, for an answer to be read, and between an interrupt and a kill."""
_CHUNK = 1 << 15
_LIBC = ctypes.CDLL(None)
_MOST_WORDS, _LONGEST_WORD = 4096, 2**17 - 1
"""Words, and bytes of one; Linux hands a process none that is longer."""
_COMMAND = "from harness.cli.start import main; main()"
_SWITCHES = {"--json", "--help"}
_VALUED = {"--experiment", "--instance", "--env-steps"}
_VERBS = "`reproof status`, `reproof check [EXPERIMENT...]` and `reproof exec -- COMMAND...` work in here"
_HINT = f"{_VERBS}; commit your work with Git: your last commit is handed in when you end, or when the time does"


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: list[str]
    folder: str


@dataclass(slots=True, kw_only=True)
class Broker:
    """Answers an agent's verbs at the expense of one attempt."""

    desk: Desk
    environment: Mapping[str, str]
    """Of the processes that do the verbs."""
    _busy: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(AT_ONCE))
    _open: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(CONNECTIONS))
    _over: threading.Event = field(default_factory=threading.Event)
    _done: int = 0
    _threads: list[threading.Thread] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        """Answer until the broker is closed."""
        listener.settimeout(0.2)
        while not self._over.is_set():
            try:
                line, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError:  # out of descriptors, or closed
                self._over.wait(0.1)
                continue
            self._receive(line)

    def _receive(self, line: socket.socket) -> None:
        if not self._open.acquire(blocking=False):
            line.close()
            self._over.wait(0.05)  # a flood is answered slowly, so that it costs us nothing
            return
        thread = threading.Thread(target=self._talk, args=(line,), daemon=True)
        self._threads = [*(one for one in self._threads if one.is_alive()), thread]
        thread.start()

    def _talk(self, line: socket.socket) -> None:
        try:
            with line, contextlib.suppress(OSError):
                line.settimeout(_PATIENCE)
                self._answer(line)
        finally:
            self._open.release()

    def _answer(self, line: socket.socket) -> None:
        try:
            asked = _read(line)
            words = command(asked.words, asked.folder, self.desk)
        except UsageError as error:
            return _refuse(line, str(error))
        costs = words[0] != "status"
        self._done += costs
        if costs and self._done > MOST:
            return _refuse(line, f"{MOST} commands and rehearsals were run; no more are in this attempt", status=75)
        if not self._busy.acquire(blocking=False):
            return _refuse(line, f"{AT_ONCE} commands are under way already; wait for one of them to end", status=75)
        try:
            self._do(line, words)
        finally:
            self._busy.release()

    def _do(self, line: socket.socket, words: list[str]) -> None:
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", _COMMAND, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",  # never the workspace: what lies there would be imported
            env={**self.environment, SHOWN: WORKSPACE},
            start_new_session=True,
            preexec_fn=_die_with_us,
        )
        sending = threading.Lock()
        pumps = [
            threading.Thread(target=_pump, args=(pipe.fileno(), line, kind, sending), daemon=True)
            for pipe, kind in ((child.stdout, b"o"), (child.stderr, b"e"))
            if pipe is not None
        ]
        for pump in pumps:
            pump.start()
        line.settimeout(0.2)
        stopped = None
        while child.poll() is None:
            if stopped is None and (self._over.is_set() or _interrupted(line)):
                stopped = time.monotonic()
                child.send_signal(signal.SIGINT)
            elif stopped is not None:
                time.sleep(0.05)
                if time.monotonic() - stopped > _GRACE:
                    child.kill()
        for pump in pumps:
            pump.join(_SEND_PATIENCE)
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
        status = child.returncode if child.returncode >= 0 else 128 - child.returncode
        with sending:
            _send(line, b"x", str(status).encode())

    def close(self) -> None:
        """End what is under way, its usage counted."""
        self._over.set()
        for thread in self._threads:
            thread.join(2 * _GRACE)


@contextlib.contextmanager
def brokering(desk: Desk, place: Path, *, environment: Mapping[str, str]) -> Iterator[Broker]:
    """A broker that listens in a folder of ours, as `broker.sock`; it is gone afterwards."""
    broker = Broker(desk=desk, environment=environment)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "broker.sock"))
        listener.listen(CONNECTIONS)
        thread = threading.Thread(target=broker.serve, args=(listener,), daemon=True)
        thread.start()
        try:
            yield broker
        finally:
            broker.close()
            thread.join()


def command(words: list[str], folder: str, desk: Desk) -> list[str]:
    """The command line that does a verb for this attempt and for nothing else.

    Raises:
        UsageError: Another verb, or words that are not for an agent to say.
    """
    verb, *rest = words or [""]
    own = ["--attempt", desk.attempt.id, "--results", str(desk.folder.parents[1])]
    if verb in ("-h", "--help", ""):
        raise UsageError(_HINT)
    if verb == "status":
        return [verb, *_switches(rest), *own[2:], "--", desk.attempt.id]
    if verb == "check":
        experiments = [word for word in rest if not word.startswith("-")]
        return [verb, *_switches([word for word in rest if word.startswith("-")]), *own, "--", *experiments]
    if verb == "exec":
        options, run = _parted(rest)
        where = [f"--folder={_beneath(folder)}", "--memory", str(MEMORY // 4)]
        return [verb, *options, *own, *where, "--", *run] if run else [verb, *options, *own]
    raise UsageError(f"`reproof {ascii(verb[:40])[1:-1]}` is not for in here", remedy=_HINT)


def _switches(words: list[str]) -> list[str]:
    for word in words:
        if word not in _SWITCHES:
            raise UsageError("this word is not known in here", got=ascii(word[:80]), remedy=_HINT)
    return words


def _parted(words: list[str]) -> tuple[list[str], list[str]]:
    """The options of `exec` and the command behind them."""
    options: list[str] = []
    rest = list(words)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name in _SWITCHES and not equals:
            options.append(word)
        elif name in _VALUED:
            if not equals and not rest:
                raise UsageError("this option has a value", where=name)
            options.append(f"{name}={value if equals else rest.pop(0)}")
        else:
            raise UsageError("this option is not known in here", got=ascii(word[:80]), remedy=_HINT)
    return options, rest


def _beneath(folder: str) -> str:
    """A folder as it lies in the workspace; the workspace's root for any other."""
    path = PurePosixPath(folder)
    inside = path.is_relative_to(WORKSPACE) and ".." not in path.parts
    return str(path.relative_to(WORKSPACE)) if inside else "."


def _read(line: socket.socket) -> _Asked:
    """The request.

    Raises:
        UsageError: It is none.
    """
    data, ends = b"", time.monotonic() + _PATIENCE
    while not data.endswith(b"\n"):
        piece = line.recv(_CHUNK)
        data += piece
        if not piece or len(data) > LARGEST or time.monotonic() > ends:
            raise UsageError("this is no request", expected=f"a line of JSON of at most {LARGEST} bytes")
    try:
        asked = msgspec.json.decode(data, type=_Asked)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise UsageError("this is no request", expected="words and a folder, as JSON") from None
    if len(asked.words) > _MOST_WORDS or "\0" in "".join([*asked.words, asked.folder]):
        raise UsageError("this is no request", expected=f"at most {_MOST_WORDS} words, none with a null in it")
    if (longest := max(len(word.encode()) for word in ("", *asked.words))) > _LONGEST_WORD:
        remedy = "write a long text into a file, and give its name"
        raise UsageError("a word is too long", expected=f"at most {_LONGEST_WORD} bytes", got=longest, remedy=remedy)
    return asked


def _interrupted(line: socket.socket) -> bool:
    """Whether the client asks for an end, or is gone."""
    try:
        line.recv(64)
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def _pump(pipe: int, line: socket.socket, kind: bytes, sending: threading.Lock) -> None:
    """Hand on what a verb writes; where nobody reads it any more it is thrown away."""
    heard = True
    while data := os.read(pipe, _CHUNK):
        if heard:
            try:
                with sending:
                    _send(line, kind, data)
            except OSError:
                heard = False


def _send(line: socket.socket, kind: bytes, data: bytes) -> None:
    """One frame, within a time of its own: the socket's timeout is for what comes in."""
    frame = memoryview(struct.pack(">cI", kind, len(data)) + data)
    ends = time.monotonic() + _SEND_PATIENCE
    while frame:
        try:
            frame = frame[line.send(frame) :]
        except TimeoutError:
            if time.monotonic() > ends:
                raise


def _refuse(line: socket.socket, text: str, *, status: int = 2) -> None:
    _send(line, b"e", f"reproof: {text}\n".encode(errors="replace"))
    _send(line, b"x", str(status).encode())


def _die_with_us() -> None:
    """Have the kernel interrupt this process when the harness is killed."""
    _LIBC.prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG
