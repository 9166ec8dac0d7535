"""How another harness's process asks Reproof's: the standard library alone, since two installations may differ."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from itertools import count
from typing import Any

PYTHON = "REPROOF_PYTHON"
"""Environment variable: the Python that Reproof is installed in; by default the one that asks."""
_START = "from harness.cli.start import main; main()"
_END = 30.0


class CallError(Exception):
    """What was asked could not be done; `kind` is the name of the error there."""

    def __init__(self, kind: str, said: str) -> None:
        """Keep the kind apart."""
        self.kind = kind
        super().__init__(said)


class Call:
    """A host of Reproof's, in a process of its own."""

    def __init__(self, python: str | None = None) -> None:
        """Start it; `python` wins over the environment."""
        program = python or os.environ.get(PYTHON) or sys.executable
        self._process = subprocess.Popen(
            [program, "-P", "-c", _START, "guest"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # so that a Ctrl-C in the terminal does not end it before its guest
        )
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._lock, self._numbers, self._gone = threading.Lock(), count(1), False
        threading.Thread(target=self._listen, daemon=True).start()

    async def ask(self, do: str, **asked: Any) -> dict[str, Any]:
        """Ask one question.

        Raises:
            CallError: It could not be done.
        """
        future: Future[dict[str, Any]] = Future()
        await asyncio.to_thread(self._send, future, {"do": do, **asked})
        said = await asyncio.wrap_future(future)
        if "error" in said:
            raise CallError(said["error"], said["said"])
        answer: dict[str, Any] = said["answer"]
        return answer

    async def hang_up(self) -> None:
        """Let it end: what runs in the room ends with it."""
        with contextlib.suppress(OSError):
            assert self._process.stdin is not None
            self._process.stdin.close()
        try:
            await asyncio.to_thread(self._process.wait, _END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    def _send(self, future: Future[dict[str, Any]], question: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with self._lock:
            if self._gone:
                future.set_result(_GONE)
                return
            number = next(self._numbers)
            self._waiting[number] = future
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(json.dumps({"id": number, **question}) + "\n")
                self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                said = json.loads(line)
                self._waiting.pop(said.pop("id")).set_result(said)
        with self._lock:
            self._gone = True
            for future in self._waiting.values():
                future.set_result(_GONE)


_GONE = {"error": "Gone", "said": "Reproof's process has ended; what it wrote on standard error says why"}
