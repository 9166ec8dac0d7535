# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""From measurements to the verdict: evidence, jackknife, rules of the verdict, looking ahead, and the words."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.attempt.reported import Figure, Reported, reportable
from harness.paper.claims import Closeness
from harness.paper.load import Paper
from harness.pipeline import Measurements, Rerun, units_of
from harness.record.store import read
from harness.rerun.engine import known_records
from harness.rerun.measure import Measurement
from harness.scoring.evidence import gather
from harness.scoring.explain import explain, interval_of, measured_of, settles, target_of
from harness.scoring.finding import Verdict
from harness.scoring.foresee import look_ahead
from harness.scoring.integrity import Gate, perturbation
from harness.scoring.judge import Judged, judge
from harness.scoring.probes import compare
from harness.scoring.score import Graded, Score, claim_scores, grade, verdict_of
from harness.scoring.total import Interval, jackknife, total

Attempted = tuple[Any, Score]
Change = Callable[[Measurement], Measurement]
CLOSE = Closeness(rtol=1e-6, atol=1e-9)


class Scorer:
    """Grades the tiny paper on measurements that a test changes."""

    def __init__(self, road: Any) -> None:
        self.paper: Paper = road.paper
        self.store = road.store
        self.measured = read(road.records / "measurements.json", Measurements).measurements
        self.units = units_of(road, read(road.records / "rerun.json", Rerun))
        self.records = known_records(self.units, road.store)

    def __call__(
        self, change: Change | None = None, *, only: Callable[[Measurement], bool] | None = None, reported: float = 1.0
    ) -> Graded:
        measured = [change(item) if change and (only is None or only(item)) else item for item in self.measured]
        figures = {name: Figure(value=reported, rounding=0.0) for name in reportable(self.paper)}
        said = Reported(figures=figures)
        return grade(self.paper, measured, self.units, self.records, self.store, reported=said)

    def evidence(self, change: Change, only: Callable[[Measurement], bool]) -> dict[str, Any]:
        measured = [change(item) if only(item) else item for item in self.measured]
        return {item.share.leaf: item for item in gather(self.paper, measured, {}) if item.share.leaf != "one_update"}


@pytest.fixture(scope="module")
def scorer(finished: Attempted) -> Scorer:
    return Scorer(finished[0])


def leaf(graded: Graded, name: str) -> Judged:
    return next(one for one in graded.judged if one.id == name)


def pinned_noisy(item: Measurement) -> bool:
    return (
        item.author == "submission"
        and item.which == "pinned"
        and item.parameters["method"] == "noisy"
        and item.metric == "mean_position"
    )


def put(value: float | None, problem: str | None = None, *, fault: bool = False) -> Change:
    return lambda item: item.model_copy(update={"value": value, "problem": problem, "fault": fault})


def test_the_kept_measurements_give_the_kept_score(scorer: Scorer, finished: Attempted) -> None:
    graded = scorer()
    assert verdict_of(graded)[0] == finished[1].verdict
    assert {one.id: one.score for one in graded.judged} == {claim.id: claim.score for claim in finished[1].claims}


def test_a_ratio_is_taken_seed_by_seed_with_what_does_not_depend_on_the_seed(scorer: Scorer) -> None:
    values = {1: 1.0, 2: 2.0, 3: 4.0}
    by_slot = lambda item: item.model_copy(update={"value": values[item.slot]})  # noqa: E731
    graded = scorer(by_slot, only=pinned_noisy)
    side = leaf(graded, "number_relative").evidence.sides["of"]
    assert side.values.tolist() == pytest.approx([v / 0.78125 for v in values.values()])
    assert not side.deterministic


def test_a_ratio_with_nothing_is_infinite_and_one_of_nothing_is_missing(scorer: Scorer) -> None:
    still = lambda item: (  # noqa: E731
        item.author == "submission"
        and item.which == "pinned"
        and item.parameters["method"] == "still"
        and item.metric == "mean_position"
    )
    found = leaf(scorer(put(0.0), only=still), "number_relative")
    assert found.verdict is Verdict.FAILED
    assert measured_of(found) == math.inf
    both = leaf(scorer(put(0.0), only=lambda item: still(item) or pinned_noisy(item)), "number_relative")
    assert both.verdict is Verdict.MISSING
    assert "not a number" in explain(both)


