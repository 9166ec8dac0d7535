"""The same command again: it goes on with the plan that it has left, and makes one only where it has left none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from harness.errors import RecordError, UsageError
from harness.plan import journal
from harness.plan.plan import Item, Place, find_plans, made_plan
from harness.plan.standing import over
from harness.record.files import canonical


@contextlib.contextmanager
def plan_for(
    items: Sequence[Item], overrides: Sequence[str], *, results: Path, now: datetime, anew: bool = False
) -> Iterator[tuple[Place, bool]]:
    """The plan of a command, taken: one that the same command has left in its midst, or else a new one.

    What another process carries out at this moment is left to it: two who ask for the same get one each.

    Args:
        items: What is asked for. A paper or a setting that has changed meanwhile makes it something else.
        overrides: What the command says.
        results: The results folder.
        now: The time of day.
        anew: Whether what was left is cancelled, in place of gone on with.

    Yields:
        The plan's place, and whether it was there before.
    """
    for place in _left(items, results):
        with contextlib.suppress(UsageError), contextlib.ExitStack() as stack:
            stack.enter_context(place.taken())
            if over(journal.read(place.journal)):  # by somebody who was quicker
                continue
            if anew:
                journal.note(place.journal, "cancelled")
                continue
            mine = stack.pop_all()
            break
    else:
        with made_plan(items, overrides, results=results, now=now) as place:
            yield place, False
        return
    with mine:
        yield place, True


def _left(items: Sequence[Item], results: Path) -> list[Place]:
    """Plans of the same items that came to no end, the newest first."""
    asked = canonical(msgspec.to_builtins(list(items)))
    return [place for place in reversed(find_plans(results)) if _is_left(place, asked)]


def _is_left(place: Place, asked: bytes) -> bool:
    try:
        same = canonical(msgspec.to_builtins(place.plan().items)) == asked
        return same and not over(journal.read(place.journal))
    except RecordError:  # what is damaged keeps nobody from beginning
        return False
