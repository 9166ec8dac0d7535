"""Submissions: a participant's commits out of a workspace and into our store; Git meets them in the sandbox.

Nothing Git reports from there is believed: every byte that is stored is hashed again, up to the tree's name.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path

from harness.attempt.budget import disk_of
from harness.attempt.confined import (
    ACCOUNT,
    ALIEN,
    BUNDLE,
    BUNDLE_FILE,
    IDLE,
    NO_COMMIT,
    PICTURE,
    SAVE,
    UNPACK,
    UNSAVE,
    WORK,
    collected,
    hashes,
    refusal,
    run_git,
)
from harness.attempt.contents import AGAIN, not_descended, read_blobs, read_files, read_history, read_listing
from harness.attempt.plumbing import File, Files, Objects, lay_repository, snapshot, write_files
from harness.attempt.repository import ensure_plain, not_plain, oddity
from harness.attempt.task import commit_of
from harness.cleanroom.quota import ensure_room
from harness.cleanroom.sandbox import Limits, Mount, Sandbox
from harness.errors import PaperError, RecordError, SubmissionError
from harness.record.files import private_folder
from harness.scratch import scratch, sweep

UNCOMMITTED = "uncommitted work, as it was handed in"
"""Message of the commit made of what was left uncommitted."""
_MIB = 2**20
HEAD = "HEAD"
"""Stands for the commit that a bundle was made for."""
_MAGIC = b"# v2 git bundle\n"
_HEADER = 128
"""More bytes than Git writes about one file beside its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """How much a submission may hold, and how much Git may use on it."""

    bundle: int = 64 * _MIB
    """Bytes of the bundle."""
    files: int = 5000
    total: int = 64 * _MIB
    """Bytes of all files together."""
    commits: int = 10_000
    """After the start commit."""
    cpu: float = 60.0
    """CPU seconds of one job of Git; its wall time is guarded at five times that."""
    idle: float = IDLE
    """Seconds that Git may compute nothing on a participant's repository."""
    memory: int = 1024 * _MIB
    disk: int = 256 * _MIB
    """Bytes; the bundle must fit in, and so must the files."""

    @property
    def work(self) -> Limits:
        """The limits of one job of Git in the sandbox."""
        return Limits(cpu=self.cpu, wall=5 * self.cpu, memory=self.memory, processes=64, disk=self.disk)


DEFAULT_LIMITS = IntakeLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptySubmission:
    """The start commit itself: a valid submission that Git cannot put into a bundle."""

    commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What became of uncommitted work."""

    commit: str | None
    """The new commit; None where nothing was left uncommitted."""
    log: str
    """What Git said, for instance of files that could not be added."""
    before: str | None = None
    """The commit that the new one follows."""
    problem: str | None = None
    """Why not all could be committed, through no fault of ours; without a new commit the last one stands as it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One commit of a workspace, taken in."""

    commit: str
    tree: str
    """The tree's name, and that of the folder in the store."""
    folder: Path
    """Where its files are laid out."""
    files: int
    bytes: int
    """Of all files together."""
    history: tuple[tuple[str, int], ...]
    """Commits after the start commit, oldest first, with the seconds since 1970 that they state."""


