"""The score of an attempt: the graded rubric, its interval, the verdict and every reason for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from harness.attempt.reported import NOTHING, Figure, Reported
from harness.paper.claims import Claim, OrderingClaim, Probe, ThresholdClaim, place_of, provenance_of, selections
from harness.paper.load import Paper
from harness.record.files import Store
from harness.record.store import Record
from harness.rerun.execute import RunRecord
from harness.rerun.measure import Measurement
from harness.rerun.plan import Unit
from harness.rerun.steps import ServedRun
from harness.scoring.audit import flags
from harness.scoring.evidence import Evidence, gather
from harness.scoring.explain import explain, interval_of, measured_of, settles, target_of
from harness.scoring.finding import VERDICTS, FloatArray, Verdict
from harness.scoring.integrity import Gate, perturbation, seed_invariance
from harness.scoring.judge import Judged, judge, samples_of, sheet, slots_of, without_slot
from harness.scoring.probes import probe_evidence
from harness.scoring.rosy import flattery_of
from harness.scoring.total import Interval, coverage, jackknife, jackknife_rows, total

PASS_MARK = 0.80
"""tau: PASS needs the one-sided lower bound at or above it, FAIL the upper bound below it."""
Outcome = Literal["PASS", "FAIL", "UNDECIDED"]
_LOST = (VERDICTS.index(Verdict.FAILED), VERDICTS.index(Verdict.MISSING))


class Worth(Record):
    """The score with its uncertainty."""

    value: float
    """In [0, 1]: the weighted mean of the leaves."""
    low: float
    """Two-sided 95 % interval over the seed slots."""
    high: float
    coverage: float
    """Share of the weight that could be judged; below 1 after a fault of ours."""
    lower: float
    """One-sided 95 % bound that PASS is decided by."""
    upper: float
    """One-sided 95 % bound that FAIL is decided by."""


class ClaimScore(Record):
    """One leaf of the graded rubric, explained."""

    id: str
    kind: str
    statement: str
    path: list[str]
    """The groups of the rubric above it."""
    weight: float
    """Share of the whole."""
    core: bool
    verdict: Verdict
    score: float
    measured: float | None
    target: float | None
    margin: float | None
    low: float | None
    """95 % interval of the measured value."""
    high: float | None
    seeds: int
    instance: str
    trust: str
    provenance: str
    explanation: str
    settles: str | None
    """What would settle an inconclusive claim."""
    metric: str | None = None
    """What is measured; None for a probe."""
    reads: tuple[str, ...] = ()
    """The runs it is measured on, in the words of paper.yaml."""
    where: str | None = None
    """The place its target comes from; None where the reference answers."""
    side: Literal["above", "below"] | None = None
    """Which side of its target a threshold claims."""
    higher: float | None = None
    """Of an ordering: the mean of the side claimed to be higher."""
    lower: float | None = None
    reported: float | None = None
    """What the submission says that it measured itself; it earns nothing."""
    flattery: float | None = None
    """By how much that is rosier than what was measured: nearer to the target, or further on the side a threshold
    claims; 0 where nobody can tell them apart; None where one of the two is missing."""


class Spending(Record):
    """What something used."""

    cpu: float
    """Seconds."""
    wall: float
    """Seconds."""
    runs: int
    exact: bool
    """Whether all of it was metered by a cgroup."""


class Spent(Record):
    """What a participant used of one item of the budget, in its unit: seconds, bytes, steps."""

    used: float
    limit: float | None
    """None: it is not limited."""
    declared: float
    """The part of it that nobody but the participant has measured."""


class Score(Record):
    """What is known of an attempt's faithfulness."""

    attempt: str
    paper: str
    paper_version: str
    participant: dict[str, str]
    """`kind` and `name`; where an attempt was handed over, the names of all who worked on it."""
    condition: str
    """human, human + assistant, agent, or harness where we ourselves tried the paper."""
    submission: int
    """Which submission of the attempt it is, from 1; earlier ones had seeds and instances of their own."""
    commit: str
    verdict: Outcome
    reasons: list[str]
    """Why the verdict is what it is."""
    score: Worth
    claims: list[ClaimScore]
    integrity: list[Gate]
    reported_problems: list[str] = Field(default_factory=list)
    """What in the submission's reported.json is not taken, a sentence each."""
    usage: dict[str, Spending]
    """`attempt`: the participant's; `rerun`: ours, of the submission; `reference`: ours, of the reference."""
    budget: dict[str, Spent] = Field(default_factory=dict)
    """By item, what the participant had used when it was handed in."""
    environments: list[ServedRun] = Field(default_factory=list)
    """The submission's runs beside environments that the harness served."""
    slots: int
    """Seed slots filled."""
    isolation: str
    """Backend and waivers of the clean room."""

    @model_validator(mode="after")
    def _tells_who_and_how_much(self) -> Self:
        if not {"kind", "name"} <= self.participant.keys() or not {"attempt", "rerun"} <= self.usage.keys():
            raise ValueError("`participant` must tell `kind` and `name`, and `usage` tell `attempt` and `rerun`")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """Everything the verdict is computed from."""

    judged: list[Judged]
    gates: list[Gate]
    interval: Interval
    coverage: float
    isolated: bool
    reported: Reported = NOTHING

    @property
    def slots(self) -> int:
        """Filled seed slots; 1 where everything is deterministic."""
        return max((slots_of(leaf.evidence) for leaf in self.judged), default=0) or 1

    @property
    def depends_on_seeds(self) -> bool:
        """Whether more slots could change anything."""
        return any(slots_of(leaf.evidence) for leaf in self.judged)

    @property
    def weights(self) -> FloatArray:
        """Share of the whole of each leaf."""
        return np.array([leaf.weight for leaf in self.judged])

    @property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Which leaves are not our fault."""
        return np.array([leaf.verdict is not Verdict.INVALID for leaf in self.judged])


def grade(
    paper: Paper,
    measurements: Iterable[Measurement],
    units: Sequence[Unit],
    records: Mapping[str, RunRecord],
    store: Store,
    *,
    reported: Reported = NOTHING,
) -> Graded:
    """Judge every leaf, close the gates, and put an interval around the whole.

    Args:
        paper: The paper.
        measurements: Of submission and reference, up to the slots that are filled.
        units: The units behind them, replicates included.
        records: Their records by key.
        store: Where the outputs lie.
        reported: What the submission says that it measured itself; it moves nothing but gate 5.
    """
    evidence = gather(paper, measurements, probe_evidence(paper, units, records, store))
    isolated = all(records[unit.key].trusted_isolation for unit in units)
    invariance = seed_invariance(paper, units, records, store)
    return graded_on(evidence, invariance, isolated=isolated, reported=reported)


def graded_on(
    evidence: Iterable[Evidence], invariance: Gate, *, isolated: bool, reported: Reported = NOTHING
) -> Graded:
    """The same from what was measured for each leaf.

    Args:
        evidence: In the rubric's order.
        invariance: What gate 1 saw, which looks at runs.
        isolated: Whether every run was.
        reported: What the submission says that it measured itself.
    """
    judged = [leaf for item in evidence for leaf in judge(item)]
    gates = [invariance, *flags(judged, reported), perturbation(judged)]
    interval, covered = _interval(judged)
    return Graded(judged=judged, gates=gates, interval=interval, coverage=covered, isolated=isolated, reported=reported)


def _interval(judged: list[Judged]) -> tuple[Interval, float]:
    weights = np.array([leaf.weight for leaf in judged])
    valid = np.array([leaf.verdict is not Verdict.INVALID for leaf in judged])
    value = float(total([leaf.score for leaf in judged], weights, valid=valid))
    sampled = sampled_leaves(judged)
    slots = min((slots_of(evidence) for evidence in sampled.values()), default=1)
    if slots < 2:
        return jackknife([value], value, stochastic=bool(sampled)), coverage(weights, valid)
    rest = {
        # After a fault of ours one leaf may have more slots than another, whose surplus is not deleted.
        name: {side: values[:slots] for side, values in without_slot(evidence, samples_of(evidence)).items()}
        for name, evidence in sampled.items()
    }
    totals = total(sheet(judged, rest, (slots,)).score.T, weights, valid=valid)
    return jackknife(totals, value), coverage(weights, valid)


def sampled_leaves(judged: Sequence[Judged]) -> dict[str, Evidence]:
    """The evidence of the leaves that depend on the seed, by the leaf's name in the rubric."""
    return {leaf.evidence.share.leaf: leaf.evidence for leaf in judged if slots_of(leaf.evidence)}


