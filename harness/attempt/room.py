"""The clean room of an attempt, as it was begun with, and what none of its jobs may read."""

from __future__ import annotations

from pathlib import Path

from harness.attempt.desk import Desk
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Sandbox, SandboxSettings


def room_of(desk: Desk, *hidden: Path) -> Sandbox:
    """The clean room that an attempt was begun with.

    Args:
        desk: The attempt's.
        hidden: Host paths that no job may read, beside the private folders of its own paper and of all in reach.
    """
    own = Path(desk.attempt.paper_folder, "private")
    return open_sandbox(
        SandboxSettings(
            backend=desk.attempt.sandbox,
            waive=tuple(desk.attempt.waived),
            hidden=(own, *hidden),
            records=(desk.folder.parents[1],),
        )
    )
