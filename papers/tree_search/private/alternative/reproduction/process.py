"""Decision processes as one sparse matrix over (action, state) pairs, and their optimal values."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import spsolve

Vector = NDArray[np.float64]
Policy = NDArray[np.int64]


@dataclass(frozen=True)
class Affine:
    """The map v -> gains + discounted @ v; with one row a state it is the Bellman operator of a policy."""

    gains: Vector
    discounted: sparse.csr_array

    def __call__(self, values: Vector) -> Vector:
        return self.gains + self.discounted @ values

    def fixed_point(self) -> Vector:
        """The v that the map leaves as it is: the exact values of a policy."""
        identity = sparse.eye_array(len(self.gains), format="csc")
        return spsolve(identity - self.discounted.tocsc(), self.gains)


@dataclass(frozen=True)
class Process:
    """A decision process; row a * states + s of `backup` looks one step ahead from state s with action a."""

    backup: Affine
    actions: int

    @classmethod
    def from_actions(cls, transitions: list[sparse.sparray], rewards: Vector, discount: float) -> "Process":
        """From one (states, states) matrix an action and rewards (actions, states)."""
        stacked = sparse.csr_array(discount * sparse.vstack(transitions))
        return cls(Affine(np.ravel(rewards), stacked), len(transitions))

    @property
    def states(self) -> int:
        return self.backup.discounted.shape[1]

    def action_values(self, values: Vector) -> Vector:
        """What each action (actions, states) is worth if `values` are collected one step later."""
        return self.backup(values).reshape(self.actions, self.states)

    def optimality(self, values: Vector) -> Vector:
        """The optimality operator T."""
        return self.action_values(values).max(axis=0)

    def greedy(self, values: Vector) -> Policy:
        """The best action of each state; the first of several that tie."""
        return self.action_values(values).argmax(axis=0)

    def following(self, policy: Policy) -> Affine:
        """The Bellman operator T^pi of a policy."""
        rows = policy * self.states + np.arange(self.states)
        return Affine(self.backup.gains[rows], self.backup.discounted[rows])

    def optimum(self, least_gain: float = 1e-12) -> Vector:
        """Optimal values by policy iteration; an action is replaced where another gains more than `least_gain`."""
        policy = self.greedy(np.zeros(self.states))
        while True:
            values = self.following(policy).fixed_point()
            choices = self.action_values(values)
            improvable = choices.max(axis=0) > values + least_gain
            if not improvable.any():
                return values
            policy = np.where(improvable, choices.argmax(axis=0), policy)
