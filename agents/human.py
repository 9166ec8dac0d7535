"""The participant that is a person: the harness waits for nobody, so they begin with a verb of their own."""

from __future__ import annotations

from harness.attempt.participant import Assignment, Outcome
from harness.errors import UsageError


def work(assignment: Assignment) -> Outcome:
    """Refuse to work in their place.

    Raises:
        UsageError: Always, with the verb they need.
    """
    raise UsageError(
        "a person works at their own pace, not within `reproof attempt`",
        where=assignment.bench.desk.attempt.id,
        remedy=f"begin with: reproof start {assignment.paper.id} --as {assignment.name}",
    )
