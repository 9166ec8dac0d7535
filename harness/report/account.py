"""An attempt's account for people and for machines: what is used, what is left, what comes next, and the timesheet."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from harness.attempt.beside import told
from harness.attempt.budget import DECLARABLE, ITEMS, Account, State
from harness.attempt.desk import SHOWN, Desk
from harness.paper.quantities import show_seconds, show_size
from harness.report.text import inert, inline

if TYPE_CHECKING:  # `status` answers at once, without what scores are made of
    from harness.gateway.offer import Closing
    from harness.rerun.served import Stand
    from harness.scoring.score import Spent

SHOW: dict[str, Callable[[float], str]] = {
    "working": show_seconds,
    "wall": show_seconds,
    "cpu": show_seconds,
    "disk": show_size,
    "env_steps": lambda steps: f"{steps:,.0f}",
    "tokens": lambda tokens: f"{tokens:,.0f}",
    "dollars": lambda dollars: f"{dollars:,.4g}",
}
LABELS = {
    "working": "working time",
    "wall": "wall time",
    "cpu": "CPU time",
    "disk": "disk",
    "env_steps": "env steps",
    "tokens": "tokens",
    "dollars": "dollars",
}
_COLUMNS = ("who", "from", "to", "working", "cpu", "env_steps", "trust", "what")


def budget_remarks(budget: Mapping[str, Spent]) -> Iterator[str]:
    """What a reader of a score must know of the budget behind it: what was declared only, and what went beyond."""
    for item, spent in budget.items():
        show, label = SHOW[item], LABELS[item]
        beyond = spent.limit is not None and spent.used > spent.limit
        if beyond or spent.declared:
            limit = f" of {show(spent.limit)}" if spent.limit is not None else ""
            declared = f", {show(spent.declared)} of it self-declared" if spent.declared else ""
            yield f"{label} {show(spent.used)}{limit}{declared}{': beyond the budget' if beyond else ''}"


def status(desk: Desk, found: Account) -> dict[str, Any]:
    """What `reproof status --json` prints."""
    attempt = desk.attempt
    return {
        "attempt": attempt.id,
        "paper": attempt.paper,
        "participant": found.holder,
        "condition": attempt.condition,
        "state": found.state,
        "used": {item: round(found.used(item), 6 if item == "dollars" else 3) for item in ITEMS},
        "left": {item: found.left(item) for item in ITEMS},
        "declared": {item: found.declared(item) for item in DECLARABLE},
        "environments": found.streams,
        "deadline": deadline(found, attempt.participant.kind).isoformat(timespec="seconds"),
        "unrecorded": round(found.unrecorded, 3),
        "submissions": found.submissions,
        "instead": found.instead,
        "workspace": _workspace(desk),
        "terms": {"licence": attempt.terms.licence, "consent": attempt.terms.consent},
        "next": list(what_next(desk, found)),
    }


def _workspace(desk: Desk) -> str:
    """Where it lies for whoever asks: an agent knows it by another name."""
    return os.environ.get(SHOWN) or desk.attempt.workspace


def deadline(found: Account, kind: str = "human") -> datetime:
    """When the wall time is used up, or for an agent, whose clock nobody pauses, whichever time comes first."""
    wall = found.budget.wall - found.wall
    return datetime.now(UTC) + timedelta(seconds=min(wall, found.time_left) if kind == "agent" else wall)


def status_lines(desk: Desk, found: Account) -> Iterator[str]:
    """The same for people."""
    attempt = desk.attempt
    yield f"{attempt.paper} · {inline(found.holder)} ({attempt.condition}) · {attempt.id}"
    yield f"workspace: {inline(_workspace(desk))}"
    yield f"licence: {inline(attempt.terms.licence or 'not stated')}; {_consent(attempt.terms.consent)}"
    yield ""
    yield f"{'clock':13} {_clock(found)}"
    if found.instead:
        yield f"not all handed in: {inline(found.instead)}"
    for item in ITEMS:
        limit, show = found.limit(item), SHOW[item]
        own = found.declared(item) if item in DECLARABLE else 0.0
        if limit is None and not found.used(item):
            continue
        left = "not limited" if limit is None else f"of {show(limit)}, {show(found.left(item) or 0.0)} left"
        yield f"{LABELS[item]:13} {show(found.used(item))} {left}" + (f" ({show(own)} self-declared)" if own else "")
        yield from _streams(found) if item == "env_steps" else ()
    yield f"{'deadline':13} {deadline(found, attempt.participant.kind):%Y-%m-%d %H:%M} UTC"
    yield ""
    yield from (f"next: {line}" for line in what_next(desk, found))


def _streams(found: Account) -> Iterator[str]:
    """The steps that the harness served, by environment and stream."""
    for id, steps in found.streams.items():
        parts = ", ".join(f"{taken:,} {stream}" for stream, taken in steps.items() if taken)
        yield f"{'':13} {id}: {parts or 'none'}"


def _consent(given: bool) -> str:
    return "may be published with its score" if given else "not to be published"


def _clock(found: Account) -> str:
    last = found.stretches[-1] if found.stretches else None
    said: dict[State, str] = {
        "ready": "not started yet",
        "paused": f"paused: {inline(last.ended or '')}" if last else "paused",
        "interrupted": f"stopped when the machine went down; {show_seconds(found.unrecorded)} since then not counted",
        "submitted": f"stopped: submission {found.submissions} was handed in",
        "over": f"over: {found.ended}",
        "withdrawn": "withdrawn",
    }
    if found.state == "running" and last:
        return f"runs since {last.since.stated:%H:%M} UTC, {show_seconds(last.seconds)} ago"
    return said[found.state]


def what_next(desk: Desk, found: Account) -> Iterator[str]:
    """What somebody who has just met the tool could do now."""
    scored = bool(desk.submissions) and (desk.submissions[-1] / "score.json").exists()
    again = f"reproof report {desk.attempt.id}" if scored else f"reproof rerun {desk.attempt.id}, which scores it"
    match found.state:
        case "ready":
            yield "reproof clock start, then read TASK.md and BRIEF.md"
        case "paused":
            yield "reproof clock start"
        case "interrupted":
            yield "reproof clock start; time you worked meanwhile: reproof clock note --working '1 h' 'what I did'"
        case "running" if desk.attempt.participant.kind == "agent":
            yield "reproof exec -- COMMAND (metered); reproof check (a rehearsal); git commit, and end when it is done"
        case "running":
            metered = "reproof exec -- COMMAND (metered); reproof check (a rehearsal); "
            yield f"{metered if found.left('cpu') != 0 else ''}reproof clock pause REASON"
            yield "reproof submit, when it is done"
        case "submitted":
            yield f"{again}; or reproof clock start, work on and submit again: the last submission counts"
        case "over":
            yield "reproof submit hands in what there is" if found.pending else again
        case "withdrawn":
            if desk.submissions:
                yield again


def one_line(found: Account) -> str:
    """What is left, in short."""
    parts = (("working", "of working time"), ("cpu", "of CPU time"))
    left = ", ".join(f"{show_seconds(found.left(item) or 0.0)} {words}" for item, words in parts)
    steps = found.left("env_steps")
    left += "" if steps is None else f", {SHOW['env_steps'](steps)} env steps"
    models = {item: found.left(item) for item in ("tokens", "dollars")}
    left += "".join(f", {SHOW[item](some)} {item}" for item, some in models.items() if some is not None)
    return f"left: {left}; deadline {deadline(found):%Y-%m-%d %H:%M} UTC"


def stand_lines(stand: Stand, left: int | None) -> Iterator[str]:
    """What somebody must know of the environments that a command is served, before it runs."""
    for id, others in stand.others.items():
        named = " or ".join(f"--experiment {name}" for name in others)
        yield f"{id} is that of {stand.experiments[id]} here; {named} serves another one"
    for id, name in stand.drawn.items():
        yield f"{id} is not served to commands: what it is made of in {name} is drawn for a submission"
    if left == 0 and stand.environments:
        yield "no env steps are left of the budget, or commands under way hold them: environments will not open"


def steps_lines(closing: Closing, found: Account) -> Iterator[str]:
    """What a command took of its environments, and what was amiss, after it ran."""
    for id, steps in closing.used.items():
        if steps.training or steps.evaluation or steps.exhausted:
            refused = "; further steps were refused: it was granted no more of the budget" if steps.exhausted else ""
            yield f"{id}: {steps.training:,} training and {steps.evaluation:,} evaluation steps{refused}"
    if found.left("env_steps") is not None and told(closing.used):
        yield one_line(found)
    if closing.misbehaved:
        yield f"it broke the rules of talking to its environments: {closing.misbehaved[0]}"
    if closing.fault is not None:
        yield f"the environments failed, which is no fault of the command's: {closing.fault.splitlines()[-1]}"


def timesheet(found: Account) -> list[dict[str, str]]:
    """One row a stretch of working time, a metered command, or a declaration; in the order in which they began."""
    rows = [
        (
            stretch.since.time,
            {
                "who": stretch.who,
                "from": stretch.since.time,
                "to": (stretch.since.stated + timedelta(seconds=stretch.seconds)).isoformat(timespec="seconds"),
                "working": f"{stretch.seconds:.0f}",
                "trust": "clocked",
                "what": stretch.ended or "the clock runs",
            },
        )
        for stretch in found.stretches
    ]
    rows += [
        (
            extra.at.time,
            {
                "who": extra.who,
                "from": extra.at.time,
                **{item: f"{extra.used[item]:.6g}" for item in DECLARABLE if item in extra.used},
                "trust": "self-declared" if extra.declared else "metered" if extra.exact else "estimated",
                "what": extra.what,
            },
        )
        for extra in found.extras
    ]
    return [{column: row.get(column, "") for column in _COLUMNS} for _, row in sorted(rows, key=lambda item: item[0])]


def timesheet_csv(found: Account) -> str:
    """The timesheet as CSV; what a spreadsheet would take for a formula is written as text."""
    import csv
    from io import StringIO

    text = StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    figures = DECLARABLE  # ours: a minus sign before what was waited makes no formula of it
    rows = timesheet(found)
    writer.writerows({key: value if key in figures else inert(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def timesheet_lines(found: Account) -> Iterator[str]:
    """The timesheet as a table, and the sum of each participant."""
    yield f"{'from (UTC)':17} {'who':14} {'working':>9} {'CPU':>9}  {'trust':13} what"
    for row in timesheet(found):
        spent = [show_seconds(float(row[item])) if row[item] else "" for item in ("working", "cpu")]
        when = datetime.fromisoformat(row["from"])
        who, what = inline(row["who"])[:14], inline(row["what"])
        yield f"{when:%Y-%m-%d %H:%M}  {who:14} {spent[0]:>9} {spent[1]:>9}  {row['trust']:13} {what}"
    yield ""
    for who, sums in found.credits().items():
        working, cpu = show_seconds(sums["working"]), show_seconds(sums["cpu"])
        yield f"{inline(who)}: {working} of working time, {cpu} of CPU time, {sums['commits']:.0f} commits seen"
