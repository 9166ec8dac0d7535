"""How a store of MLflow's that is away, slow or locked is met: waited for a while, then named, with what helps."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from harness.errors import MirrorFault, ReproofError

LOCKED_FOR = 20.0
"""Seconds that somebody else may hold what we wait for."""
_SPOILT = ("not a database", "malformed", "schema", "Can't locate revision", "_alembic_tmp", "no such table")
_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what goes wrong is said by our error, once
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for what was asked
    # MLflow would try a server that is away for many minutes, and wait as long as one that is busy asks it to
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "PGCONNECT_TIMEOUT": "10",
}


def settings_of_mlflow() -> None:
    """Set what MLflow reads from the environment, unless the user has."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)


@contextmanager
def faults(uri: str) -> Iterator[None]:
    """Turn what goes wrong between MLflow and its store into one error with a remedy.

    Raises:
        MirrorFault: Something did.
    """
    try:
        yield
    except ReproofError:
        raise
    except Exception as error:
        said = str(error).strip() or "no reason given"
        raise MirrorFault(
            "MLflow's store failed",
            where=uri,
            got=f"{type(error).__name__}: {said.splitlines()[0][:300]}",
            remedy=f"{_remedy(said)}the records are whole; once it answers, `reproof track ATTEMPT` mirrors them",
        ) from error


def wait_for(database: Path) -> None:
    """Wait until nobody else writes into a SQLite database, if it exists."""
    if database.exists():
        with closing(sqlite3.connect(database, timeout=LOCKED_FOR)) as connection:
            connection.execute("BEGIN IMMEDIATE")


def _remedy(said: str) -> str:
    """What helps against a failure of a kind that we know."""
    if "401" in said or "not authenticated" in said:
        return "it wants a name and a password: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD; "
    if "403" in said or "Permission denied" in said:
        return "this account may not write there: ask who runs the server for the permission; "
    if "password authentication failed" in said or "no password supplied" in said:
        return "set PGPASSWORD, or add a line to ~/.pgpass; "
    if any(sign in said for sign in ("disk is full", "No space left", "disk I/O error")):
        return "make room there; "
    if any(sign in said for sign in _SPOILT):
        made = "move it aside, and `reproof track --all` fills a new one"
        return f"it is damaged, or another version of MLflow's: {made}; "
    if "unable to open" in said:
        return "see that its folder is there, and open to this account; "
    if "locked" in said:
        return f"another process holds it for more than {LOCKED_FOR:.0f} s; "
    return ""
