"""The participant that works in another harness, Harbor or Inspect; only what they hand in comes here."""

from __future__ import annotations

from harness.attempt.participant import Assignment, Outcome
from harness.errors import UsageError


def work(assignment: Assignment) -> Outcome:
    """Refuse: who works elsewhere is not started here.

    Raises:
        UsageError: Always.
    """
    remedy = "`reproof export harbor PAPER DIR` writes the task, `reproof import harbor JOB` scores what came of it"
    raise UsageError("a guest works in another harness", where=assignment.name, remedy=remedy)
