"""Held-out instances of the paper on differentiable simulators, drawn until the paper's claims are decided on them."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Instance = dict[str, Any]

PINNED_REACH = 1.0 / 9.81
KNOWN_ENDS = {"zeroth": (0.8548, 0.8331, math.pi / 4.0), "first": (0.4949,)}
"""Angles that somebody might hand in without descending; a held-out descent ends elsewhere."""
DELTA = 0.05
MOST_DRAWS = 5000
NODES = 1201
SAMPLES = 10000
"""Of `ball_estimates`."""


def draw(experiment: str, rng: np.random.Generator) -> Instance:
    """One fresh instance of an experiment; arrays are `numpy.ndarray`, all else is JSON.

    Raises:
        ValueError: The experiment has no held-out instances, or no draw was decisive.
    """
    makers: dict[str, tuple[Callable[[np.random.Generator], Instance], Callable[[Instance], bool]]] = {
        "ball_descent": (_descent, _descent_is_decisive),
        "ball_estimates": (_estimates, _estimates_are_decisive),
        "interpolation": (_interpolation, _interpolation_is_decisive),
        "step_estimates": (_steps, _steps_are_decisive),
        "pushing_estimates": (_pushing, lambda instance: True),
        "one_batch": (_one_batch, _one_batch_is_decisive),
        "alpha": (_alpha, _alpha_is_decisive),
        "closed_forms": (_closed_forms, lambda instance: True),
    }
    if experiment not in makers:
        raise ValueError(f"no held-out instances for {experiment!r}, only for {', '.join(makers)}")
    make, decisive = makers[experiment]
    for _ in range(MOST_DRAWS):
        instance = make(rng)
        if decisive(instance):
            return instance
    raise ValueError(f"none of {MOST_DRAWS} draws for {experiment!r} was decisive")


def _uniform(rng: np.random.Generator, low: float, high: float, digits: int = 4) -> float:
    return round(float(rng.uniform(low, high)), digits)


# --- the ball ---------------------------------------------------------------------------------------------------------
def _world(
    rng: np.random.Generator,
    *,
    walls: tuple[float, float] = (0.48, 0.66),
    heights: tuple[float, float] = (0.14, 0.24),
    sigmas: tuple[float, float] = (0.085, 0.125),
) -> Instance:
    """Another speed and gravity, and a wall in another place; walls and heights are in units of speed^2 / gravity.

    A ball can be thrown over the wall within a window of angles, and distances differ from the pinned ones.
    """
    while True:
        speed, gravity = _uniform(rng, 0.8, 1.6), _uniform(rng, 5.0, 15.0)
        reach = speed**2 / gravity
        world = {
            "speed": speed,
            "gravity": gravity,
            "wall": round(reach * float(rng.uniform(*walls)), 5),
            "height": round(reach * float(rng.uniform(*heights)), 5),
            "sigma": _uniform(rng, *sigmas),
        }
        low, high = _window(world)
        if abs(math.log(reach / PINNED_REACH)) > 0.2 and high - low > 0.3:
            return world


def _window(world: Instance) -> tuple[float, float]:
    """The angles between which a ball clears the wall; (1, 0) if none does."""
    reach, wall = world["speed"] ** 2 / world["gravity"], world["wall"]
    inside = (reach / wall) ** 2 - 1.0 - 2.0 * world["height"] * reach / wall**2
    if inside <= 0.0:
        return 1.0, 0.0
    return math.atan(reach / wall - math.sqrt(inside)), math.atan(reach / wall + math.sqrt(inside))


def _throw(angles: Array, world: Instance) -> tuple[Array, Array]:
    """Costs and their derivatives."""
    reach = world["speed"] ** 2 / world["gravity"]
    landing = reach * np.sin(2.0 * angles)
    height = world["wall"] * np.tan(angles) - world["wall"] ** 2 / (2.0 * reach * np.cos(angles) ** 2)
    hits = (landing > world["wall"]) & (height <= world["height"])
    costs = -(np.where(hits, world["wall"], landing) ** 2)
    return costs, np.where(hits, 0.0, -4.0 * landing * reach * np.cos(2.0 * angles))


def _fields(angles: Array, world: Instance) -> dict[str, Array]:
    """Smoothed cost, exact moments of both estimators, the baseline's gain, and their correlation on shared noise."""
    sigma = world["sigma"]
    noise = np.linspace(-6.0 * sigma, 6.0 * sigma, NODES)
    weights = np.exp(-0.5 * (noise / sigma) ** 2)
    weights /= weights.sum()
    costs, first = _throw(angles[:, None] + noise, world)
    zeroth = (costs - _throw(angles, world)[0][:, None]) * noise / sigma**2
    mean_first, mean_zeroth = first @ weights, zeroth @ weights
    var_first = first**2 @ weights - mean_first**2
    var_zeroth = zeroth**2 @ weights - mean_zeroth**2
    plain = (costs * noise / sigma**2) ** 2 @ weights - mean_zeroth**2
    together = (first * zeroth) @ weights - mean_first * mean_zeroth
    return {
        "cost": costs @ weights,
        "first": mean_first,
        "zeroth": mean_zeroth,
        "var_first": var_first,
        "var_zeroth": var_zeroth,
        "gain": plain / np.maximum(var_zeroth, 1e-30),
        "correlation": together / np.sqrt(np.maximum(var_first * var_zeroth, 1e-30)),
    }


