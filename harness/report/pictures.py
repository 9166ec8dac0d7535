"""A leaf as a picture: the measured value with its interval against what is allowed, on a scale chosen for the leaf."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from harness.scoring.score import ClaimScore

WIDTH = 240.0
"""Of the drawing, in its own units; the template draws with the same."""
_INSET = 8.0
_REACH = 2.0
"""An interval's end further out than this many spans of all else is drawn as an arrow."""
_PROBE_END = 4.0
"""A probe's deviation is drawn up to this many tolerances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Places along the drawing, from 0 to WIDTH; None where there is nothing to draw."""

    allowed: tuple[float, float]
    """Where the claim holds: from, to."""
    target: float
    dot: float | None
    """The measured value."""
    beyond: str
    """`left` or `right` where the measured value lies outside the scale, else empty."""
    interval: tuple[float, float] | None
    open_left: bool
    """Whether the interval goes on beyond the left end."""
    open_right: bool
    ends: tuple[str, str]
    """What the scale's ends are, in numbers."""
    words: str
    """The same for who cannot see it."""


def picture_of(leaf: ClaimScore) -> Picture | None:
    """The picture of a leaf; None where nothing was measured."""
    if leaf.measured is None or leaf.target is None:
        return None
    low, high = _scale(leaf)

    def place(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return round(_INSET + share * (WIDTH - 2 * _INSET), 2)

    floor, ceiling = allowed(leaf)
    outside = "left" if leaf.measured < low else "right" if leaf.measured > high else ""
    ends = None if leaf.low is None or leaf.high is None else (leaf.low, leaf.high)
    return Picture(
        allowed=(place(floor) if math.isfinite(floor) else 0.0, place(ceiling) if math.isfinite(ceiling) else WIDTH),
        target=place(leaf.target),
        dot=None if outside else place(leaf.measured),
        beyond=outside,
        interval=None if ends is None else (place(ends[0]), place(ends[1])),
        open_left=ends is not None and ends[0] < low,
        open_right=ends is not None and ends[1] > high,
        ends=_ends(low, high, leaf.target),
        words=f"Measured {measured_words(leaf)}. {allowed_words(leaf).capitalize()}.",
    )


def _ends(low: float, high: float, target: float) -> tuple[str, str]:
    """The scale's ends in numbers; as distances to the target where it is too fine for that."""
    ends = number(low), number(high)
    if f"{low:.4g}" != f"{high:.4g}":
        return ends
    return f"target − {target - low:.2g}", f"target + {high - target:.2g}"


def allowed(leaf: ClaimScore) -> tuple[float, float]:
    """The values with which a leaf's claim holds."""
    target = leaf.target or 0.0
    if leaf.kind == "probe":
        return 0.0, target
    if leaf.kind == "ordering":
        return target, math.inf
    if leaf.kind == "threshold":
        return (-math.inf, target) if _below(leaf) else (target, math.inf)
    if is_shape(leaf):
        return 0.0, leaf.margin or 0.0
    margin = leaf.margin or 0.0
    return target - margin, target + margin


def _below(leaf: ClaimScore) -> bool:
    """Which side a threshold claims; scores of before it was kept say it in words only."""
    return leaf.side == "below" or (leaf.side is None and "to be below" in leaf.explanation)


def is_shape(leaf: ClaimScore) -> bool:
    """Whether it is the part of a curve that is about its shape."""
    return leaf.kind == "curve" and leaf.id.endswith(".shape")


def _scale(leaf: ClaimScore) -> tuple[float, float]:
    """The ends of the scale: all that matters, with some air; of what lies far out, the nearer part."""
    assert leaf.measured is not None
    assert leaf.target is not None
    if leaf.kind == "probe":
        return 0.0, _PROBE_END if leaf.measured > 2 else 2.0
    if leaf.kind == "ordering" and leaf.target == 0.5:  # a probability of improvement
        return 0.0, 1.0
    inner = list(_finite((leaf.measured, leaf.target, *allowed(leaf))))
    low, high = min(inner), max(inner)
    reach = _REACH * ((high - low) or 0.02 * abs(high) or 1.0)
    outer = [value for value in _finite((leaf.low, leaf.high)) if low - reach <= value <= high + reach]
    far = [value for value in _finite((leaf.low, leaf.high)) if value not in outer]
    low, high = min([low, *outer]), max([high, *outer])
    span = (high - low) or 0.02 * abs(high) or 1.0
    air = 0.12 * span if not far else 0.5 * reach
    return low - air, high + air


def _finite(values: Iterable[float | None]) -> Iterable[float]:
    return (value for value in values if value is not None and math.isfinite(value))


def measured_words(leaf: ClaimScore) -> str:
    """The measured value with its interval, in words."""
    if leaf.kind == "probe":
        return f"{number(leaf.measured)} times the tolerance"
    said = number(leaf.measured)
    if leaf.low is not None and leaf.high is not None and not number(leaf.low) == number(leaf.high) == said:
        said += f" [{number(leaf.low)}, {number(leaf.high)}]"
    if leaf.kind != "ordering":
        return said
    if leaf.target == 0.5:
        return f"higher with probability {said}"
    sides = f"{number(leaf.higher)} against {number(leaf.lower)}, " if leaf.higher is not None else ""
    return f"{sides}difference {said}"


def reported_words(leaf: ClaimScore) -> str:
    """What the participant says was measured, and how far that is from what was; nothing where nothing is said."""
    if leaf.reported is None:
        return ""
    said = f"the participant reported {number(leaf.reported)}"
    if leaf.flattery is None:
        return f"{said}, and nothing was measured"
    if leaf.flattery == 0:
        return f"{said}, not to be told apart from what was measured"
    return f"{said}, {'rosier' if leaf.flattery > 0 else 'more modest'} by {number(abs(leaf.flattery))}"


def allowed_words(leaf: ClaimScore) -> str:
    """What the measured value is held against, in words."""
    if leaf.kind == "probe":
        return "to be at most the tolerance"
    if leaf.kind == "ordering":
        return f"to be above {number(leaf.target)}"
    if leaf.kind == "threshold":
        return f"to be {'below' if _below(leaf) else 'above'} {number(leaf.target)}"
    if is_shape(leaf):
        return f"to be well below {number(leaf.margin)}"
    return f"target {number(leaf.target)} ± {number(leaf.margin)}"


def number(value: float | None) -> str:
    """A number for people.

    >>> number(0.1 + 0.2), number(float("inf")), number(None)
    ('0.3', '∞', 'nothing')
    """
    if value is None:
        return "nothing"
    return f"{value:.5g}".replace("inf", "∞") if math.isinf(value) else f"{value:.5g}"
