"""A plan for people and for machines: how far it is, item by item."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.paper.quantities import show_seconds
from harness.plan.standing import ItemStanding, PlanStanding, Try
from harness.report.text import inline


def summary(found: PlanStanding) -> dict[str, Any]:
    """What `reproof plan list --json` prints of one plan."""
    return {
        "plan": found.plan.id,
        "state": found.state,
        "said": found.said,
        "made": found.plan.made.isoformat(timespec="seconds"),
        "overrides": found.plan.overrides,
        "fingerprint": found.plan.fingerprint,
        "attempts": len(found.items),
        "left": len(found.left),
        "states": dict(Counter(item.state for item in found.items)),
        "estimate": found.estimate,
    }


def facts(found: PlanStanding) -> dict[str, Any]:
    """What `reproof plan show --json` prints."""
    return {**summary(found), "items": [_item(item) for item in found.items]}


def _item(found: ItemStanding) -> dict[str, Any]:
    last = found.last.ended if found.last else None
    return {
        "item": found.item.number,
        "paper": found.item.paper,
        "participant": found.item.participant,
        "kind": found.item.kind,
        "repeat": found.item.repeat,
        "repeats": found.item.repeats,
        "state": found.state,
        "attempt": found.last.attempt if found.last else None,
        "verdict": last.verdict if last else None,
        "score": last.score if last else None,
        "fault": last.fault if last else None,
        "said": last.said if last else None,
        "tries": [_try(one) for one in found.tries],
    }


def _try(one: Try) -> dict[str, Any]:
    ended = one.ended
    return {
        "attempt": one.attempt,
        "begun": one.begun.isoformat(timespec="seconds"),
        "ended": ended.at.isoformat(timespec="seconds") if ended else None,
        "fault": ended.fault if ended else None,
        "said": ended.said if ended else None,
    }


def head(found: PlanStanding) -> str:
    """A plan in one line."""
    done = len(found.items) - len(found.left)
    about = f", about {show_seconds(round(found.estimate))} left" if found.estimate and found.left else ""
    return f"{found.plan.id}  {found.state:12} {done} of {len(found.items)} attempts{about}"


def lines(found: PlanStanding, results: Path) -> Iterator[str]:
    """A plan for people, and what comes next."""
    yield head(found)
    yield inline(f"reproof attempt {shlex.join(found.plan.overrides)}")
    if found.said:
        yield f"stopped: {inline(found.said)}"
    yield ""
    for item in found.items:
        yield from _lines(item)
    yield ""
    yield from (f"next: {line} --results {results}" for line in _next(found))


def _lines(found: ItemStanding) -> Iterator[str]:
    last = found.last.ended if found.last else None
    score = f"{last.score:.3f} {last.verdict}" if last and last.score is not None else ""
    tries = f", {len(found.tries)} tries" if len(found.tries) > 1 else ""
    label = inline(found.item.label)
    yield f"{found.item.number:4} {label:44} {found.state + tries:24} {score}".rstrip()
    if last and last.fault != "none":
        yield f"     {last.fault}: {inline(last.brief)}"
    if found.last and (last is None or last.fault != "none"):
        yield f"     {found.last.attempt}"


def _next(found: PlanStanding) -> Iterator[str]:
    if found.state in ("ready", "interrupted", "stalled"):
        yield f"reproof plan resume {found.plan.id}"
    elif found.state == "running":
        yield f"reproof plan cancel {found.plan.id}"
    elif found.count("failed"):
        yield f"reproof plan resume {found.plan.id} --failed"
    if any(item.state == "scored" for item in found.items):
        yield "reproof leaderboard"
