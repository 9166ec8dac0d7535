"""The participant that hands in the reference with one known mistake, which the scoring must catch."""

from __future__ import annotations

import time

from harness.attempt.participant import Assignment, Outcome
from harness.attempt.task import overlay_tree
from harness.attempt.workspace import commit_all, fill
from harness.paper.mutations import find_mutation

REPEATABLE = True
"""What it leaves is the same whenever it is done, so after an interruption it is done anew."""


def work(assignment: Assignment) -> Outcome:
    """Lay the mutated reference over the starter and commit it."""
    mutation = find_mutation(assignment.paper, assignment.name)
    fill(assignment.workspace, overlay_tree(assignment.paper, mutation))
    commit_all(assignment.workspace, f"The reference, mutated: {mutation.name}", time=int(time.time()))
    return Outcome(note=f"the reference with the mutation {mutation.name} was laid over the starter")
