"""What the rules of other harnesses would say of the leaves that compare a number with a target, on the same runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from harness.paper.claims import ExactClaim, ExponentClaim, NumericClaim, selections
from harness.scoring.finding import FloatArray, Published, Verdict
from harness.scoring.judge import Judged
from harness.scoring.suspicion import prediction_p

LEVEL = 0.05
PRINTED = 3
"""Digits of a number in a table or a log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A leaf's samples, its target, and the margin of our own rule."""

    values: FloatArray
    target: Published
    margin: float

    @property
    def still(self) -> bool:
        """Nothing varies on either side, of which rules about spreads say nothing."""
        return self.target.sd == 0 and (len(self.values) < 2 or float(np.ptp(self.values)) == 0.0)

    @property
    def within_margin(self) -> bool:
        """Whether the mean lies within our margin, which decides where nothing varies: the kindest reading."""
        return abs(float(self.values.mean()) - self.target.mean) <= self.margin


def within_ten_per_cent(leaf: Compared) -> bool:
    """The mean of the reruns lies within 10 % of the target."""
    return abs(float(leaf.values.mean()) - leaf.target.mean) <= 0.1 * abs(leaf.target.mean)


def welch(leaf: Compared) -> bool:
    """Welch's test does not tell the two means apart; one sample's test where the target has no spread."""
    if leaf.still or len(leaf.values) < 2:
        return leaf.within_margin
    target = leaf.target
    if target.sd == 0 or target.n < 2:
        return bool(stats.ttest_1samp(leaf.values, target.mean).pvalue > LEVEL)
    spread = float(leaf.values.std(ddof=1))
    found = stats.ttest_ind_from_stats(
        float(leaf.values.mean()), spread, len(leaf.values), target.mean, target.sd, target.n, equal_var=False
    )
    return bool(found.pvalue > LEVEL)


def prediction_interval(leaf: Compared) -> bool:
    """The mean of the reruns lies in the 95 % prediction interval of the published runs, as CORE-Bench has it."""
    target = leaf.target
    p = prediction_p(float(leaf.values.mean()), len(leaf.values), mean=target.mean, sd=target.sd, n=target.n)
    return leaf.within_margin if p is None else p >= LEVEL


def appears_in_the_log(leaf: Compared) -> bool:
    """The target's digits stand in a log that prints each run's value and their mean."""
    printed = {f"{value:.{PRINTED}g}" for value in (*leaf.values.tolist(), float(leaf.values.mean()))}
    return f"{leaf.target.mean:.{PRINTED}g}" in printed


RULES: dict[str, Callable[[Compared], bool]] = {
    "within 10 %": within_ten_per_cent,
    "Welch p > .05": welch,
    "95 % prediction interval": prediction_interval,
    "the number appears in the log": appears_in_the_log,
}


def shares(judged: Sequence[Judged], *, published: bool = False) -> dict[str, float]:
    """By rule, the share of the weight of those leaves that it accepts; a leaf with nothing measured counts against.

    Args:
        judged: The leaves of an attempt.
        published: Only those on pinned instances, which is what a harness without drawn ones has.
    """
    numeric = [leaf for leaf in judged if _compares(leaf) and not (published and _is_drawn(leaf))]
    whole = sum(leaf.weight for leaf in numeric)
    return {
        name: sum(leaf.weight for leaf in numeric if (found := _compared(leaf)) and rule(found)) / whole
        for name, rule in RULES.items()
    }


def _compares(leaf: Judged) -> bool:
    """Whether the leaf is about a number and its target, whatever became of it."""
    return isinstance(leaf.evidence.leaf, NumericClaim | ExponentClaim | ExactClaim)


def _is_drawn(leaf: Judged) -> bool:
    return any(selection.instance == "held_out" for selection in selections(leaf.evidence.leaf))


def _compared(leaf: Judged) -> Compared | None:
    evidence = leaf.evidence
    if leaf.verdict in (Verdict.MISSING, Verdict.INVALID) or evidence.target is None:
        return None
    if not np.isfinite(evidence.sides["of"].values).all():
        return None
    return Compared(values=evidence.sides["of"].values, target=evidence.target, margin=evidence.margin)
