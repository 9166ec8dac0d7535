"""Gradient estimators. Each keeps what outlives an unroll and turns the current theta into an estimate."""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from reproduction.problems import Array, Chain, Problem, Toy

Noise = Iterator[NDArray[np.float64]]
Estimator = Callable[[Array], Array]


def standard_normals(seed: int, particles: int, size: int) -> Noise:
    """Endless draws of shape (particles / 2, size)."""
    generator = np.random.default_rng(seed)
    while True:
        yield generator.standard_normal((particles // 2, size))


def antithetic(half: Array, sigma: float) -> Array:
    return sigma * np.concatenate([half, -half])


def score(perturbations: Array, losses: Array, sigma: float) -> Array:
    """(1 / (N sigma^2)) sum_i perturbation_i loss_i."""
    return losses @ perturbations / (losses.size * sigma**2)


class Clock:
    """Where an episode stands."""

    def __init__(self, horizon: float, now: int = 0) -> None:
        self.horizon, self.now = horizon, now

    def advance(self, steps: int) -> bool:
        """Whether that ended the episode; the next one then begins at 0."""
        self.now += steps
        ended = self.now >= self.horizon
        if ended:
            self.now = 0
        return ended


class PersistentES:
    """Every particle (a row) keeps its state and the sum of its perturbations."""

    def __init__(self, problem: Problem, start: Array, *, steps: int, sigma: float, noise: Noise) -> None:
        self.problem, self.start, self.steps, self.sigma, self.noise = problem, start, steps, sigma, noise
        self.clock = Clock(problem.horizon)
        self.states = start
        self.accumulators: Array = np.zeros(())

    def resume(self, states: Array, accumulators: Array, now: int = 0) -> None:
        """Go on from given particles instead of from the start."""
        self.states, self.accumulators, self.clock.now = states, accumulators, now

    def __call__(self, theta: Array) -> Array:
        perturbations = antithetic(next(self.noise), self.sigma)
        states = np.broadcast_to(self.states, (len(perturbations), self.start.shape[-1]))
        self.states, losses = self.problem.unroll(states, theta + perturbations, self.clock.now, self.steps)
        self.accumulators = self.accumulators + perturbations
        estimate = score(self.accumulators, losses, self.sigma)
        if self.clock.advance(self.steps):
            self.states = np.broadcast_to(self.start, self.states.shape)
            self.accumulators = np.zeros_like(self.accumulators)
        return estimate


class TruncatedES:
    """All particles leave from one state, which the unperturbed theta moves on."""

    def __init__(self, problem: Problem, start: Array, *, steps: int, sigma: float, noise: Noise) -> None:
        self.problem, self.start, self.steps, self.sigma, self.noise = problem, start, steps, sigma, noise
        self.clock = Clock(problem.horizon)
        self.state = start

    def __call__(self, theta: Array) -> Array:
        perturbations = antithetic(next(self.noise), self.sigma)
        # one batch: the unperturbed theta runs as the last row
        thetas = theta + np.concatenate([perturbations, np.zeros((1, theta.size))])
        states = np.broadcast_to(self.state, (len(thetas), self.start.size))
        moved, losses = self.problem.unroll(states, thetas, self.clock.now, self.steps)
        self.state = self.start if self.clock.advance(self.steps) else moved[-1]
        return score(perturbations, losses[:-1], self.sigma)


class ChainGradient:
    """Exact derivatives along the chain: RTRL with `carry`; without, the Jacobian is forgotten at each unroll."""

    def __init__(self, chain: Chain, start: Array, *, steps: int, carry: bool) -> None:
        self.matrix, self.drift = chain.transition(steps)
        self.state, self.jacobian, self.carry = start, np.zeros_like(start), carry

    def __call__(self, theta: Array) -> Array:
        carried = self.matrix @ self.jacobian if self.carry else 0.0
        self.jacobian = carried + self.drift
        self.state = self.matrix @ self.state + theta * self.drift
        return (self.state[:1] - 1.0) * self.jacobian[:1]


class ToyBackpropagation:
    """The exact derivative of each unroll of the toy regression, its start state taken as a constant."""

    def __init__(self, toy: Toy, start: Array, *, steps: int) -> None:
        self.toy, self.start, self.steps = toy, start, steps
        self.clock = Clock(toy.horizon)
        self.state = start

    def __call__(self, theta: Array) -> Array:
        self.state, gradient = self.toy.derivative(self.state, theta, self.clock.now, self.steps)
        if self.clock.advance(self.steps):
            self.state = self.start
        return gradient
