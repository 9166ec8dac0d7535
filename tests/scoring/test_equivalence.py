"""The numeric and the exact rule: worked examples, degenerate cases, properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import stdtr, stdtrit

from harness.scoring.statistics import (
    VERDICTS,
    Finding,
    Published,
    Rule,
    Verdict,
    exact,
    numeric,
    numeric_rows,
    spread_to_sd,
)

INF = math.inf


def plain_numbers(found: Finding) -> None:
    """No NaN and no infinity leaves."""
    for name in (
        "score",
        "confidence",
        "estimate",
        "spread",
        "standard_error",
        "degrees",
        "low",
        "high",
        "difference",
    ):
        value = getattr(found, name)
        assert value is None or math.isfinite(value), (name, value)
    assert 0.0 <= found.score <= 1.0
    assert 0.0 <= found.confidence <= 1.0


def test_worked_example_by_hand() -> None:
    # d = 1, s_p = 1, n = 5; reruns 10, 11, 12: mean 11, s_r = 1, m = 3; D = 3
    found = numeric([10.0, 11.0, 12.0], Published(mean=10.0, sd=1.0, n=5), margin=3.0)
    a, b = 1 / 5, 1 / 3
    se, nu = math.sqrt(a + b + 0.15**2), (a + b) ** 2 / (a**2 / 4 + b**2 / 2)
    c = stdtr(nu, 2 / se) - stdtr(nu, -4 / se)
    c0 = 2 * stdtr(nu, 3 / (math.sqrt(2) * se)) - 1
    assert found.standard_error == pytest.approx(se, rel=1e-12)
    assert found.degrees == pytest.approx(nu, rel=1e-12)
    assert found.confidence == pytest.approx(c, rel=1e-12)
    assert found.score == pytest.approx(min(1.0, c / c0), rel=1e-12)
    assert found.low == pytest.approx(11 - stdtrit(nu, 0.975) * se, rel=1e-12)
    assert found.verdict is Verdict.CERTIFIED
    assert 1 + stdtrit(nu, 0.95) * se <= 3


def test_noise_buys_no_tolerance() -> None:
    paper = Published(mean=0.0, sd=1.0, n=5)
    calm = numeric(6.0 + np.array([-1.0, 0.0, 1.0, 0.5, -0.5]), paper, margin=2.0)
    wild = numeric(6.0 + 10 * np.array([-1.0, 0.0, 1.0, 0.5, -0.5]), paper, margin=2.0)
    assert wild.spread == pytest.approx(10 * calm.spread)
    assert wild.standard_error == pytest.approx(math.sqrt(1 / 5 + 1.5**2 / 5 + 0.1**2))
    assert wild.verdict is Verdict.FAILED


def test_the_reading_error_enters() -> None:
    sharp = numeric([1.0, 2.0, 3.0], Published(mean=2.0, sd=1.0, n=5), margin=3.0)
    read = numeric([1.0, 2.0, 3.0], Published(mean=2.0, sd=1.0, n=5, tol=0.6), margin=3.0)
    assert read.standard_error**2 - sharp.standard_error**2 == pytest.approx(0.12)


def test_the_four_verdicts_are_what_their_inequalities_say() -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(400):
        margin = rng.uniform(0.3, 4)
        found = numeric(rng.normal(rng.uniform(-6, 6), 1, size=4), Published(mean=0.0, sd=1.0, n=5), margin=margin)
        d, se = abs(found.difference), found.standard_error
        if d + stdtrit(found.degrees, 0.95) * se <= margin:
            expected = Verdict.CERTIFIED
        elif d <= stdtrit(found.degrees, 0.975) * se or found.score >= 0.5:
            expected = Verdict.CONSISTENT
        elif d - stdtrit(found.degrees, 0.975) * se > margin:
            expected = Verdict.FAILED
        else:
            expected = Verdict.INCONCLUSIVE
        assert found.verdict is expected
        seen.add(expected)
    assert len(seen) == 4


@pytest.mark.parametrize(("sample", "verdict"), [(0.05, "certified"), (0.1, "certified"), (0.2, "failed")])
def test_without_spread_only_the_margin_decides(sample: float, verdict: str) -> None:
    for target in (Published(mean=0.0, exact=True), Published(mean=0.0, sd=0.0, n=5)):
        found = numeric([sample] * 3, target, margin=0.1)
        assert (found.verdict, found.rule) == (verdict, Rule.MARGIN)
        assert found.score == (verdict == "certified")


def test_the_margin_is_not_left_to_rounding() -> None:
    assert 0.4 - 0.3 > 0.1
    assert numeric([0.4] * 3, Published(mean=0.3), margin=0.1).verdict is Verdict.CERTIFIED


def test_deterministic_takes_one_run() -> None:
    paper = Published(mean=1.0, sd=0.5, n=5)
    assert numeric([1.9], paper, margin=1.0, deterministic=True).verdict is Verdict.CERTIFIED
    assert numeric([2.1], paper, margin=1.0, deterministic=True).verdict is Verdict.FAILED


def test_an_exact_target_leaves_the_spread_uncapped_with_m_minus_1_degrees() -> None:
    found = numeric([1.0, 2.0, 3.0, 6.0], Published(mean=0.0, exact=True), margin=5.0)
    assert found.degrees == pytest.approx(3.0)
    assert found.standard_error == pytest.approx(math.hypot(np.std([1, 2, 3, 6], ddof=1) / 2, 0.25))
    capped = numeric([1.0, 2.0, 3.0, 6.0], Published(mean=0.0, exact=True, bound=0.2), margin=5.0)
    assert capped.standard_error == pytest.approx(math.hypot(0.3 / 2, 0.25))


def test_one_run_against_an_exact_target_shows_no_spread() -> None:
    found = numeric([0.0], Published(mean=0.0, exact=True), margin=1.0)
    assert (found.verdict, found.rule) == (Verdict.INCONCLUSIVE, Rule.UNKNOWN_SPREAD)
    assert (found.score, found.more_seeds, found.standard_error) == (0.0, 1, None)


def test_a_diverged_number_has_failed() -> None:
    found = numeric([1.0, INF, 1.0], Published(mean=1.0, sd=1.0, n=5), margin=3.0)
    assert (found.verdict, found.score, found.estimate, found.diverged) == (Verdict.FAILED, 0.0, None, 1)


def test_nan_is_the_callers_error() -> None:
    with pytest.raises(ValueError, match=r"NaN at index \(1,\)|NaN at index \(0, 1\)"):
        numeric([1.0, math.nan], Published(mean=1.0, sd=1.0, n=5), margin=3.0)
    with pytest.raises(ValueError, match="margin"):
        numeric([1.0, 2.0], Published(mean=1.0, sd=1.0, n=5), margin=0.0)
    with pytest.raises(ValueError, match="margin"):
        numeric([1.0, 2.0], Published(mean=1.0, sd=1.0, n=5), margin=5e-324)
    with pytest.raises(ValueError, match="no spread"):
        Published(mean=1.0, sd=1.0, exact=True)


def test_more_seeds_are_as_many_as_it_takes() -> None:
    paper = Published(mean=0.0, sd=1.0, n=30)
    samples = np.array([2.4, 3.4, 4.4, 3.0])
    found = numeric(samples, paper, margin=2.5)
    assert found.verdict is Verdict.INCONCLUSIVE
    more = found.more_seeds
    assert more is not None
    standard = (samples - samples.mean()) / samples.std(ddof=1)

    def with_runs(m: int) -> Verdict:
        # m runs with exactly the same mean and spread
        z = np.linspace(-1, 1, m)
        z = z / z.std(ddof=1)
        return numeric(samples.mean() + samples.std(ddof=1) * z, paper, margin=2.5).verdict

    assert standard.std(ddof=1) == pytest.approx(1.0)
    assert with_runs(4 + more) is not Verdict.INCONCLUSIVE
    assert with_runs(4 + more - 1) is Verdict.INCONCLUSIVE


def test_a_perfect_replica_scores_one_and_more_than_half_on_average() -> None:
    rng = np.random.default_rng(1)
    paper = Published(mean=0.0, sd=1.0, n=5)
    at_target = numeric(np.array([-1.0, 1.0, 0.0, 0.5, -0.5]), paper, margin=3.0)
    assert at_target.score == 1.0
    assert numeric_rows(rng.standard_normal((2000, 5)), paper, margin=2.0).score.mean() > 0.95


def test_rows_and_the_single_claim_are_one_rule() -> None:
    rng = np.random.default_rng(2)
    samples, paper = rng.normal(1, 1, size=(3, 7, 4)), Published(mean=0.0, sd=1.0, n=5, tol=0.1)
    rows = numeric_rows(samples, paper, margin=1.5)
    assert rows.score.shape == (3, 7)
    one = numeric(samples[2, 5], paper, margin=1.5)
    assert rows.score[2, 5] == pytest.approx(one.score, rel=1e-14)
    assert VERDICTS[rows.verdict[2, 5]] is one.verdict


def test_the_margin_lost_in_noise_has_its_limit() -> None:
    # C / C0 -> sqrt(2) f(z) / f(0): continuous where the quotient itself has lost all its digits
    samples = np.array([1.0, 2.0, 4.0])
    near = numeric(samples, Published(mean=0.0, exact=True), margin=1.2e-6)
    far = numeric(samples, Published(mean=0.0, exact=True), margin=1e-200)
    assert far.score == pytest.approx(near.score, rel=1e-4)


finite = st.floats(-1e6, 1e6)
spreads = st.one_of(st.just(0.0), st.floats(1e-9, 1e6), st.just(1e-300), st.just(1e100))
targets = st.builds(
    Published,
    mean=st.one_of(finite, st.just(1e149)),
    sd=spreads,
    n=st.integers(1, 3),
    tol=st.one_of(st.just(0.0), st.floats(1e-9, 10)),
)
runs = st.one_of(
    st.lists(st.one_of(finite, st.sampled_from([INF, -INF, 0.0, 1e308, -1e308, 1e-308])), min_size=1, max_size=3),
    st.builds(lambda value, m: [value] * m, finite, st.integers(1, 3)),
)
margins = st.one_of(st.floats(1e-6, 1e6), st.sampled_from([1e-300, 1e300]))


@settings(deadline=None)
@given(runs, targets, margins, st.booleans())
def test_only_plain_numbers_leave(samples: list[float], target: Published, margin: float, fixed: bool) -> None:
    plain_numbers(numeric(samples, target, margin=margin, deterministic=fixed))


@settings(deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=5), st.floats(0, 5), st.floats(0, 5), st.floats(0.1, 5))
def test_the_score_never_rises_with_the_distance(z: list[float], near: float, step: float, margin: float) -> None:
    paper, shape = Published(mean=0.0, sd=1.0, n=5), np.array(z) - np.mean(z)
    closer = numeric(shape + near, paper, margin=margin)
    farther = numeric(shape + near + step, paper, margin=margin)
    assert farther.score <= closer.score + 1e-9


@settings(deadline=None)
@given(st.lists(st.floats(-3, 3), min_size=2, max_size=5), st.floats(-6, 6), st.sampled_from([1e-30, 1e-3, 8.0, 1e40]))
def test_units_do_not_matter(z: list[float], shift: float, unit: float) -> None:
    samples = np.array(z) + shift
    plain = numeric(samples, Published(mean=1.0, sd=0.7, n=4, tol=0.1), margin=2.0)
    scaled = numeric(samples * unit, Published(mean=unit, sd=0.7 * unit, n=4, tol=0.1 * unit), margin=2.0 * unit)
    assert scaled.score == pytest.approx(plain.score, abs=1e-9)
    assert scaled.confidence == pytest.approx(plain.confidence, abs=1e-9)


@pytest.mark.parametrize(
    ("samples", "kept"), [([24.0] * 3, True), ([24.04, 24.0], True), ([24.05], True), ([24.06, 24.0], False)]
)
def test_exact_is_half_the_last_digit_for_every_run(samples: list[float], kept: bool) -> None:
    found = exact(samples, 24.0, digits=1)
    assert (found.score, found.verdict is Verdict.CERTIFIED) == (float(kept), kept)


def test_exact_adds_its_tolerance_and_takes_infinity_as_a_value() -> None:
    assert exact([24.059], 24.0, digits=1, tolerance=0.01).score == 1.0
    assert exact([24.0 + 1e-7], 24.0, tolerance=1e-6).score == 1.0
    assert exact([INF, INF], INF).score == 1.0
    assert exact([INF, 1.0], INF).score == 0.0
    assert exact([INF], 24.0, tolerance=1e-6).score == 0.0
    plain_numbers(exact([INF, INF], INF))


@settings(deadline=None)
@given(runs, st.one_of(finite, st.just(INF)), st.sampled_from([0.0, 1e-6]))
def test_exact_gives_plain_numbers(samples: list[float], value: float, tolerance: float) -> None:
    plain_numbers(exact(samples, value, tolerance=tolerance))


def test_what_stands_after_plus_minus_becomes_a_standard_deviation() -> None:
    assert spread_to_sd("sd", 2.0, 5) == 2.0
    assert spread_to_sd("se", 2.0, 4) == 4.0
    assert spread_to_sd("ci95", 2.776445105, 5) == pytest.approx(math.sqrt(5))
    assert spread_to_sd("range", 0.5, 2) == pytest.approx(math.sqrt(math.pi) / 2, rel=1e-6)
    assert spread_to_sd("range", 2.32593 / 2, 5) == pytest.approx(1.0, rel=1e-4)  # tabulated d2(5)
    with pytest.raises(ValueError, match="n >= 2"):
        spread_to_sd("se", 1.0, 1)
    with pytest.raises(ValueError, match="unknown kind"):
        spread_to_sd("iqr", 1.0, 5)
