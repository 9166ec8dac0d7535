"""The total, its jackknife interval, and the figures that were simulated before the rules were chosen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from harness.scoring.statistics import VERDICTS, Published, Verdict, numeric_rows, ordering_rows
from harness.scoring.total import coverage, jackknife, jackknife_rows, leave_one_out, total

FAILED = VERDICTS.index(Verdict.FAILED)


def test_missing_stays_in_the_denominator_and_invalid_leaves_it() -> None:
    assert total([1.0, 0.0, 1.0], [2.0, 1.0, 1.0]) == pytest.approx(0.75)
    valid = [True, False, True]
    assert total([1.0, 0.0, 0.5], [2.0, 1.0, 1.0], valid=valid) == pytest.approx(2.5 / 3)
    assert coverage([2.0, 1.0, 1.0], valid) == 0.75
    assert coverage([0.1, 0.2, 0.3], [True] * 3) == 1.0
    assert total([1.0], [1.0], valid=[False]) == 0.0


@pytest.mark.parametrize(
    ("scores", "weights"), [([np.nan], [1.0]), ([1.1], [1.0]), ([1.0], [0.0]), ([1.0, 1.0], [1.0])]
)
def test_only_scores_and_weights_that_make_sense(scores: list[float], weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"scores|weights"):
        total(scores, weights)


def test_leave_one_out_deletes_each_slot_once() -> None:
    assert leave_one_out([1.0, 2.0, 3.0]).tolist() == [[2, 3], [1, 3], [1, 2]]
    assert leave_one_out(np.zeros((7, 5, 2)), axis=1).shape == (7, 5, 4, 2)


def test_the_jackknife_of_a_mean_is_its_t_interval() -> None:
    x = np.array([0.2, 0.5, 0.4, 0.7])
    found = jackknife(leave_one_out(x).mean(axis=-1), float(x.mean()))
    se = x.std(ddof=1) / 2
    assert found.standard_error == pytest.approx(se)
    assert found.low == pytest.approx(max(0, 0.45 - 3.182446305 * se))
    assert found.lower == pytest.approx(0.45 - 2.353363435 * se)
    assert found.high == pytest.approx(0.45 + 3.182446305 * se)


def test_one_slot_says_nothing_and_no_noise_says_all() -> None:
    one = jackknife([0.4], 0.4)
    assert (one.low, one.high, one.standard_error) == (0.0, 1.0, None)
    still = jackknife([], 0.4, stochastic=False)
    assert (still.low, still.high, still.lower, still.upper) == (0.4, 0.4, 0.4, 0.4)


def test_the_limits_stay_scores() -> None:
    found = jackknife([0.0, 1.0, 1.0], 0.9)
    assert (found.low, found.high) == (0.0, 1.0)


Rows = npt.NDArray[np.float64]


def simulate(m: int, *, shifts: tuple[float, ...], papers: int = 120) -> tuple[float, float]:
    """Shares of PASS and FAIL: margins 3 sd, n = 5, laboratory offset .25 sd, two orderings 3 sd apart."""
    rng = np.random.default_rng(m)
    passed, failed, rows = 0.0, 0.0, 8
    for _ in range(papers):
        full, deleted, broken = [], [], np.zeros(rows, dtype=bool)
        for shift in shifts:
            paper = Published.of(rng.normal(0.25 * rng.choice([-1, 1]), 1.0, size=5))
            x = rng.normal(shift, 1.0, size=(rows, m))
            found = numeric_rows(x, paper, margin=3.0)
            full.append(found.score)
            deleted.append(numeric_rows(leave_one_out(x), paper, margin=3.0).score)
            broken |= found.verdict == FAILED
        for _ in range(2):
            high, low = rng.normal(3.0, 1.0, size=(rows, m)), rng.standard_normal((rows, m))
            found = ordering_rows(high, low)
            full.append(found.score)
            deleted.append(ordering_rows(leave_one_out(high), leave_one_out(low)).score)
            broken |= found.verdict == FAILED
        weights = np.ones(len(full))
        value = total(np.stack(full, -1), weights)
        interval = jackknife_rows(total(np.stack(deleted, -1), weights), value)
        passed += float(np.mean((interval.lower >= 0.8) & ~broken)) / papers
        failed += float(np.mean((interval.upper < 0.8) | broken)) / papers
    return passed, failed


@pytest.mark.parametrize(("m", "faithful"), [(3, 0.96), (5, 1.0), pytest.param(10, 1.0, marks=pytest.mark.slow)])
def test_a_faithful_run_passes_as_often_as_simulated(m: int, faithful: float) -> None:
    assert simulate(m, shifts=(0.0,) * 4)[0] == pytest.approx(faithful, abs=0.04)


@pytest.mark.parametrize(
    ("m", "passes", "fails"),
    [
        (3, 0.04, 0.85),
        pytest.param(5, 0.02, 0.98, marks=pytest.mark.slow),
        pytest.param(10, 0.0, 1.0, marks=pytest.mark.slow),
    ],
)
def test_one_claim_at_the_mutations_distance_fails_as_often_as_simulated(m: int, passes: float, fails: float) -> None:
    passed, failed = simulate(m, shifts=(6.0, 0.0, 0.0, 0.0))
    assert passed == pytest.approx(passes, abs=0.04)
    assert failed == pytest.approx(fails, abs=0.08)


def test_two_such_claims_never_pass() -> None:
    assert simulate(5, shifts=(6.0, 6.0, 0.0, 0.0))[0] == 0.0


@pytest.mark.slow
@pytest.mark.parametrize(("m", "passes"), [(3, 0.88), (5, 0.99), (10, 1.0)])
def test_all_claims_one_sd_off_still_pass(m: int, passes: float) -> None:
    assert simulate(m, shifts=(1.0,) * 4, papers=600)[0] == pytest.approx(passes, abs=0.05)


@pytest.mark.parametrize(("margin", "average"), [(0.5, 0.82), (2.0, 0.97)])
def test_a_narrow_margin_costs_a_faithful_run_its_score(margin: float, average: float) -> None:
    rng = np.random.default_rng(9)
    scores = [
        numeric_rows(rng.standard_normal((20, 5)), Published.of(rng.standard_normal(5)), margin=margin).score
        for _ in range(400)
    ]
    assert np.mean(scores) == pytest.approx(average, abs=0.025)


@pytest.mark.slow
def test_the_jackknife_covers_where_scores_are_not_at_their_ceiling() -> None:
    rng = np.random.default_rng(10)
    for m, margin in ((3, 1.0), (5, 2.0)):
        hits = 0
        for _ in range(120):
            papers = [Published.of(rng.standard_normal(5)) for _ in range(8)]

            def scored(x: Rows, papers: list[Published] = papers, margin: float = margin) -> Rows:
                parts = [numeric_rows(x[:, c], paper, margin=margin).score for c, paper in enumerate(papers)]
                return total(np.stack(parts, -1), np.ones(8))

            truth = scored(rng.normal(1.0, 1.0, size=(60, 8, m))).mean()
            x = rng.normal(1.0, 1.0, size=(8, m))
            deleted = scored(np.moveaxis(leave_one_out(x), 1, 0))
            interval = jackknife(deleted, float(scored(x[None])[0]))
            hits += interval.low <= truth <= interval.high
        assert 0.88 <= hits / 120 <= 1.0
