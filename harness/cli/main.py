"""The command `reproof`: its verbs, imported only when they are called, and how errors leave it."""

from __future__ import annotations

import errno
import importlib
import io
import json
import keyword
import os
import sys
from typing import TYPE_CHECKING

import click

from harness.cli.start import VERBS, overview
from harness.errors import ReproofError, UsageError, machine_fault, unknown
from harness.report.text import echo, echo_json

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Verbs(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order a newcomer needs them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb's command, its module imported now.

        Raises:
            UsageError: Nobody knows the verb.
        """
        if name not in VERBS:
            raise unknown("verb", name, VERBS)
        module = importlib.import_module(f"harness.cli.{VERBS[name][0]}")
        attribute = name.replace("-", "_") + "_" * keyword.iskeyword(name)
        command: click.Command = getattr(module, attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The verbs from their table, which imports none of them, or options."""
        from click.shell_completion import CompletionItem

        verbs = [CompletionItem(name, help=line) for name, (_, line) in VERBS.items() if name.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def get_help(self, ctx: click.Context) -> str:
        """The table of verbs, which imports none of them."""
        return overview().rstrip("\n")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="reproof", prog_name="reproof")
def reproof() -> None:
    """Re-prove award-winning reinforcement-learning papers."""


def run() -> int:
    """Run the command line; an error ends it with its exit code and a sentence, never with a traceback.

    Returns:
        The exit code: of the error, 130 after an interrupt.
    """
    try:
        result = reproof.main(standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        _show(error)
        return error.exit_code
    except ReproofError as error:
        _say(error)
        return error.exit_code
    except BrokenPipeError:  # whoever read us has gone, and wants no words either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        unfit = UsageError("there can be no such file", where=error.filename, got=error.strerror)
        fault = unfit if error.errno in _UNFIT else machine_fault(error)
        _say(fault)
        return fault.exit_code
    except UnicodeEncodeError as error:  # a folder's name, say, whose bytes are no text that a record could hold
        said = str(error.object)[max(0, error.start - 60) : error.end]
        remedy = "give folders and files names in UTF-8"
        unwritten = UsageError("a name is no UTF-8, so no record could tell it", got=said, remedy=remedy)
        _say(unwritten)
        return unwritten.exit_code
    except (KeyboardInterrupt, click.Abort):
        echo("interrupted; everything that was done is kept", err=True)
        return 130


_UNFIT = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
"""What the system says of a name that somebody has typed."""


def _show(error: click.ClickException) -> None:
    """What click says of the words that were typed, which may hold anything."""
    said = io.StringIO()
    error.show(said)
    echo(said.getvalue(), err=True, nl=False)


def _say(error: ReproofError) -> None:
    if "--json" in sys.argv:
        echo_json(json.dumps(error.as_dict()), err=True)
    else:
        echo(f"reproof: {error}", err=True)
