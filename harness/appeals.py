"""Disputes about leaves, and the rescoring of everybody whom a changed paper concerns."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from harness.attempt.desk import Desk
from harness.errors import ReproofError, UsageError, unknown
from harness.overtime import over_time
from harness.pipeline import kept_score, score
from harness.record.files import Store
from harness.record.store import Record, read
from harness.road import Road, Tell, resume
from harness.scoring.score import Score

Ruling = Literal["accepted", "rejected"]


class Dispute(Record):
    """A participant's objection to a leaf, and what became of it."""

    attempt: str
    number: int
    """Of the ledger's event."""
    leaf: str
    because: str
    by: str
    at: str
    ruling: Ruling | None
    answer: str | None


class Change(Record):
    """An attempt's score before and after the paper was changed."""

    attempt: str
    participant: str
    before: float | None
    """None where its records cannot be read."""
    after: float | None
    """None where it could not be scored again."""
    verdict_before: str | None
    verdict_after: str | None
    leaves: dict[str, tuple[str, str]]
    """Leaves whose verdict changed: before, after; `absent` where the leaf is not part of that version."""
    problem: str | None


def dispute(road: Road, leaf: str, because: str, *, by: str) -> Dispute:
    """Object to a leaf of the score.

    Raises:
        RecordError: The attempt was not scored.
        UsageError: The score has no such leaf, or nothing is said against it.
    """
    leaves = [claim.id for claim in read(road.records / "score.json", Score).claims]
    if leaf not in leaves:
        raise unknown("leaf", leaf, leaves, where=road.attempt.id)
    if not because.strip():
        raise UsageError("a dispute says why", remedy="--because 'the brief says ..., and the metric does ...'")
    event = road.desk.note("disputed", leaf=leaf, because=because, by=by)
    return next(found for found in disputes(road.desk) if found.number == event.number)


def disputes(desk: Desk) -> list[Dispute]:
    """All disputes of an attempt, oldest first."""
    events = desk.events()
    answers = {event.data["dispute"]: event.data for event in events if event.kind == "answered"}
    return [
        Dispute.model_validate(
            {
                "attempt": desk.attempt.id,
                "number": event.number,
                "at": event.time,
                **{key: event.data[key] for key in ("leaf", "because", "by")},
                "ruling": answers.get(event.number, {}).get("ruling"),
                "answer": answers.get(event.number, {}).get("because"),
            }
        )
        for event in events
        if event.kind == "disputed"
    ]


def answer(desk: Desk, number: int, ruling: Ruling, because: str) -> Dispute:
    """Answer a dispute; the last answer stands.

    Raises:
        UsageError: There is no such dispute.
    """
    found = {dispute.number: dispute for dispute in disputes(desk)}
    if number not in found:
        raise unknown("dispute", str(number), map(str, found), where=desk.attempt.id)
    desk.note("answered", dispute=number, ruling=ruling, because=because)
    return next(dispute for dispute in disputes(desk) if dispute.number == number)


def rescored(paper: str, results: Path, *, tell: Tell, private_path: Path | None = None) -> list[Change]:
    """Score again every attempt on one paper that another version of it has scored, from the kept outputs.

    Args:
        paper: Its id.
        results: Where the attempts lie.
        tell: Hears of what is done.
        private_path: References kept elsewhere.

    Returns:
        What changed; an attempt that cannot be scored again keeps its score, and its change says why.
    """
    store = Store(results.resolve())
    changes = []
    for name in store.attempts():
        before = None
        try:
            before = _last_score(Desk(folder=store.attempt(name)), paper)
            if before is None:
                continue
            road = resume(name, results, tell=tell, private_path=private_path)
            with road.desk.alone("rescore", tell):
                before = _last_score(road.desk, paper)
                if before is not None and before.paper_version != road.paper.version:
                    after = score(road, again=True)
                    over_time(road, rerunning=False)
                    changes.append(_change(name, before, after, None))
        except ReproofError as error:
            changes.append(_change(name, before, None, str(error)))
    return changes


def _last_score(desk: Desk, paper: str) -> Score | None:
    """The score of an attempt's latest submission, if it is one on this paper."""
    if desk.attempt.paper != paper or not desk.submissions:
        return None
    return kept_score(desk.submissions[-1])


def _change(name: str, before: Score | None, after: Score | None, problem: str | None) -> Change:
    return Change(
        attempt=name,
        participant=before.participant["name"] if before else "unknown",
        before=before.score.value if before else None,
        after=after.score.value if after else None,
        verdict_before=before.verdict if before else None,
        verdict_after=after.verdict if after else None,
        leaves=_changed(before, after) if before and after else {},
        problem=problem,
    )


def _changed(before: Score, after: Score) -> dict[str, tuple[str, str]]:
    then = {claim.id: str(claim.verdict) for claim in before.claims}
    now = {claim.id: str(claim.verdict) for claim in after.claims}
    both = {leaf: (then.get(leaf, "absent"), now.get(leaf, "absent")) for leaf in {**then, **now}}
    return {leaf: change for leaf, change in both.items() if change[0] != change[1]}
