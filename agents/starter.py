"""The participant that hands in the starter as it was handed out: what doing nothing earns."""

from __future__ import annotations

from harness.attempt.participant import Assignment, Outcome

REPEATABLE = True
"""What it leaves is the same whenever it is done, so after an interruption it is done anew."""


def work(assignment: Assignment) -> Outcome:
    """Do nothing."""
    return Outcome(note="the starter was left as it is")
