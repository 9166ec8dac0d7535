"""Wall time on a busy machine: who waits for a core is waited for, and who sleeps is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from harness.cleanroom.sandbox import Job, Limits, Sandbox
from harness.cleanroom.waiting import Waiting

NEIGHBOURS = 5
BUSY = "import time\nwhile time.process_time() < 0.5: pass"


def limits(*, wall: float, patient: bool) -> Limits:
    return Limits(cpu=5, wall=wall, memory=96 << 20, processes=8, disk=2 << 20, patient=patient)


@pytest.fixture
def one_busy_core() -> Iterator[None]:
    """A core that others keep busy, on which everything that the test starts has to run."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    words = [sys.executable, "-I", "-S", "-c", "while True: pass"]
    # each in a session of its own: the kernel may share a core out among sessions
    neighbours = [subprocess.Popen(words, start_new_session=True) for _ in range(NEIGHBOURS)]
    try:
        yield
    finally:
        for neighbour in neighbours:
            neighbour.kill()
            neighbour.wait()
        os.sched_setaffinity(0, before)


@pytest.mark.slow  # it keeps a core busy
@pytest.mark.parametrize(("patient", "killed_by"), [(True, None), (False, "wall")])
def test_who_waits_for_a_core_is_waited_for(
    sandbox: Sandbox, one_busy_core: None, patient: bool, killed_by: str | None
) -> None:
    command = (sys.executable, "-I", "-S", "-c", BUSY)
    done = sandbox.run(Job(command=command, limits=limits(wall=1.2, patient=patient)))
    assert done.killed_by == killed_by
    assert done.usage.wall > 1.2


@pytest.mark.slow  # it keeps a core busy
def test_who_sleeps_on_a_busy_core_is_not(sandbox: Sandbox, one_busy_core: None) -> None:
    done = sandbox.run(Job(command=("sleep", "60"), limits=limits(wall=2.0, patient=True)))
    assert done.killed_by == "wall"
    assert done.usage.wall < 5.0


def test_patience_ends(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Waiting, "seconds", lambda self, wall, **fresh: wall)  # as if it waited all the time
    done = sandbox.run(Job(command=("sleep", "60"), limits=limits(wall=0.2, patient=True)))
    assert done.killed_by == "wall"
    assert 0.8 <= done.usage.wall < 5.0


def test_nobody_has_waited_longer_than_it_is_there() -> None:
    found = Waiting(lambda: [os.getpid(), 2**22 - 1])
    assert found.seconds(0.5) == 0.0, "it is looked at once a second"
    assert 0.0 <= found.seconds(1.5) <= 1.5
    assert found.seconds(1.6) == found.seconds(1.7)
