"""Archives for `verify`: gzip, tar, manifest and every record of a real one, changed at every depth."""

from __future__ import annotations

import gzip
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from archives import corrected, in_order, members_of, write_tar
from fuzzing.effort import Effort, answered
from fuzzing.material import changed, damaged, values
from hypothesis import strategies as st

from harness.archive.manifest import MANIFEST
from harness.archive.pack import Packed, pack
from harness.archive.unpack import peek, unpack
from harness.archive.verify import Verifier
from harness.errors import ReproofError

MARKS = [
    b"ustar\0",
    b"ustar  \0",
    b"\x1f\x8b\x08\0",
    b"././@LongLink",
    b"\0" * 512,
    b"\x80" + b"\xff" * 11,
    b"7" * 11,
    b"../",
    b"{",
    b'"\\ud800"',
]


@pytest.fixture(scope="session")
def packed(lean_finished: Any, tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return pack(lean_finished[0], tmp_path_factory.mktemp("packed") / "lean.tar.gz")


def tried(archive: Path, into: Path) -> None:
    """Nothing but what the manifest names is laid out, and that whole."""
    answered(lambda: peek(archive), ReproofError)
    into.mkdir()
    found = answered(lambda: unpack(archive, into), ReproofError)
    laid = {path.relative_to(into).as_posix(): path.stat().st_size for path in into.rglob("*") if path.is_file()}
    if found is not None:
        assert laid == {member.name: member.size for member in found.files}
    shutil.rmtree(into)


def test_bytes_of_the_file(effort: Effort, packed: Packed, tmp_path: Path) -> None:
    @effort.over(damaged(packed.archive.read_bytes(), marks=MARKS, at=range(20)), few=6)
    def check(data: bytes) -> None:
        (tmp_path / "a").write_bytes(data)
        tried(tmp_path / "a", tmp_path / "into")


def test_bytes_of_the_tar(effort: Effort, packed: Packed, tmp_path: Path) -> None:
    """The first members of a real archive, and the headers of each."""
    with gzip.open(packed.archive) as stream:
        whole = stream.read()
    with tarfile.open(packed.archive) as tar:
        headers = [info.offset for info in tar][:5]
    around = [at + step for at in headers for step in (0, 99, 100, 124, 135, 148, 156, 157, 257, 263, 345, 500)]

    @effort.over(damaged(whole[: headers[-1]], marks=MARKS, at=around) | damaged(whole, marks=MARKS, at=around), few=8)
    def check(data: bytes) -> None:
        (tmp_path / "a").write_bytes(gzip.compress(data, 1))
        tried(tmp_path / "a", tmp_path / "into")


def test_the_manifest(effort: Effort, packed: Packed, tmp_path: Path) -> None:
    members = members_of(packed.archive)
    manifest = json.loads(members[MANIFEST])
    manifest["files"] = manifest["files"][:3]
    kept = {MANIFEST: b"", **{file["name"]: members[file["name"]] for file in manifest["files"]}}

    @effort.over(changed(manifest).map(lambda value: json.dumps(value).encode()), few=15)
    def check(text: bytes) -> None:
        tried(write_tar(tmp_path / "a", in_order({**kept, MANIFEST: text})), tmp_path / "into")


@st.composite
def rewritten(draw: Any, members: dict[str, bytes]) -> dict[str, bytes]:
    """Members of which one says something else, or is damaged; the manifest is made to fit."""
    name = draw(st.sampled_from(sorted(members)))
    match name.rpartition(".")[2]:
        case "json" if draw(st.integers(0, 3)):
            told = draw(changed(json.loads(members[name])) | values())
            text = json.dumps(told).encode()
        case "jsonl" if draw(st.booleans()):
            lines = members[name].splitlines()
            place = draw(st.integers(0, len(lines) - 1))
            lines[place] = json.dumps(draw(changed(json.loads(lines[place])))).encode()
            text = b"\n".join(lines) + b"\n"
        case _:
            text = draw(damaged(members[name], marks=MARKS))
    return {**members, name: text}


CRAFTED: list[tuple[str, dict[str, Any]]] = [
    ("plan.json", {"seeds": []}),
    ("plan.json", {"entropy": "-1"}),
    ("/instance.json", {"digest": None}),
    ("rerun.json", {"slots": 10**9}),
]
"""Records that are of the right kind, and of which nothing can follow."""


def edited(members: dict[str, bytes], end: str, **change: Any) -> dict[str, bytes]:
    """Members of which one says something else; keys with None are left out."""
    name = next(name for name in sorted(members) if name.endswith(end))
    told = {key: value for key, value in {**json.loads(members[name]), **change}.items() if value is not None}
    return {**members, name: json.dumps(told).encode()}


def test_records(effort: Effort, packed: Packed, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a record says: it is scored again, or refused in a sentence, and nothing of it stays."""
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(home / "papers"))
    verifier = Verifier(results=tmp_path / "results")
    whole = members_of(packed.archive)
    parts = {name: text for name, text in whole.items() if name != MANIFEST}
    odd = [edited(parts, end, **change) for end, change in CRAFTED]

    @effort.over(rewritten(parts), few=4, cases=odd)
    def check(members: dict[str, bytes]) -> None:
        archive = write_tar(tmp_path / "a", in_order(corrected({MANIFEST: whole[MANIFEST], **members})))
        found = answered(lambda: verifier.verify(archive, quick=True), ReproofError, seconds=30.0)
        assert found is None or all(text.isprintable() for text in (*found.problems, *found.notes)), found
        assert not list((tmp_path / "results" / "staging").iterdir())
