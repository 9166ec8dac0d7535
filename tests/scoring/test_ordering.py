"""Orderings, thresholds and improvements over tasks."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.scoring.statistics import (
    Rule,
    Verdict,
    improvement,
    improvement_rows,
    ordering,
    ordering_rows,
    threshold,
)

INF = math.inf


def test_welch_and_paired_agree_with_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(1, 1, 6), rng.normal(0, 2, 6)
    welch = stats.ttest_ind(x, y, equal_var=False, alternative="less").pvalue
    paired = stats.ttest_rel(x, y, alternative="less").pvalue
    assert ordering(x, y).confidence == pytest.approx(welch, rel=1e-9)
    assert ordering(x, y, paired=True).confidence == pytest.approx(paired, rel=1e-9)


def test_score_and_verdict_follow_the_confidence() -> None:
    rng, seen = np.random.default_rng(1), set()
    for shift in np.linspace(-4, 4, 80):
        found = ordering(rng.normal(shift, 1, 4), rng.normal(0, 1, 4))
        c = found.confidence
        assert found.score == pytest.approx(min(max((c - 0.5) / 0.45, 0), 1))
        expected = (
            Verdict.CERTIFIED
            if c >= 0.95
            else Verdict.FAILED
            if c <= 0.05
            else Verdict.CONSISTENT
            if found.score >= 0.5
            else Verdict.INCONCLUSIVE
        )
        assert found.verdict is expected
        seen.add(expected)
    assert len(seen) == 4


@pytest.mark.parametrize(
    ("higher", "lower", "confidence", "verdict"),
    [
        (2.0, 1.0, 1.0, "certified"),
        (1.0, 1.0, 0.5, "failed"),
        (0.1 + 0.2, 0.3, 0.5, "failed"),
        (0.0, 1.0, 0.0, "failed"),
    ],
)
def test_without_spread_the_sign_decides(higher: float, lower: float, confidence: float, verdict: str) -> None:
    for paired in (False, True):
        found = ordering([higher] * 3, [lower] * 3, paired=paired)
        assert (found.confidence, found.verdict, found.rule) == (confidence, verdict, Rule.SIGN)
    fixed = ordering([higher], [lower], higher_deterministic=True, lower_deterministic=True)
    assert (fixed.confidence, fixed.verdict) == (confidence, verdict)


def test_a_deterministic_side_is_a_constant() -> None:
    x = [1.0, 2.0, 4.0]
    one = ordering(x, [0.5], lower_deterministic=True)
    assert one.confidence == pytest.approx(stats.ttest_1samp(x, 0.5, alternative="less").pvalue, rel=1e-9)
    assert threshold(x, above=0.5).confidence == one.confidence
    assert threshold(x, below=0.5).confidence == pytest.approx(1 - one.confidence)
    assert threshold(x, above=0.5) == threshold(x, above=0.5)
    assert one.runs == 3


def test_a_single_stochastic_run_shows_no_spread() -> None:
    for found in (
        ordering([9.0], [1.0, 2.0]),
        ordering([9.0], [1.0], paired=True),
        threshold([9.0], above=1.0),
    ):
        assert (found.verdict, found.rule, found.score) == (
            Verdict.INCONCLUSIVE,
            Rule.UNKNOWN_SPREAD,
            0.0,
        )
        assert found.more_seeds == 1
    assert threshold([9.0], above=1.0, deterministic=True).verdict is Verdict.CERTIFIED


def test_divergence_can_be_the_claim() -> None:
    assert ordering([INF] * 3, [1.0, 2.0, 3.0]).verdict is Verdict.CERTIFIED
    assert ordering([1.0, 2.0, 3.0], [INF] * 3).verdict is Verdict.FAILED
    assert ordering([INF] * 3, [1.0, 2.0, 3.0], paired=True).confidence == 1.0
    assert ordering([INF] * 3, [INF] * 3).verdict is Verdict.FAILED  # a tie is not above
    assert threshold([INF] * 3, above=1e6).confidence == 1.0
    assert threshold([INF] * 3, below=1e6).confidence == 0.0
    assert ordering([INF], [1.0], higher_deterministic=True, lower_deterministic=True).confidence == 1.0
    mixed = threshold([INF, INF, INF, 0.0, INF], above=1.0)
    assert 0.5 < mixed.confidence < 1.0
    assert (mixed.estimate, mixed.diverged) == (None, 4)


def test_finite_and_huge_keep_their_order() -> None:
    assert ordering([1e308] * 3, [1e200] * 3).confidence == 1.0


def test_more_seeds_settle_an_ordering() -> None:
    found = ordering([1.0, 3.0, 2.0], [1.1, 2.6, 1.9])
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.more_seeds is not None
    assert found.more_seeds > 1


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="paired"):
        ordering([1.0, 2.0], [1.0, 2.0, 3.0], paired=True)
    with pytest.raises(ValueError, match="exactly one"):
        threshold([1.0, 2.0])
    with pytest.raises(ValueError, match="NaN"):
        ordering([1.0, math.nan], [1.0, 2.0])
    with pytest.raises(ValueError, match="expected"):
        improvement([[1.0, 2.0]], [[1.0]])


values = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, INF, -INF, 1e308, 1e-308]))
side = st.lists(values, min_size=1, max_size=3)


@settings(deadline=None)
@given(side, side, st.booleans(), st.booleans(), st.booleans())
def test_only_plain_numbers_leave(higher: list[float], lower: list[float], paired: bool, one: bool, two: bool) -> None:
    if paired:
        lower = (lower * 3)[: len(higher)]
    found = ordering(higher, lower, paired=paired, higher_deterministic=one, lower_deterministic=two)
    for value in (found.estimate, found.low, found.high, found.standard_error, found.degrees, found.spread):
        assert value is None or math.isfinite(value)
    assert 0.0 <= found.score <= 1.0
    back = ordering(lower, higher, paired=paired, higher_deterministic=two, lower_deterministic=one)
    assert found.confidence + back.confidence == pytest.approx(1.0)


def matrix(*rows: list[float]) -> npt.NDArray[np.float64]:
    return np.array(rows)


def test_improvement_is_mann_whitney_over_tasks() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.integers(0, 5, size=(4, 6)).astype(float), rng.integers(0, 5, size=(5, 6)).astype(float)
    u = [stats.mannwhitneyu(x[:, t], y[:, t]).statistic / 20 for t in range(6)]
    assert improvement(x, y).estimate == pytest.approx(np.mean(u))
    assert improvement(x, y).confidence + improvement(y, x).confidence == pytest.approx(1.0)


def test_winning_everything_convinces_with_many_comparisons_only() -> None:
    few = improvement(matrix([2.0], [3.0]), matrix([0.0], [1.0]))
    many = improvement(np.full((5, 20), INF), np.zeros((5, 20)))
    assert few.verdict is not Verdict.CERTIFIED
    assert many.verdict is Verdict.CERTIFIED


def test_improvement_pairs_by_slot() -> None:
    base = np.arange(5.0)[:, None] * 10 + np.zeros((5, 4))
    assert improvement(base + 1, base, paired=True).estimate == 1.0
    assert improvement(base + 1, base).estimate == pytest.approx(0.6)


def test_improvement_of_deterministic_sides_samples_the_tasks() -> None:
    fixed = {"higher_deterministic": True, "lower_deterministic": True}
    wins = improvement(np.ones((1, 30)), np.zeros((1, 30)), **fixed)
    half = improvement(np.ones((1, 30)), np.tile([0.0, 2.0], 15)[None], **fixed)
    single = improvement(matrix([1.0]), matrix([1.0]), **fixed)
    assert wins.verdict is Verdict.CERTIFIED
    assert half.confidence == pytest.approx(0.5)
    assert (single.verdict, single.rule) == (Verdict.FAILED, Rule.SIGN)


def test_one_stochastic_run_of_many_tasks_shows_no_spread() -> None:
    assert improvement(np.ones((1, 30)), np.zeros((1, 30))).rule is Rule.UNKNOWN_SPREAD


def test_an_improvement_is_certified_no_more_often_than_it_says() -> None:
    rng = np.random.default_rng(4)
    found = improvement_rows(rng.standard_normal((3000, 5, 4)), rng.standard_normal((3000, 5, 4)))
    assert np.mean(found.confidence >= 0.95) < 0.07


def test_an_ordering_is_certified_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    for m in (3, 5, 10):
        found = ordering_rows(rng.standard_normal((8000, m)), rng.standard_normal((8000, m)))
        assert np.mean(found.confidence >= 0.95) < 0.06
        assert np.mean(found.confidence <= 0.05) < 0.06
