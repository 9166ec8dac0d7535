"""Verbs on disputes: a participant objects to a leaf, a maintainer answers, and whom it concerns is scored again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import offer_attempts
from harness.cli.desk import attempt_argument, desk_of, private_option, results_option
from harness.cli.terminal import as_json, print_json
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.attempt.desk import Desk


class _Dispute(click.Group):
    """`dispute ATTEMPT LEAF` raises one, `dispute answer` and `dispute list` are verbs of their own."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """What is no verb of ours is an attempt."""
        return super().resolve_command(ctx, args if args[0] in self.commands else ["raise", *args])


@click.group(cls=_Dispute)
def dispute() -> None:
    """Object to a leaf of a score, answer an objection, list them.

    A dispute is an event of the attempt's ledger: nothing of it is lost, and reports show it.

    \b
    Example:
      reproof dispute 20261122-101500-tree_search-ada-a1b2 fresh_naive_update --because WHY
      reproof dispute list 20261122-101500-tree_search-ada-a1b2
      reproof dispute answer 20261122-101500-tree_search-ada-a1b2 7 --accept --because WHY
    """


@dispute.command(name="raise", hidden=True)
@click.argument("name", metavar="ATTEMPT", shell_complete=offer_attempts)
@click.argument("leaf", metavar="LEAF")
@click.option("--because", default="", help="What is wrong with the leaf, its target or its measurement.")
@results_option
@as_json
def raise_(name: str, leaf: str, because: str, results: Path, as_json: bool) -> None:
    """Object to a leaf.

    \b
    Example:
      reproof dispute 20261122-101500-tree_search-ada-a1b2 fresh_naive_update --because WHY
    """
    from harness.appeals import dispute as object_to
    from harness.report.appeals import dispute_lines
    from harness.road import road_of

    desk = desk_of(name, results)
    made = object_to(road_of(desk), leaf, because, by=desk.account().holder)
    _draw_anew(desk)
    if as_json:
        print_json(made.model_dump(mode="json"))
        return
    for line in dispute_lines([made]):
        echo(line)
    echo(f"a maintainer answers it with: reproof dispute answer {name} {made.number} --accept|--reject --because ...")


def _draw_anew(desk: Desk) -> None:
    """The page shows disputes and answers, so it follows them."""
    from harness.cli.attempts import leave_page
    from harness.cli.terminal import Teller

    with Teller() as teller:
        leave_page(desk, teller.say)


@dispute.command(name="list")
@attempt_argument
@results_option
@as_json
def list_(name: str | None, results: Path, as_json: bool) -> None:
    """List the disputes of an attempt.

    \b
    Example:
      reproof dispute list 20261122-101500-tree_search-ada-a1b2
    """
    from harness.appeals import disputes
    from harness.report.appeals import dispute_lines

    found = disputes(desk_of(name, results))
    if as_json:
        print_json([item.model_dump(mode="json") for item in found])
        return
    for line in dispute_lines(found) if found else ["no disputes"]:
        echo(line)


@dispute.command()
@click.argument("name", metavar="ATTEMPT", shell_complete=offer_attempts)
@click.argument("number", type=int, metavar="NUMBER")
@click.option("--accept/--reject", "accepted", required=True, help="Whether the participant is right.")
@click.option("--because", required=True, help="Why; everybody sees it.")
@results_option
@private_option
@as_json
def answer(
    name: str, number: int, accepted: bool, because: str, results: Path, private_path: Path | None, as_json: bool
) -> None:
    """Answer a dispute; everybody whom a paper mended on its account concerns is scored again from kept outputs.

    \b
    Example:
      reproof dispute answer 20261122-101500-tree_search-ada-a1b2 7 --accept --because WHY
    """
    from harness.appeals import answer as rule
    from harness.cli.attempts import rescored
    from harness.report.appeals import change_lines, dispute_lines

    desk = desk_of(name, results)
    made = rule(desk, number, "accepted" if accepted else "rejected", because)
    _draw_anew(desk)
    paper, kept = desk.attempt.paper, desk.folder.parents[1]
    changes = rescored(paper, kept, private_path) if accepted else []
    if as_json:
        print_json({**made.model_dump(mode="json"), "rescored": [change.model_dump(mode="json") for change in changes]})
        return
    for line in (*dispute_lines([made]), *(change_lines(changes, paper) if accepted else ())):
        echo(line)
