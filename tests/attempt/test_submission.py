from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harness.attempt.plumbing import QUIET, Signature, add_object, commit, frame, name_of
from harness.attempt.submission import (
    DEFAULT_LIMITS,
    UNCOMMITTED,
    EmptySubmission,
    IntakeLimits,
    Submission,
    bundle,
    commit_uncommitted,
    intake,
    keep_tree,
)
from harness.attempt.task import reference_files, start_files
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Sandbox, SandboxSettings
from harness.errors import PaperError, RecordError, SubmissionError
from harness.paper.load import Paper

Git = Callable[..., str]

Submit = Callable[..., Submission]


@pytest.fixture
def submit(paper: Paper, workspace: Path, base: str, sandbox: Sandbox, tmp_path: Path) -> Submit:
    """The workspace's HEAD, bundled and taken in."""

    def run(limits: IntakeLimits = DEFAULT_LIMITS) -> Submission:
        made = bundle(workspace, base, sandbox=sandbox, into=tmp_path, limits=limits)
        return intake(made, base, start=start_files(paper), store=tmp_path / "store", sandbox=sandbox, limits=limits)

    return run


@pytest.fixture
def take(paper: Paper, base: str, sandbox: Sandbox, tmp_path: Path) -> Submit:
    """A bundle that came from elsewhere, taken in."""

    def run(path: Path, limits: IntakeLimits = DEFAULT_LIMITS) -> Submission:
        return intake(path, base, start=start_files(paper), store=tmp_path / "store", sandbox=sandbox, limits=limits)

    return run


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_submission_is_the_commit_and_nothing_else(workspace: Path, git: Git, submit: Submit, base: str) -> None:
    (workspace / "reproduction/descent.py").write_text("theta = 0.0\n")
    (workspace / "ünï côde.py").write_text("same")
    (workspace / "empty").write_text("")
    (workspace / "tool").write_text("same")
    (workspace / "tool").chmod(0o755)
    git("add", "-A")
    git("commit", "-q", "-m", "work\x1b[31m", GIT_COMMITTER_DATE="1000000000 +0100")
    (workspace / "uncommitted.py").write_text("left behind")
    taken = submit()
    assert taken.commit == git("rev-parse", "HEAD")
    assert taken.tree == git("rev-parse", "HEAD^{tree}") == taken.folder.name
    assert taken.history == ((taken.commit, 1_000_000_000),)
    names = git("ls-tree", "-r", "-z", "--name-only", "HEAD").split("\0")[:-1]
    stored = _files(taken.folder)
    assert sorted(stored) == sorted(names)
    assert stored == {name: (workspace / name).read_bytes() for name in names}
    assert taken.files == len(names)
    assert taken.bytes == sum(map(len, stored.values()))
    modes = {path.name: path.stat().st_mode & 0o777 for path in taken.folder.rglob("*") if path.is_file()}
    assert {name for name, mode in modes.items() if mode == 0o755} == {"tool", "run.sh"}
    assert {mode for mode in modes.values()} == {0o644, 0o755}


def test_the_start_commit_is_an_empty_submission(
    paper: Paper, workspace: Path, base: str, sandbox: Sandbox, tmp_path: Path, submit: Submit
) -> None:
    assert bundle(workspace, base, sandbox=sandbox, into=tmp_path) == EmptySubmission(commit=base)
    taken = submit()
    assert (taken.commit, taken.history) == (base, ())
    assert _files(taken.folder) == {name: file.data for name, file in start_files(paper).items()}
    assert sorted(path.name for path in (tmp_path / "store").iterdir()) == ["trees"]


def test_a_tree_is_stored_once(workspace: Path, git: Git, submit: Submit, tmp_path: Path) -> None:
    git("commit", "-q", "--allow-empty", "-m", "one")
    first = submit()
    written = (first.folder / "run.sh").stat().st_ino
    git("commit", "-q", "--allow-empty", "-m", "two")
    second = submit()
    assert second.folder == first.folder
    assert second.commit != first.commit
    assert (second.folder / "run.sh").stat().st_ino == written
    assert [path.name for path in (tmp_path / "store/trees").iterdir()] == [first.tree]
    (first.folder / "run.sh").write_text("changed")
    with pytest.raises(RecordError, match="remove this folder"):
        submit()
    (first.folder / "run.sh").unlink()
    (first.folder / "run.sh").symlink_to("/etc/passwd")
    with pytest.raises(RecordError, match="remove this folder"):
        submit()


