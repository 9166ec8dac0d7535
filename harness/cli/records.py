"""Whose records a verb asks where nobody has named a folder of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

DEFAULT = Path("results")


def records_here(ctx: click.Context, param: click.Parameter, value: Path) -> Path:
    """The folder of records that was named; unless one was, in a workspace that of its attempt.

    Raises:
        UsageError: None was named, and this is a participant's folder that belongs to no attempt here.
    """
    from click.core import ParameterSource

    chosen = ctx.get_parameter_source(str(param.name)) is not ParameterSource.DEFAULT
    return value if chosen else default_records()


def several_here(ctx: click.Context, param: click.Parameter, value: tuple[Path, ...]) -> tuple[Path, ...]:
    """The same for an option that may be given several times.

    Raises:
        UsageError: See `records_here`.
    """
    return tuple(records_here(ctx, param, folder) for folder in value)


def default_records() -> Path:
    """`./results`; in a workspace the records of its attempt.

    A participant may have laid a `results` folder into theirs, whose records would decide what runs with our rights.

    Raises:
        UsageError: This is a participant's folder, it holds a `results`, and it belongs to no attempt here.
    """
    from harness.attempt.registry import attempt_of
    from harness.errors import RecordError, UsageError
    from harness.folders import workspace_above

    with contextlib.suppress(RecordError):  # it is told by those who need the attempt
        if (own := attempt_of(Path.cwd())) is not None:
            return own.parents[1]
    if DEFAULT.exists() and (place := workspace_above(Path.cwd())) is not None:
        remedy = "go to a folder of your own, or name the records: --results FOLDER"
        raise UsageError("records that lie in a participant's folder are not asked", where=place, remedy=remedy)
    return DEFAULT
