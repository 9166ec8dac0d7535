import pytest

from harness.attempt.contents import read_blobs, read_files, read_history, read_listing, unfit
from harness.attempt.plumbing import File, blob_name, snapshot
from harness.errors import SubmissionError

A, B, C = "a" * 40, "b" * 40, "c" * 40


@pytest.mark.parametrize(
    "path",
    ["a.py", "a/b/c.py", "-rf", "ünï/ço de.py", ".gitignore", ".github/x", "...", "a.git", "git", "日本/語"],
)
def test_fit_paths(path: str) -> None:
    assert unfit(path) is None


@pytest.mark.parametrize(
    "path",
    [
        *("", "/etc/passwd", "a//b", "a/", ".", "..", "a/../b", "./a"),
        *(
            ".git",
            ".GIT",
            "a/.Git/config",
            ".git ",
            ".git.",
            ".git. .",
            "git~1",
            "GIT~1/x",
            ".git::$INDEX_ALLOCATION",
        ),
        *(".g\u200cit", ".g\u00adit", "\ufeff.git", "\uff0e\uff47\uff49\uff54", ".\uff47it"),
        *("a\\b", "a\nb", "a\x1b[31m", "a\x7f", "a\u202eb", "a\u2028b", "a\u0085b"),
        *("x" * 256, "ä" * 128, "/".join(["x" * 200] * 6), "/".join("x" * 65)),
    ],
)
def test_unfit_paths(path: str) -> None:
    assert unfit(path) is not None


def _listing(*paths: str, mode: str = "100644", kind: str = "blob", size: str = "7") -> bytes:
    return b"".join(f"{mode} {kind} {A} {size:>7}\t{path}\0".encode() for path in paths)


def test_listing() -> None:
    data = _listing("a", mode="040000", kind="tree", size="-") + _listing("a/b", "c")
    entries = read_listing(data, files=2, total=14, where="here")
    assert [(entry.path, entry.size, entry.mode, entry.name) for entry in entries] == [
        ("a/b", 7, "100644", A),
        ("c", 7, "100644", A),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_listing("a/l", mode="120000"), r"symbolic link: got 'a/l'"),
        (_listing("s", mode="160000", kind="commit", size="-"), r"submodule: got 's'"),
        (_listing("a", mode="100664"), r"mode 100664"),
        (_listing("a", mode="040000"), r"no plain file"),
        (_listing(".git", mode="040000", kind="tree", size="-"), r"names a Git folder"),
        (_listing("a\u202e\x1b"), r"'a\\u202e\\x1b'"),
        (_listing("a", "b", "c"), "too many files"),
        (_listing("a") + b"100644 bl", "too many files"),
        (_listing("a", size="8") + _listing("b"), r"too large.*15"),
        (b"100644 blob " + A.encode() + b" 7\t\xff\0", r"not UTF-8"),
        (b"nonsense\0", r"not UTF-8"),
        (_listing("a", size="-1"), r"no plain file"),
    ],
)
def test_refused_listings(data: bytes, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        read_listing(data, files=2, total=14, where="here")


def _batch(*contents: bytes) -> bytes:
    return b"".join(b"%s blob %d\n%s\n" % (blob_name(data).encode(), len(data), data) for data in contents)


def test_blobs_are_named_by_what_they_are() -> None:
    contents = [b"", b"\n\n", b"x blob 3\n", b"\0" * 9]
    data = _batch(*contents)
    assert dict(read_blobs(data)) == {blob_name(content): content for content in contents}
    # A lie about the name changes nothing, and what was cut off never appears as itself.
    assert blob_name(b"evil") in dict(read_blobs(A.encode() + b" blob 4\nevil\n"))
    assert blob_name(b"\0" * 9) not in dict(read_blobs(data[:-5]))
    assert not dict(read_blobs(A.encode() + b" missing\n"))


def test_files_are_proved_by_the_tree() -> None:
    files = {"a/b": File(b"one"), "c": File(b"two", executable=True)}
    tree, _ = snapshot(files)
    blobs = {blob_name(file.data): file.data for file in files.values()}
    data = b"".join(f"{file.mode} blob {blob_name(file.data)} 3\t{path}\0".encode() for path, file in files.items())
    entries = read_listing(data, files=9, total=99, where="here")
    assert read_files(entries, blobs, tree=tree, where="here") == files
    for wrong in (entries[:1], (*entries, entries[0])):
        with pytest.raises(SubmissionError, match="not written as Git"):
            read_files(wrong, blobs, tree=tree, where="here")
    with pytest.raises(SubmissionError, match=r"missing or damaged.*'a/b'"):
        read_files(entries, {}, tree=tree, where="here")


def test_histories() -> None:
    data = f"5 {B} {A}\n9 {C} {B}\n".encode()
    commits = read_history(data, head=C, base=A, most=2, where="here")
    assert [(commit.name, commit.time) for commit in commits] == [(B, 5), (C, 9)]
    assert read_history(b"", head=A, base=A, most=2, where="here") == ()


@pytest.mark.parametrize(
    ("data", "most", "message"),
    [
        (f"5 {B}\n9 {C} {B}\n", 9, "does not begin at the start commit"),
        (f"5 {B} {A}\n", 9, "does not begin at the start commit"),
        (f"5 {B} {A}\n9 {C} {B}\n", 1, "too long"),
        ("nonsense", 9, "cannot be read"),
        (f"x {C} {A}\n", 9, "cannot be read"),
        (f"5 {C} ../{A}\n", 9, "cannot be read"),
    ],
)
def test_refused_histories(data: str, most: int, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        read_history(data.encode(), head=C, base=A, most=most, where="here")


def test_a_loop_of_parents_ends() -> None:
    with pytest.raises(SubmissionError, match="start commit"):
        read_history(f"5 {B} {C}\n9 {C} {B}\n".encode(), head=C, base=A, most=9, where="here")
