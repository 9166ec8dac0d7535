"""Verbs that meet other harnesses: tasks written for them, their jobs scored here, their agents let in."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.completion import offer_papers
from harness.cli.desk import private_option
from harness.cli.terminal import as_json, print_json


@click.group()
def export() -> None:
    """Write papers as tasks of another harness.

    \b
    Example:
      reproof export harbor tree_search tasks
    """


@export.command("harbor")
@click.argument("papers", nargs=-1, required=True, metavar="PAPER...", shell_complete=offer_papers)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@private_option
@as_json
def export_harbor(papers: tuple[str, ...], folder: Path, private_path: Path | None, as_json: bool) -> None:
    """Write papers as tasks that Harbor runs, each into a folder of its own in DIR.

    Where the paper's private part is at hand, its reference becomes the oracle's solution: keep such a folder to
    yourself.

    \b
    Example:
      reproof export harbor tree_search persistent_es tasks
    """
    from harness.exchange.harbor_export import export_task
    from harness.paper.load import open_paper

    found = [export_task(open_paper(paper, private_path=private_path), folder) for paper in papers]
    if as_json:
        print_json([{"paper": one.paper, "folder": str(one.folder.resolve()), "oracle": one.oracle} for one in found])
        return
    for one in found:
        click.echo(f"{one.folder}" + ("" if one.oracle else "  (no oracle: the paper's private part is not here)"))


@click.command()
def guest() -> None:
    """Let an agent of another harness work here; Harbor's and Inspect's processes start this themselves.

    It reads one JSON object a line on standard input and answers each with one on standard output.

    \b
    Example:
      reproof guest
    """
    from harness.cli.attempts import finish, mirrored
    from harness.cli.terminal import Teller
    from harness.exchange.host import Host, serve
    from harness.road import Road
    from harness.scoring.score import Score

    def finished(road: Road) -> Score:
        result = finish(road)
        mirrored(road)
        return result

    answers, sys.stdout = sys.stdout, sys.stderr  # nothing else may be printed there
    with Teller() as teller:
        serve(sys.stdin, answers, Host(finish=finished, tell=teller.say))
