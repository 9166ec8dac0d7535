"""Series among a run's outputs, as curves over their index: what an algorithm did from step to step."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import OutputError
from harness.paper.schema import ArrayOutput, Experiment
from harness.rerun.outputs import load_output

_LEAST, _MOST = 10, 100
"""Points that make a curve, and points that are enough to see it."""
_COLUMNS = 4


def series(folder: Path, experiment: Experiment) -> Iterator[tuple[str, float, int]]:
    """The points of every output that is a series, thinned: `output/NAME`, value, index.

    A vector is one, and so is a table of a few columns, each of them a curve.

    Args:
        folder: The outputs of a run.
        experiment: What they were declared to be.
    """
    for name, output in experiment.outputs.items():
        if isinstance(output, ArrayOutput) and _is_series(output.shape):
            with contextlib.suppress(OutputError):  # the run's own record says what is wrong with it
                array = load_output(folder, name, output, largest=experiment.limits.disk)
                yield from _points(f"output/{name}", array)


def _is_series(shape: list[Any]) -> bool:
    return len(shape) == 1 or (len(shape) == 2 and shape[1] != "any" and shape[1] <= _COLUMNS)


def _points(name: str, array: Any) -> Iterator[tuple[str, float, int]]:
    if len(array) < _LEAST or array.dtype.kind not in "fiu":
        return
    if array.ndim == 2:
        for column in range(array.shape[1]):
            yield from _points(f"{name}/{column}", array[:, column])
        return
    steps = np.unique(np.linspace(0, len(array) - 1, _MOST).round().astype(int))
    yield from ((name, float(array[step]), int(step)) for step in steps)
