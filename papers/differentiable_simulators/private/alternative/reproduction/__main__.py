"""Entry point of the submission contract: `python -m reproduction RUN.json OUT/` runs one experiment once."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from reproduction.experiments import EXPERIMENTS


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
    outputs = EXPERIMENTS[task["experiment"]](instance, task["parameters"], task["seed"])
    out.mkdir(parents=True, exist_ok=True)
    for name, array in outputs.items():
        np.save(out / f"{name}.npy", np.asarray(array, dtype=np.float64), allow_pickle=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
