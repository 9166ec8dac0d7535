"""Searching a gait from scratch: uniform random gaits first, then CMA-ES (Hansen 2016, "The CMA-ES: A Tutorial")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import environments  # noqa: F401 -- makes reproof/Swimmer-v0 known outside the clean room
import gymnasium
import numpy as np
from numpy.typing import NDArray
from reproduction.oscillators import Oscillators, both_joints

Floats = NDArray[np.float64]

RANDOM_SHARE = 1 / 3
POPULATION = 8
STEP_SIZE = 0.1
NEIGHBOURS = 6
JOINTS, JOINT_VELOCITIES = slice(1, 3), slice(6, 8)
"""Where the observation has them; heading and the other velocities stand before."""


def search(instance: Mapping[str, Any], *, phases: str, frequencies: str, seed: int) -> dict[str, Floats]:
    """The experiment `search`: every gait that was tried with its return, and the one chosen."""
    rng, envs = np.random.default_rng(seed), gymnasium.make_vec("reproof/Swimmer-v0", num_envs=POPULATION)
    tried: list[Floats] = []
    returns: list[float] = []

    def swim(gaits: list[Floats]) -> list[float]:
        policies = [Oscillators(both_joints(*gait), instance["gains"]) for gait in gaits]
        states, _ = envs.reset(seed=rng.integers(2**31, size=POPULATION).tolist())
        rewards = np.zeros((instance["steps"], POPULATION))
        for step in range(instance["steps"]):
            read = zip(policies, states[:, JOINTS].tolist(), states[:, JOINT_VELOCITIES].tolist(), strict=True)
            torques = [policy.torques(positions, velocities) for policy, positions, velocities in read]
            actions = np.clip(torques, -1.0, 1.0).astype(np.float32)  # whatever is no action is refused
            states, rewards[step], *_ = envs.step(actions)
        return rewards.sum(axis=0).tolist()

    def values(points: Floats) -> list[float]:
        gaits = [gait_of(point, phases, frequencies) for point in points]
        tried.extend(gaits)
        returns.extend(swim(gaits))
        return returns[-POPULATION:]

    dimension = 2 + (phases == "shifted") + (frequencies == "separate")
    batches = round(RANDOM_SHARE * instance["episodes"]) // POPULATION
    points = rng.uniform(size=(batches, POPULATION, dimension))
    best = points.reshape(-1, dimension)[np.argmax([values(batch) for batch in points])]
    cma_es(values, best, generations=instance["episodes"] // POPULATION - batches, rng=rng)
    chosen = tried[most_reliable(np.array(tried), np.array(returns))]
    return {"tried": np.array(tried), "returns": np.array(returns), "chosen": chosen}


def gait_of(point: Floats, phases: str, frequencies: str) -> Floats:
    """Amplitude, phase, swing and stance frequency from coordinates in which the search box is the unit cube."""
    amplitude = 0.3 + 1.2 * np.clip(point[0], 0.0, 1.0)
    swing = 0.3 * 5.0 ** np.clip(point[1], 0.0, 1.0)
    stance = 0.3 * 5.0 ** np.clip(point[2], 0.0, 1.0) if frequencies == "separate" else swing
    phase = point[-1] % 1.0 if phases == "shifted" else 0.0
    return np.array([amplitude, phase, swing, stance])


def most_reliable(tried: Floats, returns: Floats) -> int:
    """The gait that did best together with those most like it: next to equal phases single returns are luck."""
    parts = (tried[:, 0] / 1.2, *np.log(tried[:, 2:].T) / np.log(5.0))
    turns = np.abs(tried[:, None, 1] - tried[:, 1])
    distances = np.minimum(turns, 1.0 - turns) ** 2
    for part in parts:
        distances += (part[:, None] - part) ** 2
    alike = np.argsort(distances, axis=1)[:, :NEIGHBOURS]
    return int(np.argmax(returns[alike].mean(axis=1)))


def cma_es(values: Any, mean: Floats, *, generations: int, rng: np.random.Generator) -> None:
    """Maximise `values` by CMA-ES from a mean; equations and constants of the tutorial's figure 6 and table 1."""
    size, parents = len(mean), POPULATION // 2
    weights = np.log((POPULATION + 1) / 2) - np.log(np.arange(1, parents + 1))
    weights /= weights.sum()
    mass = 1.0 / np.square(weights).sum()
    c_sigma = (mass + 2) / (size + mass + 5)
    damping = 1 + 2 * max(0.0, np.sqrt((mass - 1) / (size + 1)) - 1) + c_sigma
    c_c = (4 + mass / size) / (size + 4 + 2 * mass / size)
    c_1 = 2 / ((size + 1.3) ** 2 + mass)
    c_mu = min(1 - c_1, 2 * (mass - 2 + 1 / mass) / ((size + 2) ** 2 + mass))
    expected = np.sqrt(size) * (1 - 1 / (4 * size) + 1 / (21 * size**2))
    sigma, covariance = STEP_SIZE, np.eye(size)
    path_sigma, path_c = np.zeros(size), np.zeros(size)
    for generation in range(1, generations + 1):
        scales, axes = np.linalg.eigh(covariance)
        scales = np.sqrt(np.maximum(scales, 1e-12))
        moves = (rng.standard_normal((POPULATION, size)) * scales) @ axes.T
        order = np.argsort(np.negative(values(mean + sigma * moves)))
        selected = moves[order[:parents]]
        move = weights @ selected
        mean = mean + sigma * move
        whitened = axes @ ((axes.T @ move) / scales)
        path_sigma = (1 - c_sigma) * path_sigma + np.sqrt(c_sigma * (2 - c_sigma) * mass) * whitened
        length = np.linalg.norm(path_sigma)
        small = length / np.sqrt(1 - (1 - c_sigma) ** (2 * generation)) < (1.4 + 2 / (size + 1)) * expected
        path_c = (1 - c_c) * path_c + small * np.sqrt(c_c * (2 - c_c) * mass) * move
        covariance = (
            (1 - c_1 - c_mu) * covariance
            + c_1 * (np.outer(path_c, path_c) + (1 - small) * c_c * (2 - c_c) * covariance)
            + c_mu * (selected.T * weights) @ selected
        )
        sigma *= np.exp((c_sigma / damping) * (length / expected - 1))
