"""Verbs on papers: listing, showing, validating, keeping the generated parts in step."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from harness.cli.completion import offer_papers
from harness.cli.records import records_here
from harness.report.text import echo

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")


@click.command()
@as_json
def papers(as_json: bool) -> None:
    """List the papers, with the award that makes each one of ours.

    \b
    Example:
      reproof papers
      reproof papers --json
    """
    from harness.cli.terminal import Teller, print_json
    from harness.report.papers import listed

    rows = listed(Teller().say)
    if as_json:
        print_json(rows)
        return
    for row in rows:
        echo(f"{row['id']:16} {row['title']}\n{'':16} {row['venue']}, {row['award']}")


@click.group()
def paper() -> None:
    """Begin, show, sync and validate a paper; print the schema.

    \b
    Example:
      reproof paper new random_walk
      reproof paper show tree_search
      reproof paper validate tree_search
    """


@paper.command()
@click.argument("name", metavar="ID")
@click.option("--title", default=None, help="The paper's title, if it is known already.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("papers"),
    show_default=True,
    help="The folder of papers that it is made in.",
)
@as_json
def new(name: str, title: str | None, into: Path, as_json: bool) -> None:
    """Begin a paper: a folder that loads and runs, with everything that is yours to say marked TODO.

    \b
    Example:
      reproof paper new random_walk --title "Temporal differences on a random walk"
    """
    from harness.cli.terminal import print_json
    from harness.paper.scaffold import create_paper

    made = create_paper(name, into, title=title)
    if as_json:
        print_json({"paper": made.paper, "folder": str(made.folder.resolve()), "files": list(made.files)})
        return
    echo(f"{made.folder}:")
    for file in made.files:
        echo(f"  {file}")
    path = shlex.quote(str(made.folder) if made.folder.is_absolute() else f"./{made.folder}")
    echo(f"\nedit them, every TODO says what belongs there; then\n  reproof paper sync {path}")
    echo(f"  reproof paper validate {path}")


@paper.command()
@click.argument("name", metavar="PAPER", shell_complete=offer_papers)
@as_json
def show(name: str, as_json: bool) -> None:
    """Show what a paper claims, where its targets come from, and what a participant may spend.

    \b
    Example:
      reproof paper show tree_search
    """
    from harness.cli.terminal import print_json
    from harness.paper.load import open_paper
    from harness.report.papers import described, print_paper

    found = open_paper(name)
    print_json(described(found)) if as_json else print_paper(found)


@paper.command()
def schema() -> None:
    """Print the JSON Schema of paper.yaml, for editors.

    \b
    Example:
      reproof paper schema > paper.schema.json
    """
    from harness.cli.terminal import print_json
    from harness.paper.schema import PaperSpec

    print_json(PaperSpec.model_json_schema())


@paper.command()
@click.argument("name", metavar="PAPER", shell_complete=offer_papers)
@click.option("--check", is_flag=True, help="Change nothing; fail if something would change.")
@as_json
def sync(name: str, check: bool, as_json: bool) -> None:
    """Write what follows from paper.yaml: the tables of brief.md, and the start commit.

    \b
    Example:
      reproof paper sync tree_search
    """
    from harness.cli.terminal import print_json
    from harness.errors import PaperError
    from harness.paper.load import open_paper
    from harness.validation.sync import synchronise

    found = open_paper(name)
    changed = synchronise(found, write=not check)
    if check and changed:
        raise PaperError(
            "generated parts are out of step",
            where=found.folder,
            got=", ".join(changed),
            remedy=f"run `reproof paper sync {name}`",
        )
    if as_json:
        print_json({"paper": name, "changed": changed})
    else:
        echo(f"{name}: {'changed ' + ', '.join(changed) if changed else 'all in step'}")


@paper.command()
@click.argument("names", metavar="[PAPER]...", nargs=-1, shell_complete=offer_papers)
@click.option("--all", "every", is_flag=True, help="Every paper that is found.")
@click.option("--mutation", "only", metavar="NAME", multiple=True, help="Try this mutation alone; may be repeated.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    callback=records_here,
    show_default=True,
    help="Where runs are kept.",
)
@click.option(
    "--private-path", type=click.Path(path_type=Path, exists=True), default=None, help="References kept elsewhere."
)
@as_json
def validate(
    names: tuple[str, ...],
    every: bool,
    only: tuple[str, ...],
    results: Path,
    private_path: Path | None,
    as_json: bool,
) -> None:
    """Prove papers fair: the reference passes, the starter earns nothing, every mistake and every replay is caught.

    Where something is left to do in a paper's folder, that is listed, and nothing is run. What was done for the same
    content is not done again, so an interrupted validation goes on, and a second one is instant.

    \b
    Example:
      reproof paper validate tree_search
      reproof paper validate tree_search --mutation backup_from_leaves
      reproof paper validate --all --json
    """
    from harness.cli.terminal import Teller, print_json
    from harness.errors import UsageError
    from harness.folders import find_papers
    from harness.paper.load import open_paper
    from harness.report.papers import print_proof
    from harness.validation.proof import Proof
    from harness.validation.validate import validate as prove

    if bool(names) == every or (only and len(names) != 1):
        expected = "the papers' names, or --all; with --mutation exactly one name"
        raise UsageError("which papers?", expected=expected, remedy="`reproof papers` lists them")
    fair, proofs = True, list[Proof]()
    for name in sorted(find_papers()) if every else names:
        with Teller() as teller:
            found = open_paper(name, private_path=private_path)
            proof = prove(found, results, tell=teller.say, progress=teller.progress, only=only)
        fair, proofs = fair and proof.fair, [*proofs, proof]
        if not as_json:
            print_proof(proof)
    if as_json:
        shown = [proof.model_dump(mode="json") for proof in proofs]
        print_json(shown if every or len(shown) > 1 else shown[0])
    sys.exit(0 if fair else 1)
