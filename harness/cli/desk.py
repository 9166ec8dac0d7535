"""Verbs of a person at work: begin, the clock, what is left, metered commands, handing in."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import offer_attempts, offer_papers
from harness.cli.terminal import as_json, asks, print_json

if TYPE_CHECKING:
    from harness.attempt.budget import Account
    from harness.attempt.desk import Desk
    from harness.pipeline import Road

results_option = click.option(
    "--results", type=click.Path(path_type=Path), default=Path("results"), help="Where records are kept."
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
        own = attempt_of(Path.cwd())
        store = Store(results.resolve() if results.exists() or own is None else own.parents[1])
        return Desk(folder=store.known_attempt(name))
    found = attempt_of(Path.cwd())
    if found is None:
        raise UsageError(
            "this folder is no workspace of an attempt",
            where=Path.cwd(),
            remedy="go into the one that `reproof start` made, or name the attempt (`reproof attempts` lists them); "
            "to begin: reproof start PAPER --as NAME",
        )
    return Desk(folder=found)


def _say(desk: Desk, found: Account, as_json: bool, *told: str) -> None:
    """What happened, what is left, what comes next."""
    from harness.report.account import one_line, status, what_next

    if as_json:
        print_json(status(desk, found))
        return
    for line in (*told, one_line(found), *(f"next: {line}" for line in what_next(desk, found))):
        click.echo(line)


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
    from harness.attempt.registry import remember
    from harness.cli.terminal import Teller
    from harness.config import compose, quoted
    from harness.pipeline import begun_by, hand_out, quiet

    with Teller() as teller:
        overrides = [f"paper={quoted(paper)}", "participant=human", f"participant.name={quoted(name)}"]
        [settings] = compose([*overrides, f"budget.name={quoted(budget)}", f"results={quoted(results)}"])
        if not another:
            begun_by(settings)
        said = _terms(condition, licence, consent, ask=asks(as_json))
        place = workspace or Path(f"{Path(paper).name}-{_folder_name(name)}")
        road = hand_out(settings.model_copy(update={**said, "workspace": place}), tell=teller.say if as_json else quiet)
    remember(road.workspace, road.folder)
    if as_json:
        print_json(_begun(road))
        return
    click.echo(f"yours: {road.paper.spec.title}")
    click.echo(f"attempt {road.attempt.id}, its ledger anchored at {road.attempt.anchor[:16]}")
    click.echo(f"go there: cd {road.workspace}")
    _say(road.desk, road.desk.account(), False)


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
        click.echo("Do you work alone, or with an assistant that writes or debugs code for you? Scores show which.")
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


@click.group()
def clock() -> None:
    """Start and pause your clock, and note what you do; nobody else does.

    \b
    Example:
      reproof clock start
      reproof clock pause "lunch"
      reproof clock note "trained on the lab's machine" --cpu "3 h"
    """


@clock.command(name="start")
@attempt_option
@results_option
@as_json
def clock_start(name: str | None, results: Path, as_json: bool) -> None:
    """Start your clock; working time counts from now.

    \b
    Example:
      reproof clock start
    """
    from harness.keeper import spawn

    desk = desk_of(name, results)
    found = desk.start_clock()
    spawn(desk)
    _say(desk, found, as_json, "your clock runs")


@clock.command(name="pause")
@click.argument("reason", required=False)
@attempt_option
@results_option
@as_json
def clock_pause(reason: str | None, name: str | None, results: Path, as_json: bool) -> None:
    """Pause your clock, and say why.

    \b
    Example:
      reproof clock pause "lunch"
    """
    desk = desk_of(name, results)
    if reason is None and asks(as_json):
        reason = click.prompt("Why")
    found = desk.pause_clock(reason or "")
    _say(desk, found, as_json, "your clock is paused")


class _Seconds(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from harness.paper.quantities import seconds

        try:
            return seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@clock.command(name="note")
@click.argument("text")
@click.option("--working", type=_Seconds(), default=None, help="Working time that no clock counted, as in '1 h'.")
@click.option("--cpu", type=_Seconds(), default=None, help="CPU time used elsewhere, as in '3 h'.")
@click.option("--env-steps", type=click.IntRange(min=1), default=None, help="Environment steps made elsewhere.")
@attempt_option
@results_option
@as_json
def clock_note(
    text: str,
    working: float | None,
    cpu: float | None,
    env_steps: int | None,
    name: str | None,
    results: Path,
    as_json: bool,
) -> None:
    """Note something in the ledger; with it, declare what you used outside `reproof exec`.

    What is declared counts against the budget, and is shown as self-declared.

    \b
    Example:
      reproof clock note "derived the update on paper"
      reproof clock note "trained on the lab's machine" --cpu "3 h" --env-steps 1000000
    """
    desk = desk_of(name, results)
    given = {"working": working, "cpu": cpu, "env_steps": env_steps}
    found = desk.declare(text, {item: value for item, value in given.items() if value})
    _say(desk, found, as_json, "noted")


@clock.command(name="keep", hidden=True)
@click.argument("folder", type=click.Path(path_type=Path, exists=True))
def clock_keep(folder: Path) -> None:
    """Keep the clock of the attempt in FOLDER; `reproof clock start` calls it.

    \b
    Example:
      reproof clock keep results/attempts/20261122-101500-tree_search-ada-a1b2
    """
    from harness.attempt.desk import open_desk
    from harness.keeper import keep

    keep(open_desk(folder))


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
    from harness.report.account import status as told
    from harness.report.account import status_lines

    desk = desk_of(name, results)
    found = desk.account(disk=True)
    if as_json:
        print_json(told(desk, found))
        return
    for line in status_lines(desk, found):
        click.echo(line)


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
        click.echo(timesheet_csv(found), nl=False)
    else:
        for line in timesheet_lines(found):
            click.echo(line)


@click.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@attempt_option
@results_option
@as_json
@click.argument("words", nargs=-1, required=True, metavar="COMMAND...")
def exec(name: str | None, results: Path, as_json: bool, words: tuple[str, ...]) -> None:
    """Run a command in the clean room, over the workspace, metered: what it uses is counted and trusted.

    It sees the workspace and what is installed beside Reproof, has no network, and ends where the budget does. Its
    standard input is empty. The exit status is the command's own, 137 if it was ended. With --json, exit, usage and log
    are printed when it has ended.

    \b
    Example:
      reproof exec -- python train.py --steps 1000
    """
    from harness.attempt.work import Bench, inside
    from harness.cleanroom.backends import open_sandbox
    from harness.cleanroom.sandbox import SandboxSettings
    from harness.cli.terminal import Echo
    from harness.errors import UsageError

    desk = desk_of(name, results)
    found = desk.open_account()
    if found.state != "running":
        raise UsageError(
            "the clock does not run, and what is run is work",
            where=desk.attempt.id,
            got=found.state,
            remedy="reproof clock start",
        )
    sandbox = open_sandbox(SandboxSettings(backend=desk.attempt.sandbox, waive=tuple(desk.attempt.waived)))
    output = None if as_json else Echo()
    done = Bench(desk=desk, sandbox=sandbox).run(words, output=output, folder=inside(desk.workspace, Path.cwd()))
    if as_json:
        print_json(asdict(done))
    if done.killed_by:
        click.echo(
            f"reproof: the command was ended by its {done.killed_by} limit; `reproof status` says more", err=True
        )
    sys.stdout.flush()
    sys.exit(137 if done.exit is None else done.exit)


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
    from harness.pipeline import road_of
    from harness.report.checked import checked_lines

    desk = desk_of(name, results)
    desk.open_account()
    with Teller() as teller:
        found = rehearse(road_of(desk, tell=teller.say, progress=teller.progress), experiments)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        for line in checked_lines(found):
            click.echo(line)
        _say(desk, desk.account(), False)
    sys.exit(0 if found.ok else 1)


@click.command()
@attempt_argument
@results_option
@private_option
@as_json
def submit(name: str | None, results: Path, private_path: Path | None, as_json: bool) -> None:
    """Hand in what is in the workspace, uncommitted work committed first; then rerun and score it.

    Until the deadline you may submit again: the last submission counts, on seeds and instances of its own. Where no
    references are installed it is handed in, and scored by whoever runs the programme.

    \b
    Example:
      reproof submit
    """
    from harness.cli.attempts import finish, show
    from harness.cli.terminal import Teller

    desk = desk_of(name, results)
    _ready_to_submit(desk, ask=asks(as_json))
    with Teller() as teller:
        road = _hand_in(desk, teller, private_path)
        score = finish(road) if road.paper.private.is_dir() else None
    if score is None:
        _not_scored(road, as_json)
    elif as_json:
        print_json(score.model_dump(mode="json"))
    else:
        show(road, score)


def _ready_to_submit(desk: Desk, *, ask: bool) -> None:
    """Only work on a running clock is handed in; on a terminal the clock can be started on the way."""
    from harness.errors import UsageError

    found = desk.account()
    if found.state in ("running", "over") and found.pending:
        return
    if found.state in ("over", "withdrawn"):
        desk.open_account()
    if ask and click.confirm(f"Your clock does not run ({found.state}). Start it, and submit?", default=True):
        desk.start_clock()
        return
    raise UsageError(
        "the clock does not run, and handing in is work",
        where=desk.attempt.id,
        got=found.state,
        remedy="reproof clock start, then reproof submit",
    )


def _hand_in(desk: Desk, teller: Any, private_path: Path | None) -> Road:
    from harness.attempt.participant import Outcome
    from harness.pipeline import close, hand_in, road_of

    road = road_of(desk, tell=teller.say, progress=teller.progress, private_path=private_path)
    if desk.account().state == "over":
        close(road)
    else:
        hand_in(road, Outcome(note="submitted", ended="submitted"))
    return road


def _not_scored(road: Road, as_json: bool) -> None:
    handed = road.submission()
    if as_json:
        facts = {"attempt": road.attempt.id, "commit": handed.commit, "verdict": None}
        print_json({**facts, "reason": "no references are installed here"})
        return
    click.echo("no references are installed here, so it is scored by whoever runs the programme; they need")
    click.echo(f"  {road.folder}")
    _say(road.desk, road.desk.account(), False)


@click.command()
@attempt_argument
@click.option("--because", default=None, help="Why; the ledger keeps it.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@results_option
@as_json
def withdraw(name: str | None, because: str | None, yes: bool, results: Path, as_json: bool) -> None:
    """End your attempt before its time; what you did is kept, and stays yours.

    \b
    Example:
      reproof withdraw --because "the project ends"
    """
    from harness.cli.terminal import Teller
    from harness.errors import UsageError
    from harness.pipeline import road_of
    from harness.pipeline import withdraw as end

    desk = desk_of(name, results)
    desk.open_account()
    if because is None and asks(as_json):
        because = click.prompt("Why")
    if not because:
        raise UsageError("a withdrawal has a reason", remedy='reproof withdraw --because "the project ends"')
    if not yes and asks(as_json) and not click.confirm("It cannot be taken back. Withdraw?", default=False):
        raise click.Abort
    with Teller() as teller:
        end(road_of(desk, tell=teller.say), because)
    _say(desk, desk.account(), as_json, "withdrawn; what was done is kept")


@click.command(name="hand-over")
@click.option("--to", "to", default=None, help="Who goes on.")
@attempt_option
@results_option
@as_json
def hand_over(to: str | None, name: str | None, results: Path, as_json: bool) -> None:
    """Let somebody else go on with your attempt; your time and your commits stay credited to you.

    \b
    Example:
      reproof hand-over --to grace
    """
    desk = desk_of(name, results)
    desk.open_account()
    if to is None and asks(as_json):
        to = click.prompt("To whom")
    found = desk.hand_over(to or "")
    _say(desk, found, as_json, f"handed over to {to}; the clock is stopped until they start it")
