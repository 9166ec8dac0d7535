"""An attempt's own records: who works on what, from which start, until when, and what they handed in."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import Literal

from harness.paper.schema import Budget
from harness.record.store import Record


class Who(Record):
    """A participant, as the records name them."""

    kind: str
    """human, agent, reference, starter or mutation."""
    name: str
    adapter: str
    """The file of agents/ that launched them."""


class Attempt(Record):
    """One participant on one task, as it was begun."""

    id: str
    paper: str
    paper_folder: str
    paper_version: str
    participant: Who
    start_commit: str
    budget: Budget
    started: datetime
    deadline: datetime
    sandbox: str
    waived: list[str]
    workers: int | None
    """Runs at once; None: one a core."""
    slots: Literal["curtailed", "all"]
    tracking_uri: str | None
    """Where MLflow mirrors it; None: SQLite inside the results folder; `none`: nowhere."""
    tracking_prefix: str


class HandedIn(Record):
    """The submission: one commit, and what it cost."""

    commit: str
    tree: str
    files: int
    bytes: int
    history: list[tuple[str, int]]
    """Commits after the start commit, with the seconds since 1970 that they state themselves."""
    at: datetime
    ended: str
    note: str
    cpu: float
    """Seconds, as the clean room metered them."""
    wall: float
    """Seconds."""
    exact: bool
    saved: bool
    """Whether uncommitted work was committed first."""


def attempt_name(paper: str, participant: str, now: datetime) -> str:
    """A name that sorts by time and cannot clash: paper, participant, moment, four random letters."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", participant)[:40].strip("-") or "anonymous"
    return f"{now:%Y%m%d-%H%M%S}-{paper}-{plain}-{secrets.token_hex(2)}"