def commit_uncommitted(
    workspace: Path, sandbox: Sandbox, *, limits: IntakeLimits = DEFAULT_LIMITS, quota: int | None = None
) -> Saved:
    """Commit everything in a participant's workspace onto HEAD, from inside the sandbox.

    Args:
        workspace: The work tree; it is writable for the job, and its filters may run there.
        sandbox: Where Git meets the workspace.
        limits: What the job may use.
        quota: Bytes that the workspace may hold.

    Returns:
        The new commit, or why there is none; what the participant's own repository spoils is no error here.

    Raises:
        HarnessFault: The machine stalled or failed.
        SandboxError: Git is missing in the clean room.
    """
    mount = Mount(source=workspace.resolve(), target=WORK, writable=True, quota=quota)
    with scratch("save") as into:
        work, words = limits.work, (WORK, UNCOMMITTED)
        if odd := oddity(workspace):
            return Saved(commit=None, log="", problem=str(not_plain(workspace, odd)))
        done = run_git(
            sandbox, SAVE, *words, mounts=(mount,), files=("commit", "left"), into=into, limits=work, idle=limits.idle
        )
        if done.exit != 0:
            message = "uncommitted work could not be committed"
            _ensure_room(workspace)
            error = refusal(done, message, where=workspace, limits=limits.work, theirs=True)
            if isinstance(error, SubmissionError):
                return Saved(commit=None, log=done.log, problem=str(error))
            raise error
        names = hashes(done, "commit", into=into, where=workspace)
        if done.collected["left"] == "ok":
            _ensure_room(workspace)
        left = f"some of it could not be added: {done.log.strip()[-200:]}" if done.collected["left"] == "ok" else None
        commit, before = names if len(names) == 2 else (None, None)
        return Saved(commit=commit, log=done.log, before=before, problem=left)


def uncommit(workspace: Path, saved: Saved, *, sandbox: Sandbox, quota: int | None = None) -> None:
    """Take back what `commit_uncommitted` committed, which was refused: in a history it would stay for good.

    The files stay as they are; where the participant's own repository spoils it, the commit stays as well.
    """
    if saved.commit is None or saved.before is None:
        return
    mount, work = Mount(source=workspace.resolve(), target=WORK, writable=True, quota=quota), DEFAULT_LIMITS.work
    words = (WORK, saved.commit, saved.before)
    with scratch("save") as into:
        run_git(sandbox, UNSAVE, *words, mounts=(mount,), files=(), into=into, limits=work)


def _ensure_room(workspace: Path) -> None:
    """See that it was not a full disk that Git could not write to: what is lost then is nobody's but ours."""
    ensure_room(workspace, disk_of(workspace) + _MIB, "the disk is too full for the work to be committed")


def bundle(
    workspace: Path,
    base: str,
    *,
    sandbox: Sandbox,
    into: Path,
    commit: str = HEAD,
    limits: IntakeLimits = DEFAULT_LIMITS,
) -> Path | EmptySubmission:
    """Put what a workspace has committed since the start commit into a bundle, from inside the sandbox.

    Args:
        workspace: The participant's work tree; it stays read-only.
        base: The start commit's hash.
        sandbox: Where Git meets the workspace.
        into: An existing folder, which receives `submission.bundle`.
        commit: Which of its commits, by its hash, is bundled with what led to it.
        limits: What the submission may hold.

    Returns:
        The bundle's path, or an empty submission where HEAD is the start commit.

    Raises:
        SubmissionError: There is no commit, it does not descend from the start commit, or it is too large.
    """
    ensure_plain(workspace)
    mounts, files = (Mount(source=workspace.resolve(), target=WORK),), ("head", BUNDLE_FILE)
    with scratch("bundle", within=into) as out:
        work, words = limits.work, (WORK, base, commit)
        done = run_git(sandbox, BUNDLE, *words, mounts=mounts, files=files, into=out, limits=work, idle=limits.idle)
        if done.exit == NO_COMMIT:
            said = done.log.strip() or None
            message = "there is no commit to submit"
            raise SubmissionError(message, where=workspace, got=said, remedy="`git commit` first")
        if done.exit == ALIEN:
            [head] = hashes(done, "head", into=out, where=workspace)
            raise not_descended(workspace, head=head, base=base)
        if done.exit != 0:
            raise refusal(done, "the commits could not be bundled", where=workspace, limits=work, theirs=True)
        if hashes(done, "head", into=out, where=workspace) == (base,):
            return EmptySubmission(commit=base)
        made = collected(done, BUNDLE_FILE, into=out, where=workspace)
        _check_bundle(made, limits)
        return made.replace(into / BUNDLE_FILE)


