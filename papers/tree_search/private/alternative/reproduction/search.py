"""Planning with a tree of fixed depth and a return of fixed length."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce

from reproduction.process import Policy, Process, Vector


@dataclass(frozen=True)
class TreeSearch:
    """One iteration of h-greedy planning with an m-step return."""

    process: Process
    depth: int
    steps: int

    def lookahead(self, leaves: Vector) -> Vector:
        """T^(h-1) v: what the tree knows of the states one step below its root."""
        return applied(self.process.optimality, leaves, self.depth - 1)

    def policy(self, leaves: Vector) -> Policy:
        """The h-greedy policy."""
        return self.process.greedy(self.lookahead(leaves))

    def contracting(self, leaves: Vector) -> Vector:
        """(T^pi)^m T^(h-1) v."""
        seen = self.lookahead(leaves)
        return applied(self.process.following(self.process.greedy(seen)), seen, self.steps)

    def naive(self, leaves: Vector) -> Vector:
        """(T^pi)^m v."""
        return applied(self.process.following(self.policy(leaves)), leaves, self.steps)

    def version(self, name: str) -> Callable[[Vector], Vector]:
        """One iteration of the version of that name."""
        return {"contracting": self.contracting, "naive": self.naive}[name]


def applied(operator: Callable[[Vector], Vector], values: Vector, times: int) -> Vector:
    """The operator's power: `operator` applied so many times."""
    return reduce(lambda current, _: operator(current), range(times), values)


def iterates(update: Callable[[Vector], Vector], values: Vector) -> Iterator[Vector]:
    """v_0, v_1, v_2, ... without end."""
    while True:
        yield values
        values = update(values)
