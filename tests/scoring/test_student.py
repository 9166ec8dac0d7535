"""Student's t without scipy, held against scipy's."""

from __future__ import annotations

import pytest
from scipy.special import stdtr, stdtrit

from harness.scoring.student import distribution, quantile


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 8, 9, 30, 101, 2000])
def test_it_is_scipys(degrees: int) -> None:
    for probability in (0.5, 0.75, 0.95, 0.975, 0.999, 1 - 0.025 / 2499):
        assert quantile(probability, degrees) == pytest.approx(stdtrit(degrees, probability), rel=1e-9, abs=1e-12)
    for t in (-30.0, -2.5, 0.0, 0.1, 1.0, 40.0):
        assert distribution(t, degrees) == pytest.approx(stdtr(degrees, t), abs=1e-12)


@pytest.mark.parametrize(("probability", "degrees"), [(0.4, 3), (1.0, 3), (float("nan"), 3), (0.975, 0)])
def test_nothing_is_guessed(probability: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        quantile(probability, degrees)
