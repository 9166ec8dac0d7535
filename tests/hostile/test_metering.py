"""Jobs that try to be counted as somebody else, or not at all, where no cgroup counts them."""

from __future__ import annotations

import threading
import time
import uuid

import pytest
from watching import alive

from harness.cleanroom import hierarchy
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Completed, Job, Limits, Sandbox, SandboxSettings

LIMITS = Limits(cpu=1, wall=20, memory=96 << 20, processes=24, disk=2 << 20)
SHED = """
import os, sys, time
def orphan(environment, code):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code], environment)
        os._exit(0)
    os.wait()
"""
BURN = "while True: pass"


@pytest.fixture(params=["process", pytest.param("bubblewrap", marks=pytest.mark.slow)])
def uncounted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A sandbox of each kind, without a cgroup."""

    def nothing(places: object) -> None:
        raise LookupError("taken away by the test")

    monkeypatch.setattr(hierarchy, "_found", [])
    monkeypatch.setattr(hierarchy, "_host_v1", nothing)
    monkeypatch.setattr(hierarchy, "_host_v2", nothing)
    return open_sandbox(SandboxSettings(backend=request.param, waive=("metering",)))


def run(sandbox: Sandbox, code: str, **limits: float) -> Completed:
    from dataclasses import replace

    return sandbox.run(Job(command=("python", "-I", "-S", "-c", SHED + code), limits=replace(LIMITS, **limits)))


def test_who_sheds_mark_and_parents_is_counted_and_killed(uncounted: Sandbox) -> None:
    token = f"burner-{uuid.uuid4().hex}"
    done = run(uncounted, f"orphan({{}}, \"x = '{token}'\\n{BURN}\")\ntime.sleep(60)")
    assert done.killed_by == "cpu", done
    assert done.usage.wall < 10
    assert alive(token) == []


def test_who_sheds_mark_and_parents_outlives_nothing(uncounted: Sandbox) -> None:
    token = f"sleeper-{uuid.uuid4().hex}"
    code = f"orphan({{}}, \"import time; x = '{token}'; time.sleep(60)\")\ntime.sleep(0.3)"
    done = run(uncounted, code, cpu=10)
    assert done.exit == 0, done.log
    assert alive(token) == []


def test_too_many_who_shed_everything_are_too_many(uncounted: Sandbox) -> None:
    token = f"sleeper-{uuid.uuid4().hex}"
    code = f"for _ in range(60): orphan({{}}, \"import time; x = '{token}'; time.sleep(60)\")\ntime.sleep(30)"
    done = run(uncounted, code, cpu=20)
    assert done.killed_by == "processes" or "Resource temporarily unavailable" in done.log, done
    assert alive(token) == []


def test_nobody_is_charged_for_who_carries_their_mark(uncounted: Sandbox) -> None:
    """The victim sleeps; its neighbour looks for marks, and burns under each of them."""
    theirs: list[Completed] = []
    sleeper = threading.Thread(target=lambda: theirs.append(run(uncounted, "time.sleep(3)")))
    sleeper.start()
    time.sleep(0.5)
    steal = """
marks = set()
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        marks |= {v for v in open(f"/proc/{pid}/environ", "rb").read().split(b"\\0") if v.startswith(b"REPROOF_JOB=")}
    except OSError:
        pass
for mark in marks or {b"REPROOF_JOB=" + b"0" * 32}:
    orphan(dict([mark.decode().split("=")]), "while True: pass")
time.sleep(30)
"""
    own = run(uncounted, steal)
    sleeper.join()
    assert own.killed_by == "cpu", own
    [victim] = theirs
    assert (victim.exit, victim.killed_by) == (0, None), victim
    assert victim.usage.cpu < 0.5