def outcome_rows(
    graded: Graded, scores: FloatArray, verdicts: npt.NDArray[np.int8], rest: FloatArray
) -> npt.NDArray[np.str_]:
    """The verdict for many sets of samples at once, the gates as they stand.

    Args:
        graded: The leaves, their weights and the gates.
        scores: Shape [leaves, rows].
        verdicts: Shape [leaves, rows], codes into VERDICTS.
        rest: The scores with each slot deleted in turn, shape [leaves, rows, slots].

    Returns:
        PASS, FAIL or UNDECIDED; shape [rows].
    """
    value = total(scores.T, graded.weights, valid=graded.valid)
    bounds = jackknife_rows(total(np.moveaxis(rest, 0, -1), graded.weights, valid=graded.valid), value)
    core = np.array([leaf.core for leaf in graded.judged])
    lost = np.isin(verdicts[core], _LOST).any(axis=0) | _denied(graded)
    passed = (bounds.lower >= PASS_MARK) & ~lost & (graded.coverage >= 1.0) & graded.isolated
    return np.where(passed, "PASS", np.where(lost | (bounds.upper < PASS_MARK), "FAIL", "UNDECIDED"))


def _denied(graded: Graded) -> bool:
    return any(gate.fired and gate.denies_pass for gate in graded.gates)


