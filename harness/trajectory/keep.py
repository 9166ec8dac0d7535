"""An attempt's trajectory in its folder: derived from the journal, kept beside it, derived anew where it is behind."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.attempt.desk import Desk
from harness.proxy.exchange import JOURNAL, exchanges
from harness.record.files import damaged, write_text
from harness.trajectory.atif import Trajectory
from harness.trajectory.derive import derive

FILE = "trajectory.json"
"""In the attempt's folder."""
_JOURNAL_BYTES = "journal_bytes"


def trajectory_of(desk: Desk) -> Trajectory | None:
    """What an attempt's agent did: as it was kept, or from the journal where that has grown since.

    Returns:
        None where no model was asked: a person worked, or a command without one.

    Raises:
        RecordError: What was kept is damaged, and there is no journal from which to make it again.
    """
    journal, path = desk.folder / JOURNAL, desk.folder / FILE
    size = journal.stat().st_size if journal.exists() else None
    kept = _read(path, needed=size is None) if path.exists() else None
    if size is None or (kept and (kept.extra or {}).get(_JOURNAL_BYTES) == size):
        return kept
    who = desk.attempt.participant
    found = derive(exchanges(journal), attempt=desk.attempt.id, agent=who.name, version=version_of(desk))
    if found is not None:
        found.extra = {**(found.extra or {}), _JOURNAL_BYTES: size}
        write_text(path, text_of(found))
    return found


def text_of(found: Trajectory) -> str:
    """The file: one JSON object on one line."""
    return msgspec.json.encode(found).decode() + "\n"


def version_of(desk: Desk) -> str:
    """Of the agent's program; the harness's records do not know it for every adapter."""
    return "unknown"


def _read(path: Path, *, needed: bool) -> Trajectory | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Trajectory)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if needed:
            raise damaged(path, "an ATIF trajectory", str(error)) from None
        return None