@pytest.mark.parametrize("how", ["branch", "detached", "merge", "packed"])
def test_any_shape_of_history_that_descends(workspace: Path, git: Git, submit: Submit, how: str) -> None:
    if how == "branch":
        git("checkout", "-q", "-b", "feature/other")
    if how == "detached":
        git("checkout", "-q", "--detach")
    (workspace / "new.py").write_text("x = 1\n")
    git("add", "-A")
    git("commit", "-q", "-m", "work")
    if how == "merge":
        git("checkout", "-q", "--orphan", "foreign")
        git("commit", "-q", "-m", "another root")
        git("checkout", "-q", "main")
        git("merge", "-q", "--allow-unrelated-histories", "-m", "merge", "foreign")
    if how == "packed":
        git("gc", "-q")
    taken = submit()
    assert taken.commit == git("rev-parse", "HEAD")
    assert len(taken.history) == (3 if how == "merge" else 1)


def _rewrite_base(workspace: Path, git: Git) -> None:
    git("commit", "-q", "--amend", "-m", "a start of my own")


def _orphan(workspace: Path, git: Git) -> None:
    git("checkout", "-q", "--orphan", "alien")
    git("commit", "-q", "-m", "a root of my own")


def _alien_without_base(workspace: Path, git: Git) -> None:
    _orphan(workspace, git)
    git("branch", "-q", "-D", "main")
    git("reflog", "expire", "--expire=now", "--all")
    git("gc", "-q", "--prune=now")


def _graft(workspace: Path, git: Git) -> None:
    base = git("rev-parse", "HEAD")
    _orphan(workspace, git)
    (workspace / ".git/info").mkdir(exist_ok=True)
    (workspace / ".git/info/grafts").write_text(f"{git('rev-parse', 'HEAD')} {base}\n")


def _replace(workspace: Path, git: Git) -> None:
    base = git("rev-parse", "HEAD")
    _orphan(workspace, git)
    git("replace", "--graft", "HEAD", base)
    assert base in git("log", "--format=%H")


@pytest.mark.parametrize("make", [_rewrite_base, _orphan, _alien_without_base, _graft, _replace])
def test_a_history_of_ones_own_is_refused(
    workspace: Path, git: Git, submit: Submit, base: str, make: Callable[[Path, Git], None]
) -> None:
    make(workspace, git)
    with pytest.raises(SubmissionError, match="does not begin at the start commit") as caught:
        submit()
    assert caught.value.expected == f"a descendant of {base}"
    assert caught.value.got == git("rev-parse", "HEAD", GIT_NO_REPLACE_OBJECTS="1")


def test_an_alien_bundle_is_refused(workspace: Path, git: Git, take: Submit, tmp_path: Path) -> None:
    _orphan(workspace, git)
    git("bundle", "create", "-q", str(tmp_path / "b"), "HEAD")
    with pytest.raises(SubmissionError, match="does not begin at the start commit"):
        take(tmp_path / "b")


def test_unborn_head(workspace: Path, git: Git, submit: Submit) -> None:
    git("symbolic-ref", "HEAD", "refs/heads/nothing")
    with pytest.raises(SubmissionError, match="no commit to submit"):
        submit()


@pytest.mark.parametrize("what", ["none", "file", "link", "empty", "garbage"])
def test_a_workspace_without_its_repository(workspace: Path, submit: Submit, tmp_path: Path, what: str) -> None:
    (workspace / ".git").rename(tmp_path / "elsewhere")
    if what == "file":
        (workspace / ".git").write_text(f"gitdir: {tmp_path}/elsewhere\n")
    if what == "link":
        (workspace / ".git").symlink_to(tmp_path / "elsewhere")
    if what == "empty":
        (workspace / ".git").mkdir()
    if what == "garbage":
        (tmp_path / "elsewhere").rename(workspace / ".git")
        (workspace / ".git/HEAD").write_bytes(b"\0\xff" * 999)
    said = {"file": "a file in the place of a folder", "link": "a symbolic link"}.get(what, "no commit to submit")
    with pytest.raises(SubmissionError, match=said):
        submit()


def test_a_shallow_clone_is_refused(workspace: Path, git: Git, submit: Submit) -> None:
    for index in range(3):
        git("commit", "-q", "--allow-empty", "-m", str(index))
    (workspace / ".git/shallow").write_text(git("rev-parse", "HEAD~1") + "\n")
    with pytest.raises(SubmissionError, match="start commit"):
        submit()


def test_links_are_refused_by_name(workspace: Path, git: Git, submit: Submit) -> None:
    (workspace / "reproduction/link").symlink_to("/etc/passwd")
    git("add", "-A")
    git("commit", "-q", "-m", "link")
    with pytest.raises(SubmissionError, match=r"symbolic link: got 'reproduction/link'"):
        submit()


