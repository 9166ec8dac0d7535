"""Verbs on attempts: the whole road, each of its stages, and what came out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import offer_overrides
from harness.cli.desk import attempt_argument, desk_of, private_option, results_option
from harness.cli.terminal import as_json, print_json
from harness.report.text import echo

PATIENCE = 120.0
"""Seconds that the mirror of one attempt may take before its participant is no longer kept waiting."""

if TYPE_CHECKING:
    from harness.appeals import Change
    from harness.attempt.desk import Desk
    from harness.errors import HarnessFault
    from harness.paper.load import Paper
    from harness.road import Road, Tell
    from harness.scoring.score import Score


@click.command(context_settings={"ignore_unknown_options": False})
@click.argument("overrides", nargs=-1, shell_complete=offer_overrides)
@click.option("--anew", is_flag=True, help="Cancel what the same command has left, and begin anew.")
@as_json
def attempt(overrides: tuple[str, ...], anew: bool, as_json: bool) -> None:
    """Take a participant from brief to score; after an interruption the same command goes on.

    OVERRIDES are Hydra's: paper=ID participant=reference|starter|mutation|command, budget.wall="2 h", sandbox=process,
    slots=all, results=FOLDER. `a=x,y` makes an attempt for each value, and participant.repeats=K makes K of each.
    What is asked for is a plan, which `reproof plan` shows, resumes and cancels; the same command goes on with it too.

    \b
    Example:
      reproof attempt paper=tree_search participant=reference
      reproof attempt paper=tree_search participant=mutation participant.name=NAME --json
      reproof attempt paper=tree_search,open_loop participant=reference participant.repeats=3
    """
    from harness.cli.asked import run_attempts

    run_attempts(overrides, as_json=as_json, anew=anew)


@contextmanager
def going_on(road: Road) -> Iterator[None]:
    """After an interrupt, say how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        again = f"reproof rerun {road.attempt.id} --results {road.store.root}"
        road.tell(f"interrupted; go on with: {again}")
        raise


def finish(road: Road) -> Score:
    """Everything that follows a submission; after an interrupt, say how to go on."""
    with going_on(road), road.desk.alone("rerun", road.tell):
        return finished(road)


def finished(road: Road) -> Score:
    """Rerun a submission, score it, score its history, draw its page."""
    from harness.overtime import over_time
    from harness.pipeline import rerun, score

    road = road.settled()
    rerun(road)
    result = score(road)
    over_time(road)
    leave_page(road.desk, road.tell, paper=road.paper, of=road.records)
    return result


def leave_page(desk: Desk, tell: Tell, *, paper: Paper | None = None, of: Path | None = None) -> Path | None:
    """Draw an attempt's page; one that cannot be drawn is told, and takes nothing else with it.

    Returns:
        Where it lies; None where there is none.
    """
    from harness.report.page import write_page

    try:
        return write_page(desk, paper=paper, of=of)
    except Exception as error:  # whatever it is: the score is kept, and what follows it goes on
        said = f"{type(error).__name__}: {error}"
        tell(f"the page could not be drawn, the score stands ({said}); again: reproof report {desk.attempt.id}")
        return None


def mirrored(road: Road) -> HarnessFault | None:
    """Mirror a score; a store that fails is returned, to be raised once the score is shown, which it cannot spoil."""
    from harness.errors import HarnessFault, machine_fault
    from harness.report.mirror import track

    again = f"reproof track {road.attempt.id} --results {road.store.root}"
    if road.records != road.desk.submissions[-1]:
        road.tell(f"another submission came in meanwhile, so this one is not mirrored; once that is scored: {again}")
        return None
    try:
        track(road, patience=PATIENCE, apart=True)
    except (HarnessFault, OSError) as error:
        road.tell(f"the score is whole, its mirror in MLflow is late; later: {again}")
        return machine_fault(error) if isinstance(error, OSError) else error
    except KeyboardInterrupt:
        road.tell(f"interrupted; the score is whole, and mirrored by: {again}")
        raise
    return None


def show(road: Road, result: Score) -> None:
    """A score with all its reasons, and where to look on."""
    from harness.report.kept import points_in, where_to_look
    from harness.report.table import print_score

    print_score(result, points_in(road.records) if road.whole else [])
    for line in where_to_look(road):
        echo(line)


def _road(name: str | None, results: Path, private_path: Path | None, teller: Any) -> Road:
    from harness.road import road_of

    desk = desk_of(name, results)
    return road_of(desk, tell=teller.say, progress=teller.progress, private_path=private_path)


@click.command()
@attempt_argument
@results_option
@click.option("--commit", default=None, help="Another commit of the history that was handed in, by its whole hash.")
@private_option
@as_json
def rerun(name: str | None, results: Path, commit: str | None, private_path: Path | None, as_json: bool) -> None:
    """Rerun a submission in the clean room and score it; runs that have a record are not done again.

    \b
    Example:
      reproof rerun 20261122-101500-tree_search-reference-a1b2
      reproof rerun 20261122-101500-tree_search-ada-a1b2 --commit HASH
    """
    from harness.cli.terminal import Teller
    from harness.handing_in import commit_road, ensure_submission
    from harness.pipeline import rerun as run_again
    from harness.pipeline import score

    with Teller() as teller:
        road = _road(name, results, private_path, teller)
        with road.desk.alone("rerun", teller.say):
            ensure_submission(road)
            road = road.settled()
            if commit is None:
                result, late = finish(road), mirrored(road)
            else:
                road = commit_road(road, commit)
                with going_on(road):
                    run_again(road)
                result, late = score(road), None
                if road.whole:  # it is the last commit after all
                    leave_page(road.desk, road.tell, paper=road.paper, of=road.records)
    print_json(result.model_dump(mode="json")) if as_json else show(road, result)
    if late is not None:
        raise late


