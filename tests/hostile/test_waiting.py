"""Programs that let their wall time pass and blame the machine, and one that the machine did keep waiting."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Completed, Job, Limits, SandboxSettings

LIMITS = Limits(cpu=1, wall=2.0, memory=96 << 20, processes=24, disk=2 << 20)
BURN = "while True: pass"


def run(code: str, backend: str = "bubblewrap", **limits: float) -> Completed:
    sandbox = open_sandbox(SandboxSettings(backend=backend, waive=("metering",)))
    command = ("python", "-I", "-S", "-c", "import os, time, threading\n" + code)
    return sandbox.run(Job(command=command, limits=replace(LIMITS, **limits)))


@contextlib.contextmanager
def crowded() -> Iterator[None]:
    """Four on every processor; each in a session of its own, since some kernels share time among sessions."""
    words = [sys.executable, "-I", "-S", "-c", BURN]
    hogs = [subprocess.Popen(words, start_new_session=True) for _ in range(4 * (os.cpu_count() or 1))]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


SLEEPERS = {
    "asleep": "time.sleep(60)",
    "in many threads": "[threading.Thread(target=time.sleep, args=(60,)).start() for _ in range(8)]",
    "waiting for itself": "os.read(os.pipe()[0], 1)",
    "by short naps": "while True: time.sleep(0.01)",
}


@pytest.mark.parametrize("backend", ["bubblewrap", pytest.param("process", marks=pytest.mark.slow)])
@pytest.mark.parametrize("code", [pytest.param(code, id=name, marks=() if name == "asleep" else pytest.mark.slow)
                                  for name, code in SLEEPERS.items()])  # fmt: skip
def test_who_sleeps_was_not_kept_waiting(code: str, backend: str) -> None:
    done = run(code, backend)
    assert done.killed_by == "wall", done
    assert done.waited is not None
    assert done.waited < 0.2 * done.usage.wall


@pytest.mark.slow
def test_who_is_starved_was_kept_waiting() -> None:
    with crowded():
        done = run(f"os.nice(19)\n{BURN}")
    assert done.killed_by == "wall", done
    assert done.waited is not None
    assert done.waited > 0.5 * done.usage.wall


@pytest.mark.slow
def test_who_steps_back_behind_others_waits_of_its_own_will() -> None:
    steps_back = "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
    with crowded():
        done = run(f"{steps_back}{BURN}", cpu=5)
    assert done.killed_by == "wall", done
    assert done.waited is not None
    assert done.waited < 0.2 * done.usage.wall
