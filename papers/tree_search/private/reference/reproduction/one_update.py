"""Experiment `one_update`: a single iteration of both versions, with and without noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from reproduction.operators import greedy, lookahead, tabular, update


def one_update(instance: dict[str, Any], parameters: dict[str, Any], seed: int) -> dict[str, NDArray[Any]]:
    """The look-ahead values, the h-greedy policy, and what each version makes of the given values."""
    model = tabular(instance["transitions"], instance["rewards"], discount=instance["discount"])
    values, noise = (np.asarray(instance[key], dtype=np.float64) for key in ("values", "noise"))
    depth, steps = instance["depth"], instance["steps"]
    tree = lookahead(model, values, depth=depth)
    outputs = {"lookahead": tree, "greedy": greedy(model, tree)}
    for version in ("contracting", "naive"):
        outputs[version] = update(model, values, version=version, depth=depth, steps=steps)
        outputs[f"noisy_{version}"] = update(model, values, version=version, depth=depth, steps=steps, noise=noise)
    return outputs
