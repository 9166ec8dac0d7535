import sys
from pathlib import Path

from harness.cleanroom import layout
from harness.cleanroom.sandbox import Collect, Job, Limits, Mount

LIMITS = Limits(cpu=1, wall=1, memory=1 << 20, processes=8, disk=1 << 16)


def pairs(words, option):
    return [(words[at + 1], words[at + 2]) for at, word in enumerate(words) if word == option]


def test_only_what_is_named_is_mounted(tmp_path):
    job = Job(command=("true",), limits=LIMITS, mounts=(Mount(source=tmp_path, target="/work", writable=True),))
    words = layout.arguments(job)
    assert pairs(words, "--bind") == [(str(tmp_path), "/work")]
    allowed = (sys.prefix, sys.base_prefix, "/usr", "/lib", "/bin", "/sbin")
    for source, target in pairs(words, "--ro-bind"):
        assert source == target
        assert source.startswith(allowed) or Path(source).resolve() in (
            Path(sys.prefix).resolve(),
            Path(sys.base_prefix).resolve(),
        )
    assert {source for source, _ in pairs(words, "--ro-bind-try")} == {"/etc/ld.so.cache", "/etc/alternatives"}


def test_every_tmpfs_has_a_size(tmp_path):
    (tmp_path / "private").mkdir()
    job = Job(
        command=("true",),
        limits=Limits(cpu=1, wall=1, memory=1, processes=1, disk=1),
        mounts=(Mount(source=tmp_path, target="/p"),),
        collect=Collect(files=("a",), into=tmp_path),
        hidden=(tmp_path / "private",),
    )
    words = layout.arguments(job)
    places = [at for at, word in enumerate(words) if word == "--tmpfs"]
    assert {words[at + 1] for at in places} == {"/tmp", "/run", "/dev/shm", "/out", "/p/private"}
    for at in places:
        before = words[at - 4 : at]
        assert int(before[before.index("--size") + 1]) >= 4096  # 0 would mean: no limit


def test_waivers_remove_their_walls_only():
    job = Job(command=("true",), limits=LIMITS)
    strict, loose = set(layout.arguments(job)), set(layout.arguments(job, waive=frozenset({"network", "userns"})))
    assert strict - loose == {"--disable-userns"}
    assert loose - strict == {"--share-net"}


def test_the_working_folder_has_a_sensible_default(tmp_path):
    mount = Mount(source=tmp_path, target="/work")
    assert Job(command=("true",), limits=LIMITS).folder == "/tmp"
    assert Job(command=("true",), limits=LIMITS, mounts=(mount,)).folder == "/work"
    assert Job(command=("true",), limits=LIMITS, mounts=(mount,), cwd="/usr").folder == "/usr"
