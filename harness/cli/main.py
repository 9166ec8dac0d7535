"""The command `reproof`: its verbs, imported only when they are called, and how errors leave it."""

from __future__ import annotations

import importlib
import os
import sys

import click

VERBS: dict[str, tuple[str, str]] = {
    "papers": ("papers", "List the papers."),
    "paper": ("papers", "Show, validate and sync a paper; print the schema."),
    "attempt": ("attempts", "Take a participant from brief to score."),
    "rerun": ("attempts", "Rerun a submission in the clean room, or go on with it."),
    "score": ("attempts", "Score an attempt from its runs."),
    "rescore": ("attempts", "Score again, with the paper as it is now, without rerunning."),
    "report": ("attempts", "Show an attempt's score and its reasons."),
    "attempts": ("attempts", "List the attempts."),
    "track": ("attempts", "Mirror an attempt to MLflow from its records."),
    "doctor": ("machine", "Say what this machine can and cannot guarantee."),
    "demo": ("machine", "Walk the whole road on one paper, in under a minute."),
}
"""Each verb: the module it lives in, and its line in `reproof --help`."""
_MODULE = "harness.cli.{}"


class Verbs(click.Group):
    """A group whose commands are imported when they are called, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All verbs, in the order a newcomer needs them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The verb's command, its module imported now."""
        if name not in VERBS:
            return None
        module = importlib.import_module(_MODULE.format(VERBS[name][0]))
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, but an unknown verb is answered with the nearest one."""
        if args[0] not in VERBS and not args[0].startswith("-"):
            from harness.errors import unknown

            raise unknown("verb", args[0], VERBS)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table, importing none of them."""
        with formatter.section("Verbs"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="reproof", prog_name="reproof")
def reproof() -> None:
    """Re-prove award-winning reinforcement-learning papers.

    \b
    Example:
      reproof demo
      reproof attempt paper=tree_search participant=reference
    """


def main() -> None:
    """Run the command line; errors end it with their exit code and a sentence, never with a traceback."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")  # the cores belong to the runs
    sys.exit(_run())


def _run() -> int:
    from harness.errors import ReproofError

    try:
        result = reproof.main(standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ReproofError as error:
        _say(error)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; everything that was done is kept", err=True)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141


def _say(error: Exception) -> None:
    from harness.errors import ReproofError

    assert isinstance(error, ReproofError)
    if "--json" in sys.argv:
        import json

        click.echo(json.dumps(error.as_dict()), err=True)
    else:
        click.echo(f"reproof: {error}", err=True)
