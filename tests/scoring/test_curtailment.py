"""Predictive draws, and the reruns they save."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pytest
from scipy.special import stdtrit

from harness.scoring.curtailment import Series, complete, curtail, stream

Floats = npt.NDArray[np.float64]


def futures(series: Series, *, draws: int = 20_000, slots: int = 10) -> Floats:
    return complete(series, slots=slots, draws=draws, rng=stream("x", len(series.values)))


def test_a_missing_slot_is_marginally_t() -> None:
    seen = np.array([1.0, 2.0, 4.0, 5.0])
    drawn = futures(Series(values=seen))[:, 7]
    scale = seen.std(ddof=1) * np.sqrt(1 + 1 / 4)
    expected = 3.0 + scale * stdtrit(3.0, np.array([0.05, 0.25, 0.5, 0.75, 0.95]))
    assert np.quantile(drawn, [0.05, 0.25, 0.5, 0.75, 0.95]) == pytest.approx(expected, abs=0.15)


def test_the_papers_spread_is_pooled() -> None:
    seen = np.array([1.0, 2.0, 3.0])
    drawn = futures(Series(values=seen, published_sd=4.0, published_n=5))[:, 9]
    pooled = np.sqrt((2 * 1.0 + 4 * 16.0) / 6)
    expected = 2.0 + pooled * np.sqrt(1 + 1 / 3) * stdtrit(6.0, np.array([0.1, 0.9]))
    assert np.quantile(drawn, [0.1, 0.9]) == pytest.approx(expected, rel=0.04)


def test_the_missing_slots_of_one_draw_share_its_mean() -> None:
    drawn = futures(Series(values=np.array([1.0, 2.0, 4.0, 5.0])))
    # Var of one slot is s^2 (1 + 1/4) E, covariance of two s^2 / 4 E: correlation 1/5 (kurtosis leaves it alone)
    ranks = np.argsort(np.argsort(drawn[:, [8, 9]], axis=0), axis=0)
    assert np.corrcoef(ranks.T)[0, 1] == pytest.approx(0.19, abs=0.04)


def test_what_was_seen_stays_in_its_slots() -> None:
    seen = np.array([3.0, 1.0, 2.0])
    assert (futures(Series(values=seen), draws=5)[:, :3] == seen).all()


def test_a_pair_keeps_its_correlation() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal(7)
    both = np.stack([base + 1.0, base], axis=1)
    drawn = futures(Series(values=both), draws=200)
    assert drawn.shape == (200, 10, 2)
    assert drawn[..., 0] - drawn[..., 1] == pytest.approx(np.ones((200, 10)))


def test_constants_stay_constant_and_deterministic_runs_stand_for_all() -> None:
    assert (futures(Series(values=np.full(3, 7.0), published_sd=1.0, published_n=5), draws=9) == 7.0).all()
    assert (futures(Series(values=np.array([7.0]), deterministic=True), draws=9) == 7.0).all()


def test_logarithms_stay_positive_and_infinities_are_drawn_again() -> None:
    assert (futures(Series(values=np.array([1e-6, 1e-2, 10.0]), log=True), draws=500) > 0).all()
    seen = np.array([1.0, np.inf, 2.0])
    drawn = futures(Series(values=seen), draws=500)
    assert set(np.unique(drawn)) == {1.0, 2.0, np.inf}


def test_too_few_or_too_many_slots_are_refused() -> None:
    for values in (np.zeros(1), np.zeros(11)):
        with pytest.raises(ValueError, match="filled slots"):
            futures(Series(values=values), draws=3)


def near_zero(completed: Mapping[str, Floats]) -> npt.NDArray[np.str_]:
    return np.where(np.abs(completed["a"].mean(axis=-1)) <= 1.0, "PASS", "FAIL")


def test_the_decision_is_the_same_again_and_does_not_depend_on_the_order() -> None:
    a, b = Series(values=np.array([0.1, 0.9, 1.4])), Series(values=np.array([1.0, 2.0, 3.0]))
    first = curtail({"a": a, "b": b}, near_zero)
    assert first == curtail({"b": b, "a": a}, near_zero)
    assert sum(first.probabilities.values()) == pytest.approx(1.0)
    assert not first.stop


def test_a_plain_case_stops_at_once() -> None:
    look = curtail({"a": Series(values=np.array([50.0, 51.0, 52.0]))}, near_zero)
    assert (look.stop, look.verdict, look.probability) == (True, "FAIL", 1.0)


def runs_needed(shift: float, *, papers: int) -> tuple[float, float]:
    """Mean slots used and share of disagreements with ten, accepting within the paper's prediction interval."""
    rng = np.random.default_rng(11)
    used, wrong = [], 0
    for _ in range(papers):
        paper = rng.standard_normal(5)
        sd, centre = paper.std(ddof=1), paper.mean()
        reach = stdtrit(4.0, 0.975) * sd * np.sqrt(1 / 5 + 1 / 10)
        x = rng.normal(shift, 1.0, size=10)

        def verdict(done: Mapping[str, Floats], centre: float = centre, reach: float = reach) -> npt.NDArray[np.str_]:
            return np.where(np.abs(done["x"].mean(axis=-1) - centre) <= reach, "in", "out")

        final = verdict({"x": x[None]})[0]
        for k in (3, 5, 7):
            look = curtail({"x": Series(values=x[:k], published_sd=sd, published_n=5)}, verdict)
            if look.stop:
                wrong += look.verdict != final
                used.append(k)
                break
        else:
            used.append(10)
    return float(np.mean(used)), wrong / papers


@pytest.mark.parametrize(
    ("shift", "runs"),
    [
        (0.0, 6.7),
        pytest.param(2.0, 6.0, marks=pytest.mark.slow),
        (4.0, 3.2),
        pytest.param(8.0, 3.0, marks=pytest.mark.slow),
    ],
)
def test_curtailment_saves_about_what_was_simulated(shift: float, runs: float) -> None:
    used, wrong = runs_needed(shift, papers=100)
    assert used == pytest.approx(runs, abs=1.0)
    assert wrong <= 0.03
