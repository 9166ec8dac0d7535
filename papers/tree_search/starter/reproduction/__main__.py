"""Entry point of the contract: `python -m reproduction RUN.json OUT/` reads one run and writes its outputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reproduction.noise import noise
from reproduction.one_update import one_update
from reproduction.planning import planning

EXPERIMENTS: dict[str, Callable[[dict[str, Any], dict[str, Any], int], dict[str, NDArray[Any]]]] = {
    "planning": planning,
    "noise": noise,
    "one_update": one_update,
}


def main(run_file: Path, out: Path) -> None:
    """Run the experiment that RUN.json names and write each output as `OUT/<name>.npy`."""
    run = json.loads(run_file.read_text())
    instance = {key: _resolved(value, run_file.parent) for key, value in run["instance"].items()}
    outputs = EXPERIMENTS[run["experiment"]](instance, run["parameters"], run["seed"])
    out.mkdir(parents=True, exist_ok=True)
    for name, array in outputs.items():
        np.save(out / f"{name}.npy", array, allow_pickle=False)


def _resolved(value: Any, folder: Path) -> Any:
    """An instance's value; `{"npy": "name.npy"}` stands for the array in that file beside RUN.json."""
    if isinstance(value, dict) and set(value) == {"npy"}:
        return np.load(folder / value["npy"], allow_pickle=False)
    return value


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