def _bound(fields: dict[str, Array], samples: int) -> Array:
    """About the confidence bound of interpolation, the largest deviation taken as three and a half of the usual."""
    log = math.log(2.0 / DELTA)
    second = fields["var_zeroth"] + fields["zeroth"] ** 2
    return np.sqrt(2.0 * second * log / samples) + 2.0 * 3.5 * np.sqrt(fields["var_zeroth"]) * log / (3.0 * samples)


def _descent(rng: np.random.Generator) -> Instance:
    """A descent whose gamma forbids first-order gradients from the wall to the optimum and allows them at the start.

    Walls are higher and noise larger than in the pinned descent, which moves the best angle up.
    """
    world = _world(rng, walls=(0.54, 0.68), heights=(0.2, 0.32), sigmas=(0.11, 0.18))
    reach = world["speed"] ** 2 / world["gravity"]
    low, _ = _window(world)
    behind = _fields(np.linspace(low - 0.05, low + 1.8 * world["sigma"], 12), world)
    return world | {
        "theta": _uniform(rng, 0.06, 0.14),
        "step": round(float(rng.uniform(0.12, 0.22)) * (PINNED_REACH / reach) ** 2, 5),
        "updates": 1001,
        "trials": 20,
        "samples": 50,
        "gamma": round(0.75 * float(_bound(behind, 50).min()), 6),
        "delta": DELTA,
    }


def _descent_is_decisive(instance: Instance) -> bool:
    """Exact gradients reach the smoothed optimum in time, the first order's means end at the wall, both elsewhere.

    Elsewhere than on the pinned instance, than where the authors' trials ended, and than at pi / 4, best without wall.
    """
    angles = np.linspace(-0.2, 1.5, 171)
    fields = _fields(angles, instance)
    best, start = float(fields["cost"].min()), float(np.interp(instance["theta"], angles, fields["cost"]))
    paths = {kind: _path(instance, angles, fields[kind]) for kind in KNOWN_ENDS}
    left = {kind: (np.interp(path, angles, fields["cost"]) - best) / (start - best) for kind, path in paths.items()}
    low, _ = _window(instance)
    edge = 0.5 * math.asin(instance["wall"] * instance["gravity"] / instance["speed"] ** 2)
    elsewhere = all(abs(paths[kind][-1] - end) > 0.03 for kind, ends in KNOWN_ENDS.items() for end in ends)
    stuck = edge + 0.04 < paths["first"][-1] < low - 0.06 and left["first"][-1] > 0.4
    at_start = float(_bound(_fields(np.array([instance["theta"]]), instance), instance["samples"])[0])
    arrived = left["zeroth"][650] < 0.02 and left["zeroth"][-1] < 0.003
    return bool(elsewhere and stuck and arrived and instance["gamma"] > 1.25 * at_start)


