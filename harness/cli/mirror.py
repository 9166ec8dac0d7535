"""Verbs on the mirror in MLflow: fill it from the records, and open it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.desk import attempt_argument, desk_of, results_option
from harness.cli.terminal import Teller, as_json, print_json
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.attempt.desk import Desk

_PORT = 5000


@click.command()
@attempt_argument
@click.option("--all", "everybody", is_flag=True, help="Every scored attempt of the results folder.")
@click.option("--uri", default=None, help="MLflow tracking URI; by default as the attempt was begun.")
@results_option
@as_json
def track(name: str | None, everybody: bool, uri: str | None, results: Path, as_json: bool) -> None:
    """Mirror attempts to MLflow from their records; what is there already is not written twice.

    What was deleted in MLflow is made again, what a rescoring changed is brought up to date, and runs that a score no
    longer rests on are marked stale.

    \b
    Example:
      reproof track 20261122-101500-tree_search-reference-a1b2 --uri http://127.0.0.1:5000
      reproof track --all
    """
    if not everybody:
        found = _tracked(desk_of(name, results), uri)
        if as_json:
            print_json(found)
        return
    done = _track_all(name, uri, results)
    if as_json:
        print_json(done)
    _complain(done)


def _tracked(desk: Desk, uri: str | None) -> dict[str, Any]:
    """Mirror one attempt; what it said it wanted itself gives way to being asked now."""
    from harness.record.entry import NO_MIRROR, default_uri
    from harness.report.mirror import track as mirror
    from harness.road import road_of

    with Teller() as teller:
        road = road_of(desk, tell=teller.say, progress=teller.progress)
        if uri is None and road.attempt.tracking_uri == NO_MIRROR:
            uri = default_uri(road.store)
        done = mirror(road, uri=uri, apart=True)
    return {"attempt": road.attempt.id, **(asdict(done) if done else {})}


def _track_all(name: str | None, uri: str | None, results: Path) -> dict[str, list[Any]]:
    """Mirror every scored attempt; one that cannot be read does not stop the others, a store that is away does."""
    from harness.attempt.desk import Desk
    from harness.errors import MirrorFault, ReproofError, UsageError
    from harness.record.files import Store
    from harness.report.kept import list_attempts

    if name is not None:
        raise UsageError("--all and an attempt exclude each other", got=name, remedy="leave one of them out")
    store, rows = Store(results.resolve()), list_attempts(results)
    done: dict[str, list[Any]] = {"mirrored": [], "not_scored": [], "failed": []}
    for number, row in enumerate(rows, start=1):
        if row["verdict"] is None and row["paper"] != "unreadable":
            done["not_scored"].append(row["attempt"])
            continue
        echo(f"{number} of {len(rows)}: {row['attempt']}", err=True)
        try:
            done["mirrored"].append(_tracked(Desk(folder=store.attempt(row["attempt"])), uri))
        except MirrorFault:
            raise
        except ReproofError as error:
            done["failed"].append({"attempt": row["attempt"], **error.as_dict()})
    return done


def _complain(done: dict[str, list[Any]]) -> None:
    """Say what was left out, and end with an error if something could not be read."""
    from harness.errors import RecordError

    if not any(done.values()):
        echo("no attempts here; begin with: reproof attempt paper=tree_search participant=reference", err=True)
    for attempt in done["not_scored"]:
        echo(f"not scored yet, so not mirrored: {attempt}", err=True)
    if done["failed"]:
        lines = [f"{one['attempt']}: {one['message']}; {one['remedy'] or ''}" for one in done["failed"]]
        remedy = "\n  ".join(["the others are mirrored; of these:", *lines])
        raise RecordError(f"{len(lines)} attempts could not be mirrored", remedy=remedy)


@click.command()
@results_option
@click.option("--uri", default=None, help="Another MLflow store; by default SQLite inside the results folder.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="By default 5000, or the next free one.")
@click.option("--print", "only_print", is_flag=True, help="Print the address and the command, and start nothing.")
@as_json
def mlflow(results: Path, uri: str | None, port: int | None, only_print: bool, as_json: bool) -> None:
    """Open MLflow's UI on the mirrored runs, on this machine alone; Ctrl-C ends it.

    \b
    Example:
      reproof mlflow
      reproof mlflow --results runs/june --port 5001
    """
    from harness.errors import masked
    from harness.record.files import Store
    from harness.report.ui import interface, serve

    found = interface(Store(results.resolve()), uri=uri, port=port)
    if as_json:
        command = [masked(word) for word in found.command] or None
        print_json({"uri": masked(found.uri), "url": found.url, "command": command})
        return
    echo(f"MLflow: {found.url}   (store: {masked(found.uri)})")
    for line in found.lines():
        echo(line)
    if found.command and not only_print:
        echo("Ctrl-C ends it.")
        serve(found)
