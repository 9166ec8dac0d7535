"""Verbs that meet other harnesses: tasks written for them, their jobs scored here, their agents let in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.completion import offer_papers
from harness.cli.desk import private_option
from harness.cli.terminal import as_json, print_json
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.exchange.taking import Taken
    from harness.road import Road
    from harness.scoring.score import Score


def _finish(road: Road) -> Score:
    """Everything that follows a submission; a mirror that is late is told and spoils nothing."""
    from harness.cli.attempts import finish, mirrored
    from harness.road import to_the_end

    with to_the_end(road):
        result = finish(road)
        mirrored(road)
    return result


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
        echo(f"{one.folder}" + ("" if one.oracle else "  (no oracle: the paper's private part is not here)"))


@click.command()
def guest() -> None:
    """Let an agent of another harness work here; Harbor's and Inspect's processes start this themselves.

    It reads one JSON object a line on standard input and answers each with one on standard output.

    \b
    Example:
      reproof guest
    """
    from harness.cli.terminal import Teller
    from harness.exchange.host import Host, serve

    answers, sys.stdout = sys.stdout, sys.stderr  # nothing else may be printed there
    with Teller() as teller:
        serve(sys.stdin, answers, Host(finish=_finish, tell=teller.say))


@click.group(name="import")
def import_() -> None:
    """Take in what agents did in another harness, rerun and score it here.

    \b
    Example:
      reproof import harbor jobs/2026-11-23__08-00-00
    """


@import_.command("harbor")
@click.argument("job", type=click.Path(path_type=Path, file_okay=False))
@click.argument("overrides", nargs=-1)
@as_json
def import_harbor(job: Path, overrides: tuple[str, ...], as_json: bool) -> None:
    """Rerun and score the trials of a job of Harbor's.

    What Harbor counted is kept as reported, and shown beside; tokens, dollars and times are self-declared. A trial that
    is here already stays as it is, and what was interrupted goes on. OVERRIDES are settings, as in `reproof attempt`.

    \b
    Example:
      reproof import harbor jobs/2026-11-23__08-00-00
      reproof import harbor jobs/monday results=runs/monday slots=all --json
    """
    from dataclasses import asdict

    from harness.cli.terminal import Teller
    from harness.exchange.taking import Taker

    found = []
    with Teller() as teller:
        taker = Taker(finish=_finish, tell=teller.say, progress=teller.progress, overrides=overrides)
        for taken in taker.take(job):
            found.append(taken)
            if not as_json:
                echo(_line(taken))
    if as_json:
        print_json([asdict(taken) for taken in found])


def _line(taken: Taken) -> str:
    """One trial in a line: what was measured here, what the other harness counted, and why not where not."""
    value = "" if taken.value is None else f"{taken.verdict} {taken.value:.3f}"
    reported = "" if taken.reported is None else f"  reported {taken.reported:g}"
    fault = "" if taken.fault == "none" else f"  ({taken.fault})"
    head = f"{taken.trial:40} {taken.state:8} {value}{reported}{fault}"
    return "  ".join(part for part in (head.rstrip(), taken.attempt or "", taken.why) if part)
