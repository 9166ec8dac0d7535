"""Why a leaf got what it got, in words that whoever earned it understands."""

from __future__ import annotations

import math

import numpy as np

from harness.paper.claims import ExactClaim, OrderingClaim, ThresholdClaim, selections
from harness.scoring.evidence import Evidence
from harness.scoring.finding import DIVERGENT, Finding, Rule, Verdict
from harness.scoring.judge import Judged, slots_of

_SAID = {
    Verdict.CERTIFIED: "this is certified",
    Verdict.CONSISTENT: "this is consistent with the claim, though not certain",
    Verdict.INCONCLUSIVE: "this says too little either way",
    Verdict.FAILED: "this contradicts the claim",
}


def explain(leaf: Judged) -> str:
    """One or two sentences: what was measured, against what, over how many seeds, and what follows."""
    evidence = leaf.evidence
    if evidence.problem is not None:
        owner = "This is a fault of ours and does not count against you" if evidence.fault else "Nothing to measure"
        return f"{owner}: {evidence.problem}."
    if evidence.agreement is not None:
        verb = "agree with" if leaf.verdict is Verdict.CERTIFIED else "differ from"
        return (
            f"The outputs {verb} the reference's on the same input; the largest deviation: {evidence.agreement.worst}."
        )
    assert leaf.finding is not None
    return f"{_compared(leaf, leaf.finding)}; {_SAID[leaf.verdict]}{_why(leaf.finding)}."


def measured_of(leaf: Judged) -> float | None:
    """The measured value; of an ordering the difference of its sides, of a probe the deviation over its tolerance."""
    if leaf.evidence.agreement is not None:
        return leaf.evidence.agreement.excess
    if leaf.finding is None:
        return None
    if leaf.finding.diverged:
        return _infinity(leaf.evidence)
    return _own_scale(leaf, leaf.finding.estimate)


def _infinity(evidence: Evidence) -> float:
    """Plus or minus infinity, as the values that diverged did."""
    values = np.concatenate([side.values.ravel() for side in evidence.sides.values()])
    return -math.inf if values.min() < -DIVERGENT and values.max() <= DIVERGENT else math.inf


def interval_of(leaf: Judged) -> tuple[float | None, float | None]:
    """The 95 % interval of the measured value, where it has one."""
    if leaf.finding is None:
        return None, None
    ends = (_own_scale(leaf, leaf.finding.low), _own_scale(leaf, leaf.finding.high))
    return (ends[1], ends[0]) if _is_below(leaf) else ends


def _is_below(leaf: Judged) -> bool:
    return isinstance(leaf.evidence.leaf, ThresholdClaim) and leaf.evidence.leaf.below is not None


def _own_scale(leaf: Judged, difference: float | None) -> float | None:
    """A threshold is judged as a difference from its constant; people want the value itself."""
    claim = leaf.evidence.leaf
    if difference is None or not isinstance(claim, ThresholdClaim):
        return difference
    return claim.bound + difference if claim.above is not None else claim.bound - difference


def target_of(leaf: Judged) -> float | None:
    """What the measured value is held against."""
    claim = leaf.evidence.leaf
    if isinstance(claim, ThresholdClaim):
        return claim.bound
    if leaf.evidence.agreement is not None:
        return 1.0
    return leaf.finding.target if leaf.finding else None


def settles(leaf: Judged) -> str | None:
    """What would settle a leaf that is not settled."""
    finding = leaf.finding
    if leaf.verdict is Verdict.INVALID:
        return "rerun the attempt; what is done is not done again"
    if finding is None or leaf.verdict is not Verdict.INCONCLUSIVE:
        return None
    if finding.more_seeds is None:
        return "more seeds alone would not settle it while mean and spread stay as they are"
    some = f"about {finding.more_seeds} more seed{'s' if finding.more_seeds > 1 else ''}"
    return f"{some}, if mean and spread stay as they are"


def _compared(leaf: Judged, finding: Finding) -> str:
    claim, over = leaf.evidence.leaf, _over(leaf.evidence)
    if isinstance(claim, OrderingClaim):
        higher, lower = selections(claim)[:2]
        values = (
            f"{_number(finding.higher)} against {_number(finding.lower)}"
            if finding.higher is not None
            else "not finite"
        )
        if claim.by == "improvement":
            values = (
                f"the first was higher in {finding.estimate:.0%} of comparisons"
                if finding.estimate is not None
                else values
            )
        return f"{higher} should be higher than {lower}: {values} {over}"
    if isinstance(claim, ThresholdClaim):
        side = "above" if claim.above is not None else "below"
        return f"Measured {_value(finding, threshold=claim)} {over}, to be {side} {_number(claim.bound)}"
    what = {
        "final": "the final value",
        "area": "the mean height of the curve",
        "shape": "the deviation along the curve",
    }.get(leaf.part, "")
    named = f"Measured {what} " if what else "Measured "
    margin = finding.margin or 0.0
    allowed = (
        f"within {_number(margin)} of" if not isinstance(claim, ExactClaim) else f"equal up to {_number(margin)} to"
    )
    if leaf.part == "shape":
        return f"{named}{_number(finding.estimate)} {over}, in units of its standard error, to be well below 2"
    return f"{named}{_value(finding)} {over}, to be {allowed} {_number(finding.target)}"


def _value(finding: Finding, *, threshold: ThresholdClaim | None = None) -> str:
    if threshold is not None:
        own = finding.higher if threshold.above is not None else finding.lower
        return _number(own)
    spread = f" ± {_number(finding.spread)} (sd)" if finding.spread else ""
    return f"{_number(finding.estimate)}{spread}"


def _over(evidence: Evidence) -> str:
    slots = slots_of(evidence)
    return f"over {slots} seed{'s' if slots != 1 else ''}" if slots else "in a run that does not depend on the seed"


def _why(finding: Finding) -> str:
    if finding.rule is Rule.DISTRIBUTION:
        return f" (confidence {finding.confidence:.3f})"
    return f" ({finding.rule})"


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"