def test_a_missing_slot_loses_the_leaf_and_a_fault_makes_it_invalid(scorer: Scorer) -> None:
    first = lambda item: pinned_noisy(item) and item.slot == 1  # noqa: E731
    lost = scorer(put(None, "it crashed"), only=first)
    assert leaf(lost, "number_published").verdict is Verdict.MISSING
    assert lost.coverage == 1.0
    assert verdict_of(lost)[0] == "FAIL"
    faulty = scorer(put(None, "the machine stopped", fault=True), only=first)
    assert leaf(faulty, "number_published").verdict is Verdict.INVALID
    assert faulty.coverage == pytest.approx(
        1 - sum(one.weight for one in faulty.judged if one.verdict is Verdict.INVALID)
    )
    assert faulty.coverage < 1
    outcome, reasons = verdict_of(faulty)
    assert outcome == "UNDECIDED"
    assert "by a fault of ours" in reasons[0]
    assert settles(leaf(faulty, "number_published")) == "rerun the attempt; what is done is not done again"
    # a crash is said before a fault of ours
    mixed = scorer(lambda item: put(None, f"p{item.slot}", fault=item.slot == 1)(item), only=pinned_noisy)
    assert leaf(mixed, "number_published").verdict is Verdict.MISSING
    assert "p2" in explain(leaf(mixed, "number_published"))


def test_a_reference_that_gave_no_answer_is_our_fault(scorer: Scorer) -> None:
    theirs = lambda item: item.author == "reference" and item.metric == "mean_position"  # noqa: E731
    for change in (put(None, "it crashed"), put(math.inf)):
        found = leaf(scorer(change, only=theirs), "number_reference")
        assert found.verdict is Verdict.INVALID
        assert "the reference gave no answer" in explain(found)


def test_a_reference_that_answers_zero_cannot_bear_a_relative_margin(scorer: Scorer) -> None:
    found = leaf(
        scorer(put(0.0), only=lambda item: item.author == "reference" and item.metric == "mean_position"),
        "number_reference",
    )
    assert found.verdict is Verdict.INVALID


@pytest.mark.parametrize("value", [math.inf, -math.inf, 1e308, -1e308, 0.0, -1.0, 1e-320])
def test_no_value_ends_the_scoring(scorer: Scorer, value: float) -> None:
    theirs = lambda item: item.author == "submission" and not isinstance(item.value, list)  # noqa: E731
    for reported in (0.0, 1.7e308, -1.7e308, value if math.isfinite(value) else 5e-324):
        graded = scorer(put(value), only=theirs, reported=reported)
        assert verdict_of(graded)[0] == "FAIL"
        assert claim_scores(graded)
    for one in graded.judged:
        assert explain(one)
        interval_of(one)
    look_ahead(graded, slots=4)


def test_the_interval_is_the_jackknife_over_slots(scorer: Scorer) -> None:
    """By hand: the total with each slot deleted from all claims, Student's t on slots - 1 degrees."""
    values = {1: 1.5, 2: 1.65, 3: 1.7}
    graded = scorer(lambda item: item.model_copy(update={"value": values[item.slot]}), only=pinned_noisy)
    weights = [one.weight for one in graded.judged]
    whole = float(total([one.score for one in graded.judged], weights))
    rest = []
    for slot in values:
        kept = [
            item if not pinned_noisy(item) else item.model_copy(update={"value": values[item.slot]})
            for item in scorer.measured
        ]
        kept = [item for item in kept if item.deterministic or item.author == "reference" or item.slot != slot]
        judged = [
            one
            for item in gather(scorer.paper, kept, {"one_update": leaf(graded, "one_update").evidence})
            for one in judge(item)
        ]
        rest.append(float(total([one.score for one in judged], weights)))
    by_hand = jackknife(rest, whole)
    assert np.ptp(rest) > 0
    assert graded.interval.value == pytest.approx(whole)
    assert graded.interval.low == pytest.approx(by_hand.low)
    assert graded.interval.lower == pytest.approx(by_hand.lower)
    assert graded.interval.upper == pytest.approx(by_hand.upper)


