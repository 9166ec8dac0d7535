"""Margins beside spreads and mistakes."""

from __future__ import annotations

import numpy as np
import pytest

from harness.scoring.finding import Published
from harness.validation.margins import _least
from harness.validation.proof import Margin


def test_a_few_runs_seldom_show_less_than_the_least_that_their_spread_may_be() -> None:
    rng = np.random.default_rng(0)
    least = [_least(Published.of(rng.standard_normal(5))) for _ in range(2000)]
    assert np.mean(np.array(least) <= 1.0) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(
    ("margin", "distance", "said"),
    [
        (1.0, 2.0, None),
        (1.0, None, None),
        (0.8, None, "the margin 0.8 is less than three spreads of 0.3"),
        (1.1, 2.0, "the margin 1.1 is more than half the distance 2 to a_mistake"),
    ],
)
def test_a_margin_is_three_spreads_wide_and_half_the_way_to_a_mistake_at_most(
    margin: float, distance: float | None, said: str | None
) -> None:
    one = Margin(
        claim="c", margin=margin, spread=0.4, least_spread=0.3, nearest_mutation="a_mistake", distance=distance
    )
    assert one.problem == (said and f"c: {said}")
