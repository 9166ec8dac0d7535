"""Which attempt a workspace belongs to: noted in the user's own state folder, never in the workspace.

What lies in a workspace may come from anybody, so nothing in it is asked where the records are.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from harness.errors import RecordError, UsageError
from harness.record.files import Slip, private_folder, read_slip, write_slip

STATE = "XDG_STATE_HOME"
"""Environment variable: the folder for the state of programs; `~/.local/state` unless set."""


class _Place(Slip, frozen=True):
    workspace: str
    attempt: str
    """The attempt's folder."""


def state_folder() -> Path:
    """Where the state of this user's harness lies, beside all results; nobody has made it yet."""
    return Path(os.environ.get(STATE) or Path.home() / ".local" / "state") / "reproof"


def _note_of(workspace: Path) -> Path:
    name = hashlib.sha256(os.fsencode(workspace)).hexdigest()[:32]
    return state_folder() / "workspaces" / f"{name}.json"


def ready() -> None:
    """See that `remember` will be able to write.

    Raises:
        UsageError: The state folder cannot be written.
    """
    import tempfile

    folder = _note_of(Path("/")).parent
    try:
        private_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _refused(folder, error) from None


def _refused(folder: Path, error: OSError) -> UsageError:
    return UsageError(
        "where this workspace belongs cannot be noted",
        where=folder,
        got=error,
        remedy=f"make the folder writable, or name another one in {STATE}",
    )


def remember(workspace: Path, attempt: Path) -> None:
    """Note that a workspace belongs to the attempt in that folder.

    Raises:
        UsageError: The state folder cannot be written.
    """
    note = _note_of(workspace.resolve())
    try:
        write_slip(note, _Place(workspace=str(workspace.resolve()), attempt=str(attempt.resolve())))
    except OSError as error:
        raise _refused(note.parent, error) from None


def attempt_of(folder: Path) -> Path | None:
    """The folder of the attempt whose workspace this is, or lies above it; None if there is none.

    Raises:
        RecordError: There was one, and its records are gone.
    """
    here = folder.resolve()
    for candidate in (here, *here.parents):
        note = _note_of(candidate)
        if note.is_file():
            try:
                found = Path(read_slip(note, _Place).attempt)
            except RecordError:
                continue
            if not (found / "attempt.json").is_file():
                remedy = "bring the folder back; if it was moved, name the attempt: --results FOLDER and its name"
                raise RecordError("the records of this workspace are gone", where=found, remedy=remedy)
            return found
    return None
