"""Entry point of the submission contract: `python -m reproduction RUN.json OUT/` runs one experiment once."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reproduction import gaits, oscillators


def run(experiment: str, parameters: Mapping[str, Any], instance: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One experiment; returns each declared output's array by the stem of its file's name."""
    if experiment == "gaits":
        return {"torques": gaits.gaits(instance, **parameters)}
    if experiment == "robustness":
        return {"torques": gaits.robustness(instance, **parameters, seed=seed)}
    if experiment == "rollout":
        return gaits.rollout(instance)
    if experiment == "oscillators":
        return oscillators.oscillators(instance)
    if experiment == "search":
        from reproduction import search  # Gymnasium takes a moment to import; nothing else needs it

        return search.search(instance, **parameters, seed=seed)
    raise SystemExit(f"unknown experiment: {experiment}")


def read_instance(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The instance with every `{"npy": NAME}` replaced by the array in that file beside RUN.json."""
    return {
        name: np.load(folder / value["npy"], allow_pickle=False)
        if isinstance(value, dict) and set(value) == {"npy"}
        else value
        for name, value in values.items()
    }


def main(run_file: Path, out: Path) -> None:
    """Read RUN.json, run its experiment and write its outputs as float64 arrays."""
    task = json.loads(run_file.read_text())
    outputs = run(
        task["experiment"], task["parameters"], read_instance(task["instance"], run_file.parent), task["seed"]
    )
    out.mkdir(parents=True, exist_ok=True)
    for name, array in outputs.items():
        np.save(out / f"{name}.npy", np.asarray(array, dtype=np.float64), allow_pickle=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
