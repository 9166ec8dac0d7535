"""Whether two scores of one commit are the same: leaf by leaf, by a rule that is written beside each."""

from __future__ import annotations

import math
from collections.abc import Iterator

from harness.record.store import Record
from harness.scoring.score import ClaimScore, Score

ROUNDING = 1e-9
"""Two computations on the same outputs differ by no more, relatively."""
HUNDREDTH = 0.01
"""Two scores that lie so close together are the same, however narrow their intervals."""


_JUDGED = {"id", "verdict", "measured"}
"""Of a leaf: what is compared by a rule of its own."""


class Value(Record):
    """What was found of one leaf."""

    verdict: str
    score: float
    measured: float | None


class LeafCheck(Record):
    """One leaf as it was packed, and as it was found here."""

    id: str
    packed: Value | None
    """None: the packed score has no such leaf."""
    here: Value | None
    same: bool
    why: str
    """The rule, and by how much it was kept or broken."""


def leaves(packed: Score, here: Score, *, rerun: bool) -> list[LeafCheck]:
    """Every leaf of two scores, compared: the verdict equal, and what was measured as near as matters.

    From the same outputs the same follows, up to rounding. Of a rerun, what does not matter is read from the score
    found here, which nobody else has written: the claim's own margin; of a claim without one half of the 95 %
    interval; of a probe its tolerance.
    """
    checks = []
    for name, then, now in _pairs(packed, here):
        allowed, rule = _allowed(now) if rerun else (_rounding(now), "rounding")
        checks.append(_leaf(name, then, now, allowed, rule))
    return checks


def rescored_problems(packed: Score, here: Score) -> list[str]:
    """What a packed score says that its own outputs do not give, a sentence each; wording apart."""
    off = [leaf for leaf in leaves(packed, here, rerun=False) if not leaf.same]
    found = [f"{leaf.id} does not follow from the packed outputs: {leaf.why}" for leaf in off]
    then, now = _facts(packed), _facts(here)
    return found + [
        f"{name} of the packed score is {str(then.get(name))[:100]}, its records give {str(now.get(name))[:100]}"
        for name in {**now, **then}
        if not alike(then.get(name), now.get(name))
    ]


def _facts(score: Score) -> dict[str, object]:
    """Everything in a score but measured leaves, which are compared by themselves, and sentences."""
    top = score.model_dump(include={"verdict", "participant", "condition", "submission", "slots", "isolation"})
    spent = {f"usage.{who}.{key}": value for who, one in score.usage.items() for key, value in one.model_dump().items()}
    gates = {f"gate {gate.gate}": (gate.fired, gate.denies_pass) for gate in score.integrity}
    leaves = {
        f"{leaf.id}.{key}": value
        for leaf in score.claims
        for key, value in leaf.model_dump(exclude=_JUDGED | {"explanation", "settles"}).items()
    }
    return top | spent | gates | leaves | score.score.model_dump()


def alike(then: object, now: object) -> bool:
    """Whether two values are the same up to the rounding of the numbers in them.

    >>> alike([[1.0, 0.1 + 0.2]], [[1.0, 0.3]]), alike([[1.0]], [1.0])
    (True, False)
    """
    if isinstance(then, list) and isinstance(now, list):
        return len(then) == len(now) and all(alike(a, b) for a, b in zip(then, now, strict=True))
    if isinstance(then, float) and isinstance(now, float):
        return math.isclose(then, now, rel_tol=ROUNDING, abs_tol=ROUNDING)
    return then == now


def totals_agree(packed: Score, here: Score) -> bool:
    """Whether verdict and score agree: the packed score lies in the interval found here, or a hundredth from it."""
    width = max(HUNDREDTH, (here.score.high - here.score.low) / 2)
    return packed.verdict == here.verdict and abs(packed.score.value - here.score.value) <= width


def _pairs(packed: Score, here: Score) -> Iterator[tuple[str, ClaimScore | None, ClaimScore | None]]:
    then, now = ({leaf.id: leaf for leaf in score.claims} for score in (packed, here))
    for name in {**now, **then}:
        yield name, then.get(name), now.get(name)


def _allowed(leaf: ClaimScore | None) -> tuple[float, str]:
    """By how much a rerun may differ, and the rule's name."""
    if leaf is None:
        return 0.0, ""
    if leaf.kind == "probe":
        return 1.0, "the probe's tolerance"
    if leaf.margin is not None:
        return max(leaf.margin, _rounding(leaf)), "the claim's margin"
    if leaf.low is not None and leaf.high is not None and leaf.high > leaf.low:
        return (leaf.high - leaf.low) / 2, "half the 95 % interval"
    return _rounding(leaf), "rounding"


def _rounding(leaf: ClaimScore | None) -> float:
    measured = leaf.measured if leaf is not None else None
    return ROUNDING * max(1.0, abs(measured)) if measured is not None and math.isfinite(measured) else 0.0


def _leaf(name: str, then: ClaimScore | None, now: ClaimScore | None, allowed: float, rule: str) -> LeafCheck:
    same, why = _judged(then, now, allowed, rule)
    return LeafCheck(id=name, packed=_value(then), here=_value(now), same=same, why=why)


def _judged(then: ClaimScore | None, now: ClaimScore | None, allowed: float, rule: str) -> tuple[bool, str]:
    if then is None or now is None:
        return False, "the packed score has no such leaf" if then is None else "this paper has no such leaf"
    if then.verdict != now.verdict:
        return False, f"the verdict was {then.verdict}, and here it is {now.verdict}"
    if then.measured is None or now.measured is None:
        same = then.measured is now.measured
        return same, "nothing was measured on either side" if same else "something was measured on one side only"
    off = 0.0 if then.measured == now.measured else abs(then.measured - now.measured)
    if off == 0:
        return True, "equal to the last digit"
    said = f"it differs by {off:.3g}, {'within' if off <= allowed else 'more than'} {rule} of {allowed:.3g}"
    return off <= allowed, said


def _value(leaf: ClaimScore | None) -> Value | None:
    return None if leaf is None else Value(verdict=leaf.verdict, score=leaf.score, measured=leaf.measured)
