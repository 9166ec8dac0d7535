import contextlib
import itertools
import os
import subprocess
import time
from pathlib import Path

import pytest
from watching import soon

from harness.cleanroom import cgroup, hierarchy
from harness.cleanroom.cgroup import HostV2
from harness.errors import HarnessFault

JOIN = 'while [ "$1" != -- ]; do echo 0 > "$1" || exit 125; shift; done; shift; exec "$@"'


def joined(group, *command):
    return subprocess.Popen(["/bin/sh", "-c", JOIN, "sh", *group.doors, "--", *command], stderr=subprocess.DEVNULL)


@pytest.fixture
def group():
    made = hierarchy.host().create(memory=64 << 20, processes=10)
    yield made
    made.close()


def test_a_group_counts_and_forgets(group):
    assert group.pids() == []
    child = joined(group, "sh", "-c", "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done")
    assert child.wait() == 0
    reading = group.read()
    assert reading.cpu > 0.005
    assert 0 < reading.memory < 64 << 20
    assert not reading.out_of_memory
    assert not reading.starved
    group.close()
    assert not any(folder.exists() for folder in group.folders.values())
    group.close()


def test_killing_takes_everyone_even_those_who_fork(group):
    child = joined(group, "sh", "-c", "for i in 1 2 3; do while :; do /bin/true; done & done; wait")
    assert soon(lambda: len(group.pids()) > 3)
    began = time.monotonic()
    group.kill()
    assert group.pids() == []
    assert time.monotonic() - began < 3
    child.wait()


