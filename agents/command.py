"""The participant that is any program: run in quarters, told the brief's path, the deadline and its model."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.attempt.participant import Assignment, Launch, Outcome
from harness.errors import ConfigError


class Options(BaseModel):
    """What configs/participant/command.yaml says."""

    model_config = ConfigDict(extra="forbid")

    run: str | list[str]
    """The program and its arguments."""
    mounts: list[Path] = []
    """Files or folders of this machine the program may read, at the same path."""
    environment: dict[str, str] = {}


def ready(options: Mapping[str, Any]) -> None:
    """See that the configuration says what to run.

    Raises:
        ConfigError: It does not.
    """
    _words(_options(options).run)


def work(assignment: Assignment) -> Outcome:
    """Run the program in the workspace until it ends, or until a budget is spent.

    Raises:
        ConfigError: The configuration does not say what to run.
    """
    options = _options(assignment.options)
    words = _words(options.run)
    programs = tuple(path.resolve() for path in options.mounts)
    return assignment.live(Launch(words=tuple(words), environment=options.environment, programs=programs))


def _options(options: Mapping[str, Any]) -> Options:
    try:
        return Options.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = f"participant.{'.'.join(map(str, first['loc']))}"
        raise ConfigError("this does not fit", where=where, expected=first["msg"], got=repr(first["input"])) from None


def _words(run: str | list[str]) -> list[str]:
    try:
        words = shlex.split(run) if isinstance(run, str) else run
    except ValueError as error:
        raise ConfigError(
            "this does not fit", where="participant.run", expected="words", got=f"{run!r}: {error}"
        ) from None
    if not words:
        raise ConfigError("this does not fit", where="participant.run", expected="a program", got=repr(run))
    return words
