"""From evidence to findings: which rule a leaf is judged by, for one set of samples or for many at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.paper.claims import CurveClaim, ExactClaim, OrderingClaim, Probe, ThresholdClaim
from harness.scoring.curves import curve, curve_rows
from harness.scoring.equivalence import exact, exact_rows, numeric, numeric_rows
from harness.scoring.evidence import Evidence
from harness.scoring.finding import VERDICTS, Finding, Findings, FloatArray, Verdict
from harness.scoring.improvement import improvement, improvement_rows
from harness.scoring.ordering import ordering, ordering_rows, threshold, threshold_rows
from harness.scoring.total import leave_one_out

Samples = dict[str, FloatArray]
"""By side: shape [..., slots], with tasks or points as a further last axis where the side has them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A leaf (or one of the three parts of a curve) with what was found."""

    evidence: Evidence
    part: str
    """`final`, `area` or `shape` of a curve, else empty."""
    weight: float
    """Share of the whole."""
    verdict: Verdict
    score: float
    finding: Finding | None
    """None where there was nothing to judge, and for a probe."""

    @property
    def id(self) -> str:
        """The leaf's name, with the part of a curve behind a dot."""
        return f"{self.evidence.share.leaf}.{self.part}" if self.part else self.evidence.share.leaf

    @property
    def core(self) -> bool:
        """Whether nothing passes without it."""
        return self.evidence.leaf.core


def judge(evidence: Evidence) -> list[Judged]:
    """The finding of a leaf; three for a curve."""
    parts = parts_of(evidence)
    weight = evidence.share.weight / len(parts)
    if evidence.problem is not None:
        verdict = Verdict.INVALID if evidence.fault else Verdict.MISSING
        return [
            Judged(evidence=evidence, part=part, weight=weight, verdict=verdict, score=0.0, finding=None)
            for part in parts
        ]
    if evidence.agreement is not None:
        agrees = evidence.agreement.excess <= 1.0
        verdict = Verdict.CERTIFIED if agrees else Verdict.FAILED
        return [Judged(evidence=evidence, part="", weight=weight, verdict=verdict, score=float(agrees), finding=None)]
    return [
        Judged(
            evidence=evidence, part=part, weight=weight, verdict=finding.verdict, score=finding.score, finding=finding
        )
        for part, finding in zip(parts, _findings(evidence), strict=True)
    ]


def parts_of(evidence: Evidence) -> tuple[str, ...]:
    """The parts a leaf is judged in."""
    return ("final", "area", "shape") if isinstance(evidence.leaf, CurveClaim) else ("",)


def samples_of(evidence: Evidence) -> Samples:
    """The measured samples by side."""
    return {name: side.values for name, side in evidence.sides.items()}


def _findings(evidence: Evidence) -> Iterator[Finding]:
    claim, sides = evidence.leaf, evidence.sides
    still = {name: side.deterministic for name, side in sides.items()}
    if isinstance(claim, OrderingClaim):
        rule = improvement if claim.by == "improvement" else ordering
        yield rule(
            sides["higher"].values,
            sides["lower"].values,
            paired=_paired(claim),
            higher_deterministic=still["higher"],
            lower_deterministic=still["lower"],
        )
        return
    values = sides["of"].values
    if isinstance(claim, ThresholdClaim):
        yield threshold(values, above=claim.above, below=claim.below, deterministic=still["of"])
    elif isinstance(claim, ExactClaim):
        assert evidence.target is not None
        yield exact(values, evidence.target.mean, tolerance=evidence.margin, digits=evidence.digits)
    elif isinstance(claim, CurveClaim):
        assert evidence.curve is not None
        found = curve(values, evidence.curve, margin=evidence.margin, deterministic=still["of"])
        yield from (found.final, found.area, found.shape)
    else:
        assert evidence.target is not None
        yield numeric(values, evidence.target, margin=evidence.margin, deterministic=still["of"])


