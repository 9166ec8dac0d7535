"""The clean room of an attempt, as it was begun with, and what none of its jobs may read."""

from __future__ import annotations

from pathlib import Path

from harness.attempt.desk import Desk
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Sandbox, SandboxSettings
from harness.folders import find_papers


def room_of(desk: Desk, *hidden: Path) -> Sandbox:
    """The clean room that an attempt was begun with.

    Args:
        desk: The attempt's.
        hidden: Host paths that no job may read, beside the private folders of its own paper and of all in reach; of a
            folder that keeps those elsewhere, the other papers' are hidden too.
    """
    own = Path(desk.attempt.paper_folder, "private")
    elsewhere = {path.parent for path in hidden if path.name != own.name}
    elsewhere |= {Path(desk.attempt.private_path)} if desk.attempt.private_path else set()
    return open_sandbox(
        SandboxSettings(
            backend=desk.attempt.sandbox,
            waive=tuple(desk.attempt.waived),
            hidden=(own, *hidden, *(folder / paper for folder in sorted(elsewhere) for paper in find_papers())),
            records=(desk.folder.parents[1],),
        )
    )
