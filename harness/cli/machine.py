"""Verbs on this machine: what it can guarantee, and the road shown on one paper."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.records import records_here
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.cleanroom.doctor import Property

DEMO = ("paper=tree_search", "participant=reference")


@click.command()
@click.option("--sandbox", type=click.Choice(["bubblewrap", "process"]), default="bubblewrap", show_default=True)
@click.option("--waive", multiple=True, help="Do without this property.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    callback=records_here,
    help="Where records are kept.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
def doctor(sandbox: str, waive: tuple[str, ...], results: Path, as_json: bool) -> None:
    """Say what this machine can and cannot guarantee, each property tried out.

    \b
    Example:
      reproof doctor
      reproof doctor --results results
    """
    from harness.cleanroom.doctor import examine
    from harness.cleanroom.sandbox import SandboxSettings
    from harness.cli.terminal import print_json

    found = [*examine(SandboxSettings(backend=sandbox, waive=waive)), _kept(results)]
    if as_json:
        print_json([asdict(item) for item in found])
    for item in [] if as_json else found:
        sign = click.style("ok ", fg="green") if item.ok else click.style("NO ", fg="red")
        echo(f" {item.name}: {item.detail}", sign=sign)
        if item.remedy:
            waivable = f"\n    or waive it: sandbox.waive=[{item.name}]" if item.waivable else ""
            echo(f"    {item.remedy}{waivable}")
    sys.exit(0 if all(item.ok or item.name in waive for item in found) else 4)


def _kept(results: Path) -> Property:
    """Whether records are their owner's alone."""
    from harness.cleanroom.doctor import Property
    from harness.record.privacy import objection

    why, where = objection(results), results.resolve()
    remedy = f"chmod -R go-rwx {shlex.quote(str(where))}, or name a folder of your own with --results"
    return Property(
        name="private results",
        ok=why is None,
        detail=f"{where}: {why or 'nobody else can read or write what is in it'}",
        remedy=remedy if why else None,
        waivable=False,
    )


@click.command()
@click.option(
    "--agents-path",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    help="A folder of adapters of yours, looked into first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")
def agents(agents_path: Path | None, as_json: bool) -> None:
    """List the adapters, which version of its program each drives, and how what is missing is installed.

    \b
    Example:
      reproof agents
      reproof agents --json
    """
    from harness.cli.terminal import print_json
    from harness.report.agents import listed, print_agents

    rows = listed(agents_path)
    print_json(rows) if as_json else print_agents(rows)


@click.command()
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("results"),
    callback=records_here,
    show_default=True,
    help="Where records are kept.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the score as JSON on standard output.")
def demo(results: Path, as_json: bool) -> None:
    """Walk the whole road on one paper, in under a minute.

    The reference of a paper is handed in as a participant would hand in theirs, rerun in the clean room on fresh seeds,
    logged to MLflow and scored.

    \b
    Example:
      reproof demo
    """
    from harness.cli.asked import run_attempts
    from harness.config import quoted

    run_attempts((*DEMO, f"results={quoted(results)}", *_waivers()), as_json=as_json)


def _waivers() -> tuple[str, ...]:
    """Exact metering may be missing on a laptop: the demo goes without it, and the record says so."""
    from harness.cleanroom.backends import open_sandbox
    from harness.cleanroom.sandbox import METERING, SandboxSettings

    if open_sandbox(SandboxSettings(waive=(METERING,))).description().exact_metering:
        return ()
    echo("no cgroup of our own here, so usage is estimated; `reproof doctor` says more", err=True)
    return (f"sandbox.waive=[{METERING}]",)