def test_submodules_are_refused_by_name(workspace: Path, git: Git, submit: Submit, base: str) -> None:
    git("update-index", "--add", "--cacheinfo", f"160000,{base},vendor/lib")
    git("commit", "-q", "-m", "submodule")
    with pytest.raises(SubmissionError, match=r"submodule: got 'vendor/lib'"):
        submit()


def _commit_tree(workspace: Path, base: str, entries: list[tuple[str, bytes, str]]) -> None:
    """A commit over a tree that Git itself would never write, at HEAD."""
    body = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(target) for mode, name, target in entries)
    tree = frame("tree", body)
    made = commit(name_of(tree), "crafted", by=Signature("x", "x@y", 1), parents=(base,))
    for framed in (tree, made):
        add_object(workspace / ".git", name_of(framed), framed)
    (workspace / ".git/refs/heads/main").write_text(name_of(made) + "\n")


_WEIRD = [b".git", b".GIT", b".git ", b"git~1", b"..", b"a/b", ".g\u200cit".encode(), b"a\\b", b"a\nb", b"\xff"]


@pytest.mark.parametrize(
    ("kind", "name"), [*(("file", name) for name in _WEIRD), ("folder", b".git"), ("folder", b"a\\b")]
)
def test_weird_names_are_refused(
    workspace: Path, git: Git, base: str, take: Submit, tmp_path: Path, name: bytes, kind: str
) -> None:
    blob = git("hash-object", "-w", "--stdin", stdin=b"[core]\n\tfsmonitor = touch /tmp/x\n")
    tree = git("mktree", stdin=f"100644 blob {blob}\tconfig\n".encode())
    _commit_tree(workspace, base, [("100644", name, blob) if kind == "file" else ("40000", name, tree)])
    git("bundle", "create", "-q", str(tmp_path / "b"), "HEAD", f"^{base}")
    with pytest.raises(SubmissionError):
        take(tmp_path / "b")
    assert not (tmp_path / "store/trees").exists()


@pytest.mark.parametrize("case", ["repeated", "unsorted", "mode", "empty folder", "file and folder", "missing"])
def test_trees_git_would_not_write(
    workspace: Path, git: Git, base: str, take: Submit, tmp_path: Path, case: str
) -> None:
    blob = git("hash-object", "-w", "--stdin", stdin=b"x")
    empty = git("hash-object", "-w", "-t", "tree", "--stdin")
    entries = {
        "repeated": [("100644", b"a", blob), ("100644", b"a", blob)],
        "unsorted": [("100644", b"b", blob), ("100644", b"a", blob)],
        "mode": [("100664", b"a", blob)],
        "empty folder": [("100644", b"a", blob), ("40000", b"b", empty)],
        "file and folder": [
            ("100644", b"a", blob),
            ("40000", b"a", git("mktree", stdin=f"100644 blob {blob}\tc\n".encode())),
        ],
        "missing": [("100644", b"a", blob), ("100644", b"b", "1" * 40)],
    }[case]
    _commit_tree(workspace, base, entries)
    made = tmp_path / "b"
    if case == "missing":
        head, tree = git("rev-parse", "HEAD"), git("rev-parse", "HEAD^{tree}")
        pack = tmp_path / "pack"
        pack.write_bytes(f"# v2 git bundle\n-{base}\n{head} HEAD\n\n".encode())
        name = git("pack-objects", "-q", str(pack), stdin=f"{head}\n{tree}\n{blob}\n".encode())
        made.write_bytes(pack.read_bytes() + (tmp_path / f"pack-{name}.pack").read_bytes())
    else:
        git("bundle", "create", "-q", str(made), "HEAD", f"^{base}")
    with pytest.raises(SubmissionError):
        take(made)
    assert not (tmp_path / "store/trees").exists()


def test_a_deep_tree_is_refused(workspace: Path, git: Git, base: str, submit: Submit) -> None:
    tree = git("mktree", stdin=f"100644 blob {git('hash-object', '-w', '--stdin')}\tx\n".encode())
    for _ in range(100):
        framed = frame("tree", b"40000 d\0" + bytes.fromhex(tree))
        add_object(workspace / ".git", name_of(framed), framed)
        tree = name_of(framed)
    _commit_tree(workspace, base, [("40000", b"d", tree)])
    with pytest.raises(SubmissionError, match="deeper than"):
        submit()