def test_the_limit_on_processes_is_seen(group):
    assert joined(group, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep .1 & done; wait").wait() == 2
    assert group.read().forks_refused > 0


def test_running_out_of_memory_is_told_from_the_machine_running_out(group, monkeypatch):
    child = joined(group, "/usr/bin/tail", "/dev/zero")
    child.wait()
    reading = group.read()
    assert (reading.out_of_memory, reading.starved) == (True, False)
    if hierarchy.host().version == 1:
        # the same event with usage far from the limit: somebody else's doing
        cgroup.write(group.folders["memory"] / "memory.max_usage_in_bytes", "0")
        reading = group.read()
        assert (reading.out_of_memory, reading.starved) == (False, True)


def test_no_swap_is_lent(group):
    if hierarchy.host().version == 1:
        folder = group.folders["memory"]
        if (folder / "memory.memsw.limit_in_bytes").exists():
            assert int((folder / "memory.memsw.limit_in_bytes").read_text()) == 64 << 20
        else:
            assert int((folder / "memory.swappiness").read_text()) == 0


def test_a_group_that_cannot_be_made_leaves_nothing():
    host = hierarchy.host()
    before = own_groups(host)
    with pytest.raises(OSError, match="Invalid argument"):
        host.create(memory=-5, processes=10)
    assert own_groups(host) == before


def own_groups(host) -> set[Path]:
    """Those of this process: other tests make and remove theirs at the same time."""
    return {path for base in host.bases for path in base.iterdir() if f"-{os.getpid()}-" in path.name}


def test_a_group_that_cannot_be_removed_is_a_fault(group, monkeypatch):
    monkeypatch.setattr(cgroup, "_DEATH", 0.1)
    inner = next(iter(group.folders.values())) / "inner"
    inner.mkdir()
    with pytest.raises(HarnessFault, match="cannot remove"):
        group.close()
    inner.rmdir()


def test_sweeping_takes_the_dead_and_spares_the_living(group):
    base = hierarchy.host().bases[0]
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    child = subprocess.Popen(["sleep", "0"])
    child.wait()
    own = cgroup.started(os.getpid())
    dead = base / f"reproof-{namespace}-{child.pid}-123-0"
    reborn = base / f"reproof-{namespace}-{os.getpid()}-{own - 1}-0"
    foreign = base / f"reproof-1-{child.pid}-123-0"
    for folder in (dead, reborn, foreign):
        folder.mkdir()
    try:
        cgroup.sweep(hierarchy.host())
        assert (dead.exists(), reborn.exists(), foreign.exists()) == (False, False, True)
        assert all(folder.exists() for folder in group.folders.values())
    finally:
        foreign.rmdir()


# version 2: killing and CPU time for real where a hierarchy is mounted, the rest on a tree of ordinary files


def unified():
    places = hierarchy.mounted(Path("/proc/self/cgroup").read_text(), Path("/proc/self/mountinfo").read_text())
    return next((place.top for place in places if place.version == 2 and os.access(place.top, os.W_OK)), None)


@pytest.mark.skipif(unified() is None, reason="no cgroup v2 hierarchy that could be written to")
def test_version_2_counts_cpu_and_kills_for_real():
    folder = unified() / cgroup._name()
    folder.mkdir()
    group = cgroup._CgroupV2({"": folder})
    try:
        child = joined(group, "sh", "-c", "setsid sleep 60 & while :; do :; done")
        end = time.monotonic() + 5
        while group.read().cpu < 0.05 and time.monotonic() < end:
            time.sleep(0.01)
        assert group.read().cpu >= 0.05
        assert len(group.pids()) == 2
        group.kill()
        assert child.wait() == -9
        assert group.pids() == []
    finally:
        group.close()
    assert not folder.exists()


FILES = {
    "memory.max": "",
    "memory.swap.max": "",
    "memory.oom.group": "",
    "memory.peak": "5000000\n",
    "memory.current": "1000\n",
    "memory.events": "low 0\nhigh 0\nmax 7\noom 0\noom_kill 0\noom_group_kill 0\n",
    "pids.max": "",
    "pids.peak": "9\n",
    "pids.events": "max 3\n",
    "cpu.stat": "usage_usec 1500000\nuser_usec 1000000\nsystem_usec 500000\n",
    "cgroup.procs": "",
    "cgroup.kill": "",
}


@pytest.fixture
def version_2(tmp_path, monkeypatch):
    """A folder whose new folders fill themselves, as the kernel's do."""
    make = Path.mkdir

    def mkdir(self, *args, **kwargs):
        make(self, *args, **kwargs)
        for name, text in FILES.items():
            (self / name).write_text(text)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    return HostV2(tmp_path)


def test_version_2_sets_its_limits(version_2):
    group = version_2.create(memory=1 << 20, processes=5)
    folder = group.folders[""]
    written = {name: (folder / name).read_text() for name in ("memory.max", "memory.swap.max", "pids.max")}
    assert written == {"memory.max": str(1 << 20), "memory.swap.max": "0", "pids.max": "5"}
    assert (folder / "memory.oom.group").read_text() == "1"
    assert group.doors == (str(folder / "cgroup.procs"),)


def test_version_2_reads_its_files(version_2):
    group = version_2.create(memory=1 << 20, processes=5)
    folder = group.folders[""]
    reading = group.read()
    assert (reading.cpu, reading.memory, reading.processes, reading.forks_refused) == (1.5, 5_000_000, 9, 3)
    assert (reading.out_of_memory, reading.starved) == (False, False)
    for (oom, killed), expected in {
        (1, 1): (True, False),
        (0, 1): (False, True),
        (1, 0): (False, False),
    }.items():
        (folder / "memory.events").write_text(f"oom {oom}\noom_kill {killed}\n")
        reading = group.read()
        assert (reading.out_of_memory, reading.starved) == expected


def test_version_2_before_linux_5_19(version_2, monkeypatch):
    monkeypatch.delitem(FILES, "memory.peak")
    assert version_2.create(memory=1 << 20, processes=5).read().memory == 1000


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_a_group_leaves_no_file_open(version_2):
    before = open_files()
    group = version_2.create(memory=1 << 20, processes=5)
    group.read()
    assert open_files() > before
    with contextlib.suppress(HarnessFault):  # these folders hold files, so they cannot be removed as the kernel's are
        group.close()
    assert open_files() == before


def test_version_2_without_swap_accounting(version_2, monkeypatch):
    monkeypatch.delitem(FILES, "memory.swap.max")
    assert version_2.create(memory=1 << 20, processes=5).read().cpu == 1.5


def test_names_never_repeat():
    names = [cgroup._name() for _ in itertools.repeat(None, 100)]
    assert len(set(names)) == 100
