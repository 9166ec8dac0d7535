"""What `reproof attempt` asks for: one attempt or many, begun, or gone on with where the same command has left it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.cli.terminal import print_json
from harness.report.text import echo

if TYPE_CHECKING:
    from harness.errors import HarnessFault
    from harness.plan.carry import Carrier
    from harness.plan.plan import Place
    from harness.road import Road
    from harness.scoring.score import Score


def run_attempts(overrides: Sequence[str], *, as_json: bool, anew: bool = False) -> None:
    """Make what some overrides ask for, and print the score of an attempt, or how far several came.

    Args:
        overrides: In Hydra's grammar.
        as_json: Print one JSON value.
        anew: Leave what the same command has begun before.
    """
    from datetime import UTC, datetime

    from harness.cli.plans import carry_on
    from harness.config import compose
    from harness.plan.again import plan_for
    from harness.plan.asked import items_of

    asked = compose(overrides)
    items, results = items_of(asked), asked[0].results
    with plan_for(items, overrides, results=results, now=datetime.now(UTC), anew=anew) as (place, before):
        if before:
            said = "goes on with what the same command has left"
            echo(f"{said} (plan {place.folder.name}); --anew begins it anew", err=True)
        if len(items) == 1:
            _one(place, as_json=as_json)
        else:
            carry_on(place, as_json=as_json)


def _one(place: Place, *, as_json: bool) -> None:
    """Carry out a plan of one attempt, as if there were no plan: its score is printed, its faults are raised."""
    from harness.cli.attempts import finished, mirrored, show
    from harness.cli.terminal import Teller
    from harness.errors import SubmissionError
    from harness.plan.carry import Carrier

    late: list[HarnessFault] = []

    def finish(road: Road) -> Score:
        result = finished(road)
        late.extend(filter(None, [mirrored(road)]))
        return result

    with Teller() as teller:
        carrier = Carrier(
            place=place, plan=place.plan(), finish=finish, tell=teller.say, progress=teller.progress, trying=False
        )
        try:
            carrier.go_on(failed_too=True)
            road, result = _ended(place, carrier, teller)
        except SubmissionError:
            carrier.close()
            raise
        except KeyboardInterrupt:
            cancelled = carrier.standing.state == "cancelled"
            teller.say("cancelled" if cancelled else f"interrupted; the same command goes on{_or(place, carrier)}")
            raise
    print_json(result.model_dump(mode="json")) if as_json else show(road, result)
    carrier.close()
    if late:
        raise late[0]


def _or(place: Place, carrier: Carrier) -> str:
    """How else an attempt that has begun can be gone on with."""
    last = carrier.standing.items[0].last
    return f", or: reproof rerun {last.attempt} --results {place.store.root}" if last else ""


def _ended(place: Place, carrier: Carrier, teller: Any) -> tuple[Road, Score]:
    """The attempt that counts, and its score.

    Raises:
        SubmissionError: It was refused.
        UsageError: It was cancelled before it began, or in its midst.
    """
    from harness.errors import SubmissionError, UsageError
    from harness.pipeline import kept_score
    from harness.plan.asked import thawed
    from harness.road import resume

    [item] = carrier.standing.items
    last = item.last
    if last is None or last.ended is None:
        raise UsageError(
            "this attempt was cancelled", where=place.folder.name, remedy="the same command begins it anew"
        )
    private = thawed(item.item).private_path
    road = resume(last.attempt, place.store.root, tell=teller.say, progress=teller.progress, private_path=private)
    result = kept_score(road.records) if item.state == "scored" else None
    if result is None:
        raise SubmissionError(last.ended.said.removeprefix("refused: "), where=last.attempt)
    return road, result
