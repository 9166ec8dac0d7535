"""By how much what a submission reports of a leaf is rosier than what was measured."""

from __future__ import annotations

import math

from harness.attempt.reported import Figure
from harness.paper.claims import ThresholdClaim
from harness.scoring.explain import interval_of, measured_of, target_of
from harness.scoring.judge import Judged
from harness.scoring.suspicion import flattery

_SAME = 1e-9
"""Relative difference of two numbers that is the computation's rounding."""


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
