"""Adapters for people: where each was found, which program it drives, and how that is installed."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.attempt.installed import Installation, folder_of, install_line, installed_version
from harness.attempt.participant import find_agents, load_agent, where_of
from harness.errors import PaperError
from harness.report.text import echo, plain


def listed(own: Path | None = None) -> list[dict[str, Any]]:
    """Every adapter: name, what it is, where it was found, and of a program what is asked for and what is there.

    Args:
        own: A folder that is looked into first.
    """
    return [_row(name, source) for name, source in sorted(find_agents(own).items())]


def _row(name: str, source: Any) -> dict[str, Any]:
    row = {"name": name, "adapter": where_of(source), "about": "", "speaks": None, "problem": None, **_program(None)}
    try:
        module = load_agent(source)
    except PaperError as error:
        return {**row, "problem": str(error)}
    row["speaks"] = getattr(module, "SPEAKS", None)
    row["about"] = (inspect.getdoc(module) or "").partition("\n")[0]
    return {**row, **_program(getattr(module, "INSTALLATION", None))}


def _program(installation: Installation | None) -> dict[str, Any]:
    if installation is None:
        return dict.fromkeys(("registry", "package", "version", "installed", "folder", "install"))
    folder = folder_of(installation)
    return {
        "registry": installation.registry,
        "package": installation.package,
        "version": installation.version,
        "installed": installed_version(installation, folder),
        "folder": str(folder),
        "install": install_line(installation),
    }


def print_agents(rows: Sequence[dict[str, Any]]) -> None:
    """The agents that are programs first, then the participants that need none."""
    for row in (row for row in rows if row["package"]):
        there = row["installed"] == row["version"]
        sign = click.style("installed", fg="green") if there else click.style("missing  ", fg="red")
        echo(f"  {row['package']} {row['version']}", sign=f"{plain(row['name']):12} {sign}")
        if not there:
            echo(f"{'':12} install it with: {row['install']}")
    for row in (row for row in rows if not row["package"]):
        echo(f"{row['name']:12} {row['problem'] or row['about']}")
