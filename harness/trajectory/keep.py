"""An attempt's trajectory in its folder: derived from the journal, kept beside it, derived anew where it is behind."""

from __future__ import annotations

from pathlib import Path

import msgspec

from harness.attempt.desk import Desk
from harness.errors import RecordError
from harness.proxy.exchange import JOURNAL, exchanges
from harness.record.files import write_text
from harness.trajectory.atif import Trajectory
from harness.trajectory.derive import derive
from harness.trajectory.read import read_trajectory

FILE = "trajectory.json"
"""In the attempt's folder."""
UNKNOWN = "unknown"
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
    kept = _read(path, desk, needed=size is None) if path.exists() else None
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
    """Of the agent's program, as the ledger has it of those that Reproof installs."""
    told = [event.data["program"] for event in desk.events() if isinstance(event.data.get("program"), str)]
    return told[-1].rpartition(" ")[2] if told else UNKNOWN


def _read(path: Path, desk: Desk, *, needed: bool) -> Trajectory | None:
    """What was kept; it may come from somebody else's archive. None where it can be made again."""
    try:
        return read_trajectory(path.read_bytes(), where=path, began=desk.attempt.started)
    except RecordError:
        if needed:
            raise
        return None
