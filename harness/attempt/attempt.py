"""An attempt's own records: who works on what, from which start, until when, and what they handed in."""

from __future__ import annotations

import re
import secrets
from datetime import datetime
from typing import Literal, get_args

from harness.paper.schema import Budget
from harness.record.store import Record


class Who(Record):
    """A participant, as the records name them."""

    kind: str
    """human, agent, reference, starter or mutation."""
    name: str
    adapter: str
    """The file of agents/ that launched them."""


Condition = Literal["human", "human + assistant", "agent", "harness"]
"""Under which conditions somebody works, declared beforehand; `harness`: we ourselves do, to try a paper."""
CONDITIONS: tuple[Condition, ...] = get_args(Condition)


def condition_of(kind: str) -> Condition:
    """The condition that a kind of participant works under unless another is declared."""
    return "human" if kind == "human" else "agent" if kind == "agent" else "harness"


class Terms(Record):
    """What may be done with the work beyond rerunning and scoring it."""

    licence: str | None
    """As its author states it, SPDX for preference; None: nothing was said."""
    consent: bool
    """Whether it may be published together with its score."""


class Attempt(Record):
    """One participant on one task, as it was begun."""

    id: str
    paper: str
    paper_folder: str
    paper_version: str
    participant: Who
    condition: Condition
    terms: Terms
    workspace: str
    """Absolute path of the participant's repository."""
    start_commit: str
    start_tree: str
    """Its files, kept in the store: the paper may change while somebody works on it."""
    anchor: str
    """Digest of the ledger's first event."""
    budget: Budget
    started: datetime
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
    used: dict[str, float]
    """Of each item of the budget by then: seconds, bytes, steps."""
    declared: dict[str, float]
    """The part of it that nobody but the participant has measured."""
    exact: bool
    """Whether a cgroup counted the CPU time."""
    credits: dict[str, dict[str, float]]
    """By participant: `working` and `cpu` seconds, `commits` seen by the harness."""
    late: float
    """Seconds between the end of the budget and the handing in."""
    saved: bool
    """Whether uncommitted work was committed first."""
    ledger: tuple[int, str]
    """Number and digest of the ledger's last event by then."""


def attempt_name(paper: str, participant: str, now: datetime) -> str:
    """A name that sorts by time and cannot clash: paper, participant, moment, four random letters."""
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", participant)[:40].strip("-") or "anonymous"
    return f"{now:%Y%m%d-%H%M%S}-{paper}-{plain}-{secrets.token_hex(2)}"
