"""Disputes, and what a changed paper changed, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.appeals import Change, Dispute
from harness.report.text import inline


def dispute_lines(found: Sequence[Dispute]) -> Iterator[str]:
    """Each dispute with its answer."""
    for dispute in found:
        yield f"dispute {dispute.number}, {inline(dispute.by)} on {inline(dispute.leaf)}: {inline(dispute.because)}"
        yield f"    {dispute.ruling}: {inline(dispute.answer or '')}" if dispute.ruling else "    not answered yet"


def change_lines(changes: Sequence[Change], paper: str) -> Iterator[str]:
    """Before and after, an attempt a line, and the leaves that changed beneath it."""
    if not changes:
        yield f"nobody's score on {paper} is by another version of it"
    for change in changes:
        yield f"{change.attempt} ({inline(change.participant)})"
        if change.after is None or change.before is None:
            yield f"    {_worth(change.verdict_before, change.before)} stays: {inline(change.problem or '')}"
            continue
        before, after = (change.verdict_before, change.before), (change.verdict_after, change.after)
        yield f"    {_worth(*before)} -> {_worth(*after)}"
        yield from (f"    {leaf}: {before} -> {after}" for leaf, (before, after) in change.leaves.items())


def _worth(verdict: str | None, value: float | None) -> str:
    return "what was kept" if value is None else f"{verdict} {value:.3f}"
