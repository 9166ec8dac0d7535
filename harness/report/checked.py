"""A rehearsal for people: what ran, and what each leaf would be measured as."""

from __future__ import annotations

from collections.abc import Iterator

from harness.check import Check, CheckedLeaf, CheckedRun
from harness.paper.quantities import show_seconds
from harness.report.text import plain

_TAIL = 5
"""Lines of the log that are shown of a run that did not complete."""


def checked_lines(found: Check) -> Iterator[str]:
    """Runs first, then the leaves, then what nobody can check beforehand."""
    for run in found.runs:
        yield from _run(run)
    yield ""
    for leaf in found.leaves:
        yield from _leaf(leaf)
    if found.ok and not found.leaves:
        yield "every output is as declared; nothing is measured on the pinned instances of these experiments"
    if found.compared:
        yield f"not checked, since they are compared with the reference's: {', '.join(found.compared)}"
    if found.not_checked:
        yield f"not checked, since they read what is drawn for your submission: {', '.join(found.not_checked)}"
    yield from _reported(found)
    yield f"one seed ({found.seed}) and no verdict: the rerun takes seeds of its own"


def _reported(found: Check) -> Iterator[str]:
    """Only where there is a reported.json, which nobody needs."""
    if found.reported or found.reported_problems:
        count = len(found.reported)
        yield f"reported.json: {count} number{'s' if count != 1 else ''} to be shown beside what the rerun measures"
        yield from (f"    {plain(problem)}" for problem in found.reported_problems)


def _run(run: CheckedRun) -> Iterator[str]:
    good = run.status == "completed"
    yield f"{'✔' if good else '✘'} {run.label}: {run.status}, {show_seconds(run.cpu)} CPU"
    yield from (f"    {id}: {steps.words}" for id, steps in run.env_steps.items())
    yield from (f"    {plain(said)}" for said in dict.fromkeys([*run.problems, *run.remarks]))
    if not good:
        yield from (f"    | {plain(line)}" for line in run.log_tail.splitlines()[-_TAIL:])


def _leaf(leaf: CheckedLeaf) -> Iterator[str]:
    yield f"{leaf.leaf}: to be {leaf.to_be}"
    for where, value in leaf.measured.items():
        yield f"    {'nothing' if value is None else f'{value:.6g}'} measured on {where}"
    yield from (f"    {plain(problem)}" for problem in dict.fromkeys(leaf.problems))
