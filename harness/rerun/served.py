"""What the gateway serves: to a run its experiment's environments, to a participant's commands the pinned ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from harness.errors import PaperError, UsageError, unknown
from harness.gateway.offer import Offer, Served
from harness.paper.load import Paper
from harness.paper.schema import Environment
from harness.rerun.instance import SERVED, Instance, pinned
from harness.rerun.plan import Unit

METERED = "metered.npy"
"""In a run's folder: the episode log."""
AMPLE = 10**6
"""A command of a participant's may take so many times the steps of a run: the budget alone is to limit it."""


def offer_of(unit: Unit, paper: Paper, folder: Path) -> Offer | None:
    """What is served to a run; None: nothing is.

    Args:
        unit: The run.
        paper: Its paper, with environments.py if one is made from it.
        folder: Where the server writes.

    Raises:
        PaperError: The instance lacks a key that a constructor is to be given.
    """
    served = served_in(paper, unit.experiment, unit.instance)
    return Offer(environments=served, secret=unit.secret, log=str(folder.absolute())) if served else None


def served_in(paper: Paper, experiment: str, instance: Instance) -> dict[str, Served]:
    """The environments of an experiment, by id, as an instance says.

    Raises:
        PaperError: The instance lacks a key that a constructor is to be given.
    """
    environments = paper.spec.experiments[experiment].environments
    return {id: _served(id, environment, experiment, instance, paper) for id, environment in environments.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """What a participant's own commands are served."""

    environments: dict[str, Served]
    """By id, with more steps than any budget has."""
    experiments: dict[str, str]
    """By id: the experiment whose environment it is."""
    others: dict[str, list[str]]
    """By id: experiments that mean another environment by it."""
    drawn: dict[str, str]
    """By id of what is not served: an experiment whose instances are all drawn for a submission."""


def stand_of(paper: Paper, *, experiment: str | None = None, instance: int = 1) -> Stand:
    """What commands are served: each id as in one experiment, on a pinned instance.

    Args:
        paper: The paper.
        experiment: Whose environments; None: of each id those of the first experiment that has it.
        instance: Which pinned instance of the experiment that is named, from 1.

    Raises:
        UsageError: Of no such experiment or instance can environments be served.
    """
    known = [name for name, spec in paper.spec.experiments.items() if spec.environments]
    if experiment is not None and experiment not in known:
        raise unknown("experiment with environments", experiment, known, where=paper.id)
    if experiment is None and instance != 1:
        raise UsageError("an instance belongs to an experiment", where=paper.id, remedy="say whose: --experiment NAME")
    stand = Stand(environments={}, experiments={}, others={}, drawn={})
    for name in [experiment] if experiment else known:
        chosen = _chosen(paper, name, instance)
        if chosen is None:
            stand.drawn.update({id: name for id in paper.spec.experiments[name].environments})
        else:
            _add(stand, name, served_in(paper, name, chosen))
    for id in stand.environments:
        stand.drawn.pop(id, None)
    if experiment is not None and stand.drawn:
        message = "its environments are made of what is drawn for a submission, so there is none to try"
        raise UsageError(message, where=f"experiment {experiment}", remedy="`reproof check` says what can be rehearsed")
    return stand


def _chosen(paper: Paper, experiment: str, number: int) -> Instance | None:
    """A pinned instance; where there is none, an empty one will do for environments that are made of nothing."""
    instances = pinned(paper, experiment)
    if instances and not 1 <= number <= len(instances):
        expected = f"1 to {len(instances)}" if len(instances) > 1 else "1"
        raise UsageError("there is no such pinned instance", where=experiment, expected=expected, got=number)
    if instances:
        return instances[number - 1]
    bare = not any(one.parameters for one in paper.spec.experiments[experiment].environments.values())
    return Instance(experiment=experiment, which="pinned", index=0, values={}, arrays={}) if bare else None


def _add(stand: Stand, experiment: str, served: dict[str, Served]) -> None:
    for id, one in served.items():
        ample = msgspec.structs.replace(one, steps=one.steps * AMPLE, evaluation_steps=one.evaluation_steps * AMPLE)
        if stand.environments.setdefault(id, ample) is ample:
            stand.experiments[id] = experiment
        elif _making(stand.environments[id]) != _making(ample):
            stand.others.setdefault(id, []).append(experiment)


def _making(served: Served) -> tuple[object, ...]:
    """What an environment is, its steps apart."""
    return served.make, served.keywords, served.max_episode_steps


def _served(id: str, environment: Environment, experiment: str, instance: Instance, paper: Paper) -> Served:
    file, colon, name = environment.make.rpartition(":")
    known = _known(instance)
    for key in environment.parameters:
        if key not in known:
            where = f"{paper.folder / 'paper.yaml'} experiments.{experiment}.environments.{id}.parameters"
            raise PaperError(f"the instance {instance.label} lacks a key", where=where, expected=key)
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
