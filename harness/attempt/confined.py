"""Git inside the sandbox: the scripts that meet what a participant sends, and what their ends mean."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from harness.attempt.contents import AGAIN, is_hash
from harness.attempt.plumbing import QUIET
from harness.cleanroom.sandbox import Collect, Completed, Limits, Listener, Mount, Sandbox, Usage
from harness.cleanroom.sandbox import Job as SandboxJob
from harness.errors import HarnessFault, ReproofError, SandboxError, SubmissionError

BUNDLE_FILE = "submission.bundle"
WORK = "/reproof/work"
"""Where a workspace lies in the sandbox."""
IDLE = 20.0
"""Seconds that Git may compute nothing: whatever it reads lies on this machine."""
_LOOK, _STEP = 0.5, 0.001
"""Seconds that one look may count at most, and of CPU that are progress."""
NO_COMMIT, ALIEN, _NO_GIT = 3, 4, 127
"""Exit statuses: HEAD has no commit; it does not descend from the start commit; no `git` was found."""

# An index of its own: a half-merged state or a stale lock of the participant's does not matter.
SAVE = """\
export GIT_DIR="$2/.git" GIT_WORK_TREE="$2" GIT_INDEX_FILE="${TMPDIR:-/tmp}/index"
cd "$2" || exit
head=$(git rev-parse --verify 'HEAD^{commit}') || exit
git read-tree "$head" || exit
git add --all --ignore-errors . || : >"$1/left"
tree=$(git write-tree) || exit
: >"$1/commit"
[ "$tree" != "$(git rev-parse "$head^{tree}")" ] || exit 0
commit=$(git commit-tree -p "$head" -m "$3" "$tree") || exit
git update-ref HEAD "$commit" "$head" || exit
echo "$commit $head" >"$1/commit"
unset GIT_INDEX_FILE
git reset -q || true
"""
"""Commits everything onto HEAD; words: work tree, message. Leaves `commit`, with the one before it, empty where nothing
was new, and `left` where something could not be added."""

UNSAVE = """\
export GIT_DIR="$2/.git" GIT_WORK_TREE="$2"
cd "$2" && git update-ref HEAD "$4" "$3" && git reset -q
"""
"""Takes a commit back that is HEAD; words: work tree, that commit, the one before it."""

BUNDLE = f"""\
export GIT_DIR="$2/.git"
head=$(git rev-parse --verify "$4^{{commit}}") || exit {NO_COMMIT}
echo "$head" >"$1/head"
[ "$head" != "$3" ] || exit 0
git merge-base --is-ancestor "$3" "$head" || exit {ALIEN}
if [ "$4" != HEAD ]; then
    export GIT_ALTERNATE_OBJECT_DIRECTORIES="$GIT_DIR/objects" GIT_DIR="${{TMPDIR:-/tmp}}/of-one"
    git init -q --bare "$GIT_DIR" && git update-ref --no-deref HEAD "$head" || exit
fi
git bundle create -q --version=2 "$1/{BUNDLE_FILE}" HEAD "^$3"
"""
"""Bundles a commit as HEAD; words: work tree, start commit, commit. Leaves `head`, and the bundle unless they are the
same."""

# The repository is copied into the sandbox's own capped /tmp: an inflating pack finds no disk to fill.
# `fetch.unpackLimit=1` keeps a pack a pack. What is more than could be taken in is cut off.
UNPACK = """\
export GIT_DIR="${TMPDIR:-/tmp}/repository"
sub=refs/heads/sub
cp -r "$2" "$GIT_DIR" || exit
git -c core.hooksPath=/dev/null -c fetch.fsckObjects=true -c fetch.unpackLimit=1 \\
    fetch -q --no-tags --no-recurse-submodules "$3" HEAD:refs/heads/head || exit
[ "$8" != HEAD ] || set -- "$1" "$2" "$3" "$4" "$5" "$6" "$7" refs/heads/head
git merge-base --is-ancestor "$8" refs/heads/head && git update-ref $sub "$(git rev-parse "$8")" || exit
git rev-parse --verify "$sub^{commit}" >"$1/head" || exit
git rev-parse --verify "$sub^{tree}" >>"$1/head" || exit
git rev-list --timestamp --parents --topo-order --reverse --max-count="$5" $sub "^$4" >"$1/history" || exit
git ls-tree -r -t -z -l --full-tree $sub | head -c "$(($6 * 2048))" >"$1/listing"
git ls-tree -r --full-tree $sub | head -n "$6" | cut -f1 | cut -d' ' -f3 | sort -u |
    git cat-file --batch | head -c "$7" >"$1/blobs"
