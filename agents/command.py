"""The participant that is any program: run in the clean room, told the brief's path and the deadline."""

from __future__ import annotations

import shlex
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.attempt.participant import WORKSPACE, Assignment, Outcome
from harness.cleanroom.sandbox import Job, Limits, Mount
from harness.errors import ConfigError
from harness.folders import find_papers
from harness.paper.quantities import show_seconds

MEMORY, PROCESSES = 8 * 2**30, 512


class Options(BaseModel):
    """What configs/participant/command.yaml says."""

    model_config = ConfigDict(extra="forbid")

    run: str | list[str]
    """The program and its arguments."""
    mounts: list[Path] = []
    """Files or folders of this machine the program may read, at the same path."""
    environment: dict[str, str] = {}


def work(assignment: Assignment) -> Outcome:
    """Run the program in the workspace until it ends, or until wall or CPU time is spent.

    Raises:
        ConfigError: The configuration does not say what to run.
    """
    options = _options(assignment)
    _apart(options.mounts, assignment.workspace)
    words = _words(options.run)
    left = max(assignment.deadline - time.time(), 1.0)
    assignment.tell(f"working: {shlex.join(words)}, at most {show_seconds(left)}")
    done = assignment.sandbox.run(
        Job(
            command=tuple(words),
            mounts=(
                Mount(source=assignment.workspace, target=WORKSPACE, writable=True, quota=assignment.budget.disk),
                *(Mount(source=path.resolve(), target=str(path.resolve())) for path in options.mounts),
            ),
            environment={**options.environment, **_told(assignment)},
            limits=_limits(assignment, left),
            cwd=WORKSPACE,
            hidden=(assignment.paper.private, *(folder / "private" for folder in find_papers().values())),
        )
    )
    ended = done.killed_by or ("done" if done.exit == 0 else "failed")
    how = f"was ended by its {done.killed_by} limit" if done.killed_by else f"ended with exit code {done.exit}"
    last = "\n".join(done.log.splitlines()[-5:])
    return Outcome(
        note=f"{words[0]} {how}" + (f"; its last words:\n{last}" if last else ""), usage=done.usage, ended=ended
    )


def _options(assignment: Assignment) -> Options:
    try:
        return Options.model_validate(dict(assignment.options))
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


def _apart(mounts: list[Path], workspace: Path) -> None:
    """Refuse to show the program the records of attempts, its own among them."""
    for path in mounts:
        if workspace.resolve().is_relative_to(path.resolve()):
            raise ConfigError(
                "this folder holds the records of attempts",
                where="participant.mounts",
                got=path,
                remedy="mount a folder beside them, or keep the records elsewhere: results=FOLDER",
            )


def _told(assignment: Assignment) -> dict[str, str]:
    brief = assignment.brief.relative_to(assignment.workspace)
    return {
        "REPROOF_BRIEF": f"{WORKSPACE}/{brief}",
        "REPROOF_WORKSPACE": WORKSPACE,
        "REPROOF_DEADLINE": f"{assignment.deadline:.0f}",
    }


def _limits(assignment: Assignment, left: float) -> Limits:
    budget = assignment.budget
    return Limits(cpu=budget.cpu, wall=left, memory=MEMORY, processes=PROCESSES, disk=budget.disk)
