from collections.abc import Callable
from pathlib import Path

import pytest

from harness.attempt.plumbing import write_files
from harness.attempt.task import reference_files, start_commit_of
from harness.attempt.workspace import commit_all, create_workspace
from harness.errors import HarnessFault, UsageError
from harness.paper.load import Paper

Git = Callable[..., str]


def test_new_workspace_is_clean_and_bare_of_extras(paper: Paper, workspace: Path, git: Git) -> None:
    assert git("rev-parse", "HEAD") == start_commit_of(paper)
    assert git("symbolic-ref", "HEAD") == "refs/heads/main"
    assert git("status", "--porcelain", "--ignored") == ""
    assert git("remote") == ""
    assert git("fsck", "--strict", "--full") == ""
    assert not (workspace / ".git/hooks").exists()
    assert not (workspace / "private").exists()
    modes = {path.name: path.stat().st_mode & 0o777 for path in workspace.iterdir() if path.is_file()}
    assert modes.pop("run.sh") == 0o755
    assert set(modes.values()) == {0o644}


def test_participant_can_commit_at_once(workspace: Path, git: Git) -> None:
    (workspace / "new.py").write_text("x = 1\n")
    git("add", "-A")
    git("commit", "-q", "-m", "work")
    assert git("log", "-1", "--format=%an") == "participant"


def test_workspace_needs_a_new_folder(paper: Paper, workspace: Path) -> None:
    with pytest.raises(UsageError, match="new folder"):
        create_workspace(paper, workspace)
    assert (workspace / "BRIEF.md").is_file()


def test_paths_with_dollars_and_spaces(paper: Paper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/nowhere")
    folder = Path("a $HOME b")
    create_workspace(paper, folder)
    assert (tmp_path / folder / ".git/index").is_file()


def test_commit_all_takes_everything(paper: Paper, workspace: Path, git: Git) -> None:
    start = git("rev-parse", "HEAD")
    assert commit_all(workspace, "nothing", time=1) == start
    write_files(workspace, reference_files(paper))
    (workspace / "__pycache__").mkdir()
    (workspace / "__pycache__/x.pyc").write_text("ignored")
    (workspace / "run.sh").unlink()
    name = commit_all(workspace, "the reference", time=1_000_000_000)
    assert git("rev-parse", "HEAD") == name
    assert git("log", "-1", "--format=%P %ct %ad %s", "--date=iso") == (
        f"{start} 1000000000 2001-09-09 01:46:40 +0000 the reference"
    )
    assert git("status", "--porcelain") == ""
    changed = git("diff", "--name-status", start, name).split()
    assert changed == ["M", "reproduction/descent.py", "A", "reproduction/extra.py", "D", "run.sh"]
    assert git("fsck", "--strict") == ""


def test_outer_git_does_not_matter(
    paper: Paper, tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in a hook of the repository that Reproof itself is run from.
    monkeypatch.setenv("GIT_DIR", str(workspace / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "outer-index"))
    head = (workspace / ".git/refs/heads/main").read_text()
    create_workspace(paper, tmp_path / "second")
    (tmp_path / "second/new.py").write_text("")
    commit_all(tmp_path / "second", "work", time=1)
    assert (workspace / ".git/refs/heads/main").read_text() == head
    assert not (tmp_path / "outer-index").exists()


def test_broken_repository_is_our_fault(workspace: Path) -> None:
    (workspace / ".git/HEAD").unlink()
    with pytest.raises(HarnessFault, match="Git failed"):
        commit_all(workspace, "work", time=1)


def test_no_child_stays(paper: Paper, tmp_path: Path) -> None:
    before = _children()
    create_workspace(paper, tmp_path / "one")
    (tmp_path / "one/new.py").write_text("")
    commit_all(tmp_path / "one", "work", time=1)
    assert _children() == before


def _children() -> set[str]:
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}
