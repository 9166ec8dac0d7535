"""Verbs on attempts: the whole road, each of its stages, and what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import offer_attempts, offer_overrides

if TYPE_CHECKING:
    from harness.pipeline import Road
    from harness.scoring.score import Score

as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output.")
results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Where records are kept.",
)
private_option = click.option(
    "--private-path", type=click.Path(path_type=Path, exists=True), default=None, help="References kept elsewhere."
)


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("overrides", nargs=-1, shell_complete=offer_overrides)
@as_json
def attempt(overrides: tuple[str, ...], as_json: bool) -> None:
    """Take a participant from brief to score.

    OVERRIDES are Hydra's: paper=ID participant=reference|starter|mutation|command, budget.wall="2 h", sandbox=process,
    slots=all, results=FOLDER; `a=x,y` makes an attempt for each value.

    \b
    Example:
      reproof attempt paper=tree_search participant=reference
      reproof attempt paper=tree_search participant=mutation participant.name=NAME --json
    """
    run_attempts(overrides, as_json=as_json)


def run_attempts(overrides: tuple[str, ...], *, as_json: bool) -> None:
    """Make the attempts that some overrides ask for, and print their scores."""
    from harness.cli.terminal import Teller, print_json
    from harness.config import compose
    from harness.pipeline import hand_out

    scores = []
    for settings in compose(overrides):
        with Teller() as teller:
            road = hand_out(settings, tell=teller.say, progress=teller.progress)
            scores.append(_go_on(road, settings.participant.options))
        if not as_json:
            _show(road, scores[-1])
    if as_json:
        found = [score.model_dump(mode="json") for score in scores]
        print_json(found[0] if len(found) == 1 else found)


def _go_on(road: Road, options: dict[str, Any]) -> Score:
    from harness.pipeline import hand_in, rerun, score, work
    from harness.report.mirror import track

    try:
        hand_in(road, work(road, options))
        rerun(road)
        result = score(road)
        track(road)
    except KeyboardInterrupt:
        road.tell(f"interrupted; go on with: reproof rerun {road.attempt.id} --results {road.store.root}")
        raise
    return result


def _show(road: Road, result: Score) -> None:
    from harness.report.kept import where_to_look
    from harness.report.table import print_score

    print_score(result)
    for line in where_to_look(road):
        click.echo(line)


def _resume(name: str, results: Path, private_path: Path | None, teller: Any) -> Road:
    from harness.pipeline import resume

    return resume(name, results, tell=teller.say, progress=teller.progress, private_path=private_path)


@click.command()
@click.argument("name", metavar="ATTEMPT", shell_complete=offer_attempts)
@results_option
@private_option
@as_json
def rerun(name: str, results: Path, private_path: Path | None, as_json: bool) -> None:
    """Rerun a submission in the clean room and score it; runs that have a record are not done again.

    \b
    Example:
      reproof rerun 20261122-101500-tree_search-reference-a1b2
    """
    from harness.cli.terminal import Teller, print_json
    from harness.pipeline import ensure_submission, score
    from harness.pipeline import rerun as run_again
    from harness.report.mirror import track

    with Teller() as teller:
        road = _resume(name, results, private_path, teller)
        ensure_submission(road)
        run_again(road)
        result = score(road)
        track(road)
    print_json(result.model_dump(mode="json")) if as_json else _show(road, result)


def _scored(name: str, results: Path, private_path: Path | None, as_json: bool, *, again: bool) -> None:
    from harness.cli.terminal import Teller, print_json
    from harness.pipeline import score as grade

    with Teller() as teller:
        road = _resume(name, results, private_path, teller)
        result = grade(road, again=again)
    print_json(result.model_dump(mode="json")) if as_json else _show(road, result)


@click.command()
@click.argument("name", metavar="ATTEMPT", shell_complete=offer_attempts)
@results_option
@private_option
@as_json
def score(name: str, results: Path, private_path: Path | None, as_json: bool) -> None:
    """Score an attempt from its runs; nothing is rerun.

    \b
    Example:
      reproof score 20261122-101500-tree_search-reference-a1b2 --json
    """
    _scored(name, results, private_path, as_json, again=False)


@click.command()
@click.argument("name", metavar="ATTEMPT", shell_complete=offer_attempts)
@results_option
@private_option
@as_json
def rescore(name: str, results: Path, private_path: Path | None, as_json: bool) -> None:
    """Score again with the paper's claims, metrics and rubric as they are now, from the kept outputs.

    \b
    Example:
      reproof rescore 20261122-101500-tree_search-reference-a1b2
    """
    _scored(name, results, private_path, as_json, again=True)


@click.command()
@click.argument("name", metavar="ATTEMPT", shell_complete=offer_attempts)
@results_option
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Draw it into this file instead."
)
@as_json
def report(name: str, results: Path, svg: Path | None, as_json: bool) -> None:
    """Show an attempt's score and the reason for every part of it.

    \b
    Example:
      reproof report 20261122-101500-tree_search-reference-a1b2
    """
    from harness.cli.terminal import print_json
    from harness.report.kept import kept_score
    from harness.report.table import draw_score, print_score

    result = kept_score(name, results)
    if svg is not None:
        draw_score(result, svg)
        click.echo(f"drawn: {svg}", err=True)
    if as_json:
        print_json(result.model_dump(mode="json"))
    elif svg is None:
        print_score(result)


@click.command()
@results_option
@as_json
def attempts(results: Path, as_json: bool) -> None:
    """List the attempts of a results folder, with their verdicts.

    \b
    Example:
      reproof attempts --results results
    """
    from harness.cli.terminal import print_json
    from harness.report.kept import list_attempts

    rows = list_attempts(results)
    if as_json:
        print_json(rows)
    elif not rows:
        click.echo(f"no attempts in {results}; begin with: reproof attempt paper=tree_search participant=reference")
    for row in [] if as_json else rows:
        value = "" if row["score"] is None else f"{row['score']:.3f}"
        click.echo(f"{row['attempt']:60} {row['verdict'] or 'not scored':10} {value}")


@click.command()
@click.argument("name", metavar="ATTEMPT", shell_complete=offer_attempts)
@click.option("--uri", default=None, help="MLflow tracking URI; by default SQLite inside the results folder.")
@results_option
@as_json
def track(name: str, uri: str | None, results: Path, as_json: bool) -> None:
    """Mirror an attempt to MLflow from its records; what is there already is not written twice.

    \b
    Example:
      reproof track 20261122-101500-tree_search-reference-a1b2 --uri http://127.0.0.1:5000
    """
    from harness.cli.terminal import Teller, print_json
    from harness.report.mirror import track as mirror

    with Teller() as teller:
        runs = mirror(_resume(name, results, None, teller), uri=uri)
    if as_json:
        print_json({"attempt": name, "runs": runs})
