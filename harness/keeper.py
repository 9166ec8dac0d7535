"""The keeper of a running clock: notes that it runs, sees new commits, and hands the work in when the time is used up.

It looks at nothing but the clock, the ledger and the name of the workspace's head; without it only the moments between
two verbs are known, and a machine that goes down takes the time since the last one with it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
import time
from collections.abc import Iterator

from harness.attempt.desk import Desk
from harness.errors import ReproofError
from harness.record.files import private_file

BEAT = 15.0
"""Seconds between two pulses: the most working time that a crash of the machine can take."""
_COMMAND = "from harness.cli.start import main; main()"


def spawn(desk: Desk) -> None:
    """Start the keeper of an attempt in the background; where one is at work already, it leaves at once."""
    import subprocess  # `status` has to answer at once, and seldom needs it

    words = [sys.executable, "-c", _COMMAND, "clock", "keep", str(desk.folder)]
    # the shell ends at once, so that the keeper is nobody's child that would have to be waited for
    subprocess.run(
        ["/bin/sh", "-c", '"$@" &', "sh", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        start_new_session=True,
        check=False,
    )


def ensure(desk: Desk) -> None:
    """Start the keeper of a person's running clock if there is none: it may have been killed."""
    if desk.attempt.participant.kind == "agent":
        return  # who runs an agent keeps its clock
    with _place(desk) as mine:
        kept = not mine
    if not kept:
        spawn(desk)


def keep(desk: Desk) -> None:
    """Beat until the clock stops; hand in what there is once the budget's time is used up."""
    with _place(desk) as mine:
        while mine and (rest := _beat(desk)) is not None:
            time.sleep(rest)


@contextlib.contextmanager
def _place(desk: Desk) -> Iterator[bool]:
    """The place of the keeper, of which there is one; False if it is taken."""
    descriptor = private_file(desk.folder / "keeper.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def _beat(desk: Desk) -> float | None:
    """One pulse; seconds until the next, or None when there is nothing to keep any more."""
    if not (desk.folder / "attempt.json").exists():
        return None
    found = desk.account()
    if found.state == "over" and found.pending:
        _hand_in(desk)
    if found.state != "running":
        return None
    desk.beat()
    desk.witness()
    return min(BEAT, found.time_left + 0.05)


def _hand_in(desk: Desk) -> None:
    from harness.handing_in import close
    from harness.road import road_of

    try:
        close(road_of(desk))
    except ReproofError:
        return  # the ledger says why it was refused; `reproof submit` says it to the participant
