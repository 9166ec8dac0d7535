"""The verb that shows what an agent did."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.desk import attempt_argument, desk_of, results_option
from harness.cli.terminal import as_json
from harness.report.text import echo, echo_json, plain


@click.command()
@attempt_argument
@click.option("--step", "number", metavar="N", default=None, help="One step, whole; as 12, or 3.12 in conversation 3.")
@results_option
@as_json
def trajectory(name: str | None, number: str | None, results: Path, as_json: bool) -> None:
    """Show what an agent said and did, as the proxy heard it.

    With --json the whole trajectory in ATIF 1.8, Harbor's format; it lies in the attempt's folder too.

    \b
    Example:
      reproof trajectory 20261122-101500-tree_search-mini-a1b2
      reproof trajectory 20261122-101500-tree_search-mini-a1b2 --step 12
    """
    import msgspec

    from harness.errors import UsageError
    from harness.report.timeline import conversations, entries_of, step_of
    from harness.report.timeline_text import step_lines, trajectory_lines
    from harness.trajectory.keep import text_of, trajectory_of

    desk = desk_of(name, results)
    found, began = trajectory_of(desk), desk.attempt.started
    if found is None:
        kind = desk.attempt.participant.kind
        remedy = f"its commits and commands: reproof timesheet --attempt {desk.attempt.id}"
        raise UsageError(f"no model was asked in this attempt of kind {kind}", where=desk.attempt.id, remedy=remedy)
    if number is None:
        lines = trajectory_lines(found, entries_of(found, began=began))
        if as_json:
            echo_json(text_of(found).rstrip("\n"))
        else:
            click.echo_via_pager(f"{plain(line)}\n" for line in lines)
        return
    shown = step_of(found, number, began=began)
    if as_json:
        place, _, step = number.rpartition(".")
        echo_json(msgspec.json.encode(conversations(found)[int(place or 1) - 1].steps[int(step) - 1]).decode())
    else:
        echo("\n".join(step_lines(shown)))
