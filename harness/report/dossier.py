"""All that the records of a scored submission say, read once for whoever shows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.appeals import Dispute, disputes
from harness.attempt.attempt import Attempt, HandedIn
from harness.attempt.desk import Desk
from harness.attempt.ledger import Event
from harness.errors import RecordError, ReproofError
from harness.overtime import Point
from harness.paper.load import Paper, open_paper
from harness.pipeline import Measurements, Rerun
from harness.record.files import read_slip
from harness.record.store import read
from harness.report.kept import kept_score, latest_submission, points_in
from harness.rerun.measure import Measurement
from harness.rerun.plan import Plan
from harness.scoring.score import Score
from harness.trajectory.atif import Trajectory
from harness.trajectory.keep import trajectory_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """The latest submission of an attempt, from handing in to score."""

    folder: Path
    """The submission's."""
    attempt: Attempt
    handed: HandedIn
    score: Score
    rerun: Rerun
    measured: list[Measurement]
    points: list[Point]
    plan: Plan
    events: tuple[Event, ...]
    """The ledger, when this was read."""
    disputes: list[Dispute]
    submissions: int
    paper: Paper | None
    """The paper by which it was scored; None where it is not found any more."""
    missing: str | None
    """Why the paper is None."""
    trajectory: Trajectory | None = None
    """What an agent did; None where no model was asked, or it cannot be read."""
    unread: str | None = None
    """Why it cannot be read."""

    @property
    def last(self) -> Event:
        """Of the ledger."""
        return self.events[-1]


def open_dossier(desk: Desk, *, paper: Paper | None = None, of: Path | None = None) -> Dossier:
    """Read a scored submission's records.

    Args:
        desk: The attempt.
        of: The submission's folder; None: of the latest one.
        paper: The paper, where somebody has it already.

    Raises:
        RecordError: It was not scored yet, or a record is damaged.
    """
    folder = of or latest_submission(desk)
    score = kept_score(desk, of=folder)
    found, missing = _paper(desk.attempt, score, paper)
    trajectory, unread = _trajectory(desk)
    return Dossier(
        folder=folder,
        attempt=desk.attempt,
        handed=read_slip(folder / "submission.json", HandedIn),
        score=score,
        rerun=read(folder / "rerun.json", Rerun),
        measured=read(folder / "measurements.json", Measurements).measurements,
        points=points_in(folder),
        plan=read(folder / "private" / "plan.json", Plan),
        events=desk.events(),
        disputes=disputes(desk),
        submissions=len(desk.submissions),
        paper=found,
        missing=missing,
        trajectory=trajectory,
        unread=unread,
    )


def _trajectory(desk: Desk) -> tuple[Trajectory | None, str | None]:
    """What an agent did, or why that cannot be read: the score does not rest on it."""
    try:
        return trajectory_of(desk), None
    except RecordError as error:
        return None, error.message


def _paper(attempt: Attempt, score: Score, paper: Paper | None) -> tuple[Paper | None, str | None]:
    """The paper if it is the version that was scored by, else why not."""
    try:
        here = Path(attempt.paper_folder)
        found = paper or open_paper(str(here) if here.is_dir() else attempt.paper)
    except ReproofError as error:
        return None, f"The paper is not found where this page was drawn ({error.message})."
    if found.version != score.paper_version:
        return None, f"The paper found where this page was drawn is another version, {found.version}."
    return found, None
