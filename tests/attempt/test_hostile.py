"""Workspaces and bundles that try to run code in, or read files of, whoever takes them in."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.attempt.submission import (
    EmptySubmission,
    IntakeLimits,
    Saved,
    Submission,
    bundle,
    commit_uncommitted,
    intake,
)
from harness.attempt.task import start_files
from harness.cleanroom.sandbox import Sandbox
from harness.errors import SubmissionError
from harness.paper.load import Paper

Git = Callable[..., str]

_CONFIG = """
[core]
	fsmonitor = {trap}
	hooksPath = {hooks}
	pager = {trap}
	editor = {trap}
	sshCommand = {trap}
	attributesFile = {attributes}
[filter "evil"]
	clean = {trap}; cat
	smudge = {trap}; cat
[diff "evil"]
	textconv = {trap}; cat
	command = {trap}
[diff]
	external = {trap}
[merge "evil"]
	driver = {trap}
[gpg]
	program = {trap}
[commit]
	gpgSign = true
[uploadpack]
	packObjectsHook = {trap}
[credential]
	helper = !{trap}
[sequence]
	editor = {trap}
[include]
	path = {more}
[extensions]
	partialClone = origin
[remote "origin"]
	promisor = true
	url = ext::{trap}
	uploadpack = {trap}
[protocol]
	allow = always
"""
_HOOKS = (
    *(
        "pre-commit",
        "post-commit",
        "commit-msg",
        "prepare-commit-msg",
        "post-checkout",
        "post-merge",
        "pre-push",
    ),
    *("reference-transaction", "post-index-change", "update", "pre-receive", "post-rewrite", "post-update"),
)
_ATTRIBUTES = "* filter=evil diff=evil merge=evil ident export-subst text eol=crlf\n.gitignore export-ignore\n"
_EXPORTED = b"$Format:%H$ $Id$\nlast\n"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.fixture
def hostile(workspace: Path, git: Git, canary: Path, tmp_path: Path) -> Path:
    """A workspace in which nearly every command of Git runs the attacker's program."""
    (workspace / "exported.txt").write_bytes(_EXPORTED)
    (workspace / ".gitattributes").write_text(_ATTRIBUTES)
    git("add", "-A")
    git("commit", "-q", "-m", "$Format:%H$")
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {canary}\n")
    trap.chmod(0o755)
    hooks = workspace / ".git/hooks"
    hooks.mkdir()
    for name in _HOOKS:
        shutil.copy(trap, hooks / name)
    config = _CONFIG.format(trap=trap, hooks=hooks, attributes=tmp_path / "attributes", more=tmp_path / "more")
    (tmp_path / "attributes").write_text(_ATTRIBUTES)
    (tmp_path / "more").write_text(f"[alias]\n\tstatus = !{trap}\n")
    with (workspace / ".git/config").open("a") as stream:
        stream.write(config)
    (workspace / ".git/info").mkdir(exist_ok=True)
    (workspace / ".git/info/attributes").write_text(_ATTRIBUTES)
    return workspace


def _submit(workspace: Path, base: str, paper: Paper, sandbox: Sandbox, tmp_path: Path) -> Submission:
    made = bundle(workspace, base, sandbox=sandbox, into=tmp_path)
    assert not isinstance(made, EmptySubmission)
    return intake(made, base, start=start_files(paper), store=tmp_path / "store", sandbox=sandbox)


@pytest.mark.parametrize("command", ["status", "add -A", "diff HEAD~1", "stash", "checkout -f HEAD~1"])
def test_the_traps_are_armed(hostile: Path, canary: Path, command: str) -> None:
    # Otherwise the tests below could not fail.
    (hostile / "exported.txt").write_text("changed")
    (hostile / "new").write_text("x")
    subprocess.run(["git", *command.split()], cwd=hostile, capture_output=True)
    assert canary.exists()


def test_submitting_runs_nothing_of_theirs_outside(
    hostile: Path, base: str, paper: Paper, sandbox: Sandbox, tmp_path: Path, canary: Path
) -> None:
    (hostile / "new.py").write_text("x = 1\n")
    saved = commit_uncommitted(hostile, sandbox)
    assert isinstance(saved, Saved)
    taken = _submit(hostile, base, paper, sandbox, tmp_path)
    assert not canary.exists()
    assert saved.commit == taken.commit
    assert (taken.folder / "new.py").read_bytes() == b"x = 1\n"
    # No archive, no checkout: attributes have no say in what is written.
    assert (taken.folder / "exported.txt").read_bytes() == _EXPORTED
    assert (taken.folder / ".gitignore").is_file()
    assert not (taken.folder / ".git").exists()


def test_filters_run_inside_the_sandbox_only(
    workspace: Path, git: Git, base: str, paper: Paper, sandbox: Sandbox, tmp_path: Path
) -> None:
    # The control: the filter does run in there, sees no file of ours, and has no network of ours.
    (tmp_path / "secret").write_text("secret")
    git("config", "filter.evil.clean", f"cat {tmp_path}/secret; id -u; ls /")
    (workspace / ".gitattributes").write_text("*.py filter=evil\n")
    (workspace / "new.py").write_text("x = 1\n")
    commit_uncommitted(workspace, sandbox)
    taken = _submit(workspace, base, paper, sandbox, tmp_path)
    written = (taken.folder / "new.py").read_text()
    assert written.splitlines()[0] == "65534"
    assert "secret" not in written