def intake(
    bundle: Path | EmptySubmission,
    base: str,
    *,
    start: Files,
    store: Path,
    sandbox: Sandbox,
    commit: str = HEAD,
    limits: IntakeLimits = DEFAULT_LIMITS,
) -> Submission:
    """Take a submission in: check it and lay its files out in `store/trees/<tree>/`.

    Args:
        bundle: What `bundle` returned, or a file that came from elsewhere.
        base: The start commit's hash that the attempt began with.
        start: The files of the start commit, from which it is made again.
        store: A folder of the harness; a tree that is there already is used again.
        sandbox: Where Git meets the bundle.
        commit: Which commit of the bundle's history; its head unless said.
        limits: What the submission may hold.

    Raises:
        SubmissionError: It is refused; the message says why, and names the path at fault.
        PaperError: These files do not give this start commit.
        RecordError: The tree in the store is damaged.
    """
    name, objects = commit_of(start)
    if name != base:
        raise PaperError(
            "the attempt began from another start commit than these files'",
            where=store,
            expected=base,
            got=name,
            remedy="take it in with the version of Reproof that it began with",
        )
    if isinstance(bundle, EmptySubmission) or commit == base:
        return _stored(start, store, commit=base, history=())
    _check_bundle(bundle, limits)
    account = _unpack(bundle, base, objects, commit=commit, sandbox=sandbox, limits=limits)
    listing = read_listing(account.listing, files=limits.files, total=limits.total, where=bundle)
    commits = read_history(account.history, head=account.commit, base=base, most=limits.commits, where=bundle)
    files = read_files(listing, dict(read_blobs(account.blobs)), tree=account.tree, where=bundle)
    history = tuple((commit.name, commit.time) for commit in commits)
    return _stored(files, store, commit=account.commit, history=history)


def kept_files(tree: str, store: Path) -> Files:
    """The files of a tree that `keep_tree` has laid out, proved to be that tree's.

    Raises:
        RecordError: They are damaged or gone.
    """
    folder = store / "trees" / tree
    paths = sorted(path for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())
    files = {
        path.relative_to(folder).as_posix(): File(path.read_bytes(), bool(path.lstat().st_mode & stat.S_IXUSR))
        for path in paths
        if stat.S_ISREG(path.lstat().st_mode)
    }
    if len(files) != len(paths) or snapshot(files)[0] != tree:
        raise _damaged(folder)
    return files


def picture(workspace: Path, *, sandbox: Sandbox, limits: IntakeLimits = DEFAULT_LIMITS) -> Files:
    """The files that would be handed in if everything were committed now; the workspace stays as it is.

    Args:
        workspace: The participant's work tree; it stays read-only.
        sandbox: Where Git meets the workspace.
        limits: What a submission may hold.

    Raises:
        SubmissionError: They could not be handed in; the message says why.
    """
    ensure_plain(workspace)
    mount, names = Mount(source=workspace.resolve(), target=WORK), ("head", "listing", "blobs")
    words = (str(limits.files + 1), str(limits.total + _HEADER * limits.files))
    with scratch("picture") as out:
        work = limits.work
        done = run_git(
            sandbox, PICTURE, WORK, *words, mounts=(mount,), files=names, into=out, limits=work, idle=limits.idle
        )
        if done.exit != 0:
            raise refusal(done, "the work cannot be looked at", where=workspace, limits=work, theirs=True)
        tree = hashes(done, "head", into=out, where=workspace)[-1]
        texts = {name: collected(done, name, into=out, where=workspace).read_bytes() for name in names[1:]}
    listing = read_listing(texts["listing"], files=limits.files, total=limits.total, where=workspace)
    return read_files(listing, dict(read_blobs(texts["blobs"])), tree=tree, where=workspace)


def keep_tree(files: Files, store: Path) -> str:
    """Lay files, a submission's or our own, out in `store/trees/<tree>/`, all or nothing.

    A tree that is there already is used again.

    Returns:
        The tree's name.

    Raises:
        RecordError: What is there already is damaged.
    """
    tree, _ = snapshot(files)
    folder = store / "trees" / tree
    sweep(private_folder(folder.parent))  # who had laid it may have been killed before it was tidied up
    if not folder.exists():
        with scratch("tree", within=folder.parent) as staging:
            _lay_out(staging / tree, folder, files)
    if not _intact(folder, files):
        raise _damaged(folder)
    return tree


