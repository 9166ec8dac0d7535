"""The participant that hands in outputs which an attempt of the reference has left, in place of work."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.attempt.desk import open_desk
from harness.attempt.participant import Assignment, Outcome
from harness.attempt.workspace import commit_all, fill
from harness.errors import ConfigError, unknown
from harness.road import road_of
from harness.validation.hard_coder import FORMS, hard_coder_files

REPEATABLE = True
"""What it leaves is the same whenever it is done, so after an interruption it is done anew."""


class Options(BaseModel):
    """What configs/participant/hard_coder.yaml says."""

    model_config = ConfigDict(extra="forbid")

    of: Path
    """The folder of a scored attempt of the reference: results/attempts/<id>."""


def work(assignment: Assignment) -> Outcome:
    """Lay recorded outputs and a program that copies them over the starter, and commit.

    Raises:
        UsageError: There is no such form.
        ConfigError: The configuration does not say which attempt.
    """
    if assignment.name not in FORMS:
        raise unknown("form of a hard-coder", assignment.name, FORMS)
    try:
        source = open_desk(Options.model_validate(dict(assignment.options)).of.resolve())
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError("this does not fit", where="participant.of", expected=first["msg"]) from None
    fill(assignment.workspace, hard_coder_files(road_of(source), assignment.name))
    commit_all(assignment.workspace, f"Recorded outputs: {assignment.name}", time=int(time.time()))
    return Outcome(note=f"{FORMS[assignment.name]}, from {source.attempt.id}")