def test_a_tree_bomb_is_refused(workspace: Path, git: Git, base: str, submit: Submit) -> None:
    tree = git("hash-object", "-w", "--stdin", stdin=b"boom")
    for level in range(12):
        mode = b"40000" if level else b"100644"
        framed = frame("tree", b"".join(b"%s %c\0" % (mode, 97 + i) + bytes.fromhex(tree) for i in range(10)))
        add_object(workspace / ".git", name_of(framed), framed)
        tree = name_of(framed)
    _commit_tree(workspace, base, [("40000", b"d", tree)])
    with pytest.raises(SubmissionError, match="too many files"):
        submit(IntakeLimits(files=500))


def test_sizes_are_limited(workspace: Path, git: Git, submit: Submit) -> None:
    (workspace / "noise").write_bytes(bytes(range(256)) * 8000)
    for index in range(5):
        (workspace / f"new-{index}").write_text("x")
    git("add", "-A")
    git("commit", "-q", "-m", "large")
    git("commit", "-q", "--allow-empty", "-m", "again")
    with pytest.raises(SubmissionError, match=r"files are too large.*the largest is 'noise' with 2048000"):
        submit(IntakeLimits(total=2_000_000))
    with pytest.raises(SubmissionError, match=r"too many files: expected at most 13"):
        submit(IntakeLimits(files=13))
    with pytest.raises(SubmissionError, match=r"history is too long"):
        submit(IntakeLimits(commits=1))
    with pytest.raises(SubmissionError, match=r"bundle is too large"):
        submit(IntakeLimits(bundle=5000))
    assert submit(IntakeLimits(files=15, commits=2, total=2_100_000)).files == 15


def test_a_small_bundle_may_inflate(workspace: Path, git: Git, submit: Submit, take: Submit, tmp_path: Path) -> None:
    (workspace / "zeros").write_bytes(bytes(16 * 2**20))
    git("add", "-A")
    git("commit", "-q", "-m", "zeros")
    with pytest.raises(SubmissionError, match=r"files are too large"):
        submit(IntakeLimits(total=2**20))
    made = tmp_path / "submission.bundle"
    assert made.stat().st_size < 100_000
    with pytest.raises(SubmissionError, match=r"Git ran beyond its limit: got memory"):
        take(made, IntakeLimits(memory=4 * 2**20, disk=4 * 2**20))
    assert not (tmp_path / "store/trees").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", b"# v2 git bundle\n", b"# v2 git bundle\n\nPACK", b"gitdir: /in/repository\n"],
)
def test_files_that_are_no_bundles(take: Submit, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "b").write_bytes(content)
    with pytest.raises(SubmissionError):
        take(tmp_path / "b")


def test_damaged_and_foreign_bundles(workspace: Path, git: Git, base: str, take: Submit, tmp_path: Path) -> None:
    (workspace / "new").write_bytes(bytes(range(256)))
    git("add", "-A")
    git("commit", "-q", "-m", "work")
    made = tmp_path / "b"
    git("bundle", "create", "-q", str(made), "HEAD", f"^{base}")
    data = made.read_bytes()
    for broken in (data[:-1], data[:-30], data[:150], data[:-40] + b"\0" * 40):
        made.write_bytes(broken)
        with pytest.raises(SubmissionError, match="cannot be taken in"):
            take(made)
    made.write_bytes(data)
    (tmp_path / "link").symlink_to(made)
    for path, message in [
        (tmp_path / "link", "plain file"),
        (tmp_path, "plain file"),
        (tmp_path / "no", "plain file"),
    ]:
        with pytest.raises(SubmissionError, match=message):
            take(path)
    git("bundle", "create", "-q", "--version=3", str(tmp_path / "v3"), "HEAD", f"^{base}")
    with pytest.raises(SubmissionError, match="version 2"):
        take(tmp_path / "v3")
    git("bundle", "create", "-q", str(tmp_path / "named"), "main", f"^{base}")
    with pytest.raises(SubmissionError, match="HEAD"):
        take(tmp_path / "named")
    git("bundle", "create", "-q", str(tmp_path / "whole"), "HEAD")
    assert take(tmp_path / "whole") == take(made)


def test_another_paper_than_at_the_start(paper: Paper, sandbox: Sandbox, base: str, tmp_path: Path) -> None:
    paper.brief_file.write_text("changed")
    with pytest.raises(PaperError, match=f"expected {base}"):
        intake(EmptySubmission(commit=base), base, start=start_files(paper), store=tmp_path, sandbox=sandbox)


