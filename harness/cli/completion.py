"""The verb that prints a shell's completion script, and what is offered for papers, attempts and overrides."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import unknown
from harness.report.text import echo

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Offered = list["CompletionItem[str]"]
SETTINGS = ("paper", "results", "slots", "private_path", "agents_path", "condition", "workspace")
"""Settings of an attempt that are no group of configs/; each group is one too."""
_FOLDERS = {"results", "private_path", "agents_path"}
_SLOTS = ("curtailed", "all")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
_ATTEMPT = re.compile(r"\d{8}-\d{6}-[A-Za-z0-9_.-]{1,150}-[0-9a-f]{4}")
"""What attempt_name gives: a folder of another name may be anything, and what is offered lands on a command line."""
_PLAN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


def offer_shells(ctx: click.Context, param: click.Parameter, incomplete: str) -> Offered:
    """The shells that there is a script for."""
    from harness.cli.shells import SHELLS

    return _items(SHELLS, incomplete)


def offer_papers(ctx: click.Context, param: click.Parameter, incomplete: str) -> Offered:
    """Ids of papers; folders, once the word is a path."""
    if _is_path(incomplete):
        return _folders(incomplete)
    return _items(_papers(), incomplete)


def offer_attempts(ctx: click.Context, param: click.Parameter, incomplete: str) -> Offered:
    """Attempts of the results folder that the command names before, the newest first."""
    results = Path(ctx.params.get("results") or "results").expanduser()
    found = (path.parent.name for path in (results / "attempts").glob("*/attempt.json"))
    return _items(sorted(filter(_ATTEMPT.fullmatch, found), reverse=True), incomplete)


def offer_plans(ctx: click.Context, param: click.Parameter, incomplete: str) -> Offered:
    """Plans of the results folder that the command names before, the newest first."""
    results = Path(ctx.params.get("results") or "results").expanduser()
    found = (path.parent.name for path in (results / "plans").glob("*/plan.json"))
    return _items(sorted(filter(_PLAN.fullmatch, found), reverse=True), incomplete)


def offer_overrides(ctx: click.Context, param: click.Parameter, incomplete: str) -> Offered:
    """Settings followed by `=`, then the values that each one knows; after a comma, one value more."""
    setting, sign, value = incomplete.partition("=")
    groups = _groups()
    if not sign:
        return _items([f"{name}=" for name in sorted({*SETTINGS, *groups})], incomplete)
    if setting in _FOLDERS or (setting == "paper" and _is_path(value)):
        return _folders(value)
    known = {"paper": _papers(), "slots": _SLOTS, **groups}.get(setting, ())
    before = incomplete[: len(incomplete) - len(value.rpartition(",")[2])]
    return _items([f"{before}{name}" for name in known], incomplete)


def _is_path(word: str) -> bool:
    return word.startswith((".", "~")) or os.sep in word


def _papers() -> list[str]:
    from harness.folders import find_papers

    return [name for name in find_papers() if _NAME.fullmatch(name)]


def _groups() -> dict[str, list[str]]:
    """The groups of configs/ with their options, ours and those laid over them."""
    from harness.folders import configs_folder, own_configs

    found: dict[str, set[str]] = {}
    for folder in filter(None, (configs_folder(), own_configs())):
        for path in folder.glob("*/*.yaml"):
            if _NAME.fullmatch(path.stem) and _NAME.fullmatch(path.parent.name):
                found.setdefault(path.parent.name, set()).add(path.stem)
    return {group: sorted(options) for group, options in found.items()}


def _items(words: Iterable[str], incomplete: str) -> Offered:
    from click.shell_completion import CompletionItem

    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def _folders(incomplete: str) -> Offered:
    """The shell itself offers folders."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="dir")]


@click.command()
@click.argument("shell", metavar="bash|zsh|fish", shell_complete=offer_shells)
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    It completes verbs, options, papers, attempts, and the overrides of `reproof attempt`. To have it in every session,
    put this line into the file of your shell:

    \b
      ~/.bashrc                   eval "$(reproof completion bash)"
      ~/.zshrc, after compinit    eval "$(reproof completion zsh)"
      ~/.config/fish/config.fish  reproof completion fish | source

    \b
    Example:
      reproof completion bash
    """
    from harness.cli.shells import SHELLS, script

    if shell not in SHELLS:
        raise unknown("shell", shell, SHELLS)
    echo(script(shell), nl=False)
