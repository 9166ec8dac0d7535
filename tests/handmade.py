"""Histories made by hand: a machine whose time passes as a test says, and a desk without a paper behind it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness.attempt import ledger
from harness.attempt.attempt import Attempt, Budget, Terms, Who
from harness.attempt.budget import Account, account
from harness.attempt.clock import Moment, now
from harness.attempt.desk import PULSE, Desk
from harness.attempt.ledger import NOTHING, Event
from harness.record.files import write_slip

START = "5" * 40
HOUR = 3600.0


def budget(**figures: Any) -> Budget:
    return Budget(**{"working": HOUR, "wall": 24 * HOUR, "cpu": 600.0, "disk": 2**24, "env_steps": None, **figures})


class Life:
    """A machine: it works, sleeps and restarts, its time of day can be set; and the events of an attempt on it."""

    def __init__(self, name: str = "ada") -> None:
        self._boots = itertools.count()
        self.day = datetime(2026, 1, 5, 9, tzinfo=UTC)
        self.boot = f"boot-{next(self._boots)}"
        self.awake = self.up = 100.0
        self.events: list[Event] = []
        self.pulse: Moment | None = None
        self.event("started", name=name)

    @property
    def now(self) -> Moment:
        day = self.day.isoformat(timespec="milliseconds")
        return Moment(time=day, boot=self.boot, awake=round(self.awake, 3), up=round(self.up, 3))

    def works(self, seconds: float) -> Life:
        self.awake += seconds
        return self.sleeps(seconds)

    def sleeps(self, seconds: float) -> Life:
        self.up += seconds
        return self.sets_its_clock(seconds)

    def sets_its_clock(self, seconds: float) -> Life:
        self.day += timedelta(seconds=seconds)
        return self

    def restarts(self, down: float = 60.0) -> Life:
        self.boot = f"boot-{next(self._boots)}"
        self.awake = self.up = 5.0
        return self.sets_its_clock(down)

    def beats(self) -> Life:
        self.pulse = self.now
        return self

    def event(self, kind: Any, **data: Any) -> Life:
        at = self.now
        self.events.append(
            Event(number=len(self.events), time=at.time, boot=at.boot, awake=at.awake, up=at.up, kind=kind,
                  data=data, previous=NOTHING)
        )  # fmt: skip
        return self

    def account(self, granted: Budget | None = None, **more: Any) -> Account:
        return account(self.events, granted or budget(), now=self.now, **{"pulse": self.pulse, **more})


def desk_at(folder: Path, life: Life | None = None, **figures: Any) -> Desk:
    """The desk of an attempt that nobody handed out: a ledger, and a workspace with nothing but a HEAD."""
    folder.mkdir(parents=True)
    workspace = folder / "workspace"
    set_head(workspace, START)
    events = life.events if life else [None]
    first = None
    for event in events:
        data = event.data if event else {"name": "ada"}
        kind: Any = event.kind if event else "started"
        noted = ledger.append(folder / ledger.FILE, kind, data, at=event.moment if event else now())
        first = first or noted
    assert first is not None
    attempt = Attempt(
        id=folder.name, paper="lean", paper_folder=str(folder / "nowhere"), paper_version="0" * 64,
        participant=Who(kind="human", name="ada", adapter="human"), condition="human",
        terms=Terms(licence=None, consent=False), workspace=str(workspace), start_commit=START, start_tree="0" * 40,
        anchor=first.digest, budget=budget(**figures), started=datetime.now(UTC), sandbox="bubblewrap", waived=[],
        workers=None, slots="curtailed", tracking_uri="none", tracking_prefix="",
    )  # fmt: skip
    write_slip(folder / "attempt.json", attempt)
    if life and life.pulse:
        (folder / PULSE).write_text(json.dumps(asdict(life.pulse)))
    return Desk(folder=folder)


def set_head(workspace: Path, commit: str) -> None:
    (workspace / ".git").mkdir(parents=True, exist_ok=True)
    (workspace / ".git" / "HEAD").write_text(f"{commit}\n")


PLAIN = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "PATH": os.environ["PATH"]}


def git(workspace: Path, *words: str) -> str:
    """Git as a participant runs it, without the machine's configuration."""
    by = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
    command = ["git", "-C", str(workspace), *by, *words]
    done = subprocess.run(command, capture_output=True, env=PLAIN, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def commit(workspace: Path, files: Mapping[str, str], message: str = "work") -> str:
    """Write files and commit them."""
    for name, text in files.items():
        (workspace / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace / name).write_text(text)
    git(workspace, "add", "--all")
    git(workspace, "commit", "-q", "-m", message)
    return git(workspace, "rev-parse", "HEAD")


def kinds(desk: Desk) -> list[str]:
    return [event.kind for event in desk.events()]


def data_of(desk: Desk, kind: str) -> list[Mapping[str, Any]]:
    return [event.data for event in desk.events() if event.kind == kind]


def snapshot(*folders: Path) -> dict[str, bytes]:
    """Every name beneath some folders with its content, empty folders among them."""
    return {
        str(path): path.read_bytes() if path.is_file() else b""
        for folder in folders
        for path in sorted([folder, *folder.rglob("*")])
        if path.exists() or path.is_symlink()
    }
