"""An attempt's own records: who works on what, from which start, until when, and what they handed in."""

from __future__ import annotations

import os
import re
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from harness.paper.quantities import LONGEST
from harness.record.files import Slip, Time

Fault = Literal["none", "submission", "budget", "harness", "model"]
"""Whose fault it is that work ended before it was done.

`submission`: the agent crashed or gave up; `budget`: its time, tokens or dollars are used up; `model`: the provider
failed for good; `harness`: ours. Only the last two are reasons to try again.
"""
FAULTS_OF_OURS: tuple[Fault, ...] = ("harness", "model")
"""That no participant answers for: such an attempt counts nothing, and a plan makes another one in its place."""


class Who(Slip, frozen=True):
    """A participant, as the records name them."""

    kind: str
    """human, agent, reference, starter or mutation."""
    name: str
    adapter: str
    """The file of agents/ that launched them."""
    model: str | None = None
    """The language model that they were given; None: none."""


Condition = Literal["human", "human + assistant", "agent", "harness"]
"""Under which conditions somebody works, declared beforehand; `harness`: we ourselves do, to try a paper."""


def condition_of(kind: str) -> Condition:
    """The condition that a kind of participant works under unless another is declared."""
    return "human" if kind == "human" else "agent" if kind == "agent" else "harness"


class Terms(Slip, frozen=True):
    """What may be done with the work beyond rerunning and scoring it."""

    licence: str | None
    """As its author states it, SPDX for preference; None: nothing was said."""
    consent: bool
    """Whether it may be published together with its score."""


_Tree = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{40}\Z")]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=LONGEST)]


class Budget(Slip, frozen=True):
    """What was granted: seconds of working, wall and CPU time, bytes, steps, tokens, dollars (None: not limited)."""

    working: _Seconds
    wall: _Seconds
    cpu: _Seconds
    disk: int
    env_steps: int | None
    tokens: int | None = None
    dollars: float | None = None


class Attempt(Slip, frozen=True):
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
    start_tree: _Tree
    """Its files, kept in the store: the paper may change while somebody works on it."""
    anchor: str
    """Digest of the ledger's first event."""
    budget: Budget
    started: Time
    sandbox: str
    waived: list[str]
    workers: int | None
    """Runs at once; None: one a core."""
    slots: Literal["curtailed", "all"]
    tracking_uri: str | None
    """Where MLflow mirrors it; None: SQLite inside the results folder; `none`: nowhere."""
    tracking_prefix: str
    private_path: str | None = None
    """The folder of papers' private parts that was named; None: they lie in the papers' own folders."""


class HandedIn(Slip, frozen=True):
    """The submission: one commit, and what it cost."""

    commit: str
    tree: str
    files: int
    bytes: int
    history: list[tuple[str, int]]
    """Commits after the start commit, with the seconds since 1970 that they state themselves."""
    at: Time
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
    """Seconds between the end of the wall time and the handing in."""
    saved: bool
    """Whether uncommitted work was committed first."""
    ledger: tuple[int, str]
    """Number and digest of the ledger's last event by then."""
    fault: Fault = "none"
    """Whose fault its end is."""
    instead: str | None = None
    """Why it is not all that the workspace held, and what it is in its place; None: it is."""

    def __post_init__(self) -> None:
        if not {"working", "cpu"} <= self.used.keys() <= set(Budget.__struct_fields__):
            raise ValueError(
                f"`used` must tell `working` and `cpu`, and nothing but {', '.join(Budget.__struct_fields__)}"
            )


def attempt_name(paper: str, participant: str, now: datetime) -> str:
    """A name that sorts by time and cannot clash: paper, participant, moment, four random letters."""
    return f"{now:%Y%m%d-%H%M%S}-{paper}-{plain_name(participant)}-{os.urandom(2).hex()}"


def plain_name(name: str) -> str:
    """A name as a folder can bear it.

    >>> plain_name("Ada L. / ../x")
    'Ada-L-x'
    """
    return re.sub(r"[^A-Za-z0-9_]+", "-", name)[:40].strip("-") or "anonymous"
