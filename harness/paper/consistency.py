"""Whether the parts of a paper.yaml fit each other: what no single field can show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.paper.claims import (
    Claim,
    CurveClaim,
    ExponentClaim,
    OrderingClaim,
    Probe,
    Selection,
    ThresholdClaim,
    needs_reference,
    selections,
)
from harness.paper.rubric import LARGEST_WEIGHT, leaves_in
from harness.paper.schema import Experiment, PaperSpec

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, and where in the file."""

    path: Path
    message: str


def problems(spec: PaperSpec) -> list[Problem]:
    """All that does not fit, in the order of the file."""
    broken = list(_experiments(spec))
    if broken:  # leaves cannot be followed into experiments that do not hold together
        return broken
    return [
        *(problem for name, leaf in spec.leaves() for problem in _leaf(spec, name, leaf)),
        *_rubric(spec),
    ]


def _experiments(spec: PaperSpec) -> Iterator[Problem]:
    for name, experiment in spec.experiments.items():
        at: Path = ("experiments", name)
        if len({frozenset(case) for case in experiment.cases}) > 1:
            yield Problem(path=(*at, "cases"), message="every case must have the same keys")
        if len({tuple(sorted(case.items())) for case in experiment.cases}) < len(experiment.cases):
            yield Problem(path=(*at, "cases"), message="two cases are the same")
        files = Counter(output.file for output in experiment.outputs.values())
        for file, count in files.items():
            if count > 1:
                yield Problem(path=(*at, "outputs"), message=f"the file {file} is declared twice")
        yield from _needs(spec, at, experiment)
        yield from _deterministic(at, experiment)
        yield from _served(spec, at, experiment)


def _needs(spec: PaperSpec, at: Path, experiment: Experiment) -> Iterator[Problem]:
    if experiment.needs is None:
        if experiment.instances is None:
            yield Problem(path=at, message="an experiment without `needs` must say its `instances`")
        return
    needed = spec.experiments.get(experiment.needs)
    if needed is None or needed is experiment:
        yield Problem(path=(*at, "needs"), message=f"expected another experiment, got {experiment.needs!r}")
        return
    if needed.needs is not None:
        yield Problem(path=(*at, "needs"), message="a needed experiment cannot need another one")
    for case in experiment.cases:
        if len(needed_cases(needed, case)) != 1:
            yield Problem(path=(*at, "needs"), message=f"{case} must match exactly one case of {experiment.needs}")


def needed_cases(
    needed: Experiment, case: dict[str, bool | int | float | str]
) -> list[dict[str, bool | int | float | str]]:
    """The cases of a needed experiment that agree with a case in every key they share."""
    return [other for other in needed.cases if all(case.get(key, value) == value for key, value in other.items())]


def _deterministic(at: Path, experiment: Experiment) -> Iterator[Problem]:
    if isinstance(experiment.deterministic, bool):
        return
    for partial in experiment.deterministic:
        if not any(partial.items() <= case.items() for case in experiment.cases):
            yield Problem(path=(*at, "deterministic"), message=f"no case matches {partial}")


def _served(spec: PaperSpec, at: Path, experiment: Experiment) -> Iterator[Problem]:
    for instance in experiment.instances.pinned if experiment.instances else ():
        if "served" in instance:
            message = "a pinned instance is public, so nothing in it is `served` only; draw it (held_out)"
            yield Problem(path=(*at, "instances", "pinned"), message=message)
    owner = experiment if experiment.instances else spec.experiments.get(experiment.needs or "")
    known = owner.instances.pinned if owner and owner.instances else []
    for id, environment in experiment.environments.items():
        for key in environment.parameters:
            lacking = [str(number) for number, instance in enumerate(known, start=1) if key not in instance]
            if lacking:
                message = f"the pinned instance{_which(lacking, known)} has no {key!r} to give to the constructor"
                yield Problem(path=(*at, "environments", id, "parameters"), message=message)


def _which(numbers: list[str], of: list[dict[str, Any]]) -> str:
    return f" {', '.join(numbers)}" if len(of) > 1 else ""


def _leaf(spec: PaperSpec, name: str, leaf: Claim | Probe) -> Iterator[Problem]:
    at: Path = ("probes" if isinstance(leaf, Probe) else "claims", name)
    unfit = [problem for selection in selections(leaf) for problem in _selection(spec, at, selection)]
    yield from unfit
    if unfit:
        return
    held_out = all(selection.instance == "held_out" for selection in selections(leaf))
    if not isinstance(leaf, Probe) and needs_reference(leaf) and not held_out:
        yield Problem(path=(*at, "target"), message="only a held-out instance is answered by the reference")
    if isinstance(leaf, Probe):
        yield from _probe(spec, at, leaf)
    else:
        yield from _claim(spec, at, leaf)


