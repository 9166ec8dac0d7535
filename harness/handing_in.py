"""The first half of the road, in: from workspace to submission, and what is taken in where all of it cannot be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from harness.attempt import ledger
from harness.attempt.attempt import Fault, HandedIn
from harness.attempt.budget import DECLARABLE, ITEMS, Account
from harness.attempt.confined import BUNDLE_FILE
from harness.attempt.contents import is_hash
from harness.attempt.desk import SUBMISSIONS
from harness.attempt.participant import Outcome
from harness.attempt.plumbing import Files
from harness.attempt.quarters import take_sign
from harness.attempt.salvage import salvage
from harness.attempt.submission import (
    HEAD,
    EmptySubmission,
    Saved,
    Submission,
    bundle,
    commit_uncommitted,
    intake,
    kept_files,
    uncommit,
)
from harness.errors import SubmissionError, UsageError
from harness.handing_out import ensure_work_counts
from harness.record.files import land, private_folder, write_slip
from harness.road import HISTORY, Road

_LAST = ("deadline", "withdrawn", "interrupted")
"""Ends after which nobody can mend what is refused."""
_BACK = 5
"""Earlier commits that are tried at most."""


def hand_in(road: Road, outcome: Outcome, *, commit: str | None = None) -> HandedIn:
    """Workspace to submission: commit what is left, bundle it, take it in. The last one handed in counts.

    What was handed in just before, unchanged, stays that submission, with its plan: nobody rolls the dice again. What
    is refused is a person's to mend as long as they can; else what can be taken in is handed in in its place.

    Args:
        road: The attempt.
        outcome: How the work ended.
        commit: An earlier commit of the workspace, in place of all that it holds.

    Raises:
        SubmissionError: It is refused, with the reason.
    """
    with road.desk.held():
        road.desk.recover()
        found = road.desk.account(disk=True)
        with road.store.staging() as staging:
            try:
                saved, taken, instead = _take_in(road, staging, commit, last=_is_last(road, outcome))
            except SubmissionError as error:
                road.desk.note("submitted", refused=str(error))
                raise
            if road.desk.submissions and road.submission().tree == taken.tree:
                road.tell(f"handed in before, unchanged: {road.submission().commit[:12]}")
                return _handed_in_again(road)
            last = road.desk.events()[-1]
            handed = msgspec.structs.replace(_handed_in(outcome, saved, taken, found, last), instead=instead)
            write_slip(staging / "submission.json", handed)
            land(staging, road.folder / SUBMISSIONS / f"{len(road.desk.submissions) + 1:03}")
        facts: dict[str, Any] = {
            "saved": saved.commit,
            "not_saved": saved.problem,
            **({"instead": instead} if instead else {}),
        }
        road.desk.note("submitted", commit=taken.commit, tree=taken.tree, **facts)
    if instead:
        road.tell(instead)
    if saved.problem:
        counts = "what could be is" if saved.commit else "the last commit counts"
        road.tell(f"uncommitted work could not all be committed, so {counts}: {saved.problem}")
    road.tell(f"handed in: commit {taken.commit[:12]}, {taken.files} files")
    return handed


def _handed_in_again(road: Road) -> HandedIn:
    handed = road.submission()
    road.desk.note("submitted", commit=handed.commit, tree=handed.tree, again=True)
    return handed


def close(road: Road) -> HandedIn:
    """Hand in what counts once the budget's time is used up.

    Where the clock ran and was kept to its end, that is what the workspace holds, uncommitted work included. Else it is
    the last commit that the harness had seen by then, since nobody knows when the rest was written.

    Raises:
        SubmissionError: It is refused, with the reason.
    """
    found = road.desk.account()
    outcome = Outcome(note=found.ended or "closed", ended="deadline")
    if road.desk.attended():
        return hand_in(road, outcome)
    seen = found.marks[-1].commit if found.marks else road.attempt.start_commit
    road.tell(f"{outcome.note}, and nobody kept the clock then: the commit that was seen last counts, {seen[:12]}")
    return hand_in(road, outcome, commit=seen)


def withdraw(road: Road, reason: str) -> HandedIn | None:
    """End an attempt at the participant's wish; what was done is kept as a submission, and can still be scored.

    Returns:
        What is kept as the submission; None if there is nothing that could be taken in.

    Raises:
        UsageError: It is over, or was withdrawn before.
    """
    if road.desk.open_account().pending:
        try:
            hand_in(road, Outcome(note=reason, ended="withdrawn"))
        except SubmissionError as error:
            road.tell(f"what is in the workspace could not be taken in: {error}")
    with road.desk.held():
        if road.desk.account().state == "withdrawn":
            road.desk.open_account()  # says so: somebody else has just done it
        road.desk.note("withdrawn", reason=reason)
    return road.submission() if road.desk.submissions else None


def _is_last(road: Road, outcome: Outcome) -> bool:
    """Whether nobody is there who could mend what is refused."""
    return outcome.ended in _LAST or road.attempt.participant.kind == "agent"


def _take_in(road: Road, into: Path, commit: str | None, *, last: bool) -> tuple[Saved, Submission, str | None]:
    """What was handed in, and, where it could not be all of it, why and what it is."""
    saved = Saved(commit=None, log="")
    if commit is None:
        if road.attempt.participant.kind == "agent":
            take_sign(road.workspace)
        saved = commit_uncommitted(road.workspace, road.sandbox, quota=road.attempt.budget.disk)
        road.desk.witness()
    try:
        return saved, _taken(road, into, of=HEAD, commit=commit or HEAD), None
    except SubmissionError as error:
        uncommit(road.workspace, saved, sandbox=road.sandbox, quota=road.attempt.budget.disk)
        if not last:
            raise
        return saved, *_salvaged(road, into, error, saved=saved, commit=commit)


def _taken(road: Road, into: Path, *, of: str, commit: str = HEAD) -> Submission:
    """Take in a commit of the history that led to another one."""
    base = road.attempt.start_commit
    made = bundle(road.workspace, base, sandbox=road.sandbox, into=into, commit=of)
    return intake(made, base, start=_start(road), store=road.store.root, sandbox=road.sandbox, commit=commit)


def _salvaged(
    road: Road, into: Path, refused: SubmissionError, *, saved: Saved, commit: str | None
) -> tuple[Submission, str]:
    """What can be taken in where all that there is cannot.

    First the same without what is refused; then the participant's own commits, the latest first.

    Raises:
        SubmissionError: The first refusal: there is nothing else.
    """
    for of, words in _others(road, saved=saved, commit=commit):
        try:
            taken = _taken(road, into, of=of)
        except SubmissionError:
            (into / BUNDLE_FILE).unlink(missing_ok=True)
            continue
        return taken, f"not all of it could be taken in ({_reason(refused)}), so {words} counts"
    raise refused


def _others(road: Road, *, saved: Saved, commit: str | None) -> Iterator[tuple[str, str]]:
    """Commits that may be taken in in the place of one that was refused, with what they are in words."""
    seen = [saved.before, *(mark.commit for mark in reversed(road.desk.account().marks))]
    if commit is None:
        whole, parent = saved.commit or HEAD, saved.before or HEAD
        quota = road.attempt.budget.disk
        with contextlib.suppress(SubmissionError):
            less = salvage(road.workspace, whole, parent=parent, sandbox=road.sandbox, quota=quota)
            yield less.commit, f"the same without {less.left_out}"
    never = {saved.commit, commit, road.attempt.start_commit}
    for earlier in [name for name in dict.fromkeys(seen) if name is not None and name not in never][:_BACK]:
        yield earlier, f"the earlier commit {earlier[:12]}"


def _reason(refused: SubmissionError) -> str:
    return refused.message if refused.got is None else f"{refused.message}: {refused.got}"


def _start(road: Road) -> Files:
    return kept_files(road.attempt.start_tree, road.store.root)


def _handed_in(outcome: Outcome, saved: Saved, taken: Submission, found: Account, last: ledger.Event) -> HandedIn:
    return HandedIn(
        commit=taken.commit,
        tree=taken.tree,
        files=taken.files,
        bytes=taken.bytes,
        history=list(taken.history),
        at=datetime.now(UTC),
        ended=outcome.ended,
        fault=outcome.fault,
        note=outcome.note,
        used={item: found.used(item) for item in ITEMS if item not in found.unmeasured},
        declared={item: found.declared(item) for item in DECLARABLE},
        exact=found.exact,
        credits=found.credits(),
        late=found.late,
        saved=saved.commit is not None,
        ledger=(last.number, last.digest),
    )


def commit_road(road: Road, commit: str) -> Road:
    """The road of one commit in a submission's history, whose later stages leave their records beside it.

    Raises:
        UsageError: This is no whole hash.
        SubmissionError: The submission's history does not hold it.
    """
    if not is_hash(commit):
        remedy = f"`git log --format=%H` in {road.workspace} lists them"
        raise UsageError("a commit is named by its whole hash", expected="40 hex digits", got=commit, remedy=remedy)
    handed = road.submission()
    if commit == handed.commit:
        return road
    folder = road.records / HISTORY / commit
    if (folder / "submission.json").exists():  # taken in before
        return replace(road, of=folder)
    bundled = road.records / BUNDLE_FILE
    made = bundled if bundled.exists() else EmptySubmission(commit=handed.commit)
    base = road.attempt.start_commit
    taken = intake(made, base, start=_start(road), store=road.store.root, sandbox=road.sandbox, commit=commit)
    private_folder(folder)
    facts = {"commit": taken.commit, "tree": taken.tree, "files": taken.files, "bytes": taken.bytes}
    write_slip(folder / "submission.json", msgspec.structs.replace(handed, **facts, history=list(taken.history)))
    return replace(road, of=folder)


def ensure_submission(road: Road) -> HandedIn:
    """What was handed in; after an interruption, what the workspace holds is handed in now.

    Raises:
        UsageError: A person has not handed anything in, and has time left to.
    """
    if road.desk.submissions:
        with road.desk.held():
            road.desk.recover()
        return road.submission()
    if road.attempt.participant.adapter == "human":
        if road.desk.account().state == "over":
            return close(road)
        remedy = "they hand it in themselves, with `reproof submit`, or it is handed in when their time is used up"
        raise UsageError("nothing was handed in yet", where=road.attempt.id, remedy=remedy)
    ensure_work_counts(road)
    road.desk.stop_lost_clock()
    replaced = any(event.kind == "replaced" for event in road.desk.events())
    fault: Fault = "harness" if replaced else "none"
    return hand_in(road, Outcome(note="handed in after an interruption", ended="interrupted", fault=fault))
