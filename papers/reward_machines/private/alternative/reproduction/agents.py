"""The learners. Each follows its machine through an episode: `begin`, then `act`, `learn`, `advance` step by step."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from reproduction.bundle import END, Bundle, Floats, Ints, Reaction
from reproduction.shaping import potentials, shaped
from reproduction.tables import Move, Rates, back_up, choose, with_end


class Agent(ABC):
    """Knows the row of the task, and which rows are possible."""

    def __init__(self, bundle: Bundle, rates: Rates) -> None:
        self.bundle, self.rates = bundle, rates
        self.begin(0)

    def begin(self, task: int) -> None:
        """Stand before the first step of an episode of this machine."""
        self.row = int(self.bundle.first[task])
        self.possible = np.ones(self.bundle.rows, dtype=bool)

    def advance(self, reaction: Reaction) -> None:
        """Follow the machines after a step."""
        self.row = int(reaction.after[self.row])
        self.possible = reaction.reached

    @abstractmethod
    def act(self, cell: int, epsilon: float, generator: np.random.Generator) -> int:
        """Choose an action."""

    @abstractmethod
    def learn(self, move: Move, reaction: Reaction) -> None:
        """Learn from a step, before `advance`."""


class Flat(Agent):
    """Q-learning over rows and cells, from the row of the task or from every possible one."""

    def __init__(self, bundle: Bundle, rates: Rates, values: Floats, *, counterfactual: bool, shaping: bool) -> None:
        super().__init__(bundle, rates)
        self._table = with_end(values)
        self._counterfactual = counterfactual
        self._phi = potentials(bundle, rates.discount) if shaping else np.zeros(bundle.rows + 1)

    @property
    def values(self) -> Floats:
        """Rows, cells, actions."""
        return self._table[:-1]

    def act(self, cell: int, epsilon: float, generator: np.random.Generator) -> int:
        return choose(self._table[self.row, cell], epsilon, generator)

    def learn(self, move: Move, reaction: Reaction) -> None:
        at = np.flatnonzero(self.possible) if self._counterfactual else np.array([self.row])
        reward = shaped(reaction, self._phi, self.rates.discount)
        back_up(self._table, at, reaction.after[at], reward[at], move, self.rates)


@dataclass
class Errand:
    """An option under way, and what it has brought."""

    option: int
    row: int
    cell: int
    gain: float = 0.0
    weight: float = 1.0


class Hierarchical(Agent):
    """Options for the exits of rows, and a controller that has one value for each option and cell."""

    def __init__(self, bundle: Bundle, rates: Rates, values: Floats, worth: Floats) -> None:
        self._exits = np.array(bundle.exits())
        self._source, self._goal = self._exits.T
        self._menus = menus(bundle)
        self._table = with_end(values)
        self.worth = worth.copy()
        super().__init__(bundle, rates)

    @property
    def values(self) -> Floats:
        """Options, cells, actions."""
        return self._table[:-1]

    def begin(self, task: int) -> None:
        super().begin(task)
        self._errand: Errand | None = None

    def commit(self, choice: int, cell: int) -> None:
        """Take up an option, by its number among those of the row."""
        self._errand = Errand(int(self._menus[self.row][choice]), self.row, cell)

    def act(self, cell: int, epsilon: float, generator: np.random.Generator) -> int:
        if self._errand is None:
            self.commit(choose(self.worth[self._menus[self.row], cell], epsilon, generator), cell)
        return choose(self._table[self._errand.option, cell], epsilon, generator)

    def learn(self, move: Move, reaction: Reaction) -> None:
        self._learn_options(move, reaction)
        self._learn_controller(move.there, reaction)

    def advance(self, reaction: Reaction) -> None:
        if reaction.after[self.row] != self.row:
            self._errand = None
        super().advance(reaction)

    def _learn_options(self, move: Move, reaction: Reaction) -> None:
        at = np.flatnonzero(self.possible[self._source])
        source = self._source[at]
        after = reaction.after[source]
        arrived = (after == self._goal[at]) & ~reaction.fell[source]
        back_up(
            self._table, at, np.where(after == source, at, END), reaction.reward[source] + arrived, move, self.rates
        )

    def _learn_controller(self, there: int, reaction: Reaction) -> None:
        errand, after = self._errand, int(reaction.after[self.row])
        errand.gain += errand.weight * reaction.reward[self.row]
        errand.weight *= self.rates.discount
        if after == self.row:
            return
        ahead = 0.0 if after == END else self.worth[self._menus[after], there].max()
        old = self.worth[errand.option, errand.cell]
        target = errand.gain + errand.weight * ahead
        self.worth[errand.option, errand.cell] = old + self.rates.learning_rate * (target - old)


def menus(bundle: Bundle) -> list[Ints]:
    """The numbers of the options of each row."""
    sources = np.array([source for source, _ in bundle.exits()])
    return [np.flatnonzero(sources == row) for row in range(bundle.rows)]


def flat(learner: str, bundle: Bundle, rates: Rates, values: Floats) -> Flat:
    """The learner of the name ql, ql_rs, crm or crm_rs."""
    method, _, suffix = learner.partition("_")
    return Flat(bundle, rates, values, counterfactual=method == "crm", shaping=suffix == "rs")


def fresh(learner: str, bundle: Bundle, rates: Rates, cells: int, initial: float) -> Agent:
    """A learner that knows nothing."""
    if learner == "hrm":
        exits = len(bundle.exits())
        return Hierarchical(bundle, rates, np.full((exits, cells, 4), initial), np.full((exits, cells), initial))
    return flat(learner, bundle, rates, np.full((bundle.rows, cells, 4), initial))