def interval(lower: float, upper: float) -> Interval:
    return Interval(value=(lower + upper) / 2, standard_error=0.1, low=lower, high=upper, lower=lower, upper=upper)


FIRED = Gate(gate=1, name="seed invariance", fired=True, denies_pass=True, detail="seen")


@pytest.mark.parametrize(
    ("change", "verdict", "says"),
    [
        ({}, "PASS", "reaches 0.80"),
        ({"interval": interval(0.80, 1.0)}, "PASS", "reaches"),
        ({"interval": interval(0.79, 1.0)}, "UNDECIDED", "lower bound 0.790"),
        ({"interval": interval(0.5, 0.79)}, "FAIL", "upper bound 0.790"),
        ({"interval": interval(0.5, 0.80)}, "UNDECIDED", "lower bound"),
        ({"coverage": 0.9}, "UNDECIDED", "90% of the weight"),
        ({"isolated": False}, "UNDECIDED", "never PASS"),
        ({"gates": [FIRED]}, "FAIL", "gate 1 (seed invariance): seen"),
        ({"gates": [FIRED.model_copy(update={"denies_pass": False})]}, "PASS", ""),
        ({"gates": [FIRED], "coverage": 0.5, "isolated": False}, "FAIL", "gate 1"),
    ],
)
def test_rules_of_the_verdict(scorer: Scorer, change: dict[str, Any], verdict: str, says: str) -> None:
    found, reasons = verdict_of(replace(scorer(), **change))
    assert found == verdict
    assert reasons
    assert says in "; ".join(reasons)


@pytest.mark.parametrize("lost", [Verdict.FAILED, Verdict.MISSING])
def test_nothing_passes_without_a_core_leaf(scorer: Scorer, lost: Verdict) -> None:
    graded = scorer()
    for name, verdict in (("exact_published", "FAIL"), ("one_update", "FAIL"), ("exact_relay", "PASS")):
        judged = [replace(one, verdict=lost) if one.id == name else one for one in graded.judged]
        found, reasons = verdict_of(replace(graded, judged=judged))
        assert found == verdict
        assert (f"the core leaf {name} is {lost}" in reasons) == (verdict == "FAIL")


def test_the_perturbation_gate(scorer: Scorer) -> None:
    graded = scorer()
    assert not perturbation(graded.judged).fired
    failed = [replace(one, verdict=Verdict.FAILED) if one.id == "exact_reference" else one for one in graded.judged]
    assert perturbation(failed).fired
    missing = [
        replace(one, verdict=Verdict.MISSING, score=0.0) if one.id == "exact_reference" else one
        for one in graded.judged
    ]
    assert perturbation(missing).fired  # the same experiment earned credit on what is public
    nothing = [replace(one, verdict=Verdict.MISSING, score=0.0) for one in graded.judged]
    assert not perturbation(nothing).fired
    ours = [
        replace(one, verdict=Verdict.INVALID, score=0.0) if one.id == "exact_reference" else one
        for one in graded.judged
    ]
    assert not perturbation(ours).fired


def test_looking_ahead_is_sure_of_the_reference_and_of_the_hopeless(scorer: Scorer) -> None:
    ahead = look_ahead(scorer(), slots=4)
    assert (ahead.stop, ahead.verdict) == (True, "PASS")
    broken = scorer(lambda item: item.model_copy(update={"value": (item.value or 0.0) + 9}), only=pinned_noisy)
    ahead = look_ahead(broken, slots=4)
    assert (ahead.stop, ahead.verdict) == (True, "FAIL")
    again = look_ahead(broken, slots=4)
    assert again.probabilities == ahead.probabilities


def test_looking_ahead_is_unsure_of_what_lies_on_the_edge(scorer: Scorer) -> None:
    values = {1: 1.55, 2: 1.75, 3: 1.65}
    ahead = look_ahead(
        scorer(lambda item: item.model_copy(update={"value": values[item.slot]}), only=pinned_noisy), slots=10
    )
    assert not ahead.stop
    assert sum(ahead.probabilities.values()) == pytest.approx(1.0)


