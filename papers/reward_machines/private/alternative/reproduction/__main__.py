"""Entry point: `python -m reproduction RUN.json OUT/`."""

import json
import sys
from pathlib import Path

import numpy as np

from reproduction import lifetime, replay

EXPERIMENTS = {
    "multi": lifetime.live,
    "single": lifetime.live,
    "machine": replay.machine,
    "experiences": replay.experiences,
    "update": replay.update,
    "options": replay.options,
}


def main(run_file: Path, out: Path) -> None:
    """Run what the file asks for and save each output under its name."""
    run = json.loads(run_file.read_text())
    outputs = EXPERIMENTS[run["experiment"]](run["instance"], run["parameters"], run["seed"])
    out.mkdir(parents=True, exist_ok=True)
    for name, array in outputs.items():
        np.save(out / f"{name}.npy", array, allow_pickle=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