def _damaged(folder: Path) -> RecordError:
    return RecordError(
        "the stored files are not those of the tree",
        where=folder,
        remedy="remove this folder, and what needs it will make it again; or restore it from a copy",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Account:
    """What Git says of a bundle; not yet believed."""

    commit: str
    tree: str
    history: bytes
    listing: bytes
    blobs: bytes


def _unpack(
    bundle: Path, base: str, objects: Objects, *, commit: str, sandbox: Sandbox, limits: IntakeLimits
) -> _Account:
    """Fetch a bundle in the sandbox, into a repository that holds nothing but the start commit."""
    most = (limits.commits + 1, limits.files + 1, limits.total + _HEADER * limits.files)
    with scratch("intake") as staging:
        repository, out, work = staging / "repository", staging / "out", limits.work
        lay_repository(repository, objects, head=base, bare=True)
        out.mkdir()
        shown = {"/in/repository": repository, f"/in/{BUNDLE_FILE}": bundle.resolve()}
        mounts = tuple(Mount(source=source, target=target) for target, source in shown.items())
        words = (*shown, base, *map(str, most), commit)
        done = run_git(sandbox, UNPACK, *words, mounts=mounts, files=ACCOUNT, into=out, limits=work)
        if done.exit != 0:
            raise refusal(done, "the submission cannot be taken in", where=bundle, limits=work)
        head = hashes(done, "head", into=out, where=bundle)
        if len(head) != 2:
            message = "Git left no whole answer"
            raise SubmissionError(message, where=bundle, expected="a commit and a tree", got=head, remedy=AGAIN)
        texts = {name: collected(done, name, into=out, where=bundle).read_bytes() for name in ACCOUNT[1:]}
    return _Account(commit=head[0], tree=head[1], **texts)


def _check_bundle(path: Path, limits: IntakeLimits) -> None:
    """Refuse what is no bundle before Git sees it.

    Raises:
        SubmissionError: It is no file, too large, or begins otherwise than a bundle does.
    """
    if path.is_symlink() or not path.is_file():
        message = "a submission is a bundle in a plain file"
        raise SubmissionError(message, where=path, remedy="make it with `git bundle create`")
    if (size := path.stat().st_size) > limits.bundle:
        raise SubmissionError(
            "the bundle is too large",
            where=path,
            expected=f"at most {limits.bundle} bytes",
            got=size,
            remedy="large files stay in a history even when they are removed later; rewrite it without them",
        )
    with path.open("rb") as stream:
        # Version 3 is for other hashes and for partial histories: neither can be taken in.
        if stream.read(len(_MAGIC)) != _MAGIC:
            message = "this is not a Git bundle of version 2"
            remedy = "make it with `git bundle create`"
            raise SubmissionError(message, where=path, remedy=remedy)


def _stored(files: Files, store: Path, *, commit: str, history: tuple[tuple[str, int], ...]) -> Submission:
    tree = keep_tree(files, store)
    total = sum(len(file.data) for file in files.values())
    return Submission(
        commit=commit,
        tree=tree,
        folder=store / "trees" / tree,
        files=len(files),
        bytes=total,
        history=history,
    )


def _lay_out(staged: Path, folder: Path, files: Files) -> None:
    staged.mkdir()
    staged.chmod(0o755)
    write_files(staged, files)
    try:
        staged.rename(folder)
    except OSError:
        # Another process was first; what it has laid out is checked like any other.
        if not folder.exists():
            raise


def _intact(folder: Path, files: Files) -> bool:
    found = {path.relative_to(folder).as_posix(): path.lstat().st_mode for path in folder.rglob("*")}
    kept = {name: mode for name, mode in found.items() if not stat.S_ISDIR(mode)}
    return kept.keys() == files.keys() and all(
        stat.S_ISREG(mode) and (folder / name).read_bytes() == files[name].data for name, mode in kept.items()
    )