def test_objects_of_another_repository_stay_there(
    workspace: Path, git: Git, base: str, paper: Paper, sandbox: Sandbox, tmp_path: Path
) -> None:
    other = tmp_path / "other.git"
    git("init", "-q", "--bare", str(other))
    secret = git("hash-object", "-w", "--stdin", stdin=b"the reference", folder=other)
    info = workspace / ".git/objects/info"
    (info / "alternates").write_text(f"{other}/objects\n")
    git("update-index", "--add", "--cacheinfo", f"100644,{secret},stolen.py")
    git("commit", "-q", "-m", "stolen")
    with pytest.raises(SubmissionError, match="a way into another repository"):
        bundle(workspace, base, sandbox=sandbox, into=tmp_path)
    assert not (tmp_path / "submission.bundle").exists()
    # The same where the bundle is made elsewhere, without the object.
    git("bundle", "create", "-q", str(tmp_path / "b"), "HEAD", f"^{base}")
    (info / "alternates").unlink()
    head, tree = git("rev-parse", "HEAD"), git("rev-parse", "HEAD^{tree}")
    name = git("pack-objects", "-q", str(tmp_path / "pack"), stdin=f"{head}\n{tree}\n".encode())
    pack = (tmp_path / f"pack-{name}.pack").read_bytes()
    (tmp_path / "b").write_bytes(f"# v2 git bundle\n-{base}\n{head} HEAD\n\n".encode() + pack)
    with pytest.raises(SubmissionError, match="cannot be taken in"):
        intake(tmp_path / "b", base, start=start_files(paper), store=tmp_path / "store", sandbox=sandbox)


def test_replaced_objects_have_no_effect(
    workspace: Path, git: Git, base: str, paper: Paper, sandbox: Sandbox, tmp_path: Path
) -> None:
    (workspace / "a.py").write_text("real\n")
    git("add", "-A")
    git("commit", "-q", "-m", "real")
    real, blob = git("rev-parse", "HEAD"), git("rev-parse", "HEAD:a.py")
    fake = git("hash-object", "-w", "--stdin", stdin=b"fake\n")
    git("replace", blob, fake)
    assert git("show", "HEAD:a.py") == "fake"
    taken = _submit(workspace, base, paper, sandbox, tmp_path)
    assert taken.commit == real
    assert (taken.folder / "a.py").read_text() == "real\n"
    # Nor where the bundle brings the replacement with it.
    git("bundle", "create", "-q", str(tmp_path / "b"), "HEAD", f"refs/replace/{blob}", f"^{base}")
    again = intake(tmp_path / "b", base, start=start_files(paper), store=tmp_path / "again", sandbox=sandbox)
    assert (again.folder / "a.py").read_text() == "real\n"


def test_a_work_tree_elsewhere_is_not_read(workspace: Path, git: Git, sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/secret.py").write_text("secret")
    git("config", "core.worktree", str(tmp_path / "elsewhere"))
    (workspace / "mine.py").write_text("x = 1\n")
    commit_uncommitted(workspace, sandbox)
    listed = git("ls-tree", "-r", "--name-only", "HEAD")
    assert "mine.py" in listed
    assert "secret.py" not in listed


def test_links_out_of_the_workspace_are_not_followed(
    workspace: Path, base: str, sandbox: Sandbox, paper: Paper, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (workspace / "link").symlink_to(tmp_path / "secret")
    (workspace / "pipe.py").write_text("x")
    commit_uncommitted(workspace, sandbox)
    with pytest.raises(SubmissionError, match=r"symbolic link: got 'link'"):
        _submit(workspace, base, paper, sandbox, tmp_path)


def test_a_sleeping_filter_is_no_fault_of_ours(workspace: Path, git: Git, sandbox: Sandbox) -> None:
    git("config", "filter.evil.clean", "sleep 60")
    (workspace / ".gitattributes").write_text("*.py filter=evil\n")
    (workspace / "new.py").write_text("x = 1\n")
    saved = commit_uncommitted(workspace, sandbox, limits=IntakeLimits(cpu=0.2))
    assert "got wall" in str(saved.problem)


def test_an_endless_filter_is_stopped(workspace: Path, git: Git, base: str, sandbox: Sandbox) -> None:
    git("config", "filter.evil.clean", "while :; do :; done")
    (workspace / ".gitattributes").write_text("*.py filter=evil\n")
    (workspace / "new.py").write_text("x = 1\n")
    saved = commit_uncommitted(workspace, sandbox, limits=IntakeLimits(cpu=0.5))
    assert saved.commit is None
    assert "ran beyond its limit: got cpu" in str(saved.problem)
    assert git("rev-parse", "HEAD") == base


def test_nothing_of_an_intake_is_left_behind(
    hostile: Path, base: str, paper: Paper, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    _submit(hostile, base, paper, sandbox, tmp_path)
    assert list(scratch.iterdir()) == []
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["trees"]
    assert not any(path.name.startswith(".") for path in (tmp_path / "store/trees").iterdir())
    assert not any(path.name.startswith(".bundle") for path in tmp_path.iterdir())
