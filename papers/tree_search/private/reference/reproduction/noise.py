"""Experiment `noise`: both versions with uniform noise on the leaf values of every tree."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.operators import grids, update


def noise(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """Fresh noise for every state in every iteration; value functions are recorded after the burn-in."""
    rewards = np.asarray(instance["rewards"], dtype=np.float64)
    model = grids(rewards, instance["size"], discount=instance["discount"])
    rng = np.random.default_rng(seed)
    initial = rng.standard_normal(rewards.shape)
    recorded = []
    for depth, steps in instance["pairs"]:
        values, rows = initial, []
        for iteration in range(1, instance["iterations"] + 1):
            disturbance = rng.uniform(-instance["amplitude"], instance["amplitude"], rewards.shape)
            values = update(model, values, version=parameters["version"], depth=depth, steps=steps, noise=disturbance)
            if iteration > instance["burn_in"] and iteration % instance["record_every"] == 0:
                rows.append(values)
        recorded.append(rows)
    return {"values": np.array(recorded)}