"""
"""Fetches a bundle; words: a bare repository at the start commit, the bundle, the start commit, and how many
commits, files and bytes of content to report at most, and the commit (HEAD: the bundle's head). Leaves what ACCOUNT
names."""

REPLAY = """\
export GIT_DIR="$2/.git" GIT_WORK_TREE="$2"
cd "$2" && git fetch -q --no-tags "$3" HEAD:refs/heads/replayed || exit
shift 3
for commit; do
    git rev-parse -q --verify "$commit^{commit}" >/dev/null || continue  # amended or rebased away since
    git reset -q --hard "$commit" || exit
done
git branch -q -D replayed
"""
"""Brings a work tree to one commit of a bundle after the other; words: work tree, bundle, commits."""

# Nothing of the workspace is written to: new objects go into the sandbox's own /tmp.
PICTURE = """\
export GIT_DIR="$2/.git" GIT_WORK_TREE="$2" GIT_INDEX_FILE="${TMPDIR:-/tmp}/index"
export GIT_OBJECT_DIRECTORY="${TMPDIR:-/tmp}/objects" GIT_ALTERNATE_OBJECT_DIRECTORIES="$2/.git/objects"
mkdir -p "$GIT_OBJECT_DIRECTORY" && cd "$2" || exit
git rev-parse --verify 'HEAD^{commit}' >"$1/head" || exit
git read-tree HEAD && git add --all --ignore-errors . || exit
tree=$(git write-tree) || exit
echo "$tree" >>"$1/head"
git ls-tree -r -t -z -l --full-tree "$tree" | head -c "$(($3 * 2048))" >"$1/listing"
git ls-tree -r --full-tree "$tree" | head -n "$3" | cut -f1 | cut -d' ' -f3 | sort -u |
    git cat-file --batch | head -c "$4" >"$1/blobs"
"""
"""Reports what a work tree would be if it were committed now; words: work tree, and how many files and bytes of content
to report at most. Leaves what ACCOUNT names, without a history."""

ACCOUNT = ("head", "history", "listing", "blobs")

_IDENTITY = {
    "GIT_AUTHOR_NAME": "participant",
    "GIT_AUTHOR_EMAIL": "participant@reproof.invalid",
    "GIT_COMMITTER_NAME": "participant",
    "GIT_COMMITTER_EMAIL": "participant@reproof.invalid",
}


def run_git(
    sandbox: Sandbox,
    script: str,
    *words: str,
    mounts: tuple[Mount, ...],
    files: tuple[str, ...],
    into: Path,
    limits: Limits,
    idle: float = IDLE,
) -> Completed:
    """Run a script in the sandbox; its first word is the output folder, and no word is taken for code.

    What computes nothing for `idle` seconds waits for something that never comes, and is ended (`killed_by="cancel"`).
    """
    collect, patience = Collect(files=files, into=into), _Patience(idle)
    job = SandboxJob(
        command=("/bin/sh", "-c", script, "sh", collect.directory, *words),
        limits=limits,
        mounts=mounts,
        environment={**QUIET, **_IDENTITY},
        collect=collect,
        listener=Listener(usage=patience.hear),
    )
    return sandbox.run(job, patience.over)


class _Patience:
    """Watches whether a job gets on; seconds in which we were not looking do not count against it."""

    def __init__(self, idle: float) -> None:
        self.over = threading.Event()
        self._idle, self._left, self._cpu, self._last = idle, idle, -1.0, time.monotonic()

    def hear(self, usage: Usage) -> None:
        """Note how far it has got."""
        now = time.monotonic()
        self._left -= min(now - self._last, _LOOK)
        if usage.cpu > self._cpu + _STEP:
            self._left, self._cpu = self._idle, usage.cpu
        self._last = now
        if self._left < 0:
            self.over.set()


def refusal(done: Completed, message: str, *, where: object, limits: Limits, theirs: bool = False) -> ReproofError:
    """Why a script ended otherwise than well: whose fault, and what to do.

    Args:
        done: How it ended.
        message: What could not be done.
        where: The workspace or bundle.
        limits: What it was run under.
        theirs: Whether it read a repository of the participant's, which may wait, or start programs that sleep.
    """
    if done.killed_by == "cancel" and theirs:
        remedy = "look for named pipes (`find . -type p`), for what the repository's configuration includes "
        remedy += "(`git config --list --show-origin`), and for filters that wait"
        waiting = f"{message}: Git waits for something that never comes"
        return SubmissionError(waiting, where=where, got=done.log.strip()[-200:] or None, remedy=remedy)
    stalled = done.killed_by == "wall" and not theirs and done.usage.cpu < limits.cpu / 2
    if done.killed_by == "cancel" or stalled:
        slow = f"{message}: the machine was too slow, or was stopped"
        return HarnessFault(slow, where=where, remedy="try again")
    if done.killed_by:
        reason = f"{message}: Git ran beyond its limit"
        remedy = "submit a smaller history, without large files"
        return SubmissionError(reason, where=where, got=done.killed_by, remedy=remedy)
    log = done.log.strip()
    if done.exit == _NO_GIT:
        return SandboxError("Git is missing in the clean room", where=where, got=log, remedy="install Git in /usr")
    got = log[-500:] or f"exit status {done.exit}"
    return SubmissionError(message, where=where, got=got, remedy=AGAIN)


def collected(done: Completed, name: str, *, into: Path, where: object) -> Path:
    """A file that a script has left.

    Raises:
        SubmissionError: It is missing or was refused.
    """
    problem = done.collected.get(name, "it is missing")
    if problem != "ok":
        message = "Git left no whole answer"
        raise SubmissionError(message, where=where, expected=name, got=problem, remedy=AGAIN)
    return into / name


def hashes(done: Completed, name: str, *, into: Path, where: object) -> tuple[str, ...]:
    """The names of objects in a file that a script has left.

    Raises:
        SubmissionError: It is missing, or holds something else.
    """
    data = collected(done, name, into=into, where=where).read_bytes()
    words = tuple(data.decode("ascii", errors="replace").split())
    for word in words:
        if not is_hash(word):
            message = "Git named no commit"
            raise SubmissionError(message, where=where, expected="40 hex digits", got=ascii(word[:80]))
    return words
