"""Reward machines: stepping one, its shaping potentials, and what it would have seen in other states.

What is read off the authors' code is so in reward_machines/reward_machine.py and rm_environment.py @3116c2f.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

END = -1
"""The state in which every machine ends."""
ACCURATE = 1e-12
"""Change of a potential below which value iteration stops."""


class Machine:
    """A reward machine with explicit transitions; where no formula holds, it falls to its end, unpaid."""

    def __init__(self, machine: Mapping[str, Any]) -> None:
        """Read `states` and `transitions` [[from, formula, to, reward], ...]."""
        self.states = int(machine["states"])
        self.transitions = [
            (int(u), _literals(formula), int(v), float(r)) for u, formula, v, r in machine["transitions"]
        ]

    def step(self, state: int, events: Sequence[str]) -> tuple[int, float, bool]:
        """The state that follows, the reward, and whether the machine fell."""
        for source, literals, target, reward in self.transitions:
            if source == state and all((name in events) == wanted for name, wanted in literals):
                return target, reward, False
        return END, 0.0, True

    def edges(self) -> list[tuple[int, int]]:
        """Pairs of different states that a transition joins, in the order of the transitions; HRM's options."""
        return list(dict.fromkeys((u, v) for u, _, v, _ in self.transitions if u != v))

    def potentials(self, discount: float) -> list[float]:
        """Shaping potentials: less the values of the machine taken as a decision process; 0 at the end.

        The last entry is the end's, so that index -1 finds it.
        """
        values = [0.0] * (self.states + 1)
        while True:
            after = [
                max(reward + discount * values[v] for u, _, v, reward in self.transitions if u == state)
                for state in range(self.states)
            ]
            if max(abs(new - old) for new, old in zip(after, values, strict=False)) < ACCURATE:
                return [-value for value in after] + [0.0]
            values[:-1] = after


def _literals(formula: str) -> list[tuple[str, bool]]:
    parts = [part.strip() for part in formula.split("&")]
    return [(part.lstrip("!"), not part.startswith("!")) for part in parts]


class Experience(NamedTuple):
    """What one machine in one state makes of a step."""

    machine: int
    state: int
    row: int
    """Number of the pair of machine and state, in order."""
    reward: float
    """Shaped, if shaping was asked for."""
    next_state: int
    next_row: int
    """-1 where the machine has ended."""
    done: bool
    fell: bool


class Counterfactuals:
    """The experiences of all machines in all states that may be (CRM), remembered by events."""

    def __init__(self, machines: Sequence[Machine], *, discount: float, shaped: bool) -> None:
        """Number the pairs of machine and state."""
        self.machines = machines
        self._first = np.cumsum([0] + [machine.states for machine in machines]).tolist()
        self.rows = self._first[-1]
        self._discount = discount
        self._potentials = [
            machine.potentials(discount) if shaped else [0.0] * (machine.states + 1) for machine in machines
        ]
        self._known: dict[tuple[tuple[str, ...] | None, tuple[str, ...]], list[Experience]] = {}
        self._known_one: dict[tuple[int, int, tuple[str, ...]], Experience] = {}

    def row(self, machine: int, state: int) -> int:
        """The number of a pair."""
        return self._first[machine] + state

    def one(self, machine: int, state: int, events: tuple[str, ...]) -> Experience:
        """The experience of one machine in one state."""
        found = self._known_one.get((machine, state, events))
        if found is None:
            found = self._known_one[machine, state, events] = self._experience(machine, state, events)
        return found

    def _experience(self, machine: int, state: int, events: tuple[str, ...]) -> Experience:
        after, reward, fell = self.machines[machine].step(state, events)
        potentials = self._potentials[machine]
        reward += self._discount * potentials[after] - potentials[state]
        done = after == END
        next_row = END if done else self.row(machine, after)
        return Experience(machine, state, self.row(machine, state), reward, after, next_row, done, fell)

    def all(self, before: tuple[str, ...] | None, events: tuple[str, ...]) -> list[Experience]:
        """The experiences of a step, of every state that the step before may have led to.

        Args:
            before: The events of the step before, None at the beginning of an episode, where every state may be.
            events: The events of this step.
        """
        found = self._known.get((before, events))
        if found is None:
            possible = None if before is None else self._after(before)
            found = [
                self.one(machine, state, events)
                for machine, state in self._pairs()
                if possible is None or (machine, state) in possible
            ]
            self._known[before, events] = found
        return found

    def _after(self, events: Sequence[str]) -> set[tuple[int, int]]:
        """Pairs that some state leads to on these events."""
        return {(machine, self.machines[machine].step(state, events)[0]) for machine, state in self._pairs()}

    def _pairs(self) -> Iterator[tuple[int, int]]:
        for number, machine in enumerate(self.machines):
            for state in range(machine.states):
                yield number, state


def machine(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """The experiment `machine`: states and rewards on given events, and potentials."""
    own = Machine(instance["machine"])
    states, rewards, state = [], [], 0
    for events in instance["events"]:
        state, reward, _ = own.step(state, events)
        states.append(state)
        rewards.append(reward)
        state = 0 if state == END else state
    return {
        "states": np.array(states, dtype=np.int64),
        "rewards": np.array(rewards),
        "potentials": np.array(own.potentials(instance["discount"])[:-1]),
    }


def experiences(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """The experiment `experiences`: what CRM with shaping learns from, step by step."""
    machines = [Machine(one) for one in instance["machines"]]
    plain = Counterfactuals(machines, discount=instance["discount"], shaped=False)
    shaped = Counterfactuals(machines, discount=instance["discount"], shaped=True)
    rows: list[list[float]] = []
    before = None
    for number, (_, _, _, names) in enumerate(instance["steps"]):
        events = tuple(names)
        for one, other in zip(plain.all(before, events), shaped.all(before, events), strict=True):
            rows.append([number, one.machine, one.state, one.reward, other.reward, one.next_state, float(one.done)])
        before = events
    return {"experiences": np.array(rows)}
