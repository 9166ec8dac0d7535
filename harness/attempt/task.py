"""What a participant gets: the files and the hash of the start commit, and what we lay over it ourselves."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from harness.attempt.plumbing import File, Files, Objects, Signature, commit, name_of, snapshot
from harness.errors import PaperError
from harness.paper.load import Paper
from harness.paper.mutations import REFERENCE, Mutation

BRIEF = "BRIEF.md"
START_FILE = "start_commit"
"""In the paper's folder: the hash everybody starts from."""
_START_TIME = 946_684_800
"""2000-01-01T00:00:00+0000."""
_AUTHOR = Signature("Reproof", "reproof@reproof.invalid", _START_TIME)
_MESSAGE = "The start of a reproduction"
_IGNORED = b"__pycache__/\n*.py[cod]\n.venv/\n.pytest_cache/\n.ipynb_checkpoints/\n/out/\n"
_PUBLIC = ("metrics.py", "paper.yaml", "environments.py")


def start_files(paper: Paper) -> dict[str, File]:
    """The files of the start commit, sorted by path.

    Raises:
        PaperError: The starter holds something that is no plain file, or one of the names that are ours.
    """
    files = dict(_folder(paper.starter))
    ours = {BRIEF: File(paper.brief_file.read_bytes()), ".gitignore": File(_IGNORED)}
    for name in _PUBLIC:
        if (paper.folder / name).is_file():
            ours[name] = File((paper.folder / name).read_bytes())
    for name in ours.keys() & files.keys():
        raise PaperError(
            "the starter holds a file that is laid in by the harness",
            where=paper.starter / name,
            remedy="remove it from the starter; it is taken from the paper's folder",
        )
    return dict(sorted((files | ours).items()))


def start_objects(paper: Paper) -> tuple[str, Objects]:
    """The start commit's hash and all its objects, computed without a repository."""
    return commit_of(start_files(paper))


def commit_of(files: Files) -> tuple[str, Objects]:
    """The hash and the objects of the commit that holds some files and has no parents."""
    tree, objects = snapshot(files)
    framed = commit(tree, _MESSAGE, by=_AUTHOR)
    return name_of(framed), objects | {name_of(framed): framed}


def start_commit_of(paper: Paper) -> str:
    """The hash of the commit that everybody starts from, computed from the paper's files."""
    return start_objects(paper)[0]


def agreed_start(paper: Paper) -> tuple[str, Objects]:
    """The start commit, found to be the one that the paper's folder has written down (if it has).

    Raises:
        PaperError: The paper's files have changed since it was written down.
    """
    name, objects = start_objects(paper)
    written = paper.folder / START_FILE
    agreed = written.read_text().strip() if written.is_file() else name
    if agreed != name:
        raise PaperError(
            "the paper's files do not give the start commit that is written down",
            where=written,
            expected=agreed,
            got=name,
            remedy=f"restore the files, or start afresh for everybody with `reproof paper sync {paper.id}`",
        )
    return name, objects


def reference_files(paper: Paper) -> dict[str, File]:
    """The start files with the reference laid over them.

    Raises:
        PaperError: There is no reference here.
    """
    return overlay_tree(paper, paper.private_file(REFERENCE))


def overlay_tree(paper: Paper, overlay: Path | Mutation) -> dict[str, File]:
    """The start files with a folder laid over them, or the reference with one mutation.

    Raises:
        PaperError: There is no reference here, or the mutated text does not occur exactly once.
    """
    if isinstance(overlay, Mutation):
        return _mutated(paper, overlay)
    return dict(sorted((start_files(paper) | dict(_folder(overlay))).items()))


def _mutated(paper: Paper, mutation: Mutation) -> dict[str, File]:
    files = reference_files(paper)
    where = f"{paper.private_file(REFERENCE) / mutation.file} (mutation {mutation.name})"
    if mutation.file not in files:
        raise PaperError("a mutated file is missing", where=where, remedy="name a file of the reference")
    file = files[mutation.file]
    old, new = mutation.old.encode(), mutation.new.encode()
    count = file.data.count(old)
    if count != 1:
        raise PaperError(
            "the text to be replaced must occur exactly once",
            where=where,
            expected=f"1 occurrence of {mutation.old!r}",
            got=count,
            remedy="quote the reference exactly, with enough around it to be the only such place",
        )
    return files | {mutation.file: File(file.data.replace(old, new), file.executable)}


def _folder(folder: Path) -> Iterator[tuple[str, File]]:
    """Plain files beneath a folder by relative path, without hidden ones and bytecode."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from ((f"{path.name}/{below}", file) for below, file in _folder(path))
        elif stat.S_ISREG(mode):
            yield path.name, File(path.read_bytes(), executable=bool(mode & stat.S_IXUSR))
        else:
            raise PaperError(
                "only plain files can be laid into a workspace",
                where=path,
                remedy="replace the link by the file it means",
            )
