"""The schema of paper.yaml: what is run, what is measured, what is claimed, and what a participant may spend."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from harness.paper.claims import Claim, Entry, InstanceSet, Probe, Scalar, Selection
from harness.paper.fields import Bytes, Count, Seconds
from harness.paper.rubric import Group, Share, shares

WALL_OVER_CPU = 5.0
"""Wall time guards a run at this many times its CPU limit, and decides nothing by itself."""
_ENVIRONMENT = r"^reproof/[A-Za-z][A-Za-z0-9_]*-v\d+$"
_IDENTIFIER = r"^[a-z][a-z0-9_]*$"


class Award(Entry):
    """The award that makes the paper one of ours."""

    name: str
    source: str
    """The announcement it was verified in."""


class Code(Entry):
    """The authors' own code."""

    url: str
    commit: str
    licence: str


class Array(Entry):
    """One array: its dtype, its shape, and whether NaN and infinity are errors."""

    dtype: Literal["float64", "float32", "int64", "int32", "uint8", "bool"]
    shape: list[int | Literal["any"]]
    """Each extent, or `any`."""
    finite: bool = True


class ArrayOutput(Array):
    """A `.npy` file."""

    file: str = Field(pattern=r"^[A-Za-z0-9_]+\.npy$")


class ArchiveOutput(Entry):
    """An `.npz` file of declared arrays, each without pickles."""

    file: str = Field(pattern=r"^[A-Za-z0-9_]+\.npz$")
    arrays: dict[str, Array] = Field(min_length=1)


class JsonOutput(Entry):
    """A `.json` file: one object with declared keys."""

    file: str = Field(pattern=r"^[A-Za-z0-9_]+\.json$")
    keys: dict[str, Literal["int", "float", "str", "bool", "list"]] = Field(min_length=1)
    finite: bool = True


def _suffix(value: Any) -> str:
    """The form of an output, told from its file's name, so that an error speaks of that form alone."""
    file = value.get("file") if isinstance(value, dict) else getattr(value, "file", None)
    suffix = str(file).rpartition(".")[2]
    return suffix if suffix in ("npz", "json") else "npy"


Output = Annotated[
    Annotated[ArrayOutput, Tag("npy")] | Annotated[ArchiveOutput, Tag("npz")] | Annotated[JsonOutput, Tag("json")],
    Discriminator(_suffix),
]


class RunLimits(Entry):
    """What one run may use."""

    cpu: Seconds
    memory: Bytes = 2**30
    processes: int = Field(default=64, ge=1)
    disk: Bytes = 256 * 2**20

    @property
    def wall(self) -> float:
        """The guard in seconds; a run that it ends early is a fault of ours."""
        return WALL_OVER_CPU * self.cpu


class Environment(Entry):
    """An environment that the harness owns while an experiment runs."""

    make: str = Field(pattern=r"^(environments\.py:[A-Za-z_]\w*|[A-Za-z0-9_/]+-v\d+)$")
    """A Gymnasium id, or `environments.py:` and a class in the paper's file of that name."""
    steps: Count = Field(ge=1)
    """How many a run may take in the training stream."""
    evaluation_steps: Count = 0
    """How many a run may take in the evaluation stream; 0: there is none."""
    parameters: list[str] = []
    """Keys of the instance that the constructor is given by name, those beneath its `served` first."""
    max_episode_steps: int | None = Field(default=None, ge=1)
    """Where an episode is truncated; None: where Gymnasium's id says, or not at all."""


class Drawn(Entry):
    """Instances drawn afresh for each attempt by private/instances.py."""

    count: int = Field(default=1, ge=1)


