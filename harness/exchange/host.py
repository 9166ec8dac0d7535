"""The host of one guest: a process that another harness starts and asks, one JSON line a question on standard input."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.attempt.work import WORKSPACE
from harness.cleanroom.sandbox import Completed, Job, Limits, Mount
from harness.errors import ReproofError, UsageError
from harness.exchange.guest import Guest, Origin, begin, guest_settings, judge, kept_folder, leave, open_room
from harness.exchange.room import INSIDE, Room, RoomError
from harness.road import Road, Tell
from harness.scoring.score import Score

_AT_ONCE = 32
"""Questions that are answered at the same time."""
_LOOKING = Limits(cpu=60.0, wall=300.0, memory=2 * 2**30, processes=64, disk=256 * 2**20)


@dataclass
class Host:
    """Answers for one guest."""

    finish: Callable[[Road], Score]
    """From a submission to its score."""
    tell: Tell
    guest: Guest | None = None

    def open(
        self, *, paper: str, origin: dict[str, Any], overrides: Iterable[str] = (), folders: Iterable[str] = ()
    ) -> dict[str, Any]:
        """Begin the attempt and open its room."""
        from_there = Origin(**origin)
        road = begin(guest_settings(from_there, paper, overrides), from_there, tell=self.tell)
        self.guest = open_room(road, tuple(folders))
        return {"attempt": road.attempt.id, "workspace": WORKSPACE, "results": str(road.store.root)}

    def execute(
        self,
        *,
        words: list[str],
        folder: str | None = None,
        environment: dict[str, str] | None = None,
        seconds: float | None = None,
        given: str | None = None,
    ) -> dict[str, Any]:
        """Run a command in the room; `given` is a file of ours that it reads as its standard input."""
        ran = self._guest.room.execute(
            words,
            folder=folder or WORKSPACE,
            environment=environment or {},
            seconds=seconds,
            content=Path(given).read_bytes() if given else b"",
        )
        out, err = (stream.decode(errors="replace") for stream in (ran.out, ran.err))
        return {"code": ran.code, "out": out, "err": err, "late": ran.late}

    def put(self, *, source: str, folder: str) -> dict[str, Any]:
        """Lay a file or a folder's content into a folder of the room."""
        self._guest.room.put(Path(source), folder)
        return {}

    def write(self, *, source: str, path: str) -> dict[str, Any]:
        """Write a file of the room with the content of one of ours."""
        self._guest.room.put_bytes(path, Path(source).read_bytes())
        return {}

    def get(self, *, path: str, into: str) -> dict[str, Any]:
        """Bring files out of the room; of a closed one, what is kept."""
        if not self._guest.room.closed:
            return {"folder": self._guest.room.get(path, Path(into))}
        kept = kept_folder(self._guest, path)
        if kept is None:
            raise RoomError("Closed", f"{path} went with the room")
        room = _after(self._guest.road, Mount(source=kept, target=_root(path)))
        try:
            return {"folder": room.get(path, Path(into))}
        finally:
            room.close()

    def judge(self, *, tokens: int | None = None) -> dict[str, Any]:
        """End the work, hand it in, rerun and score it; `tokens` is what the other harness says of the model."""
        return judge(self._guest, self.finish, tokens=tokens)

    def close(self) -> None:
        """Should the guest be gone without a verdict, end everything in the room."""
        if self.guest is None:
            return
        with self.guest.lock:  # a verdict under way comes first
            if self.guest.verdict is None:
                leave(self.guest, "the other harness went away")

    @property
    def _guest(self) -> Guest:
        if self.guest is None:
            raise UsageError("nobody was let in yet", remedy="ask `open` first")
        return self.guest


def _root(path: str) -> str:
    return "/" + path.strip("/").split("/", 1)[0]


def _after(road: Road, mount: Mount) -> Room:
    """A room in which nothing of the guest's runs, to look at files that they left."""

    def start(words: Any, descriptor: int, cancel: threading.Event) -> Completed:
        job = Job(command=tuple(words), limits=_LOOKING, mounts=(INSIDE, mount), descriptors=(descriptor,))
        return road.sandbox.run(job, cancel)

    return Room(start)


def serve(questions: IO[str], answers: IO[str], host: Host) -> None:
    """Answer until nobody asks any more; what cannot be done is answered with its error."""
    lock = threading.Lock()
    asked = {name: getattr(host, name) for name in ("open", "execute", "put", "write", "get", "judge")}

    def answer(question: dict[str, Any]) -> None:
        number = question.pop("id")
        try:
            said = {"answer": asked[question.pop("do")](**question)}
        except RoomError as error:
            said = {"error": error.kind, "said": str(error)}
        except ReproofError as error:
            said = {"error": type(error).__name__, "said": str(error)}
        except Exception as error:  # whatever it is, whoever asked must not wait for ever
            said = {"error": type(error).__name__, "said": f"{type(error).__name__}: {error}"}
        with lock:
            answers.write(json.dumps({"id": number, **said}) + "\n")
            answers.flush()

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for line in questions:
                pool.submit(answer, json.loads(line))
        finally:
            host.close()
