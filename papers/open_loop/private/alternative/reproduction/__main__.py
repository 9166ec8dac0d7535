"""`python -m reproduction RUN.json OUT/` runs one experiment once."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

EXPERIMENTS = {
    "gaits": "swims",
    "robustness": "swims",
    "rollout": "swims",
    "oscillators": "tracking",
    "search": "hunt",
}
"""The module of each experiment; its function is called like the experiment."""


def resolved(value: Any, folder: Path) -> Any:
    """A value of the instance, with every `{"npy": NAME}` in it replaced by the array in that file."""
    if isinstance(value, dict):
        if set(value) == {"npy"}:
            return np.load(folder / value["npy"], allow_pickle=False)
        return {name: resolved(inner, folder) for name, inner in value.items()}
    return value


def main(run_file: Path, out: Path) -> None:
    """Run what RUN.json says and save every output as float64."""
    task = json.loads(run_file.read_text())
    name = task["experiment"]
    experiment = getattr(importlib.import_module(f"reproduction.{EXPERIMENTS[name]}"), name)
    instance = resolved(task["instance"], run_file.parent)
    outputs = experiment(instance, seed=task["seed"], **task["parameters"])
    out.mkdir(parents=True, exist_ok=True)
    for stem, array in outputs.items():
        np.save(out / f"{stem}.npy", np.asarray(array, dtype=np.float64), allow_pickle=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
