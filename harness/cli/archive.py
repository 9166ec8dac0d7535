"""Verbs that let others check a score: pack an attempt into one file, verify such a file."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli.desk import attempt_argument, desk_of, private_option, results_option
from harness.cli.terminal import as_json, print_json
from harness.report.text import echo


@click.command()
@attempt_argument
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), default=None, help="The file to write.")
@click.option("--no-outputs", is_flag=True, help="Leave out what runs wrote: smaller, and only a rerun can check it.")
@results_option
@private_option
@as_json
def pack(
    name: str | None, to: Path | None, no_outputs: bool, results: Path, private_path: Path | None, as_json: bool
) -> None:
    """Write one file from which others can rerun and score an attempt again.

    It holds the records, the commits, seeds and instances, logs and outputs, and the paper's public files; never the
    paper's private part. The same attempt gives the same bytes.

    \b
    Example:
      reproof pack 20261122-101500-tree_search-solver-3-a1b2
      reproof pack 20261122-101500-tree_search-solver-3-a1b2 --to solver.tar.gz --no-outputs
    """
    from harness.archive.pack import pack as write_archive
    from harness.cli.terminal import Teller
    from harness.report.archive import pack_lines, packed_facts
    from harness.road import road_of

    with Teller() as teller:
        road = road_of(desk_of(name, results), tell=teller.say, private_path=private_path)
        found = write_archive(road, to, outputs=not no_outputs)
    if as_json:
        print_json(packed_facts(found))
        return
    for line in pack_lines(found):
        echo(line)


@click.command()
@click.argument("archive", type=click.Path(path_type=Path))
@click.option("--quick", is_flag=True, help="Only score again from the packed outputs; it does not count.")
@click.option("--again", is_flag=True, help="Rerun although it was rerun here before.")
@click.option("--waive", multiple=True, metavar="NAME", help="A property that the clean room here may lack.")
@results_option
@private_option
@as_json
def verify(
    archive: Path,
    quick: bool,
    again: bool,
    waive: tuple[str, ...],
    results: Path,
    private_path: Path | None,
    as_json: bool,
) -> None:
    """Rerun and score a packed attempt on this machine, and show where it differs.

    The archive is checked before anything in it is used. Its score must follow from its outputs, and its commit, rerun
    in the clean room here on the packed seeds and instances, must give the same leaves. Exit code 0: the same; 1: it
    differs.

    \b
    Example:
      reproof verify 20261122-101500-tree_search-solver-3-a1b2.reproof.tar.gz
      reproof verify solver.tar.gz --quick --json
    """
    from harness.archive.verify import Verifier
    from harness.cli.terminal import Teller
    from harness.report.archive import verification_facts, verification_lines

    with Teller() as teller:
        tell, show = teller.say, teller.progress
        verifier = Verifier(results=results, waive=waive, private_path=private_path, tell=tell, progress=show)
        try:
            found = verifier.verify(archive, quick=quick, again=again)
        except KeyboardInterrupt:
            tell(f"interrupted; go on with: reproof verify {archive} --results {results}")
            raise
    if as_json:
        print_json(verification_facts(found))
    for line in [] if as_json else verification_lines(found):
        echo(line)
    sys.exit(0 if found.same else 1)
