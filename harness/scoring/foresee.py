"""Looking ahead from the filled slots: would more seeds change the verdict?"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import numpy.typing as npt

from harness.scoring.curtailment import Look, Series, complete, curtail, stream
from harness.scoring.evidence import Evidence
from harness.scoring.finding import FloatArray
from harness.scoring.judge import Samples, sheet, without_slot
from harness.scoring.score import Graded, outcome_rows, sampled_leaves, verdict_of


def look_ahead(graded: Graded, *, slots: int) -> Look:
    """Predict the verdict that all slots would give, from the slots that are filled.

    Args:
        graded: The attempt as it stands.
        slots: How many slots there would be in the end.
    """
    sampled = sampled_leaves(graded.judged)
    series = {name: _series(evidence) for name, evidence in sampled.items()}
    return curtail(series, partial(_outcomes, graded, slots), slots=slots)


def chance_to_pass(graded: Graded, *, slots: int, draws: int = 1000) -> float:
    """The share of PASS among attempts like this one on other seeds, all slots filled, drawn as its futures are.

    Args:
        graded: A faithful attempt; what does not depend on the seed stays as it is.
        slots: How many slots each of the others fills.
        draws: How many there are.
    """
    drawn = {}
    for name, evidence in sampled_leaves(graded.judged).items():
        series = _series(evidence)
        filled = len(series.values)
        drawn[name] = complete(series, slots=filled + slots, draws=draws, rng=stream(name, filled))[:, filled:]
    if not drawn:
        return float(verdict_of(graded)[0] == "PASS")
    return float((_outcomes(graded, slots, drawn) == "PASS").mean())


def _outcomes(graded: Graded, slots: int, completed: Mapping[str, FloatArray]) -> npt.NDArray[np.str_]:
    """The verdicts of many completed attempts, each leaf's series of shape [draws, slots, ..., moving sides]."""
    sampled = sampled_leaves(graded.judged)
    futures = {name: _sides(evidence, completed[name]) for name, evidence in sampled.items()}
    draws = len(next(iter(completed.values())))
    whole = sheet(graded.judged, futures, (draws,))
    deleted = {name: without_slot(evidence, futures[name]) for name, evidence in sampled.items()}
    rest = sheet(graded.judged, deleted, (draws, slots))
    return outcome_rows(graded, whole.score, whole.verdict, rest.score)


def _series(evidence: Evidence) -> Series:
    """A leaf's sides that depend on the seed, side by side, so that pairs are drawn together."""
    moving = [side.values for side in evidence.sides.values() if not side.deterministic]
    target = evidence.target
    return Series(
        values=np.stack(moving, axis=-1),
        published_sd=target.sd if target else 0.0,
        published_n=target.n if target else 1,
    )


def _sides(evidence: Evidence, completed: FloatArray) -> Samples:
    """Completed series [draws, slots, ..., moving sides] as samples by side."""
    moving = iter(np.moveaxis(completed, -1, 0))
    return {
        name: np.broadcast_to(side.values, (len(completed), *side.values.shape)) if side.deterministic else next(moving)
        for name, side in evidence.sides.items()
    }
