"""The verb that shows where participants stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.completion import offer_papers
from harness.cli.records import several_here
from harness.cli.terminal import as_json, print_json
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.report.leaderboard import Board


def _ids(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for text in value for name in text.split(",") if name.strip())


@click.command()
@click.option(
    "--results",
    multiple=True,
    type=click.Path(path_type=Path),
    default=(Path("results"),),
    callback=several_here,
    show_default="results",
    help="Where records are kept; may be given several times.",
)
@click.option(
    "--papers",
    multiple=True,
    callback=_ids,
    metavar="ID[,ID...]",
    shell_complete=offer_papers,
    help="The papers of the suite; by default all that are installed or were attempted.",
)
@click.option("--all", "own", is_flag=True, help="Show reference, starter and mutations too, apart.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: a line for each participant and paper.")
@click.option(
    "--page", type=click.Path(path_type=Path, dir_okay=False), default=None, help="Write a page into this file."
)
@as_json
def leaderboard(
    results: tuple[Path, ...], papers: tuple[str, ...], own: bool, as_csv: bool, page: Path | None, as_json: bool
) -> None:
    """Show where participants stand: the mean over the suite's papers, a missing one counted as 0.

    Places are ranges: who cannot be told apart shares them. --page writes one HTML file that sorts and filters itself.

    \b
    Example:
      reproof leaderboard
      reproof leaderboard --results june --results july --page board.html
      reproof leaderboard --papers tree_search,open_loop
      reproof leaderboard --json
    """
    from harness.errors import UsageError

    if as_csv and as_json:
        raise UsageError("standard output holds one of the two", got="--csv and --json", remedy="leave one out")
    found = _board(results, papers)
    if page is not None:
        _write_page(found, page, own=own)
    if as_json:
        _print_json(found, page, own=own)
    elif as_csv:
        from harness.report.leaderboard import as_csv as csv_of

        echo(csv_of(found, own=own), nl=False)
    else:
        from harness.report.leaderboard_table import print_board

        print_board(found, own=own)


def _board(results: tuple[Path, ...], papers: tuple[str, ...]) -> Board:
    from harness.cli.terminal import Teller
    from harness.report.entries import read_results
    from harness.report.leaderboard import board

    with Teller("attempts") as teller:
        return board(read_results(results, progress=teller.progress), results, papers=papers)


def _write_page(found: Board, page: Path, *, own: bool) -> None:
    from datetime import UTC, datetime

    from harness.report.elsewhere import write_elsewhere
    from harness.report.leaderboard_page import leaderboard_page

    write_elsewhere(page, leaderboard_page(found, own=own, made=datetime.now(UTC)))
    echo(f"page: {page.resolve()}", err=True)


def _print_json(found: Board, page: Path | None, *, own: bool) -> None:
    from harness.report.leaderboard import facts

    told: dict[str, Any] = facts(found, own=own)
    print_json({**told, "page": str(page.resolve())} if page else told)