def _path(instance: Instance, angles: Array, gradients: Array) -> Array:
    """The angles of a descent by gradients that are exact, between those where they are known."""
    path = np.full(instance["updates"] + 1, float(instance["theta"]))
    for i in range(instance["updates"]):
        path[i + 1] = path[i] - instance["step"] * float(np.interp(path[i], angles, gradients))
    return path


def _three_angles(rng: np.random.Generator) -> tuple[Instance, list[float]]:
    """A world and three angles in it: far from the wall, caught by it, and a little short of the best."""
    world = _world(rng)
    low, high = _window(world)
    angles = np.linspace(low, high, 81)
    best = float(angles[_fields(angles, world)["cost"].argmin()])
    thetas = [rng.uniform(0.05, 0.12), low - rng.uniform(0.8, 1.2) * world["sigma"], best - 0.3 * world["sigma"]]
    return world, [round(float(theta), 4) for theta in thetas]


def _estimates(rng: np.random.Generator) -> Instance:
    world, thetas = _three_angles(rng)
    return world | {"thetas": thetas, "samples": SAMPLES}


def _estimates_are_decisive(instance: Instance) -> bool:
    """Means well clear of their sampling error, gradients of opposite sign at the best angle, another true gradient."""
    fields = _fields(np.array(instance["thetas"]), instance)
    errors = {kind: np.sqrt(fields[f"var_{kind}"] / SAMPLES) / np.abs(fields[kind]) for kind in KNOWN_ENDS}
    smooth, flat, best = range(3)
    precise = errors["zeroth"][flat] < 0.03 and errors["first"][flat] < 0.05 and errors["zeroth"][smooth] < 0.03
    biased = fields["first"][flat] / fields["zeroth"][flat] < 0.2
    opposed = fields["first"][best] / fields["zeroth"][best] < -0.5
    unbiased = abs(fields["first"][smooth] / fields["zeroth"][smooth] - 1.0) < 0.005
    changed = abs(math.log(-float(fields["zeroth"][flat]) / 0.01724)) > 0.35
    changed &= abs(math.log(-float(fields["zeroth"][smooth]) / 0.00715)) > 0.3
    changed &= abs(math.log(float(fields["gain"][best]) / 4.246)) > 0.25
    return bool(precise and biased and opposed and unbiased and changed)


def _interpolation(rng: np.random.Generator) -> Instance:
    """Interpolation whose gamma leaves a little room at the wall and much of it far away."""
    world, thetas = _three_angles(rng)
    bound = float(_bound(_fields(np.array(thetas), world), 1000)[1])
    gamma = round(1.4 * bound, 6)
    return world | {"thetas": thetas, "samples": 1000, "batches": 300, "gamma": gamma, "delta": DELTA}


def _interpolation_is_decisive(instance: Instance) -> bool:
    """The best weight by variance alone breaks gamma at the wall and keeps it far away; shared noise would show."""
    fields = _fields(np.array(instance["thetas"]), instance)
    alone = fields["var_zeroth"] / (fields["var_zeroth"] + fields["var_first"])
    smooth, flat, _ = range(3)
    gap = alone * np.abs(fields["first"] - fields["zeroth"])
    bound = _bound(fields, instance["samples"])
    noisy = np.sqrt((fields["var_zeroth"][smooth] + fields["var_first"][smooth]) / instance["samples"])
    free = gap[smooth] + 4.0 * noisy < instance["gamma"] - bound[smooth]
    breaks = gap[flat] > 2.0 * instance["gamma"]
    shows = np.abs(fields["correlation"]).max() > 0.38
    return bool(free and breaks and shows and 0.65 < alone[smooth] < 0.95 and _estimates_are_decisive(instance))


