"""What is to be run for one attempt: seeds, held-out instances and the units of work, fixed before the first run."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from harness.errors import RecordError
from harness.paper.claims import Claim, Probe, Scalar, needs_reference, selections
from harness.paper.consistency import needed_cases
from harness.paper.load import Paper
from harness.paper.schema import Experiment, RunLimits
from harness.record.files import canonical
from harness.record.store import Record, read, write
from harness.rerun.instance import Instance, draw, pinned, restore, save

Author = Literal["submission", "reference"]
_LARGEST_SEED = 2**32


class Plan(Record):
    """Seeds and held-out instances of one attempt. Private until the attempt is final."""

    paper: str
    entropy: str
    """128 fresh bits, in hexadecimal; the replicates are chosen from them."""
    seeds: list[int]
    """One a slot, shared by all experiments."""
    reference_seeds: list[int]
    held_out: dict[str, list[str]]
    """Digest of each held-out instance, by experiment."""

    @property
    def public_digest(self) -> str:
        """What may be shown before the attempt is final: it commits to the plan and gives nothing away."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


def make_plan(paper: Paper, folder: Path) -> Plan:
    """Draw a plan from fresh entropy and keep it; a plan that was kept is the plan.

    Args:
        paper: The paper, with its private generator.
        folder: Where the plan and its instances are kept.
    """
    if (folder / "plan.json").exists():
        return read(folder / "plan.json", Plan)
    entropy = secrets.token_hex(16)
    drawn = {
        name: draw(paper, name, int(entropy, 16)) for name, spec in paper.spec.experiments.items() if spec.instances
    }
    for instances in drawn.values():
        for instance in instances:
            save(instance, folder / _place(instance.experiment, instance.index))
    plan = Plan(
        paper=paper.id,
        entropy=entropy,
        seeds=[secrets.randbelow(_LARGEST_SEED) for _ in range(paper.spec.seeds.looks[-1])],
        reference_seeds=[secrets.randbelow(_LARGEST_SEED) for _ in range(paper.spec.seeds.reference)],
        held_out={name: [instance.digest for instance in instances] for name, instances in drawn.items()},
    )
    write(folder / "plan.json", plan)
    return plan


def _place(experiment: str, index: int) -> str:
    return f"{experiment}-{index}"


@dataclass(frozen=True, kw_only=True, eq=False)
class Unit:
    """One run to be done: small enough to send anywhere, and named by its content."""

    author: Author
    experiment: str
    parameters: dict[str, Scalar]
    instance: Instance
    slot: int
    """From 1."""
    seed: int
    replicate: int
    """0, or 1 for the run that repeats a slot."""
    tree: str
    """Git tree of the submission, or of the reference."""
    limits: RunLimits
    circumstances: str
    """Digest of runtime and isolation."""
    needs: Unit | None = None
    secret: str = ""
    """Decides the luck of the environments that the harness serves; empty where it serves none."""

    @cached_property
    def key(self) -> str:
        """SHA-256 of all that decides the outcome."""
        return hashlib.sha256(canonical(self._content())).hexdigest()

    def _content(self) -> dict[str, Any]:
        served = {"environments": self.secret} if self.secret else {}
        return served | {
            "tree": self.tree,
            "experiment": self.experiment,
            "parameters": self.parameters,
            "instance": self.instance.digest,
            "seed": self.seed,
            "replicate": self.replicate,
            "limits": self.limits.model_dump(),
            "circumstances": self.circumstances,
            "needs": self.needs.key if self.needs else None,
        }

    @property
    def label(self) -> str:
        """The unit for people."""
        case = " ".join(f"{key}={value}" for key, value in self.parameters.items())
        repeat = " again" if self.replicate else ""
        return f"{self.experiment} {case} {self.instance.label} slot {self.slot}{repeat}".replace("  ", " ")


