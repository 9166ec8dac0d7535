"""The statistics behind integrity gates 2 to 5."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.scoring.suspicion import (
    NOT_APPLICABLE,
    Spreads,
    flattery,
    prediction_p,
    too_good_to_be_true,
    too_little_spread,
    too_little_spread_over_claims,
    too_rosy,
)


def honest(rng: np.random.Generator, *, m: int = 5, n: int = 5) -> Spreads:
    return Spreads(
        measured=float(rng.standard_normal(m).std(ddof=1)),
        m=m,
        published=float(rng.standard_normal(n).std(ddof=1)),
        n=n,
    )


def test_gate_2_fires_on_one_honest_run_in_a_thousand() -> None:
    rng = np.random.default_rng(0)
    fired = [too_little_spread(honest(rng), level=0.05).fired for _ in range(4000)]
    assert np.mean(fired) == pytest.approx(0.05, abs=0.012)
    found = too_little_spread(Spreads(measured=0.1, m=5, published=1.0, n=5))
    assert found.threshold == pytest.approx(1 / 53.436, rel=1e-3)  # tabulated F(.999; 4, 4)
    assert found.fired
    assert not too_little_spread(Spreads(measured=0.2, m=5, published=1.0, n=5)).fired


def test_gate_3_is_standard_normal_on_honest_runs() -> None:
    rng = np.random.default_rng(1)
    z = [
        too_little_spread_over_claims([honest(rng, m=m, n=n) for m, n in ((3, 5), (5, 5), (10, 3), (5, 10))]).value
        for _ in range(1500)
    ]
    assert np.mean(z) == pytest.approx(0.0, abs=0.08)
    assert np.std(z) == pytest.approx(1.0, abs=0.06)


def test_gate_3_sees_what_no_single_claim_shows() -> None:
    claims = [Spreads(measured=0.3, m=5, published=1.0, n=5)] * 8
    assert not too_little_spread(claims[0]).fired
    assert too_little_spread_over_claims(claims).fired


def test_no_spread_at_all_stays_finite() -> None:
    found = too_little_spread_over_claims([Spreads(measured=0.0, m=5, published=1.0, n=5)])
    assert found.value is not None
    assert math.isfinite(found.value)
    assert found.fired


def test_gate_4_fires_on_the_lower_tail_only() -> None:
    rng = np.random.default_rng(2)
    fired = [too_good_to_be_true(rng.random(6).tolist(), level=0.05).fired for _ in range(4000)]
    assert np.mean(fired) == pytest.approx(0.05, abs=0.012)
    assert too_good_to_be_true([0.99] * 6).fired
    assert not too_good_to_be_true([0.0] * 6).fired


def test_prediction_p_values_are_uniform_for_honest_reruns() -> None:
    rng = np.random.default_rng(3)
    p = []
    for _ in range(4000):
        paper = rng.standard_normal(5)
        rerun = float(rng.standard_normal(3).mean())
        p.append(prediction_p(rerun, 3, mean=float(paper.mean()), sd=float(paper.std(ddof=1)), n=5))
    assert np.quantile(np.array(p, dtype=float), [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.03)
    assert prediction_p(1.0, 3, mean=1.0, sd=0.0, n=5) is None


def test_gate_5_counts_signs() -> None:
    assert too_rosy([1.0] * 7).p == pytest.approx(1 / 128)
    assert too_rosy([1.0] * 7).fired
    assert not too_rosy([1.0] * 6).fired
    assert too_rosy([1.0, -1.0, 0.0]).p == pytest.approx(0.75)
    assert too_rosy([-1.0] * 9).p == 1.0


def test_flattery_is_nearness_to_the_target() -> None:
    assert flattery(9.9, 9.0, target=10.0) == pytest.approx(0.9)
    assert flattery(11.0, 10.5, target=10.0) == pytest.approx(-0.5)
    assert flattery(9.0 + 1e-12, 9.0, target=10.0) == 0.0
    with pytest.raises(ValueError, match="not a number"):
        flattery(math.inf, math.inf, target=1.0)


def test_nothing_to_compare_applies_to_nothing() -> None:
    assert too_little_spread(Spreads(measured=1.0, m=1, published=1.0, n=5)) == NOT_APPLICABLE
    assert too_little_spread_over_claims([]) == NOT_APPLICABLE
    assert too_good_to_be_true([None]) == NOT_APPLICABLE
    assert too_rosy([0.0]) == NOT_APPLICABLE
