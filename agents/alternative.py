"""The participant that hands in the paper's second opinion: a solution by somebody who had the brief alone."""

from __future__ import annotations

import time

from harness.attempt.participant import Assignment, Outcome
from harness.attempt.task import alternative_files
from harness.attempt.workspace import commit_all, fill

REPEATABLE = True
"""What it leaves is the same whenever it is done, so after an interruption it is done anew."""


def work(assignment: Assignment) -> Outcome:
    """Lay the second opinion over the starter and commit it."""
    fill(assignment.workspace, alternative_files(assignment.paper))
    commit_all(assignment.workspace, "A second opinion", time=int(time.time()))
    return Outcome(note="the second opinion was laid over the starter")
