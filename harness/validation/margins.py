"""Margins beside what honest runs and mistaken ones give: three spreads wide, and half the way to a mistake at most."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from scipy.special import chdtri

from harness.paper.claims import needs_reference
from harness.paper.mutations import Mutation
from harness.scoring.finding import Published
from harness.scoring.score import Graded
from harness.validation.proof import Caught, Margin


def margins(graded: Graded, mutations: Sequence[Mutation], caught: Sequence[Caught]) -> list[Margin]:
    """Every leaf that has a margin around a target with a spread or a mutation.

    Args:
        graded: The reference's.
        mutations: The paper's.
        caught: What became of them, in the same order; those that were not caught are another check's.
    """
    return list(_margins(graded, mutations, caught))


def _margins(graded: Graded, mutations: Sequence[Mutation], caught: Sequence[Caught]) -> Iterator[Margin]:
    for leaf in graded.judged:
        target, finding = leaf.evidence.target, leaf.finding
        if target is None or finding is None or not finding.margin:
            continue
        name = leaf.evidence.share.leaf
        values = {
            mutation.name: value
            for mutation, seen in zip(mutations, caught, strict=True)
            if seen.caught and name in mutation.fails and (value := seen.measured.get(leaf.id)) is not None
        }
        nearest = min(values, key=lambda one: abs(values[one] - target.mean), default=None)
        yield Margin(
            claim=leaf.id,
            margin=finding.margin,
            spread=target.sd,
            least_spread=_least(target) if needs_reference(leaf.evidence.leaf) else target.sd,
            nearest_mutation=nearest,
            distance=None if nearest is None else abs(values[nearest] - target.mean),
        )


def _least(target: Published) -> float:
    """Lower 95 % limit of a standard deviation shown by a few runs; five may well show half as much again."""
    freedom = target.n - 1
    return target.sd * float((freedom / chdtri(freedom, 0.05)) ** 0.5) if freedom > 0 else target.sd
