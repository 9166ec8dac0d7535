"""Verbs of a person at work: begin, what is left, the hours, a rehearsal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import offer_attempts, offer_papers
from harness.cli.records import records_here
from harness.cli.terminal import as_json, asks, print_json
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.attempt.budget import Account
    from harness.attempt.desk import Desk
    from harness.road import Road

results_option = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    callback=records_here,
    help="Where records are kept.",
)
attempt_option = click.option(
    "--attempt", "name", default=None, shell_complete=offer_attempts, help="The attempt; by default the one you are in."
)
attempt_argument = click.argument("name", metavar="[ATTEMPT]", required=False, shell_complete=offer_attempts)
private_option = click.option(
    "--private-path", type=click.Path(path_type=Path, exists=True), default=None, help="References kept elsewhere."
)


def desk_of(name: str | None, results: Path) -> Desk:
    """The attempt that is named, or whose workspace we are in.

    Raises:
        UsageError: There is none of that name, or this folder is no workspace.
    """
    from harness.attempt.desk import Desk
    from harness.attempt.registry import attempt_of
    from harness.errors import UsageError
    from harness.record.files import Store

    if name is not None:
        return Desk(folder=Store(results.resolve()).known_attempt(name))
    found = attempt_of(Path.cwd())
    if found is None:
        raise UsageError(
            "this folder is no workspace of an attempt",
            where=Path.cwd(),
            remedy="go into the one that `reproof start` made, or name the attempt (`reproof attempts` lists them); "
            "to begin: reproof start PAPER --as NAME",
        )
    return Desk(folder=found)


def at_work(desk: Desk) -> None:
    """See that the clock runs, since what is run is work, and that somebody keeps it.

    Raises:
        UsageError: It does not, or the attempt is over.
    """
    from harness.errors import UsageError
    from harness.keeper import ensure

    found = desk.open_account()
    if found.state != "running":
        raise UsageError(
            "the clock does not run, and what is run is work",
            where=desk.attempt.id,
            got=found.in_words,
            remedy="reproof clock start",
        )
    ensure(desk)


def say(desk: Desk, found: Account, as_json: bool, *told: str) -> None:
    """What happened, what is left, what comes next."""
    from harness.report.account import one_line, status, what_next
    from harness.report.text import inline

    if as_json:
        print_json(status(desk, found))
        return
    left = [] if found.state == "withdrawn" else [one_line(found)]
    for line in (*map(inline, told), *left, *(f"next: {line}" for line in what_next(desk, found))):
        echo(line)


@click.command()
@click.argument("paper", metavar="PAPER", shell_complete=offer_papers)
@click.option("--as", "name", required=True, help="Your name, as the records will have it.")
@click.option(
    "--condition", type=click.Choice(["human", "human + assistant"]), default=None, help="How you work; declared once."
)
@click.option("--licence", default=None, help="Licence of your work, for example MIT or CC-BY-4.0.")
@click.option("--consent/--no-consent", default=None, help="Whether your work may be published with its score.")
@click.option("--workspace", type=click.Path(path_type=Path), default=None, help="A new folder; PAPER-NAME by default.")
@click.option("--budget", default="standard", show_default=True, help="Which of the paper's budgets.")
@click.option("--another", is_flag=True, help="Begin anew although you work on this paper already.")
@results_option
@as_json
def start(
    paper: str,
    name: str,
    condition: str | None,
    licence: str | None,
    consent: bool | None,
    workspace: Path | None,
    budget: str,
    another: bool,
    results: Path,
    as_json: bool,
) -> None:
    """Begin to reproduce a paper: a workspace of your own, its clock not yet started.

    \b
    Example:
      reproof start tree_search --as ada
      reproof start tree_search --as ada --condition "human + assistant" --licence MIT --consent
    """
    from harness.attempt.registry import ready, remember
    from harness.cli.terminal import Teller
    from harness.config import compose, quoted
    from harness.handing_out import begun_by, hand_out
    from harness.record.files import Store, locked_file
    from harness.road import quiet

    with Teller() as teller:
        name = _somebody(name)
        overrides = [f"paper={quoted(paper)}", "participant=human", f"participant.name={quoted(name)}"]
        [settings] = compose([*overrides, f"budget.name={quoted(budget)}", f"results={quoted(results)}"])
        if not another:
            begun_by(settings)
        said = _terms(condition, licence, consent, ask=asks(as_json))
        ready()
        place = workspace or Path(f"{Path(paper).name}-{_folder_name(name)}")
        with locked_file(Store(results.resolve()).lock("start")):
            if not another:
                begun_by(settings)  # nor in another window, while the questions were answered
            wanted = settings.model_copy(update={**said, "workspace": place})
            road = hand_out(wanted, tell=teller.say if as_json else quiet)
    remember(road.workspace, road.folder)
    if as_json:
        print_json(_begun(road))
        return
    echo(f"yours: {road.paper.spec.title}")
    echo(f"attempt {road.attempt.id}, its ledger anchored at {road.attempt.anchor[:16]}")
    echo(f"go there: cd {road.workspace}")
    say(road.desk, road.desk.account(), False)


def _somebody(name: str) -> str:
    from harness.errors import UsageError

    if not name.strip():
        raise UsageError("somebody has a name", where="--as", got=repr(name), remedy="for example: --as ada")
    return name.strip()


def _begun(road: Road) -> dict[str, Any]:
    from harness.report.account import status

    facts = status(road.desk, road.desk.account())
    return {**facts, "start_commit": road.attempt.start_commit, "anchor": road.attempt.anchor}


def _folder_name(name: str) -> str:
    from harness.attempt.attempt import plain_name

    return plain_name(name)


def _terms(condition: str | None, licence: str | None, consent: bool | None, *, ask: bool) -> dict[str, Any]:
    """What is declared at the start: asked for on a terminal, else as the options say."""
    from harness.config import TermsSettings

    if ask and condition is None:
        echo("Do you work alone, or with an assistant that writes or debugs code for you? Scores show which.")
        choice = click.prompt("  with an assistant?", type=click.Choice(["yes", "no"]), default="no")
        condition = "human + assistant" if choice == "yes" else "human"
    if ask and licence is None:
        licence = click.prompt(
            "Licence of your work, if you name one (for example MIT)", default="", show_default=False
        )
    if ask and consent is None:
        consent = click.confirm("May your work be published together with its score?", default=False)
    terms = TermsSettings(licence=licence or None, consent=bool(consent))
    return {"condition": condition or "human", "terms": terms}


@click.command()
@attempt_argument
@results_option
@as_json
def status(name: str | None, results: Path, as_json: bool) -> None:
    """Say what is used, what is left, and what comes next.

    \b
    Example:
      reproof status
      reproof status --json
    """
    from harness.keeper import ensure
    from harness.report.account import status as told
    from harness.report.account import status_lines

    desk = desk_of(name, results)
    found = desk.account(disk=True)
    if found.state == "running":
        ensure(desk)
    if as_json:
        print_json(told(desk, found))
        return
    for line in status_lines(desk, found):
        echo(line)


@click.command()
@attempt_argument
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values, times in UTC and seconds.")
@results_option
@as_json
def timesheet(name: str | None, as_csv: bool, results: Path, as_json: bool) -> None:
    """List the working time, the metered commands and what was declared.

    \b
    Example:
      reproof timesheet
      reproof timesheet --csv > hours.csv
    """
    from harness.report.account import timesheet as rows
    from harness.report.account import timesheet_csv, timesheet_lines

    found = desk_of(name, results).account()
    if as_json:
        print_json(rows(found))
    elif as_csv:
        echo(timesheet_csv(found), nl=False)
    else:
        for line in timesheet_lines(found):
            echo(line)


@click.command()
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT...]")
@attempt_option
@results_option
@as_json
def check(experiments: tuple[str, ...], name: str | None, results: Path, as_json: bool) -> None:
    """Rehearse the rerun: run what is in the workspace on the pinned instances, and show what would be measured.

    One seed of today, nothing held out, uncommitted work included. It is metered; the score is not decided here.

    \b
    Example:
      reproof check
      reproof check planning
    """
    from harness.check import check as rehearse
    from harness.cli.terminal import Teller
    from harness.report.checked import checked_lines
    from harness.road import road_of

    desk = desk_of(name, results)
    at_work(desk)
    with Teller() as teller:
        found = rehearse(road_of(desk, tell=teller.say, progress=teller.progress), experiments)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        for line in checked_lines(found):
            echo(line)
        say(desk, desk.account(), False)
    sys.exit(0 if found.ok else 1)
