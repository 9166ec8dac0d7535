"""Instances: the data an experiment is run on, pinned in paper.yaml or drawn for one attempt."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from harness.errors import PaperError, RecordError
from harness.paper.claims import InstanceSet
from harness.paper.load import Paper
from harness.paper.plugin import load_plugin
from harness.record.files import canonical, named, private_folder, write_text

SERVED = "served"
"""The key of what only the gateway's environments are given."""


@dataclass(frozen=True, kw_only=True)
class Instance:
    """One instance: JSON values, and arrays that travel as `.npy` files beside RUN.json."""

    experiment: str
    which: InstanceSet
    index: int
    values: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content; two instances of one content are the same."""
        digest = hashlib.sha256(canonical(self.values))
        for name, array in sorted(self.arrays.items()):
            digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    @property
    def label(self) -> str:
        """`pinned 1`, `held_out 2`: for people, from 1."""
        return f"{self.which} {self.index + 1}"

    def as_seen(self) -> dict[str, Any]:
        """What metrics receive: values and arrays together, what is served only among them."""
        return {**self.values, **self.arrays}

    def as_sent(self) -> dict[str, Any]:
        """What RUN.json says; an array stands as `{"npy": file}`, and what is served only is left out."""
        shown = {key: value for key, value in self.values.items() if key != SERVED}
        return {**shown, **{name: {"npy": f"{name}.npy"} for name in self.arrays}}

    def write_arrays(self, folder: Path) -> None:
        """Lay the arrays into a folder."""
        for name, array in self.arrays.items():
            with named(folder / f"{name}.npy"):
                np.save(folder / f"{name}.npy", array, allow_pickle=False)


def pinned(paper: Paper, experiment: str) -> list[Instance]:
    """The pinned instances of an experiment."""
    return [
        Instance(experiment=experiment, which="pinned", index=index, values=values, arrays={})
        for index, values in enumerate(paper.spec.instances_of(experiment).pinned)
    ]


def draw(paper: Paper, experiment: str, entropy: int) -> list[Instance]:
    """Draw an experiment's held-out instances with the paper's private generator.

    Args:
        paper: The paper, with its private folder.
        experiment: The experiment whose own instances are drawn.
        entropy: Fresh for each attempt.

    Raises:
        PaperError: The generator fails or returns something that cannot travel.
    """
    count = paper.spec.instances_of(experiment).count("held_out")
    if count == 0:
        return []
    file = paper.private_file("instances.py")
    generator = load_plugin(file)
    name = int.from_bytes(hashlib.sha256(experiment.encode()).digest()[:8], "big")
    rng = np.random.default_rng([entropy, name])
    return [_drawn(generator, file, experiment, index, rng) for index in range(count)]


def _drawn(generator: Any, file: Path, experiment: str, index: int, rng: np.random.Generator) -> Instance:
    try:
        drawn = generator.draw(experiment, rng)
        arrays = {key: value for key, value in drawn.items() if isinstance(value, np.ndarray)}
        values = json.loads(canonical({key: value for key, value in drawn.items() if key not in arrays}))
        json.dumps(values, allow_nan=False)  # RUN.json is read by programs in any language, and JSON has no NaN
    except Exception as error:
        raise PaperError(
            f"the generator of held-out instances failed for {experiment}",
            where=file,
            expected="draw(experiment, rng) -> dict of JSON values and arrays",
            got=f"{type(error).__name__}: {error}",
        ) from error
    return Instance(experiment=experiment, which="held_out", index=index, values=values, arrays=arrays)


def save(instance: Instance, folder: Path) -> None:
    """Keep an instance as a folder of JSON and arrays."""
    private_folder(folder)
    instance.write_arrays(folder)
    content = {"values": instance.values, "arrays": sorted(instance.arrays), "digest": instance.digest}
    write_text(folder / "instance.json", json.dumps(content))


def restore(folder: Path, experiment: str, which: InstanceSet, index: int) -> Instance:
    """Read a kept instance back; it may have come from elsewhere.

    Raises:
        RecordError: It is missing or not what was kept.
    """
    try:
        content = json.loads((folder / "instance.json").read_text())
        arrays = {name: _array(folder, name) for name in content["arrays"]}
        values = {**content["values"]}
        instance = Instance(experiment=experiment, which=which, index=index, values=values, arrays=arrays)
        digest, kept = instance.digest, content["digest"]
    except Exception as error:  # json and numpy have many ways to refuse a hostile file
        raise RecordError("this held-out instance cannot be read back", where=folder, got=error) from None
    if digest != kept:
        raise RecordError("this held-out instance was changed", where=folder, expected=kept, got=digest)
    return instance


def _array(folder: Path, name: str) -> NDArray[Any]:
    """One array: no pickle, no other file's, and no longer than its file, whatever its header says."""
    if Path(name).name != name:
        raise ValueError(f"no array has this name: {name!r}")
    return np.array(npy.open_memmap(folder / f"{name}.npy", mode="r"))
