"""Disputes, and what a changed paper changed, for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.appeals import Change, Dispute
from harness.report.text import plain


def dispute_lines(found: Sequence[Dispute]) -> Iterator[str]:
    """Each dispute with its answer."""
    for dispute in found:
        yield f"dispute {dispute.number}, {plain(dispute.by)} on {plain(dispute.leaf)}: {plain(dispute.because)}"
        yield f"    {dispute.ruling}: {plain(dispute.answer or '')}" if dispute.ruling else "    not answered yet"


def change_lines(changes: Sequence[Change], paper: str) -> Iterator[str]:
    """Before and after, an attempt a line, and the leaves that changed beneath it."""
    if not changes:
        yield f"nobody's score on {paper} is by another version of it"
    for change in changes:
        yield f"{change.attempt} ({plain(change.participant)})"
        if change.after is None:
            yield f"    {change.verdict_before} {change.before:.3f} stays: {plain(change.problem or '')}"
            continue
        yield f"    {change.verdict_before} {change.before:.3f} -> {change.verdict_after} {change.after:.3f}"
        yield from (f"    {leaf}: {before} -> {after}" for leaf, (before, after) in change.leaves.items())
