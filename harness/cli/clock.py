"""The verb `clock`: a participant starts and pauses their own, and notes what no meter has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.desk import attempt_option, desk_of, results_option, say
from harness.cli.terminal import as_json, asks, ensure_meant


@click.group()
def clock() -> None:
    """Start and pause your clock, and note what you do; nobody else does.

    \b
    Example:
      reproof clock start
      reproof clock pause "lunch"
      reproof clock note "trained on the lab's machine" --cpu "20 min"
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
    say(desk, found, as_json, "your clock runs")


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
    say(desk, found, as_json, "your clock is paused")


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
@click.option("--yes", is_flag=True, help="Do not ask, even if nothing is left of the budget then.")
@attempt_option
@results_option
@as_json
def clock_note(
    text: str,
    working: float | None,
    cpu: float | None,
    env_steps: int | None,
    yes: bool,
    name: str | None,
    results: Path,
    as_json: bool,
) -> None:
    """Note something in the ledger; with it, declare what you used outside `reproof exec`.

    What is declared counts against the budget, is shown as self-declared, and cannot be taken back.

    \b
    Example:
      reproof clock note "derived the update on paper"
      reproof clock note "trained on the lab's machine" --cpu "20 min" --env-steps 1000000
    """
    desk = desk_of(name, results)
    given = {"working": working, "cpu": cpu, "env_steps": env_steps}
    used = {item: value for item, value in given.items() if value}
    if not yes and asks(as_json) and (item := desk.open_account().used_up_by(used)):
        question = f"Nothing would be left of {item.replace('_', ' ')}, and it cannot be taken back. Declare it?"
        ensure_meant(question)
        yes = True
    found = desk.declare(text, used, all_of_it=yes)
    say(desk, found, as_json, "noted")


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
