"""Papers for people: the list, one paper's claims with their sources, and the proof that it is fair."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from harness.errors import PaperError
from harness.folders import find_papers
from harness.paper.claims import Probe, provenance_of
from harness.paper.load import Paper, load_paper
from harness.paper.mutations import read_mutations
from harness.paper.quantities import show_seconds, show_size
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.validation.proof import Proof  # it brings the whole road with it


def listed(tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Every paper: id, title, award, venue, budget, and its weight by provenance and by trust.

    Args:
        tell: Is told of a folder that does not hold together, which is left out.
    """
    rows = []
    for folder in find_papers().values():
        try:
            rows.append(_row(load_paper(folder)))
        except PaperError as error:
            tell(f"left out: {error}")
    return rows


def _row(paper: Paper) -> dict[str, Any]:
    spec = paper.spec
    return {
        "id": paper.id,
        "title": spec.title,
        "award": spec.award.name,
        "venue": f"{spec.venue} {spec.year}",
        "budget": spec.budgets["standard"].model_dump(),
        "version": paper.version,
        "weight_by_provenance": _weights(paper, "provenance"),
        "weight_by_trust": _weights(paper, "trust"),
    }


def _weights(paper: Paper, by: str) -> dict[str, float]:
    found: dict[str, float] = defaultdict(float)
    for share in paper.spec.shares():
        leaf = paper.spec.leaf(share.leaf)
        trust = "recomputed" if isinstance(leaf, Probe) else paper.spec.metrics[leaf.metric].trust
        found[provenance_of(leaf) if by == "provenance" else trust] += share.weight
    return {name: round(weight, 4) for name, weight in sorted(found.items())}


def described(paper: Paper) -> dict[str, Any]:
    """A paper with its leaves, and the names of its mutations where they can be read."""
    leaves = [
        {
            "id": share.leaf,
            "core": leaf.core,
            "weight": share.weight,
            "statement": leaf.statement,
            "provenance": provenance_of(leaf),
        }
        for share in paper.spec.shares()
        for leaf in [paper.spec.leaf(share.leaf)]
    ]
    return {
        **_row(paper),
        "summary": paper.spec.summary,
        "environments": _environments(paper),
        "leaves": leaves,
        "mutations": _mutations(paper),
    }


def _environments(paper: Paper) -> list[dict[str, Any]]:
    """What the gateway serves, one row an environment of an experiment."""
    return [
        {"experiment": name, "id": id, **environment.model_dump()}
        for name, spec in paper.spec.experiments.items()
        for id, environment in spec.environments.items()
    ]


def _mutations(paper: Paper) -> list[str]:
    return [mutation.name for mutation in read_mutations(paper)] if paper.private.is_dir() else []


def print_paper(paper: Paper) -> None:
    """One paper on standard output."""
    found, budget = described(paper), paper.spec.budgets["standard"]
    echo(f"{found['title']}\n{', '.join(paper.spec.authors)}. {found['venue']}, {found['award']}.\n")
    echo(f"{' '.join(found['summary'].split())}\n")
    echo(
        f"budget: {show_seconds(budget.working)} of work within {show_seconds(budget.wall)}, "
        f"{show_seconds(budget.cpu)} CPU, {show_size(budget.disk)} of disk"
        + (f", {budget.env_steps:,} env steps" if budget.env_steps else "")
        + (f", {budget.tokens:,} tokens" if budget.tokens else "")
        + (f", ${budget.dollars:g}" if budget.dollars else "")
    )
    for kind in ("provenance", "trust"):
        shares = ", ".join(f"{name} {weight:.0%}" for name, weight in found[f"weight_by_{kind}"].items())
        echo(f"weight by {kind}: {shares}")
    for served in found["environments"]:
        echo(_served(served))
    echo("")
    for leaf in found["leaves"]:
        core = " (core)" if leaf["core"] else ""
        echo(f"{leaf['weight']:6.1%} {leaf['id']}{core}\n       {leaf['statement']}")
    if found["mutations"]:
        echo(f"\nmutations: {', '.join(found['mutations'])}")


def _served(served: dict[str, Any]) -> str:
    """One environment of an experiment in a line."""
    parts = [f"{served['steps']:,} training steps a run"]
    parts += [f"{served['evaluation_steps']:,} evaluation"] if served["evaluation_steps"] else []
    parts += [f"episodes of at most {served['max_episode_steps']:,}"] if served["max_episode_steps"] else []
    parts += [f"made with {', '.join(served['parameters'])}"] if served["parameters"] else []
    return f"served to {served['experiment']}: {served['id']}, {served['make']}; {', '.join(parts)}"


def print_proof(proof: Proof) -> None:
    """Whether a paper is fair, with the value that caught each mutation, and what to do where a check fails."""
    for mutation in proof.mutations:
        head = f" {mutation.name}: {mutation.verdict}, score {mutation.score:.3f}"
        echo("\n           ".join([head, *mutation.detail.split("; ")]), sign=_caught(mutation.caught))
    for coder in proof.hard_coders:
        head = f" hard-coder {coder.form}: {coder.verdict}, score {coder.score:.3f}"
        echo("\n           ".join([head, *coder.by]), sign=_caught(coder.caught))
    if proof.margins:
        _print_margins(proof)
    if proof.starter and not proof.alternative:
        echo("\nno second opinion yet: private/alternative/ would hold a solution written from the brief alone")
    echo("")
    for check in proof.checks:
        echo(f" {check.name}: {check.detail}", sign=_sign(check.ok))
        for problem in check.problems:
            echo(f"      {problem}")
        if not check.ok:
            echo(f"      what to do: {check.remedy}")
    echo(f"\n{proof.paper} is {'fair' if proof.fair else 'NOT fair'}{_not_walked(proof)}")


def _caught(caught: bool) -> str:
    return click.style("caught    ", fg="green") if caught else click.style("NOT CAUGHT", fg="red")


def _sign(ok: bool) -> str:
    return click.style("ok ", fg="green") if ok else click.style("NO ", fg="red")


def _print_margins(proof: Proof) -> None:
    """Leaf by leaf: margin, spread between honest runs, and the way to the nearest mutation."""
    echo("\nmargin of each leaf, beside three spreads and half the way to the nearest mutation")
    for one in proof.margins:
        way = f"{one.distance / 2:.4g} ({one.nearest_mutation})" if one.distance is not None else "no mutation"
        line = f" {one.claim}: {3 * one.least_spread:.4g} <= {one.margin:.4g} <= {way}"
        echo(line, sign=_sign(one.problem is None))


def _not_walked(proof: Proof) -> str:
    return "" if proof.reference else ": nothing was run, since reference, starter and mutations wait for what is left"
