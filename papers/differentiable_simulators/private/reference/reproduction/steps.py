"""A step of height one, hard or relaxed to a ramp: where first-order gradients are wrong without showing it.

Examples 3.3 (Heaviside) and 3.6 (Coulomb friction), definition 3.4 and lemma 3.5 of the paper.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.estimators import zeroth_order

Array = NDArray[np.float64]


def step(points: Array, width: float) -> tuple[Array, Array]:
    """The step and its derivative at some points; from -width/2 to width/2 it rises linearly, with width 0 at once."""
    if width == 0.0:
        return (points >= 0.0).astype(np.float64), np.zeros(points.shape)
    inside = np.abs(points) <= width / 2.0
    return np.clip(points / width + 0.5, 0.0, 1.0), np.where(inside, 1.0 / width, 0.0)


def both_estimates(theta: float, noise: Array, *, width: float, sigma: float) -> tuple[Array, Array, Array]:
    """Values of the step, first-order and zeroth-order estimates, each in the shape of the noise."""
    values, slopes = step(theta + noise, width)
    baseline = step(np.array([theta]), width)[0][0]
    return values, slopes, zeroth_order(values, baseline, noise[..., None], sigma)[..., 0]


def estimates(instance: Mapping[str, Any], *, kind: str, seed: int) -> dict[str, Array]:
    """The experiment `step_estimates`: per-sample estimates of both orders, each array (batches, samples)."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0.0, instance["sigma"], (instance["batches"], instance["samples"]))
    width = float(instance["ramp"]) if kind == "ramp" else 0.0
    _, first, zeroth = both_estimates(instance["theta"], noise, width=width, sigma=instance["sigma"])
    return {"first": first, "zeroth": zeroth}


def one_batch(instance: Mapping[str, Any]) -> dict[str, Array]:
    """The experiment `one_batch` for the ramp: values and both kinds of per-sample estimates on given noise."""
    world, noise = instance["step"], np.asarray(instance["step_noise"], dtype=np.float64)
    costs, first, zeroth = both_estimates(world["theta"], noise, width=world["width"], sigma=world["sigma"])
    return {"costs": costs, "first": first[:, None], "zeroth": zeroth[:, None]}


def normal_cdf(x: float) -> float:
    """Phi(x)."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def ramp_moments(instance: Mapping[str, Any]) -> list[float]:
    """Of the first-order estimate on a ramp: chance of a slope, mean, variance, chance of a batch of zeros only."""
    theta, width, sigma = instance["theta"], instance["width"], instance["sigma"]
    chance = normal_cdf((width / 2.0 - theta) / sigma) - normal_cdf((-width / 2.0 - theta) / sigma)
    mean = chance / width
    return [chance, mean, chance / width**2 - mean**2, (1.0 - chance) ** instance["samples"]]


def hard_gradient(instance: Mapping[str, Any]) -> float:
    """The derivative of E[H(theta + w)]: the density of the noise at -theta (example 3.3)."""
    sigma = instance["sigma"]
    return math.exp(-0.5 * (instance["theta"] / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))


def rare_event(beta: float) -> list[float]:
    """Mean and variance of z = 1/beta with chance beta, else 0, and the variance that lemma 3.5 guarantees."""
    mean, gap = 1.0, 1.0
    return [mean, 1.0 / beta - 1.0, least_variance(beta, gap, mean)]


def least_variance(beta: float, gap: float, mean: float) -> float:
    """Lemma 3.5: Delta_0^2 / beta, Delta_0 = max(0, (1 - beta) Delta - beta |E z|)."""
    return max(0.0, (1.0 - beta) * gap - beta * mean) ** 2 / beta


def closed_forms(instance: Mapping[str, Any]) -> dict[str, Array]:
    """The experiment `closed_forms`."""
    lemma = [least_variance(*numbers) for numbers in instance["biases"]]
    return {
        "ramp": np.array(ramp_moments(instance)),
        "hard": np.array([hard_gradient(instance)]),
        "rare": np.array(rare_event(instance["beta"])),
        "lemma": np.array(lemma),
    }
