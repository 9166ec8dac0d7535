"""The experiments, each a function of (instance, parameters, seed) that returns its outputs by name."""

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reproduction import mixing, systems, theory
from reproduction.sampling import first_order, zeroth_order

Array = NDArray[np.float64]
Values = Mapping[str, Any]
Outputs = dict[str, Any]
Experiment = Callable[[Values, Values, int], Outputs]

EXPERIMENTS: dict[str, Experiment] = {}


def experiment(function: Experiment) -> Experiment:
    """Enter a function under its own name."""
    EXPERIMENTS[function.__name__] = function
    return function


class Sampler:
    """Draws batches of per-sample estimates; each order has a stream of noise of its own."""

    def __init__(self, cost: systems.Cost, sigma: float, seed: int) -> None:
        self.cost, self.sigma = cost, sigma
        self._first_noise, self._zeroth_noise = np.random.default_rng(seed).spawn(2)

    def first(self, theta: Array, count: int) -> Array:
        """Shape (..., count, d) for theta of shape (..., d)."""
        return first_order(self.cost, theta[..., None, :], self._draw(self._first_noise, theta, count))

    def zeroth(self, theta: Array, count: int, *, baseline: bool = True) -> Array:
        """The same shape; each call draws afresh."""
        noise = self._draw(self._zeroth_noise, theta, count)
        return zeroth_order(self.cost, theta[..., None, :], noise, self.sigma, baseline=baseline)

    def _draw(self, stream: np.random.Generator, theta: Array, count: int) -> Array:
        return self.sigma * stream.standard_normal((*theta.shape[:-1], count, theta.shape[-1]))


# --- descent ----------------------------------------------------------------------------------------------------------
@experiment
def ball_descent(instance: Values, parameters: Values, seed: int) -> Outputs:
    """All trials descend side by side, as rows of one array."""
    gradient = _batched_gradient(parameters["method"], instance, seed)
    path = np.empty((instance["updates"] + 1, instance["trials"], 1))
    path[0] = instance["theta"]
    for before, after in pairwise(path):
        after[:] = before - instance["step"] * gradient(before)
    return {"theta": path[:, :, 0].T}


def _batched_gradient(method: str, instance: Values, seed: int) -> Callable[[Array], Array]:
    sampler = Sampler(systems.ball(instance), instance["sigma"], seed)
    count, gamma, delta = instance["samples"], instance["gamma"], instance["delta"]

    def both(theta: Array) -> tuple[Array, Array]:
        return sampler.first(theta, count), sampler.zeroth(theta, count)

    return {
        "fobg": lambda theta: sampler.first(theta, count).mean(axis=-2),
        "zobg": lambda theta: sampler.zeroth(theta, count).mean(axis=-2),
        "aobg": lambda theta: mixing.interpolate(*both(theta), gamma, delta).gradient,
        "aobg_unconstrained": lambda theta: mixing.interpolate_by_variance(*both(theta)),
    }[method]


# --- estimates --------------------------------------------------------------------------------------------------------
@experiment
def ball_estimates(instance: Values, parameters: Values, seed: int) -> Outputs:
    """The three kinds of estimate at each angle, on noise of their own."""
    sampler = Sampler(systems.ball(instance), instance["sigma"], seed)
    thetas = np.array(instance["thetas"])[:, None]
    estimates = {
        "first": sampler.first(thetas, instance["samples"]),
        "zeroth": sampler.zeroth(thetas, instance["samples"]),
        "plain": sampler.zeroth(thetas, instance["samples"], baseline=False),
    }
    return {name: values[..., 0] for name, values in estimates.items()}


@experiment
def interpolation(instance: Values, parameters: Values, seed: int) -> Outputs:
    """Batched gradients, every batch a row of its angle."""
    sampler = Sampler(systems.ball(instance), instance["sigma"], seed)
    thetas = np.tile(np.array(instance["thetas"])[:, None, None], (1, instance["batches"], 1))
    first, zeroth = sampler.first(thetas, instance["samples"]), sampler.zeroth(thetas, instance["samples"])
    combined = mixing.interpolate(first, zeroth, instance["gamma"], instance["delta"]).gradient
    gradients = {"first": first.mean(axis=-2), "zeroth": zeroth.mean(axis=-2), "combined": combined}
    return {name: values[..., 0] for name, values in gradients.items()}


@experiment
def step_estimates(instance: Values, parameters: Values, seed: int) -> Outputs:
    """Estimates on the hard step or on the ramp."""
    cost = systems.hard_step() if parameters["step"] == "hard" else systems.ramp(instance["ramp"])
    sampler = Sampler(cost, instance["sigma"], seed)
    thetas = np.full((instance["batches"], 1), instance["theta"])
    estimates = {"first": sampler.first, "zeroth": sampler.zeroth}
    return {name: draw(thetas, instance["samples"])[..., 0] for name, draw in estimates.items()}


@experiment
def pushing_estimates(instance: Values, parameters: Values, seed: int) -> Outputs:
    """Estimates for the planned forces."""
    cost = systems.pushing(instance, instance[parameters["spring"]])
    sampler = Sampler(cost, instance["sigma"], seed)
    plan = np.full(instance["horizon"], instance["force"])
    return {
        "first": sampler.first(plan, instance["samples"]),
        "zeroth": sampler.zeroth(plan, instance["samples"]),
    }


# --- single computations ----------------------------------------------------------------------------------------------
@experiment
def one_batch(instance: Values, parameters: Values, seed: int) -> Outputs:
    """Costs and estimates of one system on given noise."""
    system = parameters["system"]
    world, noise = instance[system], np.asarray(instance[f"{system}_noise"], dtype=np.float64)
    cost, theta = {
        "ball": lambda: (systems.ball(world), world["theta"]),
        "step": lambda: (systems.ramp(world["width"]), world["theta"]),
        "pushing": lambda: (systems.pushing(world, world["stiffness"]), world["force"]),
    }[system]()
    noise = noise.reshape(len(noise), -1)
    return {
        "costs": cost(theta + noise),
        "first": first_order(cost, theta, noise),
        "zeroth": zeroth_order(cost, theta, noise, world["sigma"]),
    }


@experiment
def alpha(instance: Values, parameters: Values, seed: int) -> Outputs:
    """Interpolation of given batches, each with a gamma of its own."""
    first, zeroth, gamma = (np.asarray(instance[name], dtype=np.float64) for name in ("first", "zeroth", "gamma"))
    mixture = mixing.interpolate(first, zeroth, gamma, instance["delta"])
    return {"alpha": mixture.alpha, "epsilon": mixture.epsilon, "combined": mixture.gradient}


@experiment
def closed_forms(instance: Values, parameters: Values, seed: int) -> Outputs:
    """Moments, the rare event and the bounds."""
    theta, sigma = instance["theta"], instance["sigma"]
    return {
        "ramp": theory.ramp_moments(theta, sigma, instance["width"], instance["samples"]),
        "hard": [theory.normal_density(theta, sigma)],
        "rare": theory.rare_event(instance["beta"]),
        "lemma": [theory.guaranteed_variance(*row) for row in instance["biases"]],
    }
