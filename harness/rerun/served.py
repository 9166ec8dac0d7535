"""What the gateway serves to one run: the environments of its experiment, made as its instance says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import PaperError
from harness.gateway.offer import Offer, Served
from harness.paper.load import Paper
from harness.paper.schema import Environment
from harness.rerun.instance import SERVED, Instance
from harness.rerun.plan import Unit

METERED = "metered.npy"
"""In a run's folder: the episode log."""


def offer_of(unit: Unit, paper: Paper, folder: Path) -> Offer | None:
    """What is served to a run; None: nothing is.

    Args:
        unit: The run.
        paper: Its paper, with environments.py if one is made from it.
        folder: Where the server writes.

    Raises:
        PaperError: The instance lacks a key that a constructor is to be given.
    """
    environments = paper.spec.experiments[unit.experiment].environments
    if not environments:
        return None
    served = {id: _served(id, environment, unit, paper) for id, environment in environments.items()}
    return Offer(environments=served, secret=unit.secret, log=str(folder.absolute()))


def _served(id: str, environment: Environment, unit: Unit, paper: Paper) -> Served:
    file, colon, name = environment.make.rpartition(":")
    known = _known(unit.instance)
    for key in environment.parameters:
        if key not in known:
            where = f"{paper.folder / 'paper.yaml'} experiments.{unit.experiment}.environments.{id}.parameters"
            raise PaperError(f"the instance {unit.instance.label} lacks a key", where=where, expected=key)
    return Served(
        make=f"{paper.folder / file}:{name}" if colon else environment.make,
        keywords={key: known[key] for key in environment.parameters},
        steps=environment.steps,
        evaluation_steps=environment.evaluation_steps,
        max_episode_steps=environment.max_episode_steps,
    )


def _known(instance: Instance) -> Mapping[str, Any]:
    """The instance's values, with arrays as lists, covered by what is served only."""
    seen = instance.as_seen()
    listed = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in seen.items()}
    return {**listed, **listed.get(SERVED, {})}
