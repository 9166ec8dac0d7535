"""The weighted tree of leaves, and the weight each leaf has in the whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pydantic import Field, model_validator

from harness.paper.claims import Entry

LARGEST_WEIGHT = 0.4
"""No leaf may carry more of the whole than this."""


class Group(Entry):
    """A node of the rubric: leaves (claims and probes, by id) and further groups."""

    statement: str = Field(min_length=5)
    weight: float = Field(gt=0)
    leaves: list[str] = []
    groups: dict[str, Group] = {}

    @model_validator(mode="after")
    def _not_empty(self) -> Group:
        if not self.leaves and not self.groups:
            raise ValueError("a group needs leaves or groups")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A leaf's place in the whole."""

    leaf: str
    path: tuple[str, ...]
    """The groups above it, outermost first."""
    weight: float
    """Its share of the whole; all shares sum to 1."""


def shares(groups: Mapping[str, Group], weights: Mapping[str, float]) -> list[Share]:
    """Every leaf's share of the whole, in the order of the rubric.

    Args:
        groups: The top of the tree.
        weights: Each leaf's weight within its group.
    """
    return list(_walk(groups, weights, path=(), mass=1.0))


def _walk(
    groups: Mapping[str, Group], weights: Mapping[str, float], *, path: tuple[str, ...], mass: float
) -> Iterator[Share]:
    total = sum(group.weight for group in groups.values())
    for name, group in groups.items():
        yield from _inside(group, weights, path=(*path, name), mass=mass * group.weight / total)


def _inside(group: Group, weights: Mapping[str, float], *, path: tuple[str, ...], mass: float) -> Iterator[Share]:
    total = sum(weights[leaf] for leaf in group.leaves) + sum(child.weight for child in group.groups.values())
    for leaf in group.leaves:
        yield Share(leaf=leaf, path=path, weight=mass * weights[leaf] / total)
    below = sum(child.weight for child in group.groups.values())
    if group.groups:
        yield from _walk(group.groups, weights, path=path, mass=mass * below / total)


def leaves_in(groups: Mapping[str, Group]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every leaf id with the path of the group it stands in."""
    for name, group in groups.items():
        for leaf in group.leaves:
            yield (name,), leaf
        for path, leaf in leaves_in(group.groups):
            yield (name, *path), leaf
