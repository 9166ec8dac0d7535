"""What a results folder holds, read back for people."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from harness.attempt.desk import Desk
from harness.errors import RecordError
from harness.overtime import FILE as OVER_TIME
from harness.overtime import OverTime, Point
from harness.pipeline import PAGE
from harness.pipeline import kept_score as score_in
from harness.record.entry import NO_MIRROR, ui_command
from harness.record.files import Store
from harness.record.store import read
from harness.road import Road
from harness.scoring.score import Score


class Row(TypedDict):
    """An attempt in a list."""

    attempt: str
    paper: str
    participant: str
    kind: str
    condition: str
    verdict: str | None
    score: float | None


def kept_score(desk: Desk, *, of: Path | None = None) -> Score:
    """The score of an attempt's latest submission, or of that in a folder, as it was kept.

    Raises:
        RecordError: It was not scored yet.
    """
    score = score_in(of or latest_submission(desk))
    if score is None:
        raise _not_scored(desk)
    return score


def latest_submission(desk: Desk) -> Path:
    """The folder of what was handed in last.

    Raises:
        RecordError: Nothing was yet.
    """
    found = desk.submissions
    if not found:
        raise _not_scored(desk)
    return found[-1]


def _not_scored(desk: Desk) -> RecordError:
    name = desk.attempt.id
    remedy = f"`reproof rerun {name}` hands in what there is, if nothing was yet, reruns it and scores it"
    return RecordError("this attempt was not scored yet", where=name, remedy=remedy)


def kept_points(desk: Desk) -> list[Point]:
    """The score over time of an attempt's latest submission; none where it was not made yet."""
    return points_in(desk.submissions[-1]) if desk.submissions else []


def points_in(folder: Path) -> list[Point]:
    """The score over time that a submission's folder keeps; none where it was not made yet."""
    path = folder / OVER_TIME
    return read(path, OverTime).points if path.exists() else []


def _last_score(desk: Desk) -> Score | None:
    """The score of the latest submission; None if there is none yet."""
    found = desk.submissions
    return score_in(found[-1]) if found else None


def list_attempts(results: Path) -> list[Row]:
    """All attempts of a results folder, oldest first."""
    store = Store(results.resolve())
    return [_row(store, name) for name in store.attempts()]


def _row(store: Store, name: str) -> Row:
    desk = Desk(folder=store.attempt(name))
    try:
        attempt, score = desk.attempt, _last_score(desk)
    except RecordError:  # of another version, or damaged: the others are listed all the same
        return Row(
            attempt=name,
            paper="unreadable",
            participant="unreadable",
            kind="unreadable",
            condition="unreadable",
            verdict=None,
            score=None,
        )
    return Row(
        attempt=name,
        paper=attempt.paper,
        participant=attempt.participant.name,
        kind=attempt.participant.kind,
        condition=attempt.condition,
        verdict=score.verdict if score else None,
        score=score.score.value if score else None,
    )


def where_to_look(road: Road) -> list[str]:
    """Where the records lie, and how to open them."""
    lines = ["", f"records: {road.folder}", f"again:   reproof report {road.attempt.id} --results {road.store.root}"]
    page = road.records / PAGE
    lines += [f"page:    {page}"] if page.exists() else []
    uri = road.attempt.tracking_uri
    return lines if uri == NO_MIRROR else [*lines, f"MLflow:  {ui_command(road.store, uri)}"]
