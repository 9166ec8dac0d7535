"""What the verbs say while they work, and how they print what they found; the JSON alone goes to standard output."""

from __future__ import annotations

import codecs
import json
import math
import sys
from types import TracebackType
from typing import Any

import click

from harness.report.text import echo, echo_json, plain

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON value on standard output.")


def asks(as_json: bool) -> bool:
    """Whether a person sits there who can be asked."""
    return not as_json and sys.stdin.isatty() and sys.stdout.isatty()


def ensure_meant(question: str) -> None:
    """Ask before what cannot be taken back; who says no ends the verb, and nothing was changed."""
    if not click.confirm(question, default=False):
        echo("nothing was changed", err=True)
        sys.exit(1)


def print_json(value: Any) -> None:
    """One JSON value on standard output; infinities as texts, since JSON has no number for them."""
    echo_json(json.dumps(_finite(value), indent=1, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return "Infinity" if value == math.inf else "-Infinity" if value == -math.inf else value


class Echo:
    """What a command writes, as it comes: as it is into a file or a pipe, harmless on a terminal."""

    def __init__(self) -> None:
        """Look where it goes."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if sys.stdout.isatty() else None

    def __call__(self, data: bytes) -> None:
        """Write one piece at once."""
        if self._decoder is not None:
            data = plain(self._decoder.decode(data), also="\r").encode()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


class Teller:
    """Says what happens on standard error, and shows progress there if it is a terminal."""

    def __init__(self, unit: str = "runs") -> None:
        """Begin silently; progress counts `unit`."""
        self._unit = unit
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Teller:
        """Nothing is shown before there is something to tell."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the progress bar away."""
        self._close()

    def say(self, text: str) -> None:
        """One line; what comes from a participant is made harmless first."""
        self._close()
        echo(text, err=True)

    def progress(self, done: int, total: int, label: str) -> None:
        """How much is done of all."""
        if not sys.stderr.isatty():
            return
        if self._bar is None:
            self._open(total)
        self._bar.update(self._task, completed=done, total=total, label=plain(label)[:50])
        if done == total:
            self._close()

    def _open(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn(self._unit),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[label]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(self._unit, total=total, label="")
        self._bar.start()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