def test_uncommitted_work_is_committed(workspace: Path, git: Git, sandbox: Sandbox, submit: Submit, base: str) -> None:
    assert commit_uncommitted(workspace, sandbox).commit is None
    (workspace / "new.py").write_text("x = 1\n")
    (workspace / "run.sh").unlink()
    (workspace / "BRIEF.md").write_text("staged")
    git("add", "BRIEF.md")
    (workspace / "__pycache__").mkdir()
    (workspace / "__pycache__/x.pyc").write_text("")
    (workspace / ".git/index.lock").write_text("left by a killed process")
    saved = commit_uncommitted(workspace, sandbox)
    (workspace / ".git/index.lock").unlink()
    assert saved.commit == git("rev-parse", "main")
    assert git("log", "-1", "--format=%P %s") == f"{base} {UNCOMMITTED}"
    taken = submit()
    assert taken.commit == saved.commit
    assert {"new.py", "BRIEF.md"} < set(_files(taken.folder))
    assert "run.sh" not in _files(taken.folder)
    assert commit_uncommitted(workspace, sandbox).commit is None
    git("checkout", "-q", "--detach")
    (workspace / "another.py").write_text("x = 2\n")
    assert commit_uncommitted(workspace, sandbox).commit == git("rev-parse", "HEAD")
    assert git("rev-parse", "main") == saved.commit
    assert git("status", "--porcelain") == ""


def test_a_half_merged_workspace_is_committed(workspace: Path, git: Git, sandbox: Sandbox) -> None:
    git("checkout", "-q", "-b", "other")
    (workspace / "run.sh").write_text("theirs\n")
    git("commit", "-q", "-a", "-m", "theirs")
    git("checkout", "-q", "main")
    (workspace / "run.sh").write_text("ours\n")
    git("commit", "-q", "-a", "-m", "ours")
    with pytest.raises(AssertionError):
        git("merge", "other")
    assert commit_uncommitted(workspace, sandbox).commit == git("rev-parse", "HEAD")
    assert "<<<<<<<" in git("show", "HEAD:run.sh")


def test_a_clone_inside_the_workspace_is_refused_by_name(
    workspace: Path, git: Git, sandbox: Sandbox, submit: Submit
) -> None:
    git("clone", "-q", str(workspace), str(workspace / "vendor"))
    assert commit_uncommitted(workspace, sandbox).commit
    with pytest.raises(SubmissionError, match=r"submodule: got 'vendor'"):
        submit()


def test_uncommitted_work_without_a_commit(workspace: Path, git: Git, sandbox: Sandbox) -> None:
    git("symbolic-ref", "HEAD", "refs/heads/nothing")
    saved = commit_uncommitted(workspace, sandbox)
    assert saved.commit is None
    assert "could not be committed" in str(saved.problem)


def test_every_git_of_ours_is_deaf_to_the_machine() -> None:
    wanted = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
    assert wanted.items() <= QUIET.items()
    assert QUIET["GIT_NO_REPLACE_OBJECTS"] == "1"
    assert not Path(QUIET["GIT_GRAFT_FILE"]).exists()
    settings = {QUIET[f"GIT_CONFIG_KEY_{i}"]: QUIET[f"GIT_CONFIG_VALUE_{i}"] for i in range(5)}
    assert settings["core.hooksPath"] == "/dev/null"
    assert settings["core.fsmonitor"] == "false"
    assert QUIET["GIT_CONFIG_COUNT"] == str(len(settings))


def test_two_may_store_the_same_tree_at_once(paper: Paper, sandbox: Sandbox, base: str, tmp_path: Path) -> None:
    def take() -> Submission:
        return intake(
            EmptySubmission(commit=base), base, start=start_files(paper), store=tmp_path / "store", sandbox=sandbox
        )

    with ThreadPoolExecutor(8) as pool:
        taken = [future.result() for future in [pool.submit(take) for _ in range(16)]]
    assert len(set(taken)) == 1
    assert [path.name for path in (tmp_path / "store/trees").iterdir()] == [taken[0].tree]


def test_the_same_without_a_clean_room(paper: Paper, workspace: Path, git: Git, base: str, tmp_path: Path) -> None:
    plain = open_sandbox(SandboxSettings(backend="process"))
    (workspace / "new.py").write_text("x = 1\n")
    saved = commit_uncommitted(workspace, plain)
    made = bundle(workspace, base, sandbox=plain, into=tmp_path)
    taken = intake(made, base, start=start_files(paper), store=tmp_path / "store", sandbox=plain)
    assert taken.commit == saved.commit == git("rev-parse", "HEAD")
    assert (taken.folder / "new.py").read_text() == "x = 1\n"


def test_a_tree_of_our_own_is_kept_like_any_other(paper: Paper, tmp_path: Path) -> None:
    files = reference_files(paper)
    tree = keep_tree(files, tmp_path / "store")
    assert keep_tree(files, tmp_path / "store") == tree
    assert _files(tmp_path / "store/trees" / tree) == {name: file.data for name, file in files.items()}