# --- steps ------------------------------------------------------------------------------------------------------------
def _steps(rng: np.random.Generator) -> Instance:
    sigma = _uniform(rng, 0.08, 0.45)
    return {
        "sigma": sigma,
        "theta": round(float(rng.choice([-1.0, 1.0]) * rng.uniform(0.2, 0.8)) * sigma, 4),
        "ramp": round(float(rng.uniform(0.09, 0.16)) * sigma, 4),
        "batches": 4000,
        "samples": int(rng.integers(12, 21)),
    }


def _steps_are_decisive(instance: Instance) -> bool:
    """Another gradient than on the pinned step, and batches of zeros neither rare nor the rule nor as frequent."""
    sigma, theta, width = instance["sigma"], instance["theta"], instance["ramp"]
    density = math.exp(-0.5 * (theta / sigma) ** 2) / (sigma * math.sqrt(2.0 * math.pi))
    zeros = (1.0 - density * width) ** instance["samples"]
    elsewhere = abs(math.log(density / 1.99471)) > 0.25 and abs(zeros - 0.521) > 0.08
    return elsewhere and 0.3 < zeros < 0.75 and 0.03 < density * width < 0.08


# --- pushing ----------------------------------------------------------------------------------------------------------
def _pushing(rng: np.random.Generator) -> Instance:
    """Other masses, gaps, forces and goals; the stiff spring is as stiff for the mass and time step as the pinned."""
    mass = _uniform(rng, 0.7, 1.4)
    return {
        "mass": mass,
        "damping": _uniform(rng, 0.2, 0.4),
        "time_step": 0.05,
        "gap": _uniform(rng, 0.05, 0.2),
        "goal": _uniform(rng, 0.8, 1.4),
        "force": round(mass * float(rng.uniform(0.9, 1.3)), 4),
        "sigma": round(mass * float(rng.uniform(0.8, 1.2)), 4),
        "soft": round(mass * float(rng.uniform(6.0, 14.0)), 3),
        "stiff": round(mass * float(rng.uniform(640.0, 680.0)), 3),
        "samples": 1000,
        "horizon": 40,
    }


# --- single computations ----------------------------------------------------------------------------------------------
def _one_batch(rng: np.random.Generator) -> Instance:
    """All three systems with a few samples of noise each."""
    world = _world(rng)
    low, _ = _window(world)
    pushing = {key: value for key, value in _pushing(rng).items() if key not in ("samples", "horizon", "soft", "stiff")}
    sigma = _uniform(rng, 0.1, 0.4)
    return {
        "ball": world | {"theta": round(low - 0.05, 4)},
        "ball_noise": rng.normal(0.0, 2.5 * world["sigma"], 40),
        "step": {
            "sigma": sigma,
            "theta": round(0.3 * sigma, 4),
            "width": round(float(rng.uniform(0.5, 0.9)) * sigma, 4),
        },
        "step_noise": rng.normal(0.0, sigma, 40),
        "pushing": pushing | {"stiffness": _uniform(rng, 20.0, 60.0, 2)},
        "pushing_noise": rng.normal(0.0, pushing["sigma"], (20, 30)),
    }


