"""Integrity gate 5: whether what a submission reports itself is systematically rosier than what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.attempt.reported import Figure, Reported
from harness.paper.claims import ThresholdClaim
from harness.scoring.explain import interval_of, measured_of, target_of
from harness.scoring.integrity import Gate
from harness.scoring.judge import Judged
from harness.scoring.suspicion import Suspicion, flattery, too_rosy

_SAME = 1e-9
"""Relative difference of two numbers that is the computation's rounding."""
_NAMED = 5
"""Leaves that a flag names; the others stand in the score too, each with its gap."""


def too_rosy_a_report(judged: Sequence[Judged], reported: Reported) -> Gate:
    """Gate 5: a sign test over the reported numbers that can be told apart from what was measured."""
    told = {leaf.id: flattery_of(leaf, reported.figures[leaf.id]) for leaf in judged if leaf.id in reported.figures}
    gaps = {name: gap for name, gap in told.items() if gap is not None}
    found = too_rosy(list(gaps.values()))
    lost = len(told) - len(gaps)
    where = f"; for {lost} more nothing was measured" if gaps and lost else ""
    return Gate(
        gate=5,
        name="too rosy a report",
        fired=found.fired,
        denies_pass=False,
        detail=(_flattering(found, gaps) if found.fired else _plain_report(told, gaps, reported)) + where,
        checked=bool(gaps),
    )


def _flattering(found: Suspicion, gaps: Mapping[str, float]) -> str:
    rosy = [name for name, gap in gaps.items() if gap > 0]
    return (
        f"p = {found.p}: of {_count(found.claims)} reported that differ from what was measured {len(rosy)} flatter "
        f"({_some(rosy)}); look how they were obtained"
    )


def _plain_report(told: Mapping[str, float | None], gaps: Mapping[str, float], reported: Reported) -> str:
    """What there is to say where nothing is flagged."""
    if not told:
        return "nothing of what is reported can be compared" if reported.problems else "no numbers are reported"
    if not gaps:
        return f"{_count(len(told))} reported, and nothing was measured there"
    same, rosy = sum(gap == 0 for gap in gaps.values()), sum(gap > 0 for gap in gaps.values())
    return (
        f"of {_count(len(gaps))} reported {same} cannot be told apart from what was measured, {rosy} flatter, "
        f"{len(gaps) - same - rosy} do the opposite"
    )


def _count(numbers: int) -> str:
    return f"{numbers} number{'s' if numbers != 1 else ''}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def flattery_of(leaf: Judged, figure: Figure) -> float | None:
    """How much nearer to the target a reported number lies than the measured one, or further on the claimed side.

    A number that nobody can tell apart from the measured one flatters by 0: one that lies within the 95 % interval, or
    differs by no more than its own last digit. Otherwise whoever averages over more seeds than the rerun does, and so
    comes nearer to the truth, would look like a flatterer (docs/scoring.md has the figures).

    Returns:
        In the metric's unit, negative where the report is the more modest; None where nothing was measured.
    """
    measured, target = measured_of(leaf), target_of(leaf)
    if measured is None or target is None:
        return None
    if _same(leaf, figure, measured, target):
        return 0.0
    claim = leaf.evidence.leaf
    if isinstance(claim, ThresholdClaim):
        return figure.value - measured if claim.above is not None else measured - figure.value
    return flattery(figure.value, measured, target=target)


def _same(leaf: Judged, figure: Figure, measured: float, target: float) -> bool:
    low, high = interval_of(leaf)
    if low is not None and high is not None and low <= figure.value <= high:
        return True
    # Rounding is forgiven as far as it does not matter: "0.0" is no report of 0.04 where the margin is 0.01.
    margin = leaf.finding.margin if leaf.finding else None
    room = abs(measured - target) if margin is None else margin
    off = abs(figure.value - measured)
    return off <= min(figure.rounding, room) or math.isclose(figure.value, measured, rel_tol=_SAME, abs_tol=0.0)
