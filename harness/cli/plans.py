"""Verbs on plans: how far, go on, stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import offer_plans
from harness.cli.desk import results_option
from harness.cli.terminal import as_json, asks, ensure_meant, print_json
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.plan.plan import Place
    from harness.plan.standing import PlanStanding
    from harness.road import Road
    from harness.scoring.score import Score

plan_argument = click.argument("name", metavar="[PLAN]", required=False, shell_complete=offer_plans)


@click.group()
def plan() -> None:
    """Show, resume and cancel plans: what `reproof attempt` makes of the attempts that it is asked for.

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
        echo(f"no plans in {results.resolve()}; `reproof attempt` makes one")
    for one in found:
        echo(head(one))


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
    """Go on with a plan, the newest one with something left unless another is named.

    What is done is not done again. The command that has made the plan goes on with it too.

    \b
    Example:
      reproof plan resume
      reproof plan resume 20261123-081500-a1b2 --failed
    """
    from harness.errors import UsageError
    from harness.plan.carry import is_left, look
    from harness.plan.plan import find_plan

    place = find_plan(name, results, wanted=is_left)
    if look(place).state == "cancelled":
        remedy = "ask for what is left anew; `reproof plan show --json` has what the command said, as `overrides`"
        raise UsageError("this plan was cancelled", where=place.folder.name, remedy=remedy)
    with place.taken():
        carry_on(place, as_json=as_json, failed_too=failed)


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
    from harness.plan.carry import is_left, look
    from harness.plan.plan import find_plan

    place = find_plan(name, results, wanted=is_left)
    found = look(place)
    if found.state in ("done", "cancelled"):
        raise UsageError(f"this plan is {found.state}", where=place.folder.name, remedy="there is nothing to cancel")
    if not yes and asks(as_json):
        ensure_meant(f"{len(found.left)} of {len(found.items)} attempts are left. Cancel them?")
    stop(place, now=now)
    _show(place, as_json)


def _show(place: Place, as_json: bool) -> None:
    from harness.plan.carry import look

    _tell(look(place), place, as_json)


def _tell(found: PlanStanding, place: Place, as_json: bool) -> None:
    from harness.report.plans import facts, lines

    if as_json:
        print_json(facts(found))
        return
    for line in lines(found, place.store.root):
        echo(line)


def carry_on(place: Place, *, as_json: bool, failed_too: bool = False) -> None:
    """Carry a taken plan out, show how far it came, and end with the fault that kept it from its end.

    Raises:
        HarnessFault: It stalled, or items failed by no fault of their participants.
        MirrorFault: Everything is done but the mirror.
    """
    from harness.cli.terminal import Teller
    from harness.errors import HarnessFault
    from harness.plan.carry import Carrier

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
            carrier.go_on(failed_too=failed_too)
        except HarnessFault as error:  # it stalled: how far it came is shown first
            fault = error
        except KeyboardInterrupt:
            if carrier.standing.state != "cancelled":
                teller.say(f"interrupted; everything that was done is kept; go on with: {again}")
                raise
            teller.say("cancelled; the attempt under way was interrupted, and is kept")
    _tell(carrier.standing, place, as_json)
    if fault is not None:
        raise fault
    carrier.close()
    if failed := carrier.standing.count("failed"):
        which = f"{failed} of {len(carrier.plan.items)} attempts"
        raise HarnessFault(f"{which} failed by no fault of their participants", remedy=f"{again} --failed")
    if late:
        raise late[0]
