"""The measure of the measure: areas, rules of peers, and both scripts on a small paper."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.curtailment import Course, Glance, rows_of
from benchmarks.rules import RULES, Compared
from benchmarks.validity import Row, auc, auc_interval, validity
from harness.paper.load import load_paper
from harness.scoring.finding import Published
from harness.validation.sync import synchronise

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


def row(kind: str, name: str, verdict: str, score: float) -> Row:
    flags = ["4 too good to be true"] if verdict == "FAIL" else []
    return Row(
        paper="p", kind=kind, name=name, faithful=kind in ("reference", "alternative"), verdict=verdict, score=score,
        peers=dict.fromkeys(RULES, score), peers_published=dict.fromkeys(RULES, 1.0), flags=flags, detail="because",
    )  # fmt: skip


def test_the_area_counts_pairs_and_ties_as_one_half() -> None:
    assert auc([0.9, 0.8], [0.1, 0.2]) == 1.0
    assert auc([0.9, 0.5], [0.5, 0.1]) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


@pytest.mark.parametrize("value", [0.0, 0.02, 0.5, 0.93, 1.0])
def test_the_interval_of_an_area_contains_it_and_has_a_width(value: float) -> None:
    low, high = auc_interval(value, 20, 30)
    wider = auc_interval(value, 5, 8)
    assert 0 <= wider[0] <= low <= value <= high <= wider[1] <= 1
    assert high - low > 0.02
    assert auc_interval(1 - value, 20, 30) == pytest.approx((1 - high, 1 - low), abs=1e-6)


def test_the_interval_of_an_area_covers_it_in_simulation() -> None:
    rng, covered, rounds = np.random.default_rng(0), 0, 400
    true = 0.9214  # P(N(2, 1) > N(0, 1)) = Phi(sqrt 2)
    for _ in range(rounds):
        low, high = auc_interval(auc(rng.normal(2.0, 1.0, 20), rng.normal(0.0, 1.0, 30)), 20, 30)
        covered += low <= true <= high
    assert 0.92 <= covered / rounds <= 0.99


def test_what_escapes_is_named_and_what_fails_falsely_is_counted() -> None:
    rows = [row("reference", str(n), "PASS", 1.0) for n in range(9)]
    rows += [row("reference", "9", "FAIL", 0.7), row("starter", "", "FAIL", 0.0)]
    rows += [row("mutation", "caught", "FAIL", 0.8), row("mutation", "missed", "PASS", 0.9)]
    rows += [row("hard_coder", "exact", "UNDECIDED", 0.6)]
    found = validity(rows)
    assert (found.mutations.caught, found.mutations.of) == (1, 2)
    assert found.mutations.escaped == ["p missed: because"]
    assert (found.hard_coders.caught, found.hard_coders.of) == (1, 1)
    assert found.false_fail.value == pytest.approx(0.1)
    assert found.false_fail.high == pytest.approx(0.445, abs=1e-3)
    assert found.confusion["faithful"] == {"PASS": 9, "UNDECIDED": 0, "FAIL": 1}
    assert found.confusion["unfaithful"] == {"PASS": 1, "UNDECIDED": 1, "FAIL": 2}
    assert found.flagged == {"faithful": {"4 too good to be true": 1}, "unfaithful": {"4 too good to be true": 2}}
    assert found.auc.value == pytest.approx(38 / 40)
    assert {peer.rule: (peer.auc, peer.auc_published) for peer in found.peers} == dict.fromkeys(RULES, (38 / 40, 0.5))
    assert not found.met


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([100.2, 99.5, 100.6], (True, True, True, True)),
        ([104.9, 105.1, 105.0], (True, False, False, False)),
        ([112.0, 90.0, 115.0], (True, True, False, False)),
        ([1.0, 2.0, 3.0], (False, False, False, False)),
    ],
)
def test_what_each_peers_rule_says_of_a_number(values: list[float], said: tuple[bool, ...]) -> None:
    leaf = Compared(values=np.array(values), target=Published(mean=100.0, sd=1.0, n=5), margin=3.0)
    assert tuple(rule(leaf) for rule in RULES.values()) == said


def test_where_nothing_varies_our_margin_stands_in_for_a_peers_rule() -> None:
    leaf = Compared(values=np.array([102.0]), target=Published(mean=100.0, exact=True), margin=3.0)
    assert [rule(leaf) for rule in RULES.values()] == [True, True, True, False]


def test_a_course_stops_at_the_first_certain_look_that_measures_the_same() -> None:
    glances = [
        Glance(slots=3, now="UNDECIDED", foreseen="PASS", probability=0.99),
        Glance(slots=5, now="PASS", foreseen="PASS", probability=0.96),
        Glance(slots=7, now="PASS", foreseen="PASS", probability=0.985),
    ]
    course = Course(paper="p", kind="blend", name="b", slots=10, verdict="FAIL", glances=glances)
    assert course.stopped(0.95) == (5, "PASS")
    assert course.stopped(0.98) == (7, "PASS")
    assert course.stopped(0.999) == (10, "FAIL")
    by = {(one.certainty, one.kind): one for one in rows_of([course])}
    assert (by[0.98, "blend"].slots, by[0.98, "blend"].changed, by[0.98, "all"].reversed) == (0.7, 1, 1)
    assert (by[0.999, "all"].slots, by[0.999, "all"].changed) == (1.0, 0)


@pytest.mark.slow
def test_both_scripts_on_a_small_paper(lean_folder: Path, tmp_path: Path) -> None:
    synchronise(load_paper(lean_folder), write=True)

    def run(script: str, *words: str) -> dict[str, Any]:
        own = ("--json", "--paper", lean_folder.name, "--results", tmp_path / "r")
        done = subprocess.run(
            [sys.executable, FOLDER / script, *own, *words], capture_output=True, text=True, timeout=300,
            check=False, env={**os.environ, "REPROOF_PAPERS_PATH": str(lean_folder.parent)},
        )  # fmt: skip
        assert done.returncode in (0, 1), done.stderr
        content: dict[str, Any] = json.loads(done.stdout)
        return content

    found = run("validity.py", "--attempts", "2")
    assert found["mutations"] == {"caught": 1, "of": 1, "escaped": []}
    assert found["hard_coders"]["of"] == 4
    assert found["confusion"]["faithful"]["PASS"] == 2
    assert {peer["rule"] for peer in found["peers"]} == set(RULES)
    again = run("validity.py", "--attempts", "2")
    assert again["attempts"] == found["attempts"]  # what is known is not done again
    rows = run("curtailment.py", "--attempts", "1")["rows"]
    assert {one["kind"] for one in rows} >= {"reference", "mutation", "all"}
    assert all(0 < one["slots"] <= 1 for one in rows)