def _paired(claim: OrderingClaim) -> bool:
    """Runs of one experiment and one set of instances share seed and instance, slot by slot."""
    return claim.higher.experiment == claim.lower.experiment and claim.higher.instance == claim.lower.instance


def judge_rows(evidence: Evidence, samples: Samples) -> list[Findings]:
    """The findings of a leaf for many sets of samples at once; three for a curve."""
    claim = evidence.leaf
    assert not isinstance(claim, Probe)
    still = {name: side.deterministic for name, side in evidence.sides.items()}
    if isinstance(claim, OrderingClaim):
        rule = improvement_rows if claim.by == "improvement" else ordering_rows
        return [
            rule(
                samples["higher"],
                samples["lower"],
                paired=_paired(claim),
                higher_deterministic=still["higher"],
                lower_deterministic=still["lower"],
            )
        ]
    values = samples["of"]
    if isinstance(claim, ThresholdClaim):
        return [threshold_rows(values, above=claim.above, below=claim.below, deterministic=still["of"])]
    if isinstance(claim, CurveClaim):
        assert evidence.curve is not None
        found = curve_rows(values, evidence.curve, margin=evidence.margin, deterministic=still["of"])
        return [found.final, found.area, found.shape]
    assert evidence.target is not None
    if isinstance(claim, ExactClaim):
        return [exact_rows(values, evidence.target.mean, tolerance=evidence.margin, digits=evidence.digits)]
    return [numeric_rows(values, evidence.target, margin=evidence.margin, deterministic=still["of"])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Scores and verdicts of all leaves for many sets of samples: arrays of shape [leaves, ...]."""

    score: FloatArray
    verdict: npt.NDArray[np.int8]


def sheet(judged: Sequence[Judged], samples: Mapping[str, Samples], shape: tuple[int, ...]) -> Sheet:
    """Judge all leaves anew on other samples; what is not sampled stays as it was.

    Args:
        judged: The leaves in order.
        samples: By the leaf's name in the rubric, its samples by side, each of shape [*shape, slots, ...].
        shape: How many sets of samples there are.
    """
    score = np.empty((len(judged), *shape))
    verdict = np.empty((len(judged), *shape), dtype=np.int8)
    evidence = {leaf.evidence.share.leaf: leaf.evidence for leaf in judged}
    found = {name: judge_rows(evidence[name], own) for name, own in samples.items()}
    for index, leaf in enumerate(judged):
        name = leaf.evidence.share.leaf
        if name in found:
            rows = found[name][parts_of(leaf.evidence).index(leaf.part)]
            score[index], verdict[index] = rows.score, rows.verdict
        else:
            score[index], verdict[index] = leaf.score, VERDICTS.index(leaf.verdict)
    return Sheet(score=score, verdict=verdict)


def without_slot(evidence: Evidence, samples: Samples) -> Samples:
    """Each slot deleted in turn.

    Args:
        evidence: The leaf's, which knows the sides that depend on the seed.
        samples: By side, shape [..., slots, *rest].

    Returns:
        By side, shape [..., slots, slots - 1, *rest]; a side that does not depend on the seed keeps its only run.
    """
    axes = {name: -side.values.ndim for name, side in evidence.sides.items()}
    slots = min(samples[name].shape[axes[name]] for name, side in evidence.sides.items() if not side.deterministic)
    return {
        name: np.repeat(np.expand_dims(samples[name], axes[name] - 1), slots, axis=axes[name] - 1)
        if side.deterministic
        else leave_one_out(samples[name], axis=axes[name])
        for name, side in evidence.sides.items()
    }


def slots_of(evidence: Evidence) -> int:
    """Filled slots of the sides that depend on the seed; 0 where none does, or where nothing was measured."""
    if evidence.problem is not None:
        return 0
    return min((len(side.values) for side in evidence.sides.values() if not side.deterministic), default=0)