def _selection(spec: PaperSpec, at: Path, selection: Selection) -> Iterator[Problem]:
    experiment = spec.experiments.get(selection.experiment)
    if experiment is None:
        known = ", ".join(spec.experiments)
        yield Problem(path=at, message=f"expected an experiment ({known}), got {selection.experiment!r}")
        return
    matching = experiment.cases_of(selection)
    if len(matching) != 1:
        yield Problem(path=at, message=f"{selection} must select exactly one case, it selects {len(matching)}")
    if spec.instances_of(selection.experiment).count(selection.instance) == 0:
        yield Problem(path=at, message=f"the experiment {selection.experiment} has no {selection.instance} instance")


def _probe(spec: PaperSpec, at: Path, probe: Probe) -> Iterator[Problem]:
    experiment = spec.experiments[probe.of.experiment]
    if not experiment.is_deterministic(experiment.cases_of(probe.of)[0]):
        yield Problem(path=(*at, "of"), message="a probe compares output by output, so its case must be deterministic")
    outputs = experiment.outputs
    for name in probe.compare:
        if name not in outputs:
            yield Problem(
                path=(*at, "compare", name), message=f"expected an output ({', '.join(outputs)}), got {name!r}"
            )


def _claim(spec: PaperSpec, at: Path, claim: Claim) -> Iterator[Problem]:
    metric = spec.metrics.get(claim.metric)
    if metric is None:
        yield Problem(
            path=(*at, "metric"), message=f"expected one of metrics ({', '.join(spec.metrics)}), got {claim.metric!r}"
        )
        return
    if metric.trust == "metered":
        for selection in selections(claim):
            if not spec.experiments[selection.experiment].environments:
                message = f"{claim.metric} is metered, and {selection.experiment} has no `environments`"
                yield Problem(path=(*at, "metric"), message=message)
    wanted = "curve" if isinstance(claim, CurveClaim | ExponentClaim) else "number"
    if metric.kind != wanted:
        yield Problem(path=(*at, "metric"), message=f"a claim of kind {claim.kind} needs a metric of kind {wanted}")
    if isinstance(claim, OrderingClaim) and claim.by == "improvement":
        counts = {spec.instances_of(s.experiment).count(s.instance) for s in (claim.higher, claim.lower)}
        if len(counts) > 1:
            yield Problem(path=(*at, "by"), message="an improvement is over the same instances on both sides")
    if isinstance(claim, CurveClaim) and claim.relative_to is not None:
        yield Problem(path=(*at, "relative_to"), message="a curve is not taken relative to another one")
    if _unverified(claim) and not isinstance(claim, OrderingClaim | ThresholdClaim):
        yield Problem(path=(*at, "target", "provenance"), message="an unverified target may only back an ordering")
    if claim.core and metric.trust == "reported" and not _has_partner(spec, claim):
        yield Problem(
            path=(*at, "core"), message="a core leaf on a reported number needs a core leaf on a held-out instance"
        )


def _unverified(claim: Claim) -> bool:
    target = None if isinstance(claim, OrderingClaim | ThresholdClaim) else claim.target
    provenance = getattr(target, "provenance", None)
    return provenance is not None and provenance.kind == "unverified"


def _has_partner(spec: PaperSpec, claim: Claim) -> bool:
    """Whether a core leaf on a held-out instance stands beside a reported number of the same experiments."""
    experiments = {selection.experiment for selection in selections(claim)}
    return any(
        leaf.core and any(s.instance == "held_out" and s.experiment in experiments for s in selections(leaf))
        for _, leaf in spec.leaves()
    )


def _rubric(spec: PaperSpec) -> Iterator[Problem]:
    placed = Counter(leaf for _, leaf in leaves_in(spec.rubric))
    known = {name for name, _ in spec.leaves()}
    for name in sorted(set(spec.claims) & set(spec.probes)):
        yield Problem(path=("probes", name), message="a claim has the same name")
    for name in sorted(known - set(placed)):
        yield Problem(path=("rubric",), message=f"{name} stands in no group")
    for name in sorted(set(placed) - known):
        yield Problem(path=("rubric",), message=f"{name!r} is neither a claim nor a probe")
    for name, count in placed.items():
        if count > 1:
            yield Problem(path=("rubric",), message=f"{name} stands in {count} groups")
    if set(placed) != known:
        return
    for share in spec.shares():
        if share.weight > LARGEST_WEIGHT:
            yield Problem(
                path=("rubric", *share.path),
                message=f"{share.leaf} carries {share.weight:.0%}, at most {LARGEST_WEIGHT:.0%} is allowed",
            )
    if not any(leaf.core for _, leaf in spec.leaves()):
        yield Problem(path=("rubric",), message="no leaf is core")