def _scored(name: str | None, results: Path, private_path: Path | None, as_json: bool, *, again: bool) -> None:
    from harness.cli.terminal import Teller
    from harness.overtime import over_time
    from harness.pipeline import score as grade

    with Teller() as teller:
        road = _road(name, results, private_path, teller).settled()
        with road.desk.alone("rescore" if again else "score", teller.say):
            result = grade(road, again=again)
            over_time(road, rerunning=False)
            leave_page(road.desk, road.tell, paper=road.paper, of=road.records)
    print_json(result.model_dump(mode="json")) if as_json else show(road, result)


@click.command()
@attempt_argument
@results_option
@private_option
@as_json
def score(name: str | None, results: Path, private_path: Path | None, as_json: bool) -> None:
    """Score an attempt from its runs; nothing is rerun.

    \b
    Example:
      reproof score 20261122-101500-tree_search-reference-a1b2 --json
    """
    _scored(name, results, private_path, as_json, again=False)


@click.command()
@attempt_argument
@click.option("--paper", default=None, help="Everybody whose score on this paper is by another version of it.")
@results_option
@private_option
@as_json
def rescore(name: str | None, paper: str | None, results: Path, private_path: Path | None, as_json: bool) -> None:
    """Score again with the paper's claims, metrics and rubric as they are now, from the kept outputs.

    \b
    Example:
      reproof rescore 20261122-101500-tree_search-reference-a1b2
      reproof rescore --paper tree_search
    """
    if paper is None:
        _scored(name, results, private_path, as_json, again=True)
        return
    from harness.report.appeals import change_lines

    changes = rescored(paper, results, private_path)
    if as_json:
        print_json([change.model_dump(mode="json") for change in changes])
        return
    for line in change_lines(changes, paper):
        echo(line)


def rescored(paper: str, results: Path, private_path: Path | None) -> list[Change]:
    """Score everybody again whom a changed paper concerns."""
    from harness.appeals import rescored as again
    from harness.attempt.desk import Desk
    from harness.cli.terminal import Teller
    from harness.record.files import Store

    with Teller() as teller:
        changes = again(paper, results, tell=teller.say, private_path=private_path)
        for change in changes:
            if change.after is not None:
                leave_page(Desk(folder=Store(results.resolve()).attempt(change.attempt)), teller.say)
        return changes


@click.command()
@attempt_argument
@results_option
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Draw it into this file instead."
)
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write the page here too.")
@as_json
def report(name: str | None, results: Path, svg: Path | None, page: Path | None, as_json: bool) -> None:
    """Show an attempt's score and the reason for every part of it, and draw its page.

    The page is one HTML file that needs nothing else; it lies beside the score, as page.html.

    \b
    Example:
      reproof report 20261122-101500-tree_search-reference-a1b2
      reproof report 20261122-101500-tree_search-reference-a1b2 --page ~/for-the-lab.html
    """
    from harness.appeals import disputes
    from harness.report.appeals import dispute_lines
    from harness.report.elsewhere import write_elsewhere
    from harness.report.kept import kept_score, latest_submission, points_in
    from harness.report.table import draw_score, print_score

    desk = desk_of(name, results)
    folder = latest_submission(desk)
    result, points, open_questions = kept_score(desk, of=folder), points_in(folder), disputes(desk)
    drawn = leave_page(desk, lambda text: echo(text, err=True), of=folder)
    if page is not None and drawn is not None:
        write_elsewhere(page, drawn.read_text(encoding="utf-8"))
    if svg is not None:
        write_elsewhere(svg, draw_score(result, points))
        echo(f"drawn: {svg}", err=True)
    if as_json:
        more: dict[str, Any] = {"page": str(drawn) if drawn else None}
        more["over_time"] = [point.model_dump(mode="json") for point in points]
        print_json({**result.model_dump(mode="json"), **more, "disputes": [q.model_dump() for q in open_questions]})
    elif svg is None:
        print_score(result, points)
        if instead := desk.account().instead:
            echo(f"not all handed in: {instead}")
        for line in dispute_lines(open_questions):
            echo(line)
        for path in (drawn, page) if drawn else ():
            if path is not None:
                echo(f"page: {path}")


@click.command()
@results_option
@as_json
def attempts(results: Path, as_json: bool) -> None:
    """List the attempts of a results folder, with their verdicts.

    \b
    Example:
      reproof attempts --results results
    """
    from harness.report.kept import list_attempts

    rows = list_attempts(results)
    if as_json:
        print_json(rows)
    elif not rows:
        echo(f"no attempts in {results.resolve()}; name another folder with --results, or begin with:")
        echo("  reproof start tree_search --as NAME")
    for row in [] if as_json else rows:
        value = "" if row["score"] is None else f"{row['score']:.3f}"
        echo(f"{row['attempt']:60} {row['condition']:17} {row['verdict'] or 'not scored':10} {value}")
