import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from harness.cleanroom.meter import ProcMeter, _marked, is_zombie, started


@pytest.fixture
def child():
    """A process with a busy child and a daemon of another session that carries a mark."""
    mark = f"REPROOF_JOB={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    script = "while :; do :; done & setsid sleep 60 & wait"
    process = subprocess.Popen(["/bin/sh", "-c", script], env={name: value}, start_new_session=True)
    yield process, mark
    for entry in Path("/proc").iterdir():  # by hand: what is under test may not work
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
    process.wait()


def until(true):
    end = time.monotonic() + 5
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()


def test_descendants_are_found_counted_and_killed(child):
    process, mark = child
    meter = ProcMeter(enough=50, mark=mark)
    meter.adopt(process.pid)
    until(lambda: len(meter.pids()) == 3)
    until(lambda: meter.read().cpu >= 0.05)
    reading = meter.read()
    assert reading.processes == 3
    assert 0 < reading.memory < 50 << 20
    everyone = meter.pids()
    meter.kill()
    process.wait()
    assert meter.pids() == []
    assert all(is_zombie(pid) for pid in everyone)


def test_whoever_lost_their_parents_is_found_by_the_mark():
    mark = f"REPROOF_JOB={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    subprocess.run(["/bin/sh", "-c", "setsid sleep 60 &"], env={name: value}, check=True)
    meter = ProcMeter(enough=50, mark=mark)
    left = []
    until(lambda: left.extend(_marked(mark.encode())) or left)
    assert meter.read().processes == 0, "a mark is no reason to charge anybody"
    meter.close()
    assert all(is_zombie(pid) for pid in left)


def test_usage_never_shrinks():
    code = "data = bytearray(b'x') * (40 << 20); del data; import time; print(); time.sleep(9)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with process:
        meter = ProcMeter(enough=50)
        meter.adopt(process.pid)
        readings = []
        while len(readings) < 30:
            readings.append(meter.read())
            time.sleep(0.003)
        meter.kill()
        process.communicate()
        readings.append(meter.read())
    assert [one.cpu for one in readings] == sorted(one.cpu for one in readings)
    assert [one.memory for one in readings] == sorted(one.memory for one in readings)


def test_a_look_stops_when_it_has_seen_enough(child):
    process, mark = child
    meter = ProcMeter(enough=1, mark=mark)
    meter.adopt(process.pid)
    until(lambda: len(meter.pids()) == 2)


def test_the_oldest_are_kept_in_sight():
    script = "sh -c 'sleep 9 & sleep 9 & sleep 9 & wait' & wait"
    process = subprocess.Popen(["/bin/sh", "-c", script], start_new_session=True)
    everyone, meter = ProcMeter(enough=50), ProcMeter(enough=1)
    everyone.adopt(process.pid)
    meter.adopt(process.pid)
    until(lambda: len(everyone.pids()) == 5)
    for _ in range(3):
        assert meter.pids() == everyone.pids()[:2]
    everyone.kill()
    process.wait()


def test_who_is_gone_is_gone():
    process = subprocess.Popen(["true"])
    assert started(os.getpid()) is not None
    process.wait()
    assert started(process.pid) is None
    assert is_zombie(process.pid)
