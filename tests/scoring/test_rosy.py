"""Gate 5: reported numbers beside measured ones. Whoever makes theirs up is flagged; whoever measures well is not."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.attempt.reported import NOTHING, Figure, Reported
from harness.paper.claims import Provenance, Selection, ThresholdClaim
from harness.scoring.audit import flags
from harness.scoring.evidence import Evidence, Side
from harness.scoring.finding import Finding, Published
from harness.scoring.integrity import Gate
from harness.scoring.judge import Judged
from harness.scoring.rosy import flattery_of
from harness.scoring.statistics import exact, numeric, threshold

PAPER = Published(mean=10.0, sd=0.5, n=5)


def judged(finding: Finding | None, *, name: str = "leaf", claim: Any = None) -> Judged:
    share: Any = SimpleNamespace(leaf=name)
    side = Side(values=np.zeros(1), deterministic=True)
    evidence = Evidence(share=share, leaf=claim or SimpleNamespace(), sides={"of": side}, problem="it crashed")
    verdict: Any = finding.verdict if finding else "missing"
    return Judged(evidence=evidence, part="", weight=1.0, verdict=verdict, score=0.0, finding=finding)


def number(mean: float, name: str = "leaf") -> Judged:
    """Measured as `mean`, give or take about a half, to be within 2 of 10."""
    return judged(numeric([mean - 0.4, mean, mean + 0.4], PAPER, margin=2.0), name=name)


def bounded(value: float, **side: float) -> Judged:
    claim = ThresholdClaim(
        kind="threshold", statement="It is on that side.", weight=1, metric="x", of=Selection(experiment="x"),
        provenance=Provenance(kind="derived", where="by hand"), **side,
    )  # fmt: skip
    return judged(threshold([value - 0.1, value, value + 0.1], **side), claim=claim)


def said(value: float, rounding: float = 0.0) -> Figure:
    return Figure(value=value, rounding=rounding)


@pytest.mark.parametrize(
    ("leaf", "reported", "flattery"),
    [
        (number(5.0), 9.0, 4.0),
        (number(5.0), 11.0, 4.0),  # the other side of the target, and nearer
        (number(5.0), 5.3, 0.0),  # within its interval
        (number(5.0), 2.0, -3.0),
        (number(15.0), 12.0, 3.0),
        (bounded(8.4, above=8.0), 9.4, 1.0),
        (bounded(8.4, above=8.0), 8.5, 0.0),
        (bounded(8.4, above=8.0), 7.4, -1.0),
        (bounded(8.4, below=8.0), 7.4, 1.0),
        (judged(numeric([math.inf, 1.0], PAPER, margin=2.0)), 10.0, math.inf),
        (judged(None), 10.0, None),
    ],
)
def test_by_how_much_a_report_flatters(leaf: Judged, reported: float, flattery: float | None) -> None:
    assert flattery_of(leaf, said(reported)) == (None if flattery is None else pytest.approx(flattery))


@pytest.mark.parametrize(
    ("measured", "reported", "rounding", "flatters"),
    [
        (0.8136, 0.81, 0.005, False),  # printed with two digits
        (0.8136, 0.81, 1e-12, True),
        (0.80, 0.81, 0.005, True),
        (0.85, 0.8, 0.05, True),  # of "0.8" no more than the claim's tolerance is forgiven
        (0.81 + 1e-12, 0.81, 0.0, False),
    ],
)
def test_rounding_is_forgiven_as_far_as_it_does_not_matter(
    measured: float, reported: float, rounding: float, flatters: bool
) -> None:
    leaf = judged(exact([measured], 0.81, tolerance=0.005))
    assert ((flattery_of(leaf, said(reported, rounding)) or 0.0) > 0) == flatters


def test_rounding_cannot_carry_a_number_over_its_bound() -> None:
    assert flattery_of(bounded(0.4, below=0.1), said(0.0, rounding=0.5)) == pytest.approx(0.4)


def gate(leaves: list[Judged], report: dict[str, float], problems: tuple[str, ...] = ()) -> Gate:
    reported = Reported(figures={name: said(value) for name, value in report.items()}, problems=problems)
    return next(gate for gate in flags(leaves, reported) if gate.gate == 5)


LEAVES = [number(5.0, f"leaf_{index}") for index in range(9)]


def test_a_systematically_rosy_report_is_flagged_and_denies_nothing() -> None:
    found = gate(LEAVES, {leaf.id: 9.9 for leaf in LEAVES[:7]})
    assert found.fired
    assert not found.denies_pass
    assert "of 7 numbers reported that differ from what was measured 7 flatter" in found.detail
    assert "(leaf_0, leaf_1, leaf_2, leaf_3, leaf_4 and 2 more)" in found.detail
    assert "look how they were obtained" in found.detail
    assert not gate(LEAVES, {leaf.id: 9.9 for leaf in LEAVES[:6]}).fired  # six may be chance


def test_a_modest_report_is_clean() -> None:
    found = gate(LEAVES, {leaf.id: 1.0 for leaf in LEAVES})
    assert (found.fired, found.checked) == (False, True)
    assert "0 flatter, 9 do the opposite" in found.detail


def test_nothing_to_compare_is_neither_clean_nor_fired() -> None:
    for leaves, report, problems, told in (
        (LEAVES, {}, (), "no numbers are reported"),
        (LEAVES, {}, ("it is no JSON",), "nothing of what is reported can be compared"),
        ([judged(None)], {"leaf": 10.0}, (), "1 number reported, and nothing was measured there"),
    ):
        found = gate(leaves, report, problems)
        assert (found.fired, found.checked, found.detail) == (False, False, told)
    found = gate([*LEAVES, judged(None)], {"leaf": 10.0, "leaf_0": 9.0})
    assert found.checked
    assert found.detail.endswith("; for 1 more nothing was measured")


def test_a_report_moves_no_other_gate() -> None:
    report = Reported(figures={leaf.id: said(9.9) for leaf in LEAVES})
    assert flags(LEAVES, report)[:3] == flags(LEAVES, NOTHING)[:3]


def alarms(reporter: Any, *, off: float, seeds: int, times: int = 60, leaves: int = 10) -> float:
    """How often a reporter is flagged, whose leaves are `off` standard deviations off; the margin is three of them."""
    rng = np.random.default_rng(5)
    fired = 0
    for _ in range(times):
        found = [
            judged(numeric(off + rng.standard_normal(seeds), Published(mean=0.0, sd=1.0, n=5), margin=3.0), name=f"{i}")
            for i in range(leaves)
        ]
        fired += gate(found, {leaf.id: float(reporter(rng)) for leaf in found}).fired
    return fired / times


@pytest.mark.parametrize("off", [0.0, 3.0])
@pytest.mark.parametrize("seeds", [3, 5])
def test_who_measures_better_than_the_rerun_is_not_accused(off: float, seeds: int) -> None:
    """A mean over a hundred seeds lies nearer to the truth, and so to a true target, than one over three."""
    assert alarms(lambda rng: off + rng.standard_normal() / 10, off=off, seeds=seeds) <= 0.01


def test_who_reports_the_paper_s_numbers_without_having_them_is_flagged() -> None:
    assert alarms(lambda rng: 0.0, off=6.0, seeds=3) >= 0.95
    assert alarms(lambda rng: 0.0, off=3.0, seeds=5) >= 0.8