def verdict_of(graded: Graded) -> tuple[Outcome, list[str]]:
    """The verdict, and every reason for it in words."""
    lost = [leaf for leaf in graded.judged if leaf.core and leaf.verdict in (Verdict.FAILED, Verdict.MISSING)]
    reasons = [f"the core leaf {leaf.id} is {leaf.verdict}" for leaf in lost]
    reasons += [
        f"gate {gate.gate} ({gate.name}): {gate.detail}" for gate in graded.gates if gate.fired and gate.denies_pass
    ]
    if reasons:
        return "FAIL", reasons
    interval = graded.interval
    if interval.upper < PASS_MARK:
        return "FAIL", [f"the score's one-sided upper bound {interval.upper:.3f} lies below {PASS_MARK:.2f}"]
    if graded.coverage < 1.0:
        reasons.append(f"only {graded.coverage:.0%} of the weight could be judged, by a fault of ours: rerun it")
    if not graded.isolated:
        reasons.append("not every run was isolated, and what was not isolated can never PASS")
    if interval.lower < PASS_MARK:
        reasons.append(
            f"the score's one-sided lower bound {interval.lower:.3f} lies below {PASS_MARK:.2f}, its upper one does not"
        )
    if reasons:
        return "UNDECIDED", reasons
    bound = f"the score's one-sided lower bound {interval.lower:.3f} reaches {PASS_MARK:.2f}"
    return "PASS", [f"{bound}, and no core leaf is lost"]


def claim_scores(graded: Graded) -> list[ClaimScore]:
    """Every leaf of the graded rubric, with its explanation."""
    return [_claim_score(leaf, graded.reported.figures.get(leaf.id)) for leaf in graded.judged]


def _claim_score(leaf: Judged, figure: Figure | None) -> ClaimScore:
    claim, evidence, finding = leaf.evidence.leaf, leaf.evidence, leaf.finding
    low, high = interval_of(leaf)
    return ClaimScore(
        id=leaf.id,
        kind=getattr(claim, "kind", "probe"),
        statement=claim.statement,
        path=list(evidence.share.path),
        weight=leaf.weight,
        core=leaf.core,
        verdict=leaf.verdict,
        score=leaf.score,
        measured=measured_of(leaf),
        target=target_of(leaf),
        margin=finding.margin if finding else None,
        low=low,
        high=high,
        seeds=_seeds(evidence),
        instance=selections(claim)[0].instance,
        trust=evidence.trust,
        provenance=provenance_of(claim),
        explanation=explain(leaf),
        settles=settles(leaf),
        metric=None if isinstance(claim, Probe) else claim.metric,
        reads=tuple(map(str, selections(claim))),
        where=place_of(claim),
        side=_side(claim),
        higher=finding.higher if finding and isinstance(claim, OrderingClaim) else None,
        lower=finding.lower if finding and isinstance(claim, OrderingClaim) else None,
        reported=figure.value if figure else None,
        flattery=flattery_of(leaf, figure) if figure else None,
    )


def _side(claim: Claim | Probe) -> Literal["above", "below"] | None:
    if not isinstance(claim, ThresholdClaim):
        return None
    return "above" if claim.above is not None else "below"


def _seeds(evidence: Evidence) -> int:
    return slots_of(evidence) or int(evidence.problem is None)


def worth(graded: Graded) -> Worth:
    """The score with its uncertainty, as it is kept."""
    interval = graded.interval
    return Worth(
        value=interval.value,
        low=interval.low,
        high=interval.high,
        coverage=graded.coverage,
        lower=interval.lower,
        upper=interval.upper,
    )


def spending(records: Iterable[RunRecord]) -> Spending:
    """What some runs used together."""
    spent = [record.spent for record in records]
    return Spending(
        cpu=sum(s.cpu for s in spent),
        wall=sum(s.wall for s in spent),
        runs=len(spent),
        exact=all(s.exact for s in spent),
    )
