"""Where participants stand: means over the suite, what is missing, and which places can be told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from harness.scoring.compare import best_at_k
from harness.scoring.standings import FEWEST_PAPERS, Entry, rank_ranges, standings
from harness.scoring.versus import versus

SUITE = ["a", "b", "c", "d"]


def entry(paper: str, score: float, by: str = "ada", **more: Any) -> Entry:
    condition = more.pop("condition", "human")
    usual: dict[str, Any] = {
        "attempt": f"{paper}-{by}-{score}", "version": "v1", "kind": condition.partition(" ")[0],
        "low": score, "high": score, "coverage": 1.0, "verdict": "PASS", "used": {"working": 60.0},
        "declared": 0.0, "over_time": {}, "at": "2026-01-05T09:00:00+00:00", "verified": False,
    }  # fmt: skip
    return Entry(paper=paper, score=score, participant=by, condition=condition, **{**usual, **more})


def test_a_suite_s_score_is_the_mean_over_papers_and_what_is_missing_is_0() -> None:
    scores = {"a": 0.9, "b": 0.6, "c": 0.3}
    [row] = standings([entry(paper, score) for paper, score in scores.items()], SUITE)
    expected = stats.ttest_1samp([0.9, 0.6, 0.3, 0.0], 0.0).confidence_interval()
    assert row.value == pytest.approx(0.45)
    assert row.low == max(0.0, expected.low)
    assert row.high == pytest.approx(min(1.0, expected.high))
    assert (row.attempted, row.attempts, row.coverage) == (3, 3, 0.75)
    missing = row.papers[3]
    assert (missing.attempts, missing.value, missing.low) == (0, 0.0, None)


def test_attempts_on_one_paper_are_averaged_and_their_best_of_k_is_beside() -> None:
    scores = [0.3, 0.4, 0.5, 0.6]
    [row] = standings([entry("a", score) for score in scores], ["a"])
    on = row.papers[0]
    expected = stats.ttest_1samp(scores, 0.0).confidence_interval()
    assert (on.value, on.low, on.high) == pytest.approx((0.45, expected.low, expected.high))
    assert on.best_at == {2: pytest.approx(best_at_k(scores, 2))}
    assert row.best_at == on.best_at
    assert (row.low, row.high) == (None, None), "one paper shows nothing of how papers differ"


def test_the_interval_of_a_single_attempt_is_that_of_its_seeds() -> None:
    [row] = standings([entry("a", 0.5, low=0.4, high=0.7)], SUITE)
    assert (row.papers[0].low, row.papers[0].high) == (0.4, 0.7)


def test_best_of_k_needs_twice_as_many_attempts_on_every_attempted_paper() -> None:
    four, three = [entry("a", 0.25 * i) for i in range(4)], [entry("b", 0.3 * i) for i in range(3)]
    [row] = standings([*four, *three], SUITE)
    assert row.papers[0].best_at.keys() == {2}
    assert row.papers[1].best_at == row.best_at == {}


def test_a_person_alone_and_with_an_assistant_are_two_rows() -> None:
    found = standings([entry("a", 0.5), entry("a", 0.9, condition="human + assistant")], SUITE)
    assert [row.condition for row in found] == ["human + assistant", "human"]


def test_several_versions_of_a_paper_are_told() -> None:
    [row] = standings([entry("a", 0.5), entry("a", 0.6, version="v2")], SUITE)
    assert row.papers[0].versions == ("v1", "v2")


def test_coverage_below_one_is_carried_over() -> None:
    [row] = standings([entry(paper, 1.0, coverage=0.8 if paper == "a" else 1.0) for paper in SUITE], SUITE)
    assert row.coverage == pytest.approx(0.95)


def test_the_score_over_time_is_known_where_every_attempted_paper_s_is() -> None:
    whole = entry("a", 0.8, over_time={0.5: 0.4, 1.0: 0.8})
    half = entry("b", 0.6, over_time={1.0: 0.6})
    [row] = standings([whole, half], SUITE)
    assert [(quarter.share, quarter.value, quarter.attempts) for quarter in row.over_time] == [
        (0.5, None, 1),
        (1.0, pytest.approx(0.35), 2),
    ]


def test_costs_are_added_up_and_what_nobody_measured_stays_unknown() -> None:
    [row] = standings([entry("a", 0.8, used={"cpu": 2.0}), entry("b", 0.8, used={"cpu": 3.0})], SUITE)
    assert row.used == {"cpu": 5.0}


def test_no_order_is_read_into_differences_that_chance_can_make() -> None:
    close = [entry(paper, score, by) for by, scores in {"x": (0.9, 0.5, 0.8, 0.6), "y": (0.6, 0.8, 0.5, 0.8)}.items()
             for paper, score in zip(SUITE, scores, strict=True)]  # fmt: skip
    far = [entry(paper, score, "z") for paper, score in zip(SUITE, (0.02, 0.0, 0.01, 0.03), strict=True)]
    assert {row.participant: row.ranks for row in standings([*close, *far], SUITE)} == {
        "x": (1, 2), "y": (1, 2), "z": (3, 3)
    }  # fmt: skip


def test_too_few_papers_give_no_places() -> None:
    found = standings([entry("a", 0.9), entry("a", 0.1, "eve")], SUITE[: FEWEST_PAPERS - 1])
    assert [row.ranks for row in found] == [None, None]


def test_equal_rows_share_their_places_whatever_rounding_does() -> None:
    scores = np.array([[0.1 + 0.2] * 4, [0.3] * 4, [0.1 + 0.2] * 4])
    assert rank_ranges(scores) == [(1, 3)] * 3


def test_places_of_equals_are_wrong_in_no_more_than_a_twentieth() -> None:
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(1000):
        found = rank_ranges(rng.normal(0.5, 0.1, (6, 6)))
        assert found is not None
        wrong += found[0] != (1, 6)
    assert wrong / 1000 <= 0.06


def side(condition: str, scores: dict[str, list[float]]) -> list[Entry]:
    return [entry(paper, score, condition, condition=condition) for paper in scores for score in scores[paper]]


def test_people_and_agents_are_paired_by_paper() -> None:
    people = {"a": [0.9, 0.8], "b": [0.7], "c": [0.95], "d": [0.8], "e": [0.1]}
    agents = {"a": [0.5], "b": [0.4, 0.2], "c": [0.45], "d": [0.5]}
    [found] = versus([*side("human", people), *side("agent", agents)], [*SUITE, "e"])
    expected = stats.ttest_rel([0.85, 0.7, 0.95, 0.8], [0.5, 0.3, 0.45, 0.5]).confidence_interval()
    assert found.papers == tuple(SUITE), "only what both attempted"
    assert found.attempts == (5, 5)
    assert found.paired is not None
    assert (found.paired.low, found.paired.high) == pytest.approx((expected.low, expected.high))
    assert found.bootstrap is not None
    assert found.bootstrap.difference == pytest.approx(found.paired.difference)
    assert found.settled
    assert found.said == "human scores higher than agent, over 4 papers"


def test_too_few_papers_are_too_few_to_say() -> None:
    [found] = versus([entry("a", 0.9), entry("a", 0.1, condition="agent")], SUITE)
    assert (found.paired, found.bootstrap, found.settled) == (None, None, False)
    assert found.said == "too few to say: both have attempted 1 paper, and it takes 4"


def test_an_interval_around_0_says_nothing() -> None:
    people = {paper: [score] for paper, score in zip(SUITE, (0.9, 0.1, 0.8, 0.2), strict=True)}
    agents = {paper: [score] for paper, score in zip(SUITE, (0.1, 0.9, 0.3, 0.6), strict=True)}
    [found] = versus([*side("human", people), *side("agent", agents)], SUITE)
    assert not found.settled
    assert found.said.startswith("too few to say")


def test_conditions_are_never_mixed() -> None:
    found = versus([entry("a", 0.5, condition=c) for c in ("human", "human + assistant", "agent", "harness")], SUITE)
    assert [(pair.one, pair.two) for pair in found] == [
        ("human", "agent"), ("human + assistant", "agent"), ("human + assistant", "human")
    ]  # fmt: skip
