"""Learning curves and scaling exponents."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.statistics import (
    VERDICTS,
    Published,
    PublishedCurve,
    Rule,
    Verdict,
    curve,
    curve_rows,
    exponent,
    log_slopes,
)

X = np.linspace(0.0, 1.0, 21)
LEARNED = 10.0 / (1.0 + np.exp(-10 * (X - 0.5)))
SLOW = 10.0 / (1.0 + np.exp(-10 * (X - 0.75)))


def published(sd: float = 1.0) -> PublishedCurve:
    return PublishedCurve(x=X, mean=LEARNED, sd=np.full(X.size, sd), n=5)


def test_a_faithful_curve_scores_high_and_a_slow_one_fails() -> None:
    rng = np.random.default_rng(0)
    noise = 0.5 * rng.standard_normal((5, 1)) + 0.5 * rng.standard_normal((5, 21))
    good, slow = (curve(c + noise, published(), margin=3.0) for c in (LEARNED, SLOW))
    assert good.score > 0.95
    assert good.verdict in (Verdict.CERTIFIED, Verdict.CONSISTENT)
    assert slow.shape.verdict is Verdict.FAILED
    assert slow.verdict is Verdict.FAILED
    assert slow.final.score > slow.shape.score == 0.0


def test_the_shape_of_faithful_curves_is_calibrated() -> None:
    rng = np.random.default_rng(1)
    for together in (False, True):
        scores, fails = [], []
        for _ in range(60):
            paper, reruns = rng.standard_normal((5, 21)), rng.standard_normal((20, 5, 21))
            if together:
                paper, reruns = np.tile(paper[..., :1], 21), np.tile(reruns[..., :1], 21)
            found = curve_rows(LEARNED + reruns, PublishedCurve.of(X, LEARNED + paper), margin=3.0).shape
            scores.append(found.score.mean())
            fails.append(np.mean(found.verdict == VERDICTS.index(Verdict.FAILED)))
        assert np.mean(scores) > 0.8
        assert np.mean(fails) < 0.1


def test_the_area_is_the_mean_height() -> None:
    found = curve(np.tile(2.0 * X, (3, 1)), PublishedCurve(x=X, mean=X, sd=np.zeros(21)), margin=0.6)
    assert found.area.estimate == pytest.approx(1.0)
    assert found.area.difference == pytest.approx(0.5)
    assert (found.area.verdict, found.final.verdict) == (Verdict.CERTIFIED, Verdict.FAILED)
    assert (found.shape.verdict, found.shape.rule) == (Verdict.FAILED, Rule.MARGIN)


def test_without_spread_every_point_must_lie_within_the_margin() -> None:
    inside = curve(LEARNED[None] + 0.1, published(0.0), margin=0.2, deterministic=True)
    assert (inside.score, inside.verdict) == (1.0, Verdict.CERTIFIED)


def test_the_references_curves_stand_for_the_papers() -> None:
    rng = np.random.default_rng(2)
    samples = LEARNED + rng.standard_normal((6, 21))
    target = PublishedCurve.of(X, samples)
    assert target.area_sd == pytest.approx(np.trapezoid(samples, X, axis=1).std(ddof=1))
    assert target.n == 6


def test_a_diverged_curve_fails() -> None:
    samples = np.tile(LEARNED, (3, 1))
    samples[1, 4] = math.inf
    found = curve(samples, published(), margin=3.0)
    assert found.area.rule is Rule.DIVERGED
    assert found.shape.rule is Rule.DIVERGED
    assert found.verdict is Verdict.FAILED


def test_rows_and_the_single_curve_are_one_rule() -> None:
    rng = np.random.default_rng(3)
    samples = LEARNED + rng.standard_normal((4, 5, 21)) + np.arange(4.0)[:, None, None]
    rows = curve_rows(samples, published(), margin=2.0)
    for row, one in enumerate(samples):
        single = curve(one, published(), margin=2.0)
        assert rows.score[row] == pytest.approx(single.score)
        assert VERDICTS[rows.verdict[row]] is single.verdict


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="increasing"):
        PublishedCurve(x=X[::-1], mean=LEARNED, sd=np.ones(21))
    with pytest.raises(ValueError, match="expected"):
        curve(np.zeros((3, 4)), published(), margin=1.0)


@settings(deadline=None)
@given(
    st.integers(1, 3),
    st.sampled_from([0.0, 1e-300, 1.0, 1e100]),
    st.sampled_from([1e-200, 1.0, 1e200]),
    st.sampled_from([0.0, 1.0, math.inf, -math.inf, 1e140]),
)
def test_only_plain_numbers_leave(m: int, sd: float, margin: float, odd: float) -> None:
    samples = np.tile(LEARNED, (m, 1))
    samples[0, 3] = odd
    found = curve(samples, published(sd), margin=margin)
    assert 0.0 <= found.score <= 1.0
    for part in (found.final, found.area, found.shape):
        for value in (part.estimate, part.score, part.confidence, part.low, part.high, part.standard_error):
            assert value is None or math.isfinite(value)


def test_an_exponent_is_a_slope_a_seed() -> None:
    x = np.array([10.0, 20.0, 40.0, 80.0])
    samples = np.stack([3.0 * x**-0.5, 5.0 * x**-0.52, 1.0 * x**-0.48])
    assert log_slopes(x, samples) == pytest.approx([-0.5, -0.52, -0.48])
    found = exponent(x, samples, Published(mean=-0.5, exact=True), margin=0.2)
    assert found.estimate == pytest.approx(-0.5)
    assert found.verdict is Verdict.CERTIFIED
    samples[1, 2] = 0.0
    assert exponent(x, samples, Published(mean=-0.5, exact=True), margin=0.2).rule is Rule.DIVERGED
    with pytest.raises(ValueError, match="positive x"):
        log_slopes([0.0, 1.0], samples[:, :2])
