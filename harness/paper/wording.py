"""What a leaf asks for, in the words that briefs and verbs share."""

from __future__ import annotations

from harness.paper.claims import (
    Claim,
    ExactFromReference,
    ExactValue,
    FromReference,
    OrderingClaim,
    Probe,
    PublishedCurve,
    RelativeMargin,
    ThresholdClaim,
)


def to_be(leaf: Claim | Probe) -> str:
    """A leaf's target and its margin, in words."""
    if isinstance(leaf, Probe):
        close = (f"{name} within {c.atol:g} + {c.rtol:g}·abs" for name, c in leaf.compare.items())
        return f"as the reference's: {', '.join(close)}"
    if isinstance(leaf, OrderingClaim):
        return "the first higher than the second"
    if isinstance(leaf, ThresholdClaim):
        return f"{'above' if leaf.above is not None else 'below'} {leaf.bound:g}"
    target = leaf.target
    if isinstance(target, ExactValue):
        return f"{target.value:g}, up to {target.tolerance:g}"
    if isinstance(target, ExactFromReference):
        return f"the reference's, up to {target.tolerance:g}"
    if isinstance(target, FromReference):
        margin = target.margin
        words = f"{margin.relative:.2%} of it" if isinstance(margin, RelativeMargin) else f"{margin:g}"
        return f"the reference's ± {words}"
    if isinstance(target, PublishedCurve):
        return f"the published curve ± {target.margin:g}"
    return f"{target.value:g} ± {target.margin:g}"
