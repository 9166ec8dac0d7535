"""Run one experiment: `python -m reproduction RUN.json OUT/`."""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from reproduction.experiments import EXPERIMENTS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m reproduction", description=__doc__)
    parser.add_argument("run", type=Path, help="RUN.json")
    parser.add_argument("out", type=Path, help="folder of the outputs")
    arguments = parser.parse_args()

    run = read_run(arguments.run)
    outputs = EXPERIMENTS[run["experiment"]](run["instance"], run["parameters"], run["seed"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, array in outputs.items():
        np.save(arguments.out / f"{name}.npy", array, allow_pickle=False)


def read_run(path: Path) -> dict[str, Any]:
    """The run with every `{"npy": "name.npy"}` replaced by the array in that file beside it."""

    def loaded(item: dict[str, Any]) -> Any:
        return np.load(path.parent / item["npy"], allow_pickle=False) if item.keys() == {"npy"} else item

    return json.loads(path.read_text(), object_hook=loaded)


if __name__ == "__main__":
    main()
