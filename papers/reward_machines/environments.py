"""The office world: rooms, doors and objects on a grid, and one task an episode, given as a reward machine.

In the clean room the harness owns the environment. Elsewhere `register` makes the same id available in process, on the
pinned map.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv
from gymnasium.wrappers import TimeLimit

ID = "reproof/Office-v0"
LONGEST_EPISODE = 1000
END = -1
"""The state in which every reward machine ends."""
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""Up, right, down, left: rows and columns."""


class Office(gymnasium.Env[int, int]):
    """An agent walks through an office; the observation is its cell, the infos say what is true there.

    `reset` gives `{"task": k}`, the number of the reward machine that pays in this episode: 0 first, then one after
    the other, round and round (an episode without a step does not count). `step` gives `{"events": [...]}`, the names
    of what is in the cell that was entered, or `{}` where nothing is. An episode ends when its machine does.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 -- Gymnasium declares it so

    def __init__(self, office: Mapping[str, Any], machines: Sequence[Mapping[str, Any]]) -> None:
        """Build the map, and stand before the first task.

        Args:
            office: `rooms` [rows, columns], `size` (cells a side of a room), `doors` (pairs of neighbouring cells
                that are in two rooms), `start`, and `objects` (cells by name). Cells are numbered row by row.
            machines: Each with `states` and `transitions` [[from, formula, to, reward], ...].
        """
        self._next = neighbours(office)
        self._start = int(office["start"])
        self._events = [events_at(office, cell) for cell in range(len(self._next))]
        self._machines = [_Machine(machine) for machine in machines]
        self.observation_space = spaces.Discrete(len(self._next))
        self.action_space = spaces.Discrete(len(MOVES))
        self._task, self._stepped = 0, False

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Begin an episode of the next task at the start."""
        super().reset(seed=seed)
        if self._stepped:
            self._task = (self._task + 1) % len(self._machines)
        self._cell, self._state, self._stepped = self._start, 0, False
        return self._cell, {"task": self._task}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Walk one cell, or against a wall."""
        self._cell = self._next[self._cell][int(action)]
        events = self._events[self._cell]
        self._state, reward = self._machines[self._task].step(self._state, events)
        self._stepped = True
        return self._cell, reward, self._state == END, False, {"events": list(events)} if events else {}


class _Machine:
    """A reward machine; what it has once worked out it remembers."""

    def __init__(self, machine: Mapping[str, Any]) -> None:
        self._transitions = [(int(u), str(formula), int(v), float(r)) for u, formula, v, r in machine["transitions"]]
        self._known: dict[tuple[int, tuple[str, ...]], tuple[int, float]] = {}

    def step(self, state: int, events: tuple[str, ...]) -> tuple[int, float]:
        """The state that follows, and the reward; the end and no reward if no formula holds."""
        found = self._known.get((state, events))
        if found is None:
            holding = ((v, r) for u, formula, v, r in self._transitions if u == state and holds(formula, events))
            found = self._known[state, events] = next(holding, (END, 0.0))
        return found


def holds(formula: str, events: Sequence[str]) -> bool:
    """Whether a formula holds where exactly these events are true.

    >>> holds("coffee & !decoration", ["coffee"]), holds("coffee & !decoration", [])
    (True, False)
    """
    literals = (literal.strip() for literal in formula.split("&"))
    return all((literal[1:] not in events) if literal.startswith("!") else literal in events for literal in literals)


def neighbours(office: Mapping[str, Any]) -> list[list[int]]:
    """Where each move leads from each cell: walls stand round every room, but for the doors."""
    size, (down, across) = int(office["size"]), office["rooms"]
    height, width = down * size, across * size
    doors = {frozenset(pair) for pair in office["doors"]}

    def entered(cell: int, move: tuple[int, int]) -> int:
        row, column = cell // width + move[0], cell % width + move[1]
        if not (0 <= row < height and 0 <= column < width):
            return cell
        there = row * width + column
        same = (row // size, column // size) == (cell // width // size, cell % width // size)
        return there if same or frozenset((cell, there)) in doors else cell

    return [[entered(cell, move) for move in MOVES] for cell in range(height * width)]


def events_at(office: Mapping[str, Any], cell: int) -> tuple[str, ...]:
    """The names of what is in a cell, sorted."""
    return tuple(sorted(name for name, cells in office["objects"].items() if cell in cells))


def register(instance: Mapping[str, Any]) -> None:
    """Outside the clean room, let `gymnasium.make("reproof/Office-v0")` make the environment in process.

    Where the harness serves it, this changes nothing; where the instance holds no map, there is nothing to make. No
    budget of steps binds in process.

    Args:
        instance: As RUN.json has it, with `machines` and, if it is the pinned one, `office`.
    """
    if ID in gymnasium.registry or "office" not in instance:
        return

    def make(phase: str = "training", **keywords: Any) -> gymnasium.Env[int, int]:
        return TimeLimit(Office(instance["office"], instance["machines"], **keywords), LONGEST_EPISODE)

    def make_several(
        num_envs: int = 1, phase: str = "training", autoreset_mode: str = "NextStep", **keywords: Any
    ) -> SyncVectorEnv:
        return SyncVectorEnv([functools.partial(make, **keywords)] * num_envs, autoreset_mode=autoreset_mode)

    gymnasium.register(ID, entry_point=make, vector_entry_point=make_several)
