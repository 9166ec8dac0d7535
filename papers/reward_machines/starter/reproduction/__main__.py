"""Entry point of the contract: `python -m reproduction RUN.json OUT/` reads one run and writes its outputs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environments
import numpy as np
from numpy.typing import NDArray

from reproduction.hierarchy import options
from reproduction.learning import update
from reproduction.machines import experiences, machine
from reproduction.office import learn

EXPERIMENTS: dict[str, Callable[[dict[str, Any], dict[str, Any], int], dict[str, NDArray[Any]]]] = {
    "multi": learn,
    "single": learn,
    "machine": machine,
    "experiences": experiences,
    "update": update,
    "options": options,
}


def main(run_file: Path, out: Path) -> None:
    """Run the experiment that RUN.json names and write each output as `OUT/<name>.npy`."""
    run = json.loads(run_file.read_text())
    if EXPERIMENTS[run["experiment"]] is learn:
        environments.register(run["instance"])  # in process, where the harness serves nothing
    outputs = EXPERIMENTS[run["experiment"]](run["instance"], run["parameters"], run["seed"])
    out.mkdir(parents=True, exist_ok=True)
    for name, array in outputs.items():
        np.save(out / f"{name}.npy", array, allow_pickle=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
