"""Integrity gates 2 to 5: numbers that look too good to be measured. They flag for an audit and take nothing away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.attempt.reported import NOTHING, Reported
from harness.paper.claims import CurveClaim, ExactClaim, OrderingClaim, Probe, ThresholdClaim, selections
from harness.scoring.finding import DIVERGENT, Published
from harness.scoring.integrity import Gate
from harness.scoring.judge import Judged
from harness.scoring.rosy import too_rosy_a_report
from harness.scoring.suspicion import (
    Spreads,
    Suspicion,
    prediction_p,
    too_good_to_be_true,
    too_little_spread,
    too_little_spread_over_claims,
)

_FEWEST = 3
"""Seed slots below which spreads and fits say nothing."""


def flags(judged: Sequence[Judged], reported: Reported = NOTHING) -> list[Gate]:
    """What an auditor should look at, from the leaves that compare a number with a published one.

    Args:
        judged: The leaves of an attempt.
        reported: What the submission says that it measured itself.
    """
    numeric = {leaf.id: (values, target) for leaf in judged if (found := _numbers(leaf)) for values, target in [found]}
    spreads = {
        leaf.id: _spreads(*numeric[leaf.id])
        for leaf in judged
        if leaf.id in numeric and getattr(leaf.evidence.leaf, "spread_check", False)
    }
    apart = {_runs(leaf): numeric[leaf.id] for leaf in reversed(judged) if leaf.id in numeric}
    return [_single(spreads), _pooled(spreads), _fit(list(apart.values())), too_rosy_a_report(judged, reported)]


def _numbers(leaf: Judged) -> tuple[np.ndarray, Published] | None:
    """A leaf's samples and the number they are compared with; None where it is no such leaf."""
    evidence = leaf.evidence
    if isinstance(evidence.leaf, Probe | OrderingClaim | ThresholdClaim | ExactClaim | CurveClaim):
        return None
    if evidence.problem is not None or evidence.target is None or evidence.target.exact:
        return None
    side = evidence.sides["of"]
    values = side.values
    if side.deterministic or values.ndim != 1 or len(values) < _FEWEST or not (np.abs(values) <= DIVERGENT).all():
        return None
    return values, evidence.target


def _spreads(values: np.ndarray, target: Published) -> Spreads:
    return Spreads(measured=float(values.std(ddof=1)), m=len(values), published=target.sd, n=target.n)


def _single(spreads: dict[str, Spreads]) -> Gate:
    found = {name: too_little_spread(one) for name, one in spreads.items()}
    fired = [name for name, one in found.items() if one.fired]
    seen = f"{', '.join(fired)}: the seeds differ less than chance lets them; look whether seeds reach the computation"
    return _gate(2, "too little spread", bool(fired), seen, sum(one.value is not None for one in found.values()))


def _pooled(spreads: dict[str, Spreads]) -> Gate:
    found = too_little_spread_over_claims(list(spreads.values()))
    seen = (
        f"z {found.value or 0.0:.1f}: over all claims the seeds differ too little; look whether outputs were prepared"
    )
    return _gate(3, "too little spread over claims", found.fired, seen, found.claims)


def _runs(leaf: Judged) -> frozenset[tuple[str, str]]:
    """Where its samples come from: leaves on one experiment and set of instances share seeds, and so their luck."""
    return frozenset((one.experiment, one.instance) for one in selections(leaf.evidence.leaf))


def _fit(apart: Sequence[tuple[np.ndarray, Published]]) -> Gate:
    """Fisher's statistic takes its p-values for independent, so of leaves that share runs only the first is asked."""
    found: Suspicion = too_good_to_be_true(
        [
            prediction_p(float(values.mean()), len(values), mean=target.mean, sd=target.sd, n=target.n)
            for values, target in apart
        ]
    )
    seen = f"p = {found.p}: the means lie nearer to the published ones than reruns do; look where they come from"
    return _gate(4, "too good to be true", found.fired, seen, found.claims)


def _gate(number: int, name: str, fired: bool, seen: str, claims: int) -> Gate:
    clean = f"nothing unusual in {claims} leaves" if claims else "no leaf says anything of it"
    return Gate(
        gate=number, name=name, fired=fired, denies_pass=False, detail=seen if fired else clean, checked=bool(claims)
    )