Place = tuple[str, dict[str, Scalar], Instance]
"""An experiment, a case and an instance."""


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Turns a plan into units of work."""

    paper: Paper
    plan: Plan
    folder: Path
    """Where the plan's instances are kept."""
    circumstances: str

    @cached_property
    def instances(self) -> dict[str, list[Instance]]:
        """The instances of every experiment, pinned ones first.

        Raises:
            RecordError: A kept instance is not the one of the plan.
        """
        spec = self.paper.spec
        own = {name: self._own(name) for name, experiment in spec.experiments.items() if experiment.instances}
        needed = {name: experiment.needs for name, experiment in spec.experiments.items()}
        return {name: own[name] if name in own else own[str(needed[name])] for name in spec.experiments}

    def _own(self, experiment: str) -> list[Instance]:
        digests = self.plan.held_out.get(experiment, [])
        kept = [
            restore(self.folder / _place(experiment, index), experiment, "held_out", index)
            for index in range(len(digests))
        ]
        if [instance.digest for instance in kept] != digests:
            raise RecordError("a held-out instance is not the one of the plan", where=self.folder / experiment)
        return pinned(self.paper, experiment) + kept

    def submission(self, tree: str, slots: int) -> list[Unit]:
        """All units of a submission up to some filled slots, with the replicates; what no leaf reads is not run.

        Raises:
            RecordError: The plan has not so many seeds, or a kept instance is not the one of the plan.
        """
        if not 1 <= slots <= len(self.plan.seeds):
            seeds = f"{len(self.plan.seeds)} seeds"
            raise RecordError("a plan and its runs do not fit", where=self.folder, expected=f"{slots} slots", got=seeds)
        read = self._read(dict(self.paper.spec.leaves()).values())
        units = [
            unit
            for name, case, instance in read
            for unit in self._slots(tree, name, case, instance, range(1, slots + 1))
        ]
        return units + [self._replicate(tree, name, read) for name in dict.fromkeys(name for name, _, _ in read)]

    def rehearsal(self, tree: str) -> list[Unit]:
        """One run of every case on every pinned instance, read by a leaf or not, and one of each experiment again."""
        places = [
            (name, case, instance)
            for name, experiment in self.paper.spec.experiments.items()
            for case in experiment.cases
            for instance in self.instances[name]
            if instance.which == "pinned"
        ]
        units = [unit for name, case, instance in places for unit in self._slots(tree, name, case, instance, (1,))]
        return units + [self._replicate(tree, name, places) for name in dict.fromkeys(name for name, _, _ in places)]

    def reference(self, tree: str) -> list[Unit]:
        """The units by which the reference answers held-out instances, and the inputs of probes."""
        slots = range(1, len(self.plan.reference_seeds) + 1)
        leaves = [leaf for _, leaf in self.paper.spec.leaves() if needs_reference(leaf)]
        return [
            unit
            for name, case, instance in self._read(leaves)
            for unit in self._slots(tree, name, case, instance, slots, author="reference")
        ]

    def _read(self, leaves: Iterable[Claim | Probe]) -> list[Place]:
        """Every experiment, case and instance that some leaves read, once, in the order of paper.yaml."""
        asked = {
            (selection.experiment, canonical(experiment.cases_of(selection)[0]), selection.instance)
            for leaf in leaves
            for selection in selections(leaf)
            for experiment in [self.paper.spec.experiments[selection.experiment]]
        }
        return [
            (name, case, instance)
            for name, experiment in self.paper.spec.experiments.items()
            for case in experiment.cases
            for instance in self.instances[name]
            if (name, canonical(case), instance.which) in asked
        ]

    def _slots(
        self,
        tree: str,
        name: str,
        case: dict[str, Scalar],
        instance: Instance,
        slots: Iterable[int],
        *,
        author: Author = "submission",
    ) -> Iterator[Unit]:
        once = self.paper.spec.experiments[name].is_deterministic(case)
        for slot in slots:
            if slot == 1 or not once:
                yield self._unit(tree, name, case, instance, slot, author=author)

    def _unit(
        self,
        tree: str,
        name: str,
        case: dict[str, Scalar],
        instance: Instance,
        slot: int,
        *,
        author: Author = "submission",
        replicate: int = 0,
    ) -> Unit:
        experiment = self.paper.spec.experiments[name]
        return Unit(
            author=author,
            experiment=name,
            parameters=case,
            instance=instance,
            slot=slot,
            seed=self._seed(experiment, case, slot, author),
            replicate=replicate,
            tree=tree,
            limits=experiment.limits,
            circumstances=self.circumstances,
            secret=self._secret(experiment, case, instance, slot, author),
            needs=self._needed(tree, experiment, case, instance, slot, author),
        )

    def _seed(self, experiment: Experiment, case: dict[str, Scalar], slot: int, author: Author) -> int:
        """Deterministic cases take seed 0, so that they are never computed twice."""
        if experiment.is_deterministic(case):
            return 0
        return (self.plan.seeds if author == "submission" else self.plan.reference_seeds)[slot - 1]

    def _secret(
        self, experiment: Experiment, case: dict[str, Scalar], instance: Instance, slot: int, author: Author
    ) -> str:
        """A text that the attempt's entropy, the run and what it is served decide together."""
        if not experiment.environments:
            return ""
        served = {id: environment.model_dump() for id, environment in experiment.environments.items()}
        own = self.paper.folder / "environments.py"
        code = hashlib.sha256(own.read_bytes()).hexdigest() if own.is_file() else ""
        said = [self.plan.entropy, author, case, instance.digest, slot, served, code]
        return hashlib.sha256(canonical(said)).hexdigest()

    def _needed(
        self, tree: str, experiment: Experiment, case: dict[str, Scalar], instance: Instance, slot: int, author: Author
    ) -> Unit | None:
        if experiment.needs is None:
            return None
        needed = self.paper.spec.experiments[experiment.needs]
        match = needed_cases(needed, case)[0]
        same = instance if experiment.instances is None else self._matching(experiment.needs, instance)
        return self._unit(tree, experiment.needs, match, same, slot, author=author)

    def _matching(self, experiment: str, instance: Instance) -> Instance:
        """The needed experiment's instance of the same set and place, its first one where there are fewer."""
        same = [other for other in self.instances[experiment] if other.which == instance.which]
        candidates = same or self.instances[experiment]
        return candidates[min(instance.index, len(candidates) - 1)]

    def _replicate(self, tree: str, name: str, read: list[Place]) -> Unit:
        """The repeated first slot of one case and instance of an experiment, which nobody can know beforehand."""
        draw = int.from_bytes(hashlib.sha256(f"{self.plan.entropy} {name}".encode()).digest()[:8], "big")
        choices = [(case, instance) for other, case, instance in read if other == name]
        case, instance = choices[draw % len(choices)]
        return self._unit(tree, name, case, instance, 1, replicate=1)
