"""An attempt on its way: its paper, its records, its clean room; what every stage is given."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from harness.attempt.attempt import Attempt, HandedIn
from harness.attempt.desk import Desk
from harness.attempt.room import room_of
from harness.attempt.work import Bench
from harness.cleanroom.sandbox import Sandbox
from harness.errors import RecordError
from harness.paper.load import Paper, open_paper
from harness.record.files import PRIVATE_FILE, Store, read_slip
from harness.rerun.engine import Progress, silent
from harness.rerun.served import stand_of

Tell = Callable[[str], None]
HISTORY = "history"
"""In a submission's folder: the commits before its last one, each with records of its own."""

UNFINISHED = "unfinished"
"""In a submission's folder, while what follows it has not come to its end: the verb that saw to it then goes on."""


def quiet(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class Road:
    """An attempt under way: its paper, its folder, its clean room, and whom to tell."""

    paper: Paper
    store: Store
    desk: Desk
    tell: Tell
    progress: Progress
    of: Path | None = None
    """The folder of the submission, or of its commit, that the later stages are about; None: of the latest one."""

    @property
    def attempt(self) -> Attempt:
        """The attempt as it was begun."""
        return self.desk.attempt

    @property
    def folder(self) -> Path:
        """The attempt's folder."""
        return self.desk.folder

    @property
    def workspace(self) -> Path:
        """The participant's repository."""
        return self.desk.workspace

    @property
    def records(self) -> Path:
        """The folder of what was handed in, where each later stage leaves its record.

        Raises:
            RecordError: Nothing was yet.
        """
        if self.of is not None:
            return self.of
        if not self.desk.submissions:
            raise RecordError("nothing was handed in yet", where=self.attempt.id, remedy="`reproof submit` hands it in")
        return self.desk.submissions[-1]

    @property
    def private(self) -> Path:
        """The folder of the plan: drawn afresh for each submission, shared by the commits that led to it."""
        return (self.records if self.whole else self.records.parents[1]) / "private"

    @property
    def whole(self) -> bool:
        """Whether the later stages are about a submission, and not about an earlier commit of one."""
        return self.of is None or self.of.parent.name != HISTORY

    def settled(self) -> Road:
        """The road of what is the latest submission now, whatever is handed in while it is rerun.

        Raises:
            RecordError: Nothing was handed in yet.
        """
        return self if self.of is not None else replace(self, of=self.records)

    @cached_property
    def sandbox(self) -> Sandbox:
        """The clean room the attempt was begun with."""
        return room_of(self.desk, self.paper.private)

    @property
    def bench(self) -> Bench:
        """Where the participant's commands are run and metered."""
        served = stand_of(self.paper).environments
        return Bench(desk=self.desk, sandbox=self.sandbox, hidden=(self.paper.private,), environments=served)

    def submission(self) -> HandedIn:
        """What was handed in.

        Raises:
            RecordError: Nothing was yet.
        """
        return read_slip(self.records / "submission.json", HandedIn)


@contextlib.contextmanager
def to_the_end(road: Road) -> Iterator[None]:
    """Mark a submission until all that follows it is done; what is cut off leaves the mark."""
    mark = road.records / UNFINISHED
    mark.touch(mode=PRIVATE_FILE)
    yield
    mark.unlink(missing_ok=True)


def resume(
    name: str, results: Path, *, tell: Tell, progress: Progress = silent, private_path: Path | None = None
) -> Road:
    """The road of an attempt that was begun before.

    Raises:
        UsageError: There is no such attempt in this results folder.
    """
    store = Store(results.resolve())
    return road_of(Desk(folder=store.known_attempt(name)), tell=tell, progress=progress, private_path=private_path)


def road_of(desk: Desk, *, tell: Tell = quiet, progress: Progress = silent, private_path: Path | None = None) -> Road:
    """The road that an attempt is on; unless said otherwise, private parts lie where they did when it was begun."""
    here, named = Path(desk.attempt.paper_folder), desk.attempt.private_path
    if private_path is None and named is not None and Path(named).is_dir():
        private_path = Path(named)
    paper = open_paper(str(here) if here.is_dir() else desk.attempt.paper, private_path=private_path)
    return Road(paper=paper, store=Store(desk.folder.parents[1]), desk=desk, tell=tell, progress=progress)
