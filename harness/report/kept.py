"""What a results folder holds, read back for people."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

from harness.attempt.attempt import Attempt
from harness.pipeline import Road
from harness.record.store import Store, read
from harness.record.tracking import NO_MIRROR, ui_command
from harness.scoring.score import Score


class Row(TypedDict):
    """An attempt in a list."""

    attempt: str
    paper: str
    participant: str
    kind: str
    verdict: str | None
    score: float | None


def kept_score(name: str, results: Path) -> Score:
    """The score of an attempt as it was kept.

    Raises:
        UsageError: There is no such attempt.
        RecordError: It was not scored yet.
    """
    return read(Store(results.resolve()).known_attempt(name) / "score.json", Score)


def list_attempts(results: Path) -> list[Row]:
    """All attempts of a results folder, oldest first."""
    store = Store(results.resolve())
    return [_row(store, name) for name in store.attempts()]


def _row(store: Store, name: str) -> Row:
    attempt = read(store.attempt(name) / "attempt.json", Attempt)
    path = store.attempt(name) / "score.json"
    score = read(path, Score) if path.exists() else None
    return Row(
        attempt=name,
        paper=attempt.paper,
        participant=attempt.participant.name,
        kind=attempt.participant.kind,
        verdict=score.verdict if score else None,
        score=score.score.value if score else None,
    )


def where_to_look(road: Road) -> list[str]:
    """Where the records lie, and how to open them."""
    lines = ["", f"records: {road.folder}", f"again:   reproof report {road.attempt.id} --results {road.store.root}"]
    uri = road.attempt.tracking_uri
    return lines if uri == NO_MIRROR else [*lines, f"MLflow:  {ui_command(road.store, uri)}"]