class Instances(Entry):
    """What an experiment is run on."""

    pinned: list[dict[str, Any]] = []
    """JSON objects, the same for everybody and public."""
    held_out: Drawn | None = None

    @field_validator("pinned", mode="before")
    @classmethod
    def _one_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value

    @field_validator("pinned")
    @classmethod
    def _travels(cls, value: list[dict[str, Any]]) -> list[dict[str, Any]]:
        try:
            same = json.loads(json.dumps(value, allow_nan=False)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise ValueError("a pinned instance holds JSON: texts, finite numbers, true, false, null, lists, objects")
        return value

    @model_validator(mode="after")
    def _not_empty(self) -> Instances:
        if not self.pinned and self.held_out is None:
            raise ValueError("an experiment needs a pinned or a held-out instance")
        return self

    def count(self, which: InstanceSet) -> int:
        """How many instances the set has."""
        return len(self.pinned) if which == "pinned" else (self.held_out.count if self.held_out else 0)


class Experiment(Entry):
    """One command of the submission contract."""

    summary: str
    cases: list[dict[str, Scalar]] = [{}]
    """The cases of parameters; every case has the same keys."""
    instances: Instances | None = None
    """Left out where `needs` names an experiment, whose instances are then used."""
    deterministic: bool | list[dict[str, Scalar]] = False
    """True, or the partial cases that do not depend on the seed; they take one slot."""
    saturates: bool = False
    """Whether different seeds may honestly give identical outputs."""
    outputs: dict[str, Output] = Field(min_length=1)
    environments: dict[Annotated[str, Field(pattern=_ENVIRONMENT)], Environment] = {}
    """What the gateway serves, by the id that `gymnasium.make` is given."""
    limits: RunLimits
    needs: str | None = None
    """An experiment whose outputs are mounted read-only, of the same slot, instance and case."""

    @property
    def steps_in_all(self) -> int:
        """How many steps one run may take, of all its environments and in both streams."""
        return sum(served.steps + served.evaluation_steps for served in self.environments.values())

    def is_deterministic(self, case: dict[str, Scalar]) -> bool:
        """Whether a case does not depend on the seed."""
        if isinstance(self.deterministic, bool):
            return self.deterministic
        return any(partial.items() <= case.items() for partial in self.deterministic)

    def cases_of(self, selection: Selection) -> list[dict[str, Scalar]]:
        """The cases that a selection's parameters match."""
        return [case for case in self.cases if selection.case.items() <= case.items()]


class Seeds(Entry):
    """Seed slots, shared by all experiments of the paper."""

    looks: list[int] = [3, 5, 7, 10]
    """After how many filled slots the verdict is looked at; the last is the most that is run."""
    reference: int = Field(default=5, ge=2)
    """How many slots the reference fills on a held-out instance."""

    @field_validator("looks")
    @classmethod
    def _rising(cls, looks: list[int]) -> list[int]:
        if not looks or looks[0] < 2 or any(a >= b for a, b in pairwise(looks)):
            raise ValueError("looks must rise, from at least 2")
        return looks


class Metric(Entry):
    """A function of metrics.py and how far it can be trusted."""

    summary: str
    trust: Literal["metered", "recomputed", "reported"]
    """`metered`: from the gateway's log of episodes; `recomputed`: the harness evaluates an artefact itself;
    `reported`: a number the submission wrote."""
    kind: Literal["number", "curve"] = "number"
    unit: str = ""


class Budget(Entry):
    """What a participant may spend on the paper, human or agent."""

    working: Seconds
    wall: Seconds
    cpu: Seconds
    disk: Bytes = 2**30
    env_steps: Count | None = Field(default=None, ge=1)
    """Steps of environments; None: not limited."""
    tokens: Count | None = Field(default=None, ge=1)
    """Of language models, asked and answered together; None: not limited."""
    dollars: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """That language models cost; None: not limited."""


class PaperSpec(Entry):
    """The whole of a paper.yaml."""

    title: str
    authors: list[str] = Field(min_length=1)
    venue: str
    year: int = Field(ge=1950, le=2100)
    arxiv: str | None = None
    award: Award
    code: Code | None = None
    summary: str
    seeds: Seeds = Seeds()
    budgets: dict[str, Budget]
    experiments: dict[str, Experiment] = Field(min_length=1)
    metrics: dict[str, Metric] = {}
    claims: dict[str, Claim] = Field(min_length=1)
    probes: dict[str, Probe] = {}
    rubric: dict[str, Group] = Field(min_length=1)

    @field_validator("experiments", "metrics", "claims", "probes", "rubric")
    @classmethod
    def _identifiers(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if not re.match(_IDENTIFIER, name):
                raise ValueError(f"names are lower case with underscores, got {name!r}")
        return value

    @field_validator("budgets")
    @classmethod
    def _standard_budget(cls, value: dict[str, Budget]) -> dict[str, Budget]:
        if "standard" not in value:
            raise ValueError("a budget named `standard` is needed")
        return value

    def leaf(self, name: str) -> Claim | Probe:
        """The claim or probe of that name.

        Raises:
            KeyError: There is none.
        """
        return self.claims[name] if name in self.claims else self.probes[name]

    def leaves(self) -> Iterator[tuple[str, Claim | Probe]]:
        """All claims, then all probes."""
        yield from self.claims.items()
        yield from self.probes.items()

    def shares(self) -> list[Share]:
        """Every leaf's share of the whole, in the order of the rubric."""
        return shares(self.rubric, {name: leaf.weight for name, leaf in self.leaves()})

    def instances_of(self, experiment: str) -> Instances:
        """The instances of an experiment, its needed experiment's where it has none of its own."""
        spec = self.experiments[experiment]
        if spec.instances is not None:
            return spec.instances
        return self.instances_of(spec.needs) if spec.needs else Instances(pinned=[{}])
