"""When two scores of one commit are the same."""

from __future__ import annotations

import math
from typing import Any

import pytest

from harness.archive.compare import leaves, rescored_problems, totals_agree
from harness.scoring.score import ClaimScore, Score


def claim(**more: Any) -> ClaimScore:
    facts = {
        "id": "a", "kind": "numeric", "statement": "s", "path": ["all"], "weight": 1.0, "core": True,
        "verdict": "certified", "score": 1.0, "measured": 1.0, "target": 1.0, "margin": 0.1, "low": 0.9, "high": 1.1,
        "seeds": 3, "instance": "pinned", "trust": "recomputed", "provenance": "paper", "explanation": "e",
        "settles": None,
    }  # fmt: skip
    return ClaimScore.model_validate({**facts, **more})


def usage(*, cpu: float) -> dict[str, Any]:
    return {part: {"cpu": cpu, "wall": 1.0, "runs": 1, "exact": True} for part in ("attempt", "rerun")}


def score_of(*claims: ClaimScore, value: float = 1.0, low: float = 1.0, high: float = 1.0, **more: Any) -> Score:
    worth = {"value": value, "low": low, "high": high, "coverage": 1.0, "lower": low, "upper": high}
    facts = {
        "attempt": "x", "paper": "lean", "paper_version": "v", "participant": {"kind": "agent", "name": "n"},
        "condition": "agent", "submission": 1, "commit": "c", "verdict": "PASS", "reasons": ["r"], "score": worth,
        "claims": list(claims), "integrity": [], "slots": 3, "isolation": "bubblewrap",
        "usage": usage(cpu=0.0),
    }  # fmt: skip
    return Score.model_validate({**facts, **more})


@pytest.mark.parametrize(
    ("packed", "here", "same", "says"),
    [
        (claim(), claim(), True, "equal to the last digit"),
        (claim(measured=1.05), claim(), True, "within the claim's margin of 0.1"),
        (claim(measured=1.2), claim(), False, "more than the claim's margin of 0.1"),
        (claim(measured=1.2, margin=9.0, low=-9.0, high=9.0), claim(), False, "more than the claim's margin of 0.1"),
        (claim(verdict="consistent"), claim(), False, "the verdict was consistent, and here it is certified"),
        (claim(margin=None, measured=1.05), claim(margin=None), True, "within half the 95 % interval of 0.1"),
        (claim(margin=None, measured=1.2), claim(margin=None), False, "more than half the 95 % interval of 0.1"),
        (claim(margin=0.0, measured=1.0 + 1e-12), claim(margin=0.0), True, "within the claim's margin"),
        (claim(margin=0.0, measured=1.0 + 1e-6), claim(margin=0.0), False, "more than the claim's margin"),
        (claim(margin=None, low=1.0, high=1.0, measured=1.1), claim(margin=None, low=1.0, high=1.0), False, "rounding"),
        (claim(kind="probe", measured=0.9, margin=None), claim(kind="probe", measured=0.1), True, "probe's tolerance"),
        (claim(kind="probe", measured=9.0, margin=None), claim(kind="probe", measured=0.1), False, "probe's tolerance"),
        (claim(measured=None), claim(measured=None), True, "nothing was measured"),
        (claim(measured=None), claim(), False, "on one side only"),
        (claim(measured=math.inf), claim(measured=math.inf), True, "equal"),
        (claim(measured=math.inf), claim(measured=-math.inf), False, "more than"),
        (claim(measured=math.inf), claim(), False, "more than"),
        (claim(measured=math.nan), claim(), False, "more than"),
    ],
)  # fmt: skip
def test_a_leaf_by_its_rule(packed: ClaimScore, here: ClaimScore, same: bool, says: str) -> None:
    [leaf] = leaves(score_of(packed), score_of(here), rerun=True)
    assert (leaf.same, says in leaf.why) == (same, True), leaf.why


def test_leaves_that_only_one_side_has() -> None:
    found = leaves(score_of(claim(), claim(id="old")), score_of(claim(), claim(id="new")), rerun=True)
    assert {leaf.id: leaf.same for leaf in found} == {"a": True, "new": False, "old": False}


def test_from_the_same_outputs_the_same_follows() -> None:
    [leaf] = leaves(score_of(claim(measured=1.01)), score_of(claim()), rerun=False)
    assert (leaf.same, "rounding" in leaf.why) == (False, True)
    assert leaves(score_of(claim(measured=1.0 + 1e-15)), score_of(claim()), rerun=False)[0].same


@pytest.mark.parametrize(
    ("packed", "here", "same"),
    [
        (score_of(), score_of(), True),
        (score_of(verdict="FAIL"), score_of(), False),
        (score_of(value=0.995), score_of(), True),
        (score_of(value=0.98), score_of(), False),
        (score_of(value=0.85), score_of(value=0.9, low=0.84, high=0.96), True),
        (score_of(value=0.8), score_of(value=0.9, low=0.84, high=0.96), False),
        (score_of(value=0.8, low=0.0, high=1.0), score_of(), False),
        (score_of(value=math.nan), score_of(), False),
    ],
)
def test_totals(packed: Score, here: Score, same: bool) -> None:
    assert totals_agree(packed, here) is same


@pytest.mark.parametrize(
    "packed",
    [
        score_of(claim(), verdict="FAIL"),
        score_of(claim(), value=1.1),
        score_of(claim(), high=2.0),
        score_of(claim(), slots=4),
        score_of(claim(), condition="human"),
        score_of(claim(), participant={"kind": "human", "name": "somebody else"}),
        score_of(claim(), isolation="process"),
        score_of(claim(), integrity=[{"gate": 1, "name": "n", "fired": True, "denies_pass": True, "detail": "d"}]),
        score_of(claim(), usage=usage(cpu=1.0)),
        score_of(claim(measured=1.001)),
        score_of(claim(margin=0.2)),
        score_of(claim(weight=0.5)),
        score_of(claim(core=False)),
        score_of(claim(statement="something greater")),
        score_of(claim(trust="reported")),
        score_of(),
        score_of(claim(), claim(id="more")),
    ],
)
def test_every_fact_of_a_score_must_follow(packed: Score) -> None:
    assert rescored_problems(score_of(claim()), score_of(claim())) == []
    assert rescored_problems(packed, score_of(claim())) != []


def test_the_wording_may_change() -> None:
    told = score_of(claim(explanation="otherwise", settles="so"), reasons=["otherwise"])
    assert rescored_problems(told, score_of(claim())) == []
