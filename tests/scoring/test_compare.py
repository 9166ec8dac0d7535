"""Comparing participants over papers."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from harness.scoring.compare import best_at_k, hierarchical_bootstrap, paired_interval


def test_the_paired_interval_is_students() -> None:
    one, two = np.array([0.9, 0.4, 0.7, 0.8]), np.array([0.5, 0.5, 0.6, 0.4])
    expected = stats.ttest_rel(one, two).confidence_interval()
    found = paired_interval(one, two)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert paired_interval([0.5], [0.2]).low is None


def test_the_paired_interval_covers() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        found = paired_interval(rng.normal(0.1, 0.3, 6), rng.normal(0.0, 0.3, 6))
        assert found.low is not None
        assert found.high is not None
        hits += found.low <= 0.1 <= found.high
    assert hits / 2000 == pytest.approx(0.95, abs=0.02)


def test_the_hierarchical_bootstrap_resamples_papers_and_attempts() -> None:
    one, two = [[0.5, 0.7], [0.9], [0.4, 0.6, 0.8]], [[0.1, 0.3], [0.5], [0.0, 0.2, 0.4]]
    found = hierarchical_bootstrap(one, two, rng=np.random.default_rng(1), repetitions=4000)
    assert found.difference == pytest.approx(0.4)
    assert found.low is not None
    assert found.high is not None
    assert 0.2 < found.low < 0.4 < found.high < 0.6
    still = hierarchical_bootstrap([[0.5]] * 3, [[0.2]] * 3, rng=np.random.default_rng(2), repetitions=50)
    assert (still.low, still.high) == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_best_at_k_is_the_mean_over_all_subsets(k: int) -> None:
    scores = [0.1, 0.9, 0.4, 0.4, 0.7, 0.2]
    expected = np.mean([max(subset) for subset in combinations(scores, k)])
    assert best_at_k(scores, k) == pytest.approx(expected)


def test_best_at_k_needs_twice_as_many_attempts() -> None:
    assert best_at_k([0.5], 1) == 0.5
    for scores, k in (([0.1, 0.2, 0.3], 2), ([0.1], 0), ([], 1)):
        with pytest.raises(ValueError, match=r"best@k|finite"):
            best_at_k(scores, k)


def test_the_same_papers_on_both_sides() -> None:
    with pytest.raises(ValueError, match="same papers"):
        paired_interval([0.1, 0.2], [0.1])
    with pytest.raises(ValueError, match="same papers"):
        hierarchical_bootstrap([[0.1]], [], rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="paper 1"):
        hierarchical_bootstrap([[0.1], []], [[0.1], [0.2]], rng=np.random.default_rng(0), repetitions=9)
