"""Aggregates of score matrices and their bootstrap intervals, against scipy and against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.scoring.aggregates import (
    iqm,
    mean,
    median,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
)
from harness.scoring.bootstrap import improvement_interval, interval, paired_resamples, resamples

SCORES = np.random.default_rng(0).gamma(2.0, 0.4, size=(7, 5)).round(1)


def test_point_estimates_by_their_definitions() -> None:
    assert iqm(SCORES) == pytest.approx(stats.trim_mean(SCORES, 0.25, axis=None))
    assert mean(SCORES) == pytest.approx(SCORES.mean())
    assert median(SCORES) == pytest.approx(np.median(SCORES.mean(axis=0)))
    assert optimality_gap(SCORES) == pytest.approx(1 - np.mean(np.minimum(SCORES, 1)))
    assert iqm(np.array([[1.0, 2.0, 9.0]])) == 4.0  # fewer than four values: nothing to cut


def test_profiles_count_scores_above_each_level() -> None:
    taus = np.array([0.8, 0.2, 5.0, -1.0, 0.8])
    expected = [np.count_nonzero(tau < SCORES) / SCORES.size for tau in taus]
    assert performance_profile(SCORES, taus) == pytest.approx(expected)
    higher = SCORES + 1
    stacked = np.stack([SCORES, higher])
    assert performance_profile(stacked, taus)[1] == pytest.approx(
        [np.count_nonzero(tau < higher) / higher.size for tau in taus]
    )


def test_probability_of_improvement_is_mann_whitney() -> None:
    other = np.random.default_rng(1).gamma(2.0, 0.4, size=(4, 5)).round(1)
    u = [stats.mannwhitneyu(SCORES[:, t], other[:, t]).statistic / 28 for t in range(5)]
    assert probability_of_improvement(SCORES, other) == pytest.approx(np.mean(u))


@pytest.mark.parametrize("aggregate", [iqm, mean, median, optimality_gap])
def test_an_interval_is_that_of_the_plain_loop(aggregate: object) -> None:
    assert callable(aggregate)
    rng = np.random.default_rng(2)
    drawn = list(resamples((7, 5), repetitions=300, rng=rng))
    plain = [float(aggregate(SCORES[index, np.arange(5)])) for chunk in drawn for index in chunk]
    found = interval(SCORES, aggregate, indices=drawn)
    assert [found.low, found.high] == pytest.approx(np.percentile(plain, [2.5, 97.5]))


def test_an_improvement_interval_is_that_of_the_plain_loop() -> None:
    other = np.random.default_rng(3).gamma(2.0, 0.4, size=(4, 5)).round(1)
    drawn = list(paired_resamples((7, 5), (4, 5), repetitions=200, rng=np.random.default_rng(4)))
    columns = np.arange(5)
    plain = [
        probability_of_improvement(SCORES[i, columns], other[j, columns])
        for one, two in drawn
        for i, j in zip(one, two, strict=True)
    ]
    found = improvement_interval(SCORES, other, indices=drawn)
    assert [found.low, found.high] == pytest.approx(np.percentile(plain, [2.5, 97.5]))


def test_profiles_have_an_interval_at_every_level() -> None:
    taus = np.linspace(0, 2, 9)
    drawn = resamples((7, 5), repetitions=100, rng=np.random.default_rng(5))
    found = interval(SCORES, lambda x: performance_profile(x, taus), indices=drawn)
    assert found.low.shape == (9,)
    assert (found.low <= found.value + 1e-12).all()
    assert (found.high >= found.value - 1e-12).all()


def test_memory_is_bounded_by_chunks() -> None:
    sizes = [c.shape[0] for c in resamples((100, 300), repetitions=200, rng=np.random.default_rng(6))]
    assert sum(sizes) == 200
    assert max(sizes) * 100 * 300 <= 1 << 21


def test_more_runs_than_a_byte_counts_are_all_drawn() -> None:
    (chunk,) = resamples((300, 1), repetitions=50, rng=np.random.default_rng(7))
    assert chunk.max() > 255
