"""The verb that runs a participant's command, metered, beside the paper's environments."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.desk import at_work, attempt_option, desk_of, results_option
from harness.cli.terminal import as_json, print_json
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.attempt.desk import Desk
    from harness.attempt.work import Done
    from harness.gateway.offer import Served


@click.command(name="exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@attempt_option
@results_option
@click.option(
    "--experiment", default=None, help="Whose environments are served; by default each id's first experiment."
)
@click.option("--instance", default=1, show_default=True, help="Which pinned instance of that experiment they are on.")
@click.option("--env-steps", type=click.IntRange(min=1), default=None, help="Grant no more steps of environments.")
@click.option("--memory", type=click.IntRange(min=1 << 20), default=None, help="Grant no more bytes of memory.")
@click.option("--folder", default=None, hidden=True, help="Where in the workspace it is run; here unless said.")
@as_json
@click.argument("words", nargs=-1, required=True, metavar="COMMAND...")
def exec(
    name: str | None,
    results: Path,
    experiment: str | None,
    instance: int,
    env_steps: int | None,
    memory: int | None,
    folder: str | None,
    as_json: bool,
    words: tuple[str, ...],
) -> None:
    """Run a command in the clean room, over the workspace, metered: what it uses is counted and trusted.

    It sees the workspace and what is installed beside Reproof, has no network, and ends where the budget does. Its
    standard input is empty. The exit status is the command's own, 137 if it was ended. With --json, exit, usage and log
    are printed when it has ended. Where a paper has environments, gymnasium.make reaches them as in a rerun, and the
    steps count.

    \b
    Example:
      reproof exec -- python train.py --steps 1000
      reproof exec --experiment search --env-steps 20000 -- python train.py
    """
    from harness.attempt.room import room_of
    from harness.attempt.work import MEMORY, Bench, inside
    from harness.cli.terminal import Echo

    desk = desk_of(name, results)
    at_work(desk)
    served = _served(desk, experiment, instance)
    room = room_of(desk)
    bench = Bench(desk=desk, sandbox=room, environments=served, most_steps=env_steps, memory=memory or MEMORY)
    output = None if as_json else Echo()
    done = bench.run(words, output=output, folder=inside(desk.workspace, _there(desk, folder)))
    if as_json:
        print_json(_ended(done))
    if done.killed_by:
        _remark(f"the command was ended by its {done.killed_by} limit; `reproof status` says more")
    if done.closing is not None:
        from harness.report.account import steps_lines

        for line in steps_lines(done.closing, desk.account()):
            _remark(line)
    sys.stdout.flush()
    sys.exit(137 if done.exit is None else done.exit)


def _there(desk: Desk, folder: str | None) -> Path:
    """The folder of the workspace that a command is run in; its root where there is none of that name."""
    if folder is None:
        return Path.cwd()
    there = desk.workspace / folder
    return there if there.is_dir() else desk.workspace


def _served(desk: Desk, experiment: str | None, instance: int) -> Mapping[str, Served]:
    """What commands are served, if the paper has environments; what somebody must know of it is said."""
    paper = Path(desk.attempt.paper_folder, "paper.yaml")
    if (experiment, instance) == (None, 1) and paper.is_file() and b"environments" not in paper.read_bytes():
        return {}  # most papers have none, and reading one as it is meant takes longer than most commands
    from harness.report.account import stand_lines
    from harness.rerun.served import stand_of
    from harness.road import road_of

    stand = stand_of(road_of(desk).paper, experiment=experiment, instance=instance)
    for line in stand_lines(stand, desk.env_steps_left()):
        _remark(line)
    return stand.environments


def _remark(text: str) -> None:
    """A line of ours, apart from what the command says."""
    from harness.report.text import inline

    echo(f"reproof: {inline(text)}", err=True)


def _ended(done: Done) -> dict[str, Any]:
    """What --json prints of a command."""
    import msgspec

    facts = asdict(done)
    closing = facts.pop("closing")
    used = closing.used if closing else {}
    steps = {id: msgspec.structs.asdict(taken) for id, taken in used.items()}
    return {**facts, "env_steps": steps, "misbehaved": closing.misbehaved if closing else []}
