from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.attempt.registry import STATE, attempt_of, remember
from harness.errors import RecordError, UsageError


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(STATE, str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def attempt(tmp_path: Path) -> Path:
    folder = tmp_path / "results" / "attempts" / "one"
    folder.mkdir(parents=True)
    (folder / "attempt.json").write_text("{}")
    return folder


@pytest.fixture
def workspace(tmp_path: Path, attempt: Path) -> Path:
    folder = tmp_path / "workspace"
    (folder / "reproduction" / "deep").mkdir(parents=True)
    remember(folder, attempt)
    return folder


def test_a_workspace_is_known_from_everywhere_in_it(workspace: Path, attempt: Path) -> None:
    for folder in (workspace, workspace / "reproduction", workspace / "reproduction" / "deep"):
        assert attempt_of(folder) == attempt
    assert attempt_of(workspace.parent) is None
    assert attempt_of(workspace.with_name("workspace-2")) is None


def test_a_workspace_is_known_by_a_link_to_it(workspace: Path, attempt: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(workspace)
    assert attempt_of(tmp_path / "link" / "reproduction") == attempt


def test_a_workspace_that_was_moved_is_known_no_more(workspace: Path, attempt: Path) -> None:
    moved = workspace.rename(workspace.with_name("elsewhere"))
    assert attempt_of(moved) is None
    remember(moved, attempt)
    assert attempt_of(moved / "reproduction") == attempt


def test_a_workspace_in_a_workspace_is_its_own(workspace: Path, attempt: Path) -> None:
    other = attempt.with_name("two")
    other.mkdir()
    (other / "attempt.json").write_text("{}")
    remember(workspace / "reproduction", other)
    assert attempt_of(workspace / "reproduction" / "deep") == other
    assert attempt_of(workspace) == attempt


def test_the_last_note_of_a_workspace_counts(workspace: Path, attempt: Path) -> None:
    other = attempt.with_name("two")
    other.mkdir()
    (other / "attempt.json").write_text("{}")
    remember(workspace, other)
    assert attempt_of(workspace) == other


def test_an_attempt_that_is_gone_is_told(workspace: Path, attempt: Path) -> None:
    (attempt / "attempt.json").unlink()
    with pytest.raises(RecordError, match=r"records of this workspace are gone"):
        attempt_of(workspace)


def test_nothing_in_the_workspace_is_asked(workspace: Path, attempt: Path, tmp_path: Path, state: Path) -> None:
    """A participant's tree may come from anybody: a pointer planted in it changes nothing."""
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "attempt.json").write_text("{}")
    [note] = state.rglob("*.json")
    text = note.read_text().replace(str(attempt), str(evil))
    assert str(evil) in text
    for name in (".reproof", "reproof.json", "attempt.json", f"reproof/workspaces/{note.name}", ".git/reproof"):
        path = workspace / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (workspace / "ledger.jsonl").write_text("")
    assert attempt_of(workspace) == attempt
    assert attempt_of(workspace / ".git") == attempt
    assert list(workspace.glob("**/.reproof*")) == [workspace / ".reproof"]  # and it writes nothing there


@pytest.mark.parametrize("text", [b"", b"{}", b"\xff\xfe", b'{"workspace": 1}', b"[" * 9999, b'{"attempt": "\\u0000"}'])
def test_a_damaged_note_is_none(workspace: Path, state: Path, text: bytes) -> None:
    [note] = state.rglob("*.json")
    note.write_bytes(text)
    assert attempt_of(workspace) is None


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "FIFO"])
@pytest.mark.timeout(10)
def test_a_note_that_is_no_file_is_none(workspace: Path, state: Path, make: object) -> None:
    [note] = state.rglob("*.json")
    note.unlink()
    make(note)  # type: ignore[operator]
    assert attempt_of(workspace) is None


def test_a_state_folder_that_cannot_be_written_is_told(tmp_path: Path, attempt: Path, state: Path) -> None:
    state.write_text("a file, not a folder")
    with pytest.raises(UsageError, match=f"cannot be noted.*\n.*{STATE}"):
        remember(tmp_path / "workspace", attempt)
    assert attempt_of(tmp_path / "workspace") is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_state_folder_that_is_closed_is_told(tmp_path: Path, attempt: Path, state: Path) -> None:
    state.mkdir(mode=0o500)
    with pytest.raises(UsageError, match="cannot be noted"):
        remember(tmp_path / "workspace", attempt)


def test_without_a_state_folder_it_is_the_users_own(
    tmp_path: Path, attempt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STATE)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    remember(tmp_path / "workspace", attempt)
    assert len(list((tmp_path / "home" / ".local" / "state" / "reproof").rglob("*.json"))) == 1
    assert attempt_of(tmp_path / "workspace") == attempt


def test_what_is_noted_is_for_its_owner_alone(workspace: Path, state: Path) -> None:
    assert (state / "reproof").stat().st_mode & 0o077 == 0 or (state / "reproof/workspaces").stat().st_mode & 0o077 == 0
