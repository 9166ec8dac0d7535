"""How the outputs of the paper on differentiable simulators are measured; shown to participants.

Exact values (smoothed costs, gradients, means and variances of estimators) are sums over a fine grid of the noise,
or closed forms; none is taken from a submission.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Outputs = Mapping[str, Any]
Instance = Mapping[str, Any]
Parameters = Mapping[str, Any]

SMOOTH, FLAT, BEST = 0, 1, 2
"""What the three angles of an instance stand for: far from the wall, caught by it, close to the best angle."""
NODES = 4001
TINY = 1e-30
"""A variance below it counts as this much."""
ANGLES = np.linspace(0.0, math.pi / 2.0, 158)


# --- the ball, descending ---------------------------------------------------------------------------------------------
def final_theta(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The angle after the last update, mean over trials."""
    return float(_descents(outputs, instance)[:, -1].mean())


def final_cost(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The cost of a throw at the last angle without noise, thrown by the harness, mean over trials."""
    return float(_throw(_descents(outputs, instance)[:, -1], instance)[0].mean())


def regret(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """How much of the possible gain in smoothed cost is left at the last angle: 0 at the best angle, 1 at the first.

    The mean over trials of (F(last) - best F) / (F(first) - best F); F by summation, best over 158 angles in [0, pi/2].
    """
    best = _smoothed(ANGLES, instance).min()
    last = _smoothed(_descents(outputs, instance)[:, -1], instance)
    first = _smoothed(np.array([float(instance["theta"])]), instance)[0]
    return float((last.mean() - best) / (first - best))


def _descents(outputs: Outputs, instance: Instance) -> Array:
    theta = outputs["theta"]
    if not np.all(theta[:, 0] == instance["theta"]):
        raise ValueError(f"every trial starts at {instance['theta']}")
    return theta


def _throw(angles: Array, instance: Instance) -> tuple[Array, Array]:
    """Costs and their derivatives, both in the shape of the angles."""
    reach = instance["speed"] ** 2 / instance["gravity"]
    landing = reach * np.sin(2.0 * angles)
    height = instance["wall"] * np.tan(angles) - instance["wall"] ** 2 / (2.0 * reach * np.cos(angles) ** 2)
    hits = (landing > instance["wall"]) & (height <= instance["height"])
    distance = np.where(hits, instance["wall"], landing)
    return -(distance**2), np.where(hits, 0.0, -4.0 * landing * reach * np.cos(2.0 * angles))


def _noise(sigma: float) -> tuple[Array, Array]:
    """A grid of noise within eight standard deviations, and the weight of each of its nodes."""
    noise = np.linspace(-8.0 * sigma, 8.0 * sigma, NODES)
    weights = np.exp(-0.5 * (noise / sigma) ** 2)
    return noise, weights / weights.sum()


def _smoothed(angles: Array, instance: Instance) -> Array:
    """The smoothed cost F at some angles."""
    noise, weights = _noise(instance["sigma"])
    return _throw(angles[:, None] + noise, instance)[0] @ weights


def _moments(angle: float, instance: Instance) -> dict[str, float]:
    """Exact mean and variance of the estimators at one angle; the mean of `zeroth` is the true gradient F'."""
    sigma = instance["sigma"]
    noise, weights = _noise(sigma)
    costs, first = _throw(angle + noise, instance)
    plain = costs * noise / sigma**2
    zeroth = (costs - _throw(np.array(angle), instance)[0]) * noise / sigma**2
    means = {"first": first @ weights, "zeroth": zeroth @ weights, "plain": plain @ weights}
    samples = {"first": first, "zeroth": zeroth, "plain": plain}
    return {f"{name}_mean": float(mean) for name, mean in means.items()} | {
        f"{name}_variance": float((samples[name] - means[name]) ** 2 @ weights) for name in samples
    }


# --- the ball, standing still -----------------------------------------------------------------------------------------
def zeroth_flat(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Mean of the zeroth-order estimates at the angle where most balls hit the wall."""
    return float(_estimates(outputs, instance, "zeroth")[FLAT].mean())


def first_flat(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Mean of the first-order estimates at the angle where most balls hit the wall."""
    return float(_estimates(outputs, instance, "first")[FLAT].mean())


def zeroth_error(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The zeroth-order mean at the flat angle divided by the exact gradient, less 1."""
    exact = _moments(instance["thetas"][FLAT], instance)["zeroth_mean"]
    return zeroth_flat(outputs, instance, parameters) / exact - 1.0


def first_over_truth(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """First-order mean next to the best angle divided by the exact gradient: negative if it points away."""
    exact = _moments(instance["thetas"][BEST], instance)["zeroth_mean"]
    return float(_estimates(outputs, instance, "first")[BEST].mean()) / exact


def smooth_error(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Far from the wall: the larger relative error of the two orders' means against the exact gradient."""
    exact = _moments(instance["thetas"][SMOOTH], instance)["zeroth_mean"]
    means = [float(_estimates(outputs, instance, name)[SMOOTH].mean()) for name in ("first", "zeroth")]
    return max(abs(mean / exact - 1.0) for mean in means)


def flat_variance_ratio(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Decimal logarithm of first-order over zeroth-order variance at the flat angle."""
    first, zeroth = (_estimates(outputs, instance, name)[FLAT].var(ddof=1) for name in ("first", "zeroth"))
    return _log_ratio(float(first), float(zeroth))


def baseline_gain_error(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Variance without baseline over variance with it, next to the best angle, divided by the exact ratio, less 1."""
    exact = _moments(instance["thetas"][BEST], instance)
    plain, zeroth = (_estimates(outputs, instance, name)[BEST].var(ddof=1) for name in ("plain", "zeroth"))
    gain = float(plain) / max(float(zeroth), TINY)
    return gain / (exact["plain_variance"] / exact["zeroth_variance"]) - 1.0


def _log_ratio(above: float, below: float) -> float:
    return math.log10(max(above, TINY) / max(below, TINY))


def _estimates(outputs: Outputs, instance: Instance, name: str) -> Array:
    shape = (len(instance["thetas"]), instance["samples"])
    if outputs[name].shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {outputs[name].shape}")
    return outputs[name]


# --- interpolation ----------------------------------------------------------------------------------------------------
def alpha_drop(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """How much larger the weight of the first order is far from the wall than at the flat angle."""
    weights = _weights(outputs, instance)
    return float(weights[SMOOTH] - weights[FLAT])


def variance_kept_excess(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Far from the wall: variance of combined over that of zeroth-order gradients, less the exact s1^2 / (s0^2 + s1^2).

    The variances are over batches; the share on the right is what the weight that minimises the variance leaves.
    """
    exact = _moments(instance["thetas"][SMOOTH], instance)
    share = exact["first_variance"] / (exact["zeroth_variance"] + exact["first_variance"])
    combined, zeroth = (_batches(outputs, instance, name)[SMOOTH].var(ddof=1) for name in ("combined", "zeroth"))
    return float(combined) / max(float(zeroth), TINY) - share


def bias_over_gamma(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """At the flat angle: distance of the combined gradients' mean from the exact gradient, in units of gamma."""
    exact = _moments(instance["thetas"][FLAT], instance)["zeroth_mean"]
    mean = float(_batches(outputs, instance, "combined")[FLAT].mean())
    return abs(mean - exact) / instance["gamma"]


def largest_correlation(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Correlation over batches between first and zeroth order, the largest absolute one of the three angles."""
    first, zeroth = (_batches(outputs, instance, name) for name in ("first", "zeroth"))
    spreads = first.std(axis=1), zeroth.std(axis=1)
    if min(spreads[0].min(), spreads[1].min()) == 0.0:
        return 1.0
    centred = [(values - values.mean(axis=1, keepdims=True)) for values in (first, zeroth)]
    return float(np.abs((centred[0] * centred[1]).mean(axis=1) / (spreads[0] * spreads[1])).max())


def _batches(outputs: Outputs, instance: Instance, name: str) -> Array:
    shape = (len(instance["thetas"]), instance["batches"])
    if outputs[name].shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {outputs[name].shape}")
    return outputs[name]


def _weights(outputs: Outputs, instance: Instance) -> Array:
    """The weight alpha of each angle, by least squares from combined = alpha first + (1 - alpha) zeroth."""
    first, zeroth, combined = (_batches(outputs, instance, name) for name in ("first", "zeroth", "combined"))
    difference = first - zeroth
    return ((combined - zeroth) * difference).sum(axis=1) / np.maximum((difference**2).sum(axis=1), TINY)


# --- steps ------------------------------------------------------------------------------------------------------------
def largest_first(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The largest absolute first-order estimate."""
    return float(np.abs(_samples(outputs, instance, "first")).max())


def zeroth_mean(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Mean of the zeroth-order estimates."""
    return float(_samples(outputs, instance, "zeroth").mean())


def zeroth_mean_error(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """It divided by the exact gradient of the hard step, the density of the noise at -theta, less 1."""
    sigma = instance["sigma"]
    density = math.exp(-0.5 * (instance["theta"] / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))
    return zeroth_mean(outputs, instance, parameters) / density - 1.0


def first_mean_error(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Mean of the first-order estimates divided by the exact p / ramp, less 1."""
    chance = _chance(instance)
    return float(_samples(outputs, instance, "first").mean()) * instance["ramp"] / chance - 1.0


def first_variance_error(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Variance of the per-sample first-order estimates divided by the exact p (1 - p) / ramp^2, less 1."""
    chance = _chance(instance)
    variance = float(_samples(outputs, instance, "first").var(ddof=1))
    return variance * instance["ramp"] ** 2 / (chance * (1.0 - chance)) - 1.0


def zero_batches(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Share of the batches in which every first-order estimate is 0, so that mean and empirical variance are too."""
    return float(np.all(_samples(outputs, instance, "first") == 0.0, axis=1).mean())


def zero_batches_excess(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """That share less the exact (1 - p)^samples."""
    return zero_batches(outputs, instance, parameters) - (1.0 - _chance(instance)) ** instance["samples"]


def _samples(outputs: Outputs, instance: Instance, name: str) -> Array:
    shape = (instance["batches"], instance["samples"])
    if outputs[name].shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {outputs[name].shape}")
    return outputs[name]


def _chance(instance: Instance) -> float:
    """The chance that a sample lands on the ramp."""
    half, theta, scale = instance["ramp"] / 2.0, instance["theta"], instance["sigma"] * math.sqrt(2.0)
    return (math.erf((half - theta) / scale) - math.erf((-half - theta) / scale)) / 2.0


# --- pushing ----------------------------------------------------------------------------------------------------------
def pushing_variance_ratio(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """Decimal logarithm of first-order over zeroth-order variance, each summed over the forces."""
    first, zeroth = (_pushes(outputs, instance, name).var(axis=0, ddof=1).sum() for name in ("first", "zeroth"))
    return _log_ratio(float(first), float(zeroth))


def _pushes(outputs: Outputs, instance: Instance, name: str) -> Array:
    shape = (instance["samples"], instance["horizon"])
    if outputs[name].shape != shape:
        raise ValueError(f"{name}: expected shape {shape}, got {outputs[name].shape}")
    return outputs[name]


# --- closed forms -----------------------------------------------------------------------------------------------------
def rare_variance(outputs: Outputs, instance: Instance, parameters: Parameters) -> float:
    """The variance of the rare event, as the submission computed it."""
    return float(outputs["rare"][1])
