"""Workspaces: the repository a participant works in, made by the harness; the one importer of GitPython."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from harness.attempt.plumbing import (
    QUIET,
    Files,
    Signature,
    add_object,
    commit,
    lay_repository,
    name_of,
    write_files,
)
from harness.attempt.task import agreed_start, start_files
from harness.cleanroom.quota import ensure_room
from harness.errors import HarnessFault, UsageError
from harness.paper.load import Paper
from harness.record.files import private_folder

if TYPE_CHECKING:
    from git import Git

_LEAST_ROOM = 2**20
"""Bytes: a disk that has more left did not keep Git from anything here."""


def create_workspace(paper: Paper, folder: Path) -> str:
    """Make a repository on the branch `main` at the start commit, with its files laid out.

    Args:
        paper: What is to be reproduced.
        folder: A folder that does not exist yet, or an empty one.

    Returns:
        The start commit's hash.

    Raises:
        UsageError: The folder holds something.
        PaperError: The paper's files do not give the start commit that is written down.
    """
    start, objects = agreed_start(paper)
    _claim(folder)
    try:
        write_files(folder, start_files(paper))
        lay_repository(folder / ".git", objects, head=start, bare=False)
        git = _git(folder)
        _run(git, "read-tree", start)
        _run(git, "update-index", "-q", "--refresh")
    except BaseException:  # half a workspace would be in the way of the next try
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return start


def _claim(folder: Path) -> None:
    """Take an empty folder: of several who come at once, whoever makes its `.git`.

    Raises:
        UsageError: It holds something, or is no folder.
    """
    try:
        private_folder(folder)
        (folder / ".git").mkdir()
    except (FileExistsError, NotADirectoryError):
        raise _not_new(folder) from None
    if [path.name for path in folder.iterdir()] != [".git"]:
        (folder / ".git").rmdir()
        raise _not_new(folder)


def _not_new(folder: Path) -> UsageError:
    remedy = "name one that does not exist yet, or remove this one if a start that was killed has left it"
    return UsageError("a workspace needs a new folder", where=folder, remedy=remedy)


def fill(workspace: Path, files: Files) -> None:
    """Write files into a workspace that nobody but the harness has touched; others there stay."""
    write_files(workspace, files)


def commit_all(workspace: Path, message: str, *, time: int) -> str:
    """Commit whatever a workspace holds; only for workspaces that the harness itself has filled.

    A participant's `.git` may name programs to be run: theirs goes through `submission.commit_uncommitted`.

    Args:
        workspace: The work tree.
        message: The commit's message.
        time: Seconds since 1970, UTC.

    Returns:
        The commit's hash; the present one where nothing has changed.
    """
    git = _git(workspace)
    _run(git, "add", "--all")
    tree = _run(git, "write-tree")
    head = _run(git, "rev-parse", "HEAD")
    if tree == _run(git, "rev-parse", "HEAD^{tree}"):
        return head
    by = Signature("Reproof", "reproof@reproof.invalid", time)
    framed = commit(tree, message, by=by, parents=(head,))
    add_object(workspace / ".git", name_of(framed), framed)
    _run(git, "update-ref", "HEAD", name_of(framed), head)
    return name_of(framed)


def _git(workspace: Path) -> Git:
    """Git bound to one workspace, deaf to the machine's configuration and to variables of an outer Git."""
    from git import Git

    git = Git(workspace)
    git_dir = workspace.resolve() / ".git"
    git.update_environment(
        **QUIET,
        GIT_DIR=str(git_dir),
        GIT_WORK_TREE=str(git_dir.parent),
        GIT_INDEX_FILE=str(git_dir / "index"),
        GIT_OBJECT_DIRECTORY=str(git_dir / "objects"),
        GIT_ALTERNATE_OBJECT_DIRECTORIES="",
        GIT_COMMON_DIR=str(git_dir),
        GIT_NAMESPACE="",
    )
    return git


def _run(git: Git, *words: str) -> str:
    from git.exc import GitError

    try:
        return str(git.execute(["git", *words]))
    except GitError as error:
        ensure_room(Path(git.working_dir or "/"), _LEAST_ROOM, "the disk is too full for a workspace of ours")
        raise HarnessFault(
            "Git failed in a workspace of ours",
            where=git.working_dir,
            got=error,
            remedy="`reproof doctor` says whether Git works here",
        ) from None
