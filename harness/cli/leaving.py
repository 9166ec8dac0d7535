"""Verbs that let go of the work: hand it in, hand it over, withdraw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.desk import attempt_argument, attempt_option, desk_of, private_option, results_option, say
from harness.cli.terminal import as_json, asks, ensure_meant, print_json
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.attempt.desk import Desk
    from harness.road import Road


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
    from harness.cli.attempts import finish, mirrored, show
    from harness.cli.terminal import Teller
    from harness.road import to_the_end

    desk = desk_of(name, results)
    left = _left_off(desk, private_path)
    if not left:
        _ready_to_submit(desk, ask=asks(as_json))
    with Teller() as teller:
        hand_in = _handed_in if left else _hand_in
        road = hand_in(desk, teller, private_path).settled()
        score, late = None, None
        if road.paper.private.is_dir():
            with to_the_end(road):
                score, late = finish(road), mirrored(road)
    if score is None:
        _not_scored(road, as_json)
    elif as_json:
        print_json(score.model_dump(mode="json"))
    else:
        show(road, score)
    if late is not None:
        raise late


def _left_off(desk: Desk, private_path: Path | None) -> bool:
    """Whether what was handed in last was to be scored here, and something came in between; no work was done since."""
    from harness.road import UNFINISHED, road_of

    if not desk.submissions or (found := desk.account()).pending or found.state == "withdrawn":
        return False
    last = desk.submissions[-1]
    if not (last / UNFINISHED).exists() and (last / "score.json").exists():
        return False
    return road_of(desk, private_path=private_path).paper.private.is_dir()


def _handed_in(desk: Desk, teller: Any, private_path: Path | None) -> Road:
    from harness.handing_in import ensure_submission
    from harness.road import road_of

    road = road_of(desk, tell=teller.say, progress=teller.progress, private_path=private_path)
    teller.say(f"goes on with what was handed in: commit {ensure_submission(road).commit[:12]}")
    return road


def _ready_to_submit(desk: Desk, *, ask: bool) -> None:
    """Only work on a running clock is handed in; on a terminal the clock can be started on the way."""
    from harness.errors import UsageError
    from harness.keeper import spawn

    found = desk.account()
    if found.state in ("running", "over") and found.pending:
        return
    if found.state in ("over", "withdrawn"):
        desk.open_account()
    if ask and click.confirm(f"Your clock does not run ({found.state}). Start it, and submit?", default=True):
        desk.start_clock()
        spawn(desk)
        return
    if found.state == "submitted":
        message, remedy = "it is handed in already", "to hand in more: reproof clock start, work on, reproof submit"
    else:
        message, remedy = "the clock does not run, and handing in is work", "reproof clock start, then reproof submit"
    raise UsageError(message, where=desk.attempt.id, got=found.in_words, remedy=remedy)


def _hand_in(desk: Desk, teller: Any, private_path: Path | None) -> Road:
    from harness.attempt.participant import Outcome
    from harness.handing_in import close, hand_in
    from harness.road import road_of

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
    echo("no references are installed here, so it is scored by whoever runs the programme; they need")
    echo(f"  {road.folder}")
    say(road.desk, road.desk.account(), False)


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
    from harness.handing_in import withdraw as end
    from harness.road import road_of

    desk = desk_of(name, results)
    desk.open_account()
    if because is None and asks(as_json):
        because = click.prompt("Why")
    if not because:
        raise UsageError("a withdrawal has a reason", remedy='reproof withdraw --because "the project ends"')
    if not yes and asks(as_json):
        ensure_meant("It cannot be taken back. Withdraw?")
    with Teller() as teller:
        end(road_of(desk, tell=teller.say), because)
    say(desk, desk.account(), as_json, "withdrawn; what was done is kept")


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
    say(desk, found, as_json, f"handed over to {to}; the clock is stopped until they start it")
