import os
import subprocess
import sys

import pytest

from harness.cleanroom.quota import TreeQuota, allocated

ENOUGH = 1 << 40


def test_blocks_count_and_holes_do_not(tmp_path):
    (tmp_path / "full").write_bytes(b"x" * 1_000_000)
    with (tmp_path / "hole").open("wb") as hole:
        hole.truncate(1 << 40)
    assert 1_000_000 <= allocated(tmp_path, enough=ENOUGH) < 1_100_000


def test_links_are_not_followed(tmp_path):
    (tmp_path / "usr").symlink_to("/usr")
    (tmp_path / "self").symlink_to(tmp_path)
    assert allocated(tmp_path, enough=ENOUGH) < 10_000


def test_empty_files_have_a_price(tmp_path):
    for n in range(1000):
        (tmp_path / str(n)).touch()
    assert allocated(tmp_path, enough=ENOUGH) >= 512_000
    assert allocated(tmp_path, enough=10_000) < 20_000  # and stops counting when it knows enough


def test_nesting_beyond_reason_counts_as_too_much(tmp_path):
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(150):
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    assert allocated(tmp_path, enough=ENOUGH) > ENOUGH


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_counts_as_too_much(tmp_path):
    (tmp_path / "locked").mkdir(mode=0)
    assert allocated(tmp_path, enough=ENOUGH) > ENOUGH


def test_a_folder_that_cannot_be_read_counts_as_too_much_simulated(tmp_path, monkeypatch):
    (tmp_path / "locked").mkdir()
    real = os.open

    def locked(path, *args, **kwargs):
        if path == "locked":
            raise PermissionError(13, "Permission denied")
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", locked)
    assert allocated(tmp_path, enough=ENOUGH) > ENOUGH


def test_unlinked_files_count_while_they_are_open(tmp_path):
    code = (
        "import os, sys; f = open('x', 'wb'); f.write(bytes(1 << 20)); f.flush(); os.unlink('x');"
        " print(); sys.stdin.read()"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        child.stdout.readline()
        assert allocated(tmp_path, enough=ENOUGH) == 0
        assert TreeQuota(tmp_path, limit=500_000, pids=lambda: [child.pid]).exceeded()
        assert not TreeQuota(tmp_path, limit=2_000_000, pids=lambda: [child.pid]).exceeded()
        child.communicate(b"")


def test_looking_is_rationed_unless_asked(tmp_path):
    quota = TreeQuota(tmp_path, limit=100_000, pids=list)
    assert not quota.exceeded()
    (tmp_path / "x").write_bytes(b"x" * 200_000)
    assert not quota.exceeded()
    assert quota.exceeded(now=True)
