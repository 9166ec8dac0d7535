"""Git bundles of real work, damaged: taken in whole, or refused in a sentence, and never half laid out."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from fuzzing.effort import Effort, answered
from fuzzing.material import damaged

from harness.attempt.confined import BUNDLE_FILE
from harness.attempt.contents import read_blobs, read_history, read_listing
from harness.attempt.submission import intake, kept_files
from harness.errors import ReproofError, SubmissionError

MARKS = [
    b"# v2 git bundle\n",
    b"# v3 git bundle\n",
    b"-",
    b"0" * 40,
    b"HEAD\n",
    b" refs/heads/x\n",
    b"PACK\0\0\0\2",
    b"\x78\x9c",
    b"\n\n",
]


def test_bundles(effort: Effort, finished: Any, tmp_path: Path) -> None:
    road = finished[0]
    whole = (road.records / BUNDLE_FILE).read_bytes()
    attempt, pack = road.attempt, whole.index(b"PACK")
    start = kept_files(attempt.start_tree, road.store.root)

    @effort.over(damaged(whole, marks=MARKS, at=[*range(0, pack + 14, 3), len(whole) - 20]), few=5)
    def check(data: bytes) -> None:
        (tmp_path / "a.bundle").write_bytes(data)
        store = tmp_path / "store"
        found = answered(
            lambda: intake(tmp_path / "a.bundle", attempt.start_commit, start=start, store=store, sandbox=road.sandbox),
            ReproofError, seconds=30.0,
        )  # fmt: skip
        trees = [path.name for path in (store / "trees").glob("*")] if store.exists() else []
        assert trees == ([found.tree] if found is not None else []), (trees, found)
        if found is not None:
            assert kept_files(found.tree, store)
        shutil.rmtree(store, ignore_errors=True)


LISTING = b"".join(
    b"100644 blob %s %7d\t%s\0" % (b"a" * 40, size, path)
    for size, path in ((5, b"README.md"), (70, b"reproduction/__main__.py"), (0, "é".encode()))
) + b"040000 tree %s       -\treproduction\0" % (b"b" * 40)
HISTORY = b"".join(
    b"%d %s %s\n" % (time, name * 40, parent * 40) for time, name, parent in ((1, b"b", b"a"), (2, b"c", b"b"))
)
BLOBS = b"".join(b"%s blob %d\n%s\n" % (b"a" * 40, len(text), text) for text in (b"x = 1", b"", b"a\nb"))


def test_what_git_says_of_them(effort: Effort) -> None:
    """Git speaks from the sandbox, where it may have been made to say anything."""

    @effort.over(
        damaged(LISTING, marks=[b"\0", b"\t", b"120000", b"..", b"\xff", b".git", b"9" * 5000]),
        few=25,
        cases=[LISTING.replace(b"     5", b"9" * 5000)],
    )
    def listings(data: bytes) -> None:
        answered(lambda: read_listing(data, files=5, total=100, where="there"), SubmissionError)

    @effort.over(damaged(HISTORY, marks=[b"\n", b" ", b"9" * 5000, b"\xff", b"\r", b"\x1c"]), few=25)
    def histories(data: bytes) -> None:
        answered(lambda: read_history(data, head="c" * 40, base="a" * 40, most=5, where="there"), SubmissionError)

    @effort.over(
        damaged(BLOBS, marks=[b"blob", b"\n", b"9" * 30, b" " + b"9" * 5000 + b"\n", b" \xc2\xb2\n"]),
        few=25,
        cases=[BLOBS.replace(b" 5\n", b" " + b"9" * 5000 + b"\n")],
    )
    def blobs(data: bytes) -> None:
        list(read_blobs(data))
