"""Quantiles of Student's t for whole degrees of freedom.

scipy has them too, and takes a third of a second to import: longer than a leaderboard of a thousand attempts.
"""

from __future__ import annotations

import math
from functools import cache

_STEPS = 60
"""Halvings of a bracket: a double holds no more."""


def distribution(t: float, degrees: int) -> float:
    """P(T <= t): Abramowitz & Stegun 1964, 26.7.3 and 26.7.4.

    Args:
        t: Finite.
        degrees: At least 1.
    """
    angle = math.atan(t / math.sqrt(degrees))
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0 if degrees == 1 else term
    for i in range(2 + odd, degrees, 2):
        term *= math.cos(angle) ** 2 * (i - 1) / i
        total += term
    inside = (angle + math.sin(angle) * total) / (math.pi / 2) if odd else math.sin(angle) * total
    return 0.5 + inside / 2


@cache
def quantile(probability: float, degrees: int) -> float:
    """The t that a share `probability` of the distribution lies below.

    Args:
        probability: From one half to below 1.
        degrees: At least 1.

    Raises:
        ValueError: Outside of that.
    """
    if not (0.5 <= probability < 1 and degrees >= 1):
        raise ValueError(f"expected .5 <= probability < 1 and degrees >= 1, got {probability} and {degrees}")
    low, high = 0.0, 1.0
    while distribution(high, degrees) < probability:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if distribution(middle, degrees) < probability else (low, middle)
    return (low + high) / 2
