"""Verbs on plans: how far, go on, stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import offer_plans
from harness.cli.desk import results_option
from harness.cli.terminal import as_json, asks, ensure_meant, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.config import Settings
    from harness.plan.plan import Place
    from harness.road import Road
    from harness.scoring.score import Score

plan_argument = click.argument("name", metavar="[PLAN]", required=False, shell_complete=offer_plans)


@click.group()
def plan() -> None:
    """Show, resume and cancel plans: what `reproof attempt` makes of more than one attempt.

    \b
    Example:
      reproof attempt paper=tree_search,open_loop participant=reference participant.repeats=3
      reproof plan show
      reproof plan resume
    """


@plan.command(name="list")
@results_option
@as_json
def list_(results: Path, as_json: bool) -> None:
    """List the plans of a results folder, the oldest first.

    \b
    Example:
      reproof plan list --results results
    """
    from harness.plan.carry import look
    from harness.plan.plan import find_plans
    from harness.report.plans import head, summary

    found = [look(place) for place in find_plans(results)]
    if as_json:
        print_json([summary(plan) for plan in found])
        return
    if not found:
        click.echo(f"no plans in {results.resolve()}; more than one attempt makes one, as participant.repeats=3 does")
    for one in found:
        click.echo(head(one))


@plan.command()
@plan_argument
@results_option
@as_json
def show(name: str | None, results: Path, as_json: bool) -> None:
    """Show how far a plan is, item by item; the newest one unless another is named.

    \b
    Example:
      reproof plan show
      reproof plan show 20261123-081500-a1b2 --json
    """
    from harness.plan.plan import find_plan

    _show(find_plan(name, results), as_json)


@plan.command()
@plan_argument
@click.option("--failed", is_flag=True, help="Try items again that failed by no fault of the participant.")
@results_option
@as_json
def resume(name: str | None, failed: bool, results: Path, as_json: bool) -> None:
    """Go on with a plan, the newest one unless another is named; what is done is not done again.

    \b
    Example:
      reproof plan resume
      reproof plan resume 20261123-081500-a1b2 --failed
    """
    from harness.errors import UsageError
    from harness.plan.carry import look
    from harness.plan.plan import find_plan

    place = find_plan(name, results)
    if look(place).state == "cancelled":
        remedy = "ask for what is left anew; `reproof plan show --json` has what the command said, as `overrides`"
        raise UsageError("this plan was cancelled", where=place.folder.name, remedy=remedy)
    carry_out(place, as_json=as_json, failed_too=failed)


@plan.command()
@plan_argument
@click.option("--now", is_flag=True, help="Interrupt the attempt under way; else it is ended first.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@results_option
@as_json
def cancel(name: str | None, now: bool, yes: bool, results: Path, as_json: bool) -> None:
    """Cancel what is left of a plan; the attempts that were made stay, and count.

    To stop it and go on later, interrupt it in its own terminal instead.

    \b
    Example:
      reproof plan cancel 20261123-081500-a1b2
      reproof plan cancel --now
    """
    from harness.errors import UsageError
    from harness.plan.carry import cancel as stop
    from harness.plan.carry import look
    from harness.plan.plan import find_plan

    place = find_plan(name, results)
    found = look(place)
    if found.state in ("done", "cancelled"):
        raise UsageError(f"this plan is {found.state}", where=place.folder.name, remedy="there is nothing to cancel")
    if not yes and asks(as_json):
        ensure_meant(f"{len(found.left)} of {len(found.items)} attempts are left. Cancel them?")
    stop(place, now=now)
    _show(place, as_json)


def _show(place: Place, as_json: bool) -> None:
    from harness.plan.carry import look
    from harness.report.plans import facts, lines

    found = look(place)
    if as_json:
        print_json(facts(found))
        return
    for line in lines(found, place.store.root):
        click.echo(line)


def begin(asked: Sequence[Settings], overrides: Sequence[str], *, as_json: bool) -> None:
    """Make a plan of several attempts, and carry it out."""
    from datetime import UTC, datetime

    from harness.plan.asked import items_of
    from harness.plan.plan import keep_plan

    items = items_of(asked)
    place = keep_plan(items, overrides, results=asked[0].results, now=datetime.now(UTC))
    carry_out(place, as_json=as_json)


def carry_out(place: Place, *, as_json: bool, failed_too: bool = False) -> None:
    """Carry a plan out, show how far it came, and end with the fault that kept it from its end.

    Raises:
        HarnessFault: It stalled, or items failed by no fault of their participants.
        MirrorFault: Everything is done but the mirror.
    """
    from harness.cli.terminal import Teller
    from harness.errors import HarnessFault
    from harness.plan.carry import Carrier, look

    late: list[HarnessFault] = []
    fault: HarnessFault | None = None

    def finish(road: Road) -> Score:
        from harness.cli.attempts import finished, mirrored

        result = finished(road)
        fault = mirrored(road)
        late.extend([fault] if fault else [])
        return result

    again = f"reproof plan resume {place.folder.name} --results {place.store.root}"
    with Teller() as teller:
        carrier = Carrier(place=place, plan=place.plan(), finish=finish, tell=teller.say, progress=teller.progress)
        try:
            carrier.carry_out(failed_too=failed_too)
        except HarnessFault as error:  # it stalled: how far it came is shown first
            fault = error
        except KeyboardInterrupt:
            if look(place).state != "cancelled":
                teller.say(f"interrupted; everything that was done is kept; go on with: {again}")
                raise
            teller.say("cancelled; the attempt under way was interrupted, and is kept")
    _show(place, as_json)
    if fault is not None:
        raise fault
    if failed := look(place).count("failed"):
        which = f"{failed} of {len(carrier.plan.items)} attempts"
        raise HarnessFault(f"{which} failed by no fault of their participants", remedy=f"{again} --failed")
    if late:
        raise late[0]
