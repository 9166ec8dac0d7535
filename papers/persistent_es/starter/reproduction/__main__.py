"""Entry point of the submission contract: `python -m reproduction RUN.json OUT/` runs one experiment once."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reproduction import influence_balancing, toy_regression


def run(experiment: str, parameters: Mapping[str, Any], instance: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """One experiment; returns each declared output's array by the stem of its file's name."""
    if experiment == "influence_balancing":
        theta = influence_balancing.train(
            instance, method=parameters["method"], unroll_length=parameters["unroll"], seed=seed
        )
        return {"theta": theta}
    if experiment == "exact_gradient":
        return {"gradient": [influence_balancing.exact_gradient(instance, unroll_length=parameters["unroll"])]}
    if experiment == "estimator_mean":
        estimates = influence_balancing.estimator_mean(
            instance, method=parameters["method"], unroll_length=parameters["unroll"], seed=seed
        )
        return {"estimates": estimates}
    if experiment == "influence_update":
        return influence_balancing.one_update(instance, method=parameters["method"])
    if experiment == "toy_regression":
        theta = toy_regression.train(
            instance,
            method=parameters["method"],
            unroll_length=parameters["unroll"],
            sigma=parameters["sigma"],
            updates=parameters["updates"],
            seed=seed,
        )
        return {"theta": theta}
    if experiment == "toy_update":
        return toy_regression.consecutive_updates(instance)
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
    instance = read_instance(task["instance"], run_file.parent)
    outputs = run(task["experiment"], task["parameters"], instance, task["seed"])
    out.mkdir(parents=True, exist_ok=True)
    for name, array in outputs.items():
        np.save(out / f"{name}.npy", np.asarray(array, dtype=np.float64), allow_pickle=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