def _one_batch_is_decisive(instance: Instance) -> bool:
    """Balls that fall short, hit and clear the wall, none of them by a hair; samples on the ramp and off it."""
    world, angles = instance["ball"], instance["ball"]["theta"] + instance["ball_noise"]
    reach = world["speed"] ** 2 / world["gravity"]
    landing = reach * np.sin(2.0 * angles)
    height = world["wall"] * np.tan(angles) - world["wall"] ** 2 / (2.0 * reach * np.cos(angles) ** 2)
    short, clear = landing <= world["wall"], (landing > world["wall"]) & (height > world["height"])
    hair = min(np.abs(landing - world["wall"]).min(), np.abs(height - world["height"])[~short].min()) < 1e-6 * reach
    counts = [int(short.sum()), int(clear.sum()), int((~short & ~clear).sum())]
    ramp = np.abs(instance["step"]["theta"] + instance["step_noise"]) - instance["step"]["width"] / 2.0
    on = int((ramp < 0.0).sum())
    return bool(min(counts) >= 4 and not hair and 5 <= on <= 35 and np.abs(ramp).min() > 1e-6)


def _alpha(rng: np.random.Generator) -> Instance:
    """Batches of estimates in several dimensions, their gammas around the confidence bound."""
    batches, samples, dimension = 12, int(rng.integers(20, 41)), int(rng.integers(2, 5))
    scale = rng.uniform(0.2, 3.0, (batches, 1, 1))
    zeroth = rng.normal(0.0, scale, (batches, samples, dimension)) + rng.normal(0.0, 0.7, (batches, 1, dimension))
    spread = rng.uniform(0.3, 1.5, (batches, 1, 1)) * scale
    first = rng.normal(0.0, spread, (batches, samples, dimension)) + rng.normal(0.0, 0.7, (batches, 1, dimension))
    gamma = _parts(first, zeroth, DELTA)["epsilon"] * np.tile([0.8, 1.3, 3.0], batches // 3)
    return {"first": first, "zeroth": zeroth, "gamma": gamma, "delta": DELTA}


def _parts(first: Array, zeroth: Array, delta: float) -> dict[str, Array]:
    """Confidence bound, unconstrained weight and distance of the means, one a batch."""
    samples, dimension = zeroth.shape[1:]
    log = math.log((dimension + 1) / delta)
    mean = zeroth.mean(axis=1)
    radius = np.linalg.norm(zeroth - mean[:, None], axis=2).max(axis=1)
    epsilon = np.sqrt(2.0 * (zeroth**2).sum(axis=2).mean(axis=1) * log / samples) + 2.0 * radius * log / (3.0 * samples)
    spreads = [values.var(axis=1, ddof=1).sum(axis=1) for values in (zeroth, first)]
    distance = np.linalg.norm(first.mean(axis=1) - mean, axis=1)
    return {"epsilon": epsilon, "alone": spreads[0] / (spreads[0] + spreads[1]), "distance": distance}


def _alpha_is_decisive(instance: Instance) -> bool:
    """Each of the three cases of the weight at least twice, and no batch within 5 % of another case."""
    parts = _parts(instance["first"], instance["zeroth"], instance["delta"])
    slack = instance["gamma"] - parts["epsilon"]
    needed = parts["alone"] * parts["distance"]
    infeasible, free = slack < 0.0, (slack >= 0.0) & (needed <= slack)
    bound = (slack >= 0.0) & (needed > slack)
    close = np.abs(needed / slack - 1.0)[~infeasible].min() < 0.05
    return bool(min(infeasible.sum(), free.sum(), bound.sum()) >= 2 and not close)


def _closed_forms(rng: np.random.Generator) -> Instance:
    """Numbers for the closed forms; one of the biases has a bound of zero, the others do not."""
    sigma = _uniform(rng, 0.1, 0.5)
    biases = [[_uniform(rng, 0.02, 0.2), _uniform(rng, 0.5, 2.0), _uniform(rng, 0.2, 1.5)] for _ in range(4)]
    return {
        "sigma": sigma,
        "theta": round(float(rng.uniform(-0.8, 0.8)) * sigma, 4),
        "width": round(float(rng.uniform(0.05, 0.3)) * sigma, 4),
        "samples": int(rng.integers(5, 60)),
        "beta": _uniform(rng, 0.02, 0.2),
        "biases": [*biases, [0.6, 0.4, _uniform(rng, 1.0, 2.0)]],
    }
