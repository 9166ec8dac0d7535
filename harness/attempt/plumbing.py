"""Git's objects as bytes: their SHA-1 names computed here, and a repository laid out without running Git.

No process, configuration, umask or clock takes part: whoever starts from the same files gets the same commit.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from harness.record.files import named

FILE_MODE = "100644"
EXECUTABLE_MODE = "100755"
TREE_MODE = "40000"
BRANCH = "main"

Objects = dict[str, bytes]
"""Objects by name (40 hex digits), each framed as Git hashes it: kind, size, NUL, body."""

Leaves = Mapping[str, tuple[str, str]]
"""Mode and blob name of every file, by its path from the root."""

QUIET: Mapping[str, str] = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": "/dev/null/none",
    "GIT_CONFIG_PARAMETERS": "",
    "GIT_CONFIG_COUNT": "5",
    "GIT_CONFIG_KEY_0": "core.hooksPath",
    "GIT_CONFIG_VALUE_0": "/dev/null",
    "GIT_CONFIG_KEY_1": "core.fsmonitor",
    "GIT_CONFIG_VALUE_1": "false",
    "GIT_CONFIG_KEY_2": "core.autocrlf",
    "GIT_CONFIG_VALUE_2": "false",
    "GIT_CONFIG_KEY_3": "gc.auto",
    "GIT_CONFIG_VALUE_3": "0",
    "GIT_CONFIG_KEY_4": "safe.directory",
    "GIT_CONFIG_VALUE_4": "*",
    "LC_ALL": "C",
}
"""Variables for every Git process: nothing of the machine's configuration, no hooks, no replaced objects.

They do not tame a hostile repository, whose filter drivers have names of their own: only the sandbox does.
"""


@dataclass(frozen=True, slots=True)
class File:
    """One file of a commit."""

    data: bytes
    executable: bool = False

    @property
    def mode(self) -> str:
        """The mode as a tree writes it."""
        return EXECUTABLE_MODE if self.executable else FILE_MODE


Files = Mapping[str, File]
"""Files by their path from the root, with `/` between the parts."""


@dataclass(frozen=True, slots=True)
class Signature:
    """Who made a commit and when."""

    name: str
    email: str
    time: int
    """Seconds since 1970, UTC."""

    def __str__(self) -> str:
        """The form that a commit holds."""
        return f"{self.name} <{self.email}> {self.time} +0000"


def frame(kind: str, body: bytes) -> bytes:
    """An object as Git hashes it."""
    return b"%s %d\0" % (kind.encode(), len(body)) + body


def name_of(framed: bytes) -> str:
    """The object's name: SHA-1 in hex, as Git's default format prescribes."""
    return hashlib.sha1(framed, usedforsecurity=False).hexdigest()


def blob_name(data: bytes) -> str:
    """The name of a file's content."""
    return name_of(frame("blob", data))


def trees(leaves: Leaves) -> tuple[str, Objects]:
    """The tree objects over some files.

    Returns:
        The root tree's name, and all tree objects.
    """
    root: dict[str, object] = {}
    for path, leaf in leaves.items():
        *folders, name = path.split("/")
        node = root
        for folder in folders:
            node = node.setdefault(folder, {})  # type: ignore[assignment]
        node[name] = leaf
    objects: Objects = {}
    return _tree(root, objects), objects


def _tree(node: dict[str, object], objects: Objects) -> str:
    entries: list[tuple[bytes, bytes]] = []
    for name, child in node.items():
        raw = name.encode()
        if isinstance(child, dict):
            # Git sorts a folder as if its name ended in a slash.
            key, mode, target = raw + b"/", TREE_MODE, _tree(child, objects)
        else:
            mode, target = child  # type: ignore[misc]
            key = raw
        entries.append((key, mode.encode() + b" " + raw + b"\0" + bytes.fromhex(target)))
    framed = frame("tree", b"".join(entry for _, entry in sorted(entries)))
    objects[name_of(framed)] = framed
    return name_of(framed)


def snapshot(files: Files) -> tuple[str, Objects]:
    """Blobs and trees of some files.

    Returns:
        The root tree's name, and all objects.
    """
    blobs = {path: frame("blob", file.data) for path, file in files.items()}
    root, objects = trees({path: (files[path].mode, name_of(blob)) for path, blob in blobs.items()})
    return root, objects | {name_of(blob): blob for blob in blobs.values()}


def commit(tree: str, message: str, *, by: Signature, parents: tuple[str, ...] = ()) -> bytes:
    """A framed commit object; the signature is both author's and committer's."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {by}", f"committer {by}"]
    return frame("commit", ("\n".join(lines) + "\n\n" + message.rstrip("\n") + "\n").encode())


def lay_repository(git_dir: Path, objects: Objects, *, head: str, bare: bool) -> None:
    """Write a repository of loose objects, with `main` at one commit; no hooks, templates or remotes."""
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
        (git_dir / folder).mkdir(parents=True)
    with named(git_dir):
        (git_dir / "HEAD").write_text(f"ref: refs/heads/{BRANCH}\n")
        (git_dir / "refs/heads" / BRANCH).write_text(f"{head}\n")
        (git_dir / "config").write_text(_CONFIG.format(bare=str(bare).lower()))
    for name, framed in objects.items():
        add_object(git_dir, name, framed)


# A participant commits under this name unless they choose another: in a sandbox Git would ask who they are.
_CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = {bare}
\tlogallrefupdates = true
\tautocrlf = false
[user]
\tname = participant
\temail = participant@reproof.invalid
"""


def add_object(git_dir: Path, name: str, framed: bytes) -> None:
    """Write one loose object."""
    folder = git_dir / "objects" / name[:2]
    folder.mkdir(exist_ok=True)
    with named(folder / name[2:]):
        (folder / name[2:]).write_bytes(zlib.compress(framed, 1))


def write_files(folder: Path, files: Files) -> None:
    """Write files beneath a folder with exactly the modes 0644 and 0755, whatever the umask."""
    for parent in sorted({str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."}):
        (folder / parent).mkdir(exist_ok=True)
        (folder / parent).chmod(0o755)
    for path, file in files.items():
        _write(folder / path, file)


def _write(path: Path, file: File) -> None:
    mode = 0o755 if file.executable else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with named(path), os.fdopen(descriptor, "wb") as stream:
        os.fchmod(descriptor, mode)
        stream.write(file.data)
