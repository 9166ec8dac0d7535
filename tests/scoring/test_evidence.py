"""What the rules are told of a published number."""

from __future__ import annotations

import numpy as np
import pytest

from harness.paper.claims import Published
from harness.scoring.evidence import published_target
from harness.scoring.finding import Published as Target
from harness.scoring.statistics import Verdict, numeric

EXACT = {"value": 0.0, "margin": 1.0, "n": 1, "spread": {"kind": "none"}}
DERIVED = {"provenance": {"kind": "derived", "where": "by calculation"}}


def failed(target: Target, *, off: float, sd: float, times: int = 400) -> float:
    """The share of simulated reruns, five seeds each, that are FAILED."""
    draws = np.random.default_rng(1).normal(off, sd, size=(times, 5))
    return float(np.mean([numeric(row, target, margin=1.0).verdict is Verdict.FAILED for row in draws]))


def test_noise_buys_no_tolerance_from_an_exact_target() -> None:
    """docs/scoring.md: ten margins off and as noisy, a third of cases fail without the cap, nearly all with it."""
    target = published_target(Published.model_validate({**EXACT, **DERIVED}))
    uncapped = Target(mean=0.0, exact=True)
    assert failed(uncapped, off=10.0, sd=10.0) == pytest.approx(0.33, abs=0.06)
    assert failed(target, off=10.0, sd=10.0) > 0.93
    assert failed(target, off=0.0, sd=1 / 3) == 0.0


@pytest.mark.parametrize(
    ("kind", "value", "sd"), [("sd", 2.0, 2.0), ("se", 2.0, 2.0 * 5**0.5), ("bound", 0.5, 0.5), ("range", 1.163, 1.0)]
)
def test_what_the_plus_minus_means(kind: str, value: float, sd: float) -> None:
    """The expected range of five standard normals is 2.326; its half is what stands behind the plus-minus."""
    given = {
        **EXACT,
        "n": 5,
        "spread": {"kind": kind, "value": value},
        "provenance": {"kind": "paper", "where": "Table 1"},
    }
    assert published_target(Published.model_validate(given)).sd == pytest.approx(sd, rel=1e-3)
