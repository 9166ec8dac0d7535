from pathlib import Path

import pytest

from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Collect, Isolation, Job, Limits, Mount, SandboxSettings
from harness.errors import ConfigError, UsageError


@pytest.mark.parametrize("name", ["cpu", "wall", "memory", "processes", "disk"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_is_positive(name, value):
    with pytest.raises(ConfigError, match=name):
        Limits(**{**dict(cpu=1, wall=1, memory=1, processes=1, disk=1), name: value})


@pytest.mark.parametrize("target", ["work", "/work/../etc", "/", ""])
def test_a_mount_has_an_absolute_target(target):
    with pytest.raises(ConfigError):
        Mount(source=Path("/tmp"), target=target)


@pytest.mark.parametrize("name", ["../x", "a/b", "-rf", "", "a b", "$(id)", ".", "..", "x" * 100, "a\nb", "é"])
def test_a_declared_file_has_a_plain_name(name):
    with pytest.raises(ConfigError):
        Collect(files=(name,), into=Path("/tmp"))


@pytest.mark.parametrize("folder", ["out", "/out;id", "/", "/a/../b", "/a b"])
def test_an_output_folder_has_a_plain_path(folder):
    with pytest.raises(ConfigError):
        Collect(directory=folder, files=("a",), into=Path("/tmp"))


def test_a_job_has_a_command():
    with pytest.raises(ConfigError):
        Job(command=(), limits=Limits(cpu=1, wall=1, memory=1, processes=1, disk=1))


def test_an_unknown_waiver_is_refused():
    with pytest.raises(ConfigError, match="metering"):
        SandboxSettings(waive=("everything",))


def test_an_unknown_backend_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match="did you mean bubblewrap"):
        open_sandbox(SandboxSettings(backend="bublewrap"))


def test_the_digest_depends_on_what_is_guaranteed_and_on_nothing_else():
    facts = dict(backend="bubblewrap", waivers=("seccomp", "network"), isolated=False, exact_metering=True, version="1")
    one = Isolation(**facts)
    assert one.digest == Isolation(**facts | {"waivers": ("network", "seccomp")}).digest
    for change in ({"waivers": ()}, {"isolated": True}, {"exact_metering": False}, {"version": "2"}, {"backend": "x"}):
        assert one.digest != Isolation(**facts | change).digest


def test_the_sandbox_describes_itself_the_same_every_time(sandbox):
    isolation = sandbox.description()
    assert isolation.isolated
    assert isolation.exact_metering
    assert isolation.waivers == ()
    assert isolation.digest == open_sandbox().description().digest