def test_words_say_what_was_measured_against_what_over_how_many_seeds(scorer: Scorer) -> None:
    values = {1: 1.55, 2: 1.65, 3: 1.66}
    graded = scorer(lambda item: item.model_copy(update={"value": values[item.slot]}), only=pinned_noisy)
    words = explain(leaf(graded, "number_published"))
    for part in ("1.62", "within 0.1 of 1.5625", "over 3 seeds", "(sd)"):
        assert part in words
    below = explain(leaf(graded, "threshold_below"))
    assert "to be below 2" in below
    assert "1.62" in below
    assert measured_of(leaf(graded, "threshold_below")) == pytest.approx(np.mean(list(values.values())))
    low, high = interval_of(leaf(graded, "threshold_below"))
    assert low is not None
    assert high is not None
    assert low < np.mean(list(values.values())) < high
    assert target_of(leaf(graded, "threshold_below")) == 2.0
    assert target_of(leaf(graded, "threshold_above")) == 1.0
    assert target_of(leaf(graded, "ordering_difference")) == 0.0
    order = explain(leaf(graded, "ordering_difference"))
    assert "walk[pinned, method=noisy] should be higher than walk[pinned, method=still]" in order
    assert "0.78125" in order
    assert "in a run that does not depend on the seed" in explain(leaf(graded, "exact_published"))
    assert "equal up to 1e-09 to 0.78125" in explain(leaf(graded, "exact_published"))
    inconclusive = [one for one in graded.judged if one.verdict is Verdict.INCONCLUSIVE]
    assert all(settles(one) for one in inconclusive)


@pytest.mark.parametrize("one", [math.inf, -math.inf])
def test_a_threshold_that_diverged_is_told_the_right_way(scorer: Scorer, one: float) -> None:
    """Minus infinity is below two; nobody may read plus infinity there."""
    graded = scorer(put(one), only=pinned_noisy)
    below = leaf(graded, "threshold_below")
    assert (below.verdict is Verdict.FAILED) == (one > 0) or below.verdict is Verdict.INCONCLUSIVE
    if one < 0:
        assert measured_of(below) in (None, -math.inf)


def test_the_starter_needs_no_words_but_why(scorer: Scorer) -> None:
    graded = scorer(put(None, "walk crashed: NotImplementedError"), only=lambda item: item.author == "submission")
    assert graded.interval.value < 0.4
    assert "Nothing to measure: walk crashed: NotImplementedError." in explain(leaf(graded, "number_published"))


@pytest.mark.parametrize(
    ("measured", "reference", "agrees"),
    [
        (1.0, 1.0, True), (1.0, 1.0 + 1e-7, True), (1.0, 1.0 + 1e-5, False), (0.0, 1e-10, True), (math.inf, math.inf, True),
        (math.inf, -math.inf, False), (math.nan, math.nan, True), (math.nan, 1.0, False), (1.0, math.nan, False), (math.inf, 1.0, False),
        (1.0, math.inf, False), ("a", "a", True), ("a", "b", False), (True, True, True), (True, False, False), (10**400, 10**400, True),
        ([1, 2], [1, 2, 3], False), ([1, 2], [1, 2], True), ([[1, 2], [3]], [[1, 2], [3]], True), ([[1, 2], [3]], [1, 2], False),
        ([], [], True), ({"a": 1.0}, {"a": 1.0}, True), ({"a": 1.0}, {"a": 2.0}, False),
        (np.zeros((2, 2)), np.zeros((2, 2)), True), (np.zeros(4), np.zeros((2, 2)), False), (np.zeros(0), np.zeros(0), True),
    ],
)  # fmt: skip
def test_how_close_two_outputs_are(measured: Any, reference: Any, agrees: bool) -> None:
    found = compare("x", measured, reference, CLOSE)
    assert (found.excess <= 1.0) == agrees
    assert found.worst.startswith("x")


def test_a_zero_tolerance_is_met_by_equality_alone() -> None:
    exact = Closeness(rtol=0.0, atol=0.0)
    assert compare("x", np.ones(3), np.ones(3), exact).excess == 0.0
    found = compare("x", np.array([1.0, 1.0 + 1e-15]), np.ones(2), exact)
    assert found.excess == math.inf
    assert "x[1]" in found.worst


def test_the_worst_place_is_named() -> None:
    found = compare("theta", np.array([[0.0, 0.0], [0.5, 0.1]]), np.zeros((2, 2)), CLOSE)
    assert "theta[1, 0] is 0.5" in found.worst
