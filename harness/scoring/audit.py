"""Integrity gates 2 to 5: numbers that look too good to be measured. They flag for an audit and take nothing away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from harness.attempt.reported import NOTHING, Reported
from harness.paper.claims import CurveClaim, ExactClaim, OrderingClaim, Probe, ThresholdClaim
from harness.scoring.finding import Published
from harness.scoring.integrity import Gate
from harness.scoring.judge import Judged
from harness.scoring.rosy import flattery_of
from harness.scoring.suspicion import (
    Spreads,
    Suspicion,
    prediction_p,
    too_good_to_be_true,
    too_little_spread,
    too_little_spread_over_claims,
    too_rosy,
)

_FEWEST = 3
"""Seed slots below which spreads and fits say nothing."""
_NAMED = 5
"""Leaves that a flag names; the others stand in the score too, each with its gap."""


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
    return [_single(spreads), _pooled(spreads), _fit(numeric), _rosy(judged, reported)]


def _numbers(leaf: Judged) -> tuple[np.ndarray, Published] | None:
    """A leaf's samples and the number they are compared with; None where it is no such leaf."""
    evidence = leaf.evidence
    if isinstance(evidence.leaf, Probe | OrderingClaim | ThresholdClaim | ExactClaim | CurveClaim):
        return None
    if evidence.problem is not None or evidence.target is None or evidence.target.exact:
        return None
    side = evidence.sides["of"]
    values = side.values
    if side.deterministic or values.ndim != 1 or len(values) < _FEWEST or not np.isfinite(values).all():
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
    seen = f"z = {found.value}: over all claims the seeds differ too little; look whether outputs were prepared"
    return _gate(3, "too little spread over claims", found.fired, seen, found.claims)


def _fit(numeric: dict[str, tuple[np.ndarray, Published]]) -> Gate:
    found: Suspicion = too_good_to_be_true(
        [
            prediction_p(float(values.mean()), len(values), mean=target.mean, sd=target.sd, n=target.n)
            for values, target in numeric.values()
        ]
    )
    seen = f"p = {found.p}: the means lie nearer to the published ones than reruns do; look where they come from"
    return _gate(4, "too good to be true", found.fired, seen, found.claims)


def _rosy(judged: Sequence[Judged], reported: Reported) -> Gate:
    told = {leaf.id: flattery_of(leaf, reported.figures[leaf.id]) for leaf in judged if leaf.id in reported.figures}
    gaps = {name: gap for name, gap in told.items() if gap is not None}
    found = too_rosy(list(gaps.values()))
    lost = len(told) - len(gaps)
    where = f"; for {lost} more nothing was measured" if gaps and lost else ""
    return Gate(
        gate=5,
        name="too rosy a report",
        fired=found.fired,
        denies_pass=False,
        detail=(_flattering(found, gaps) if found.fired else _plain_report(told, gaps, reported)) + where,
        checked=bool(gaps),
    )


def _flattering(found: Suspicion, gaps: Mapping[str, float]) -> str:
    rosy = [name for name, gap in gaps.items() if gap > 0]
    return (
        f"p = {found.p}: of {_count(found.claims)} reported that differ from what was measured {len(rosy)} flatter "
        f"({_some(rosy)}); look how they were obtained"
    )


def _plain_report(told: Mapping[str, float | None], gaps: Mapping[str, float], reported: Reported) -> str:
    """What there is to say where nothing is flagged."""
    if not told:
        return "nothing of what is reported can be compared" if reported.problems else "no numbers are reported"
    if not gaps:
        return f"{_count(len(told))} reported, and nothing was measured there"
    signs = [np.sign(gap) for gap in gaps.values()]
    return (
        f"of {_count(len(gaps))} reported {signs.count(0)} cannot be told apart from what was measured, "
        f"{signs.count(1)} flatter, {signs.count(-1)} do the opposite"
    )


def _count(numbers: int) -> str:
    return f"{numbers} number{'s' if numbers != 1 else ''}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _gate(number: int, name: str, fired: bool, seen: str, claims: int) -> Gate:
    clean = f"nothing unusual in {claims} leaves" if claims else "no leaf says anything of it"
    return Gate(
        gate=number, name=name, fired=fired, denies_pass=False, detail=seen if fired else clean, checked=bool(claims)
    )
