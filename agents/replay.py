"""The participant that lives through the history of another attempt again: its commits, and the times between them."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.attempt.desk import open_desk
from harness.attempt.participant import Assignment, Outcome
from harness.attempt.replay import replay
from harness.errors import ConfigError

REPEATABLE = True
"""What it leaves is the same whenever it is done, so after an interruption it is done anew."""


class Options(BaseModel):
    """What configs/participant/replay.yaml says."""

    model_config = ConfigDict(extra="forbid")

    of: Path
    """The folder of the attempt: results/attempts/<id>."""


def work(assignment: Assignment) -> Outcome:
    """Bring the workspace through the recorded commits, on a clock that runs as the recorded one did.

    Raises:
        ConfigError: The configuration does not say which attempt.
    """
    try:
        source = open_desk(Options.model_validate(dict(assignment.options)).of.resolve())
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError("this does not fit", where="participant.of", expected=first["msg"]) from None
    desk = assignment.bench.desk
    desk.note("paused", reason="what follows is replayed")
    count = replay(source, desk, assignment.bench.sandbox)
    return Outcome(note=f"{count} commits of {source.attempt.id} were replayed")
