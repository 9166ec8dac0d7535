"""Archives made to harm: each is refused with a sentence, and nothing of it lands outside or stays."""

from __future__ import annotations

import gzip
import json
import os
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from archives import Members, corrected, in_order, members_of, write_tar

from harness.archive import unpack as unpacking
from harness.archive.manifest import FORMAT, LARGEST_ARCHIVE, MANIFEST, Member, unfit
from harness.archive.pack import Packed
from harness.archive.unpack import peek, unpack
from harness.errors import RecordError, UsageError

Changed = Callable[..., Path]


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "deep" / "into"
    folder.mkdir(parents=True)
    return folder


def refused(archive: Path, into: Path, says: str) -> None:
    with pytest.raises(RecordError, match=says) as caught:
        unpack(archive, into)
    assert caught.value.remedy
    assert [path.name for path in into.parents[1].iterdir() if path.name not in ("deep", archive.name)] == []
    assert [path.name for path in into.parent.iterdir()] == ["into"]
    assert not any(path.is_symlink() for path in into.rglob("*"))


def test_what_was_packed_comes_out(packed: Packed, into: Path) -> None:
    assert unpack(packed.archive, into) == peek(packed.archive) == packed.manifest
    there = {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}
    members = members_of(packed.archive)
    del members[MANIFEST]
    assert there == members


def kinds() -> list[str]:
    return [
        "attempt.json", "ledger.jsonl", "submission.bundle", "submission.json", "rerun.json", "measurements.json",
        "score.json", "plan.json", "instance.json", "shift.npy", "run.json", "log.txt", "position.npy", "report.json",
        "paper/paper.yaml", "paper/metrics.py", "brief.md", "TASK.md",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", kinds())
def test_a_flipped_byte_is_found_in_each_kind_of_member(changed: Changed, into: Path, kind: str) -> None:
    def flip(members: Members) -> None:
        name = max(name for name in members if name.endswith(kind) and (members[name] or kind == "log.txt"))
        content = bytearray(members[name] or b"x")
        content[len(content) // 2] ^= 1
        members[name] = bytes(content)

    refused(changed(flip, correct=False), into, "is not the file that its manifest names|and its manifest says")


def test_a_missing_member(changed: Changed, into: Path) -> None:
    archive = changed(lambda members: members.pop(max(members)), correct=False)
    refused(archive, into, "should stand here")


def test_an_added_member(packed: Packed, tmp_path: Path, into: Path) -> None:
    members = in_order(members_of(packed.archive))
    refused(
        write_tar(tmp_path / "a.tar.gz", [*members, ("trees/zzz", b"more")]), into, "something follows the last file"
    )


def test_members_in_another_order_or_twice(packed: Packed, tmp_path: Path, into: Path) -> None:
    first, second, third, *rest = in_order(members_of(packed.archive))
    refused(write_tar(tmp_path / "a.tar.gz", [first, third, second, *rest]), into, "should stand here")
    refused(write_tar(tmp_path / "a.tar.gz", [first, second, second, third, *rest]), into, "should stand here")
    refused(write_tar(tmp_path / "a.tar.gz", [second, first, third, *rest]), into, "manifest.json should stand here")


@pytest.mark.parametrize(
    "name",
    [
        "../escaped", "/etc/escaped", "paper/../../escaped", "paper/./x", "paper//x", "paper/", "paper/a\\b", "escaped",
        "attempts/x/workspace/.git/config", "runs/aa/bb/run.json", "attempts/../attempt.json", "paper/a\nb", "",
        "trees/" + "0" * 40 + "/../../../escaped", "runs/ab/" + "a" * 64 + "/outputs/../x", "paper/" + "x" * 300,
        f"attempts/x/submissions/001/history/{'a' * 40}/../../../../y.json",
    ],
)  # fmt: skip
def test_a_name_that_no_archive_holds(packed: Packed, tmp_path: Path, into: Path, name: str) -> None:
    members = {**members_of(packed.archive), name: b"x"}
    listed = [pair for pair in in_order(corrected(members)) if pair[0] != name]
    refused(write_tar(tmp_path / "a.tar.gz", listed), into, "no archive holds a file of this name")


def header(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE, b"Z"],
    ids=["symbolic link", "hard link", "character device", "block device", "pipe", "folder", "unknown"],
)
def test_what_is_no_plain_file(packed: Packed, tmp_path: Path, into: Path, kind: bytes) -> None:
    first, (name, content), *rest = in_order(members_of(packed.archive))
    harmful = header(str(name), kind, link="/etc/passwd")
    refused(write_tar(tmp_path / "a.tar.gz", [first, (harmful, b""), (name, content), *rest]), into, "as a plain file")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT], ids=["pax", "gnu"])
def test_extended_headers_are_not_read(tmp_path: Path, into: Path, form: int) -> None:
    archive = write_tar(tmp_path / "a.tar.gz", [("long" * 100, b"x")], form=form)
    refused(archive, into, "manifest.json should stand here, as a plain file")


def test_an_extended_header_of_a_gigabyte_costs_no_memory(tmp_path: Path, into: Path) -> None:
    info = header("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    info.size = 2**30
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as stream:
        stream.write(info.tobuf(tarfile.GNU_FORMAT))
        for _ in range(8):
            stream.write(bytes(2**20))
    began = time.monotonic()
    refused(tmp_path / "a.tar.gz", into, "manifest.json should stand here")
    assert time.monotonic() - began < 1


def manifest_with(files: list[Member], packed: Packed) -> bytes:
    import msgspec

    return msgspec.json.encode(msgspec.structs.replace(packed.manifest, files=files))


def test_a_bomb_is_refused_before_it_is_inflated(packed: Packed, tmp_path: Path, into: Path) -> None:
    outputs = "runs/ab/" + "a" * 64 + "/outputs"
    huge = [Member(name=f"{outputs}/{n}", sha256="0" * 64, size=2**30) for n in range(LARGEST_ARCHIVE // 2**30 + 1)]
    refused(write_tar(tmp_path / "a.tar.gz", [(MANIFEST, manifest_with(huge, packed))]), into, "holds more than")
    one = [Member(name=f"{outputs}/x", sha256="0" * 64, size=2**30 + 1)]
    refused(write_tar(tmp_path / "a.tar.gz", [(MANIFEST, manifest_with(one, packed))]), into, "more than 1073741824")
    record = [Member(name="attempts/x/ledger.jsonl", sha256="0" * 64, size=2**26)]
    refused(write_tar(tmp_path / "a.tar.gz", [(MANIFEST, manifest_with(record, packed))]), into, "more than 33554432")


def test_a_member_longer_than_its_manifest_says(packed: Packed, tmp_path: Path, into: Path) -> None:
    members = members_of(packed.archive)
    members[max(members)] += bytes(2**24)
    refused(write_tar(tmp_path / "a.tar.gz", in_order(members)), into, "and its manifest says")


def test_a_manifest_without_end(tmp_path: Path, into: Path) -> None:
    refused(write_tar(tmp_path / "a.tar.gz", [(MANIFEST, b" " * (2**25 + 1))]), into, "its manifest is too large")


def test_a_million_empty_members(packed: Packed, tmp_path: Path, into: Path) -> None:
    first, *_ = in_order(members_of(packed.archive))
    block = tarfile.TarInfo("paper/x").tobuf(tarfile.USTAR_FORMAT)
    with gzip.open(tmp_path / "a.tar.gz", "wb", compresslevel=1) as stream:
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(first[1])
        stream.write(info.tobuf(tarfile.USTAR_FORMAT) + first[1] + bytes(-len(first[1]) % 512))
    with (tmp_path / "a.tar.gz").open("ab") as file:
        file.write(gzip.compress(block * 10_000) * 100)
    began = time.monotonic()
    refused(tmp_path / "a.tar.gz", into, "should stand here")
    assert time.monotonic() - began < 1


def test_a_manifest_of_a_million_members(packed: Packed, tmp_path: Path, into: Path) -> None:
    one = b'{"name":"paper/x","sha256":"' + b"0" * 64 + b'","size":0}'
    text = manifest_with([], packed).replace(b'"files":[]', b'"files":[' + b",".join([one] * 100_001) + b"]")
    refused(write_tar(tmp_path / "a.tar.gz", [(MANIFEST, text)]), into, "its manifest cannot be read")


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"{}", b"\xff\xfe", b"[" * 100_000, b'{"format": 1}', b'{"files": ' + b"[" * 100_000],
    ids=["empty", "list", "object", "no text", "deep", "number", "deep within"],
)
def test_a_manifest_that_is_none(tmp_path: Path, into: Path, text: bytes) -> None:
    refused(write_tar(tmp_path / "a.tar.gz", [(MANIFEST, text)]), into, "its manifest cannot be read")


@pytest.mark.parametrize("attempt", ["..", "a/b", "a\n", "", "x" * 200])
def test_an_attempt_s_name_that_is_none(changed: Changed, into: Path, attempt: str) -> None:
    def rename(members: Members) -> None:
        members[MANIFEST] = json.dumps({**json.loads(members[MANIFEST]), "attempt": attempt}).encode()

    refused(changed(rename), into, "its manifest cannot be read")


def test_an_archive_of_another_time(changed: Changed, into: Path) -> None:
    def later(members: Members) -> None:
        members[MANIFEST] = members[MANIFEST].replace(FORMAT.encode(), b"reproof-archive-9")

    refused(changed(later), into, f"its format is not {FORMAT}.*reproof-archive-9")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_an_archive_that_was_cut(packed: Packed, tmp_path: Path, into: Path, share: float) -> None:
    whole = packed.archive.read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(whole[: int(share * len(whole))])
    refused(tmp_path / "a.tar.gz", into, "cut short|should stand here")


def test_what_is_no_archive(tmp_path: Path, into: Path) -> None:
    for content in (b"hello", b"PK\x03\x04", gzip.compress(b"hello"), gzip.compress(os.urandom(4096)), b"\x1f\x8b\x08"):
        (tmp_path / "a.tar.gz").write_bytes(content)
        refused(tmp_path / "a.tar.gz", into, "no archive of Reproof|should stand here")


@pytest.mark.parametrize("more", [gzip.compress(b"more"), gzip.compress(bytes(2**20)), b"more"], ids=len)
def test_rubbish_after_the_end(packed: Packed, tmp_path: Path, into: Path, more: bytes) -> None:
    (tmp_path / "a.tar.gz").write_bytes(packed.archive.read_bytes() + more)
    refused(tmp_path / "a.tar.gz", into, "something follows|no archive of Reproof")


def test_no_file_at_all(tmp_path: Path, into: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nothing", tmp_path, tmp_path / "pipe"):
        with pytest.raises(UsageError, match=r"there is no archive here(.|\n)*reproof pack"):
            unpack(path, into)


def test_a_file_that_is_a_folder_too() -> None:
    members = [Member(name=name, sha256="0" * 64, size=0) for name in ("paper/a", "paper/a/b")]
    assert unfit(members) == "paper/a is both a file and a folder"
    twice = [members[0], members[0]]
    assert unfit(twice) == "names are out of order, or stand twice"
    assert unfit(members[:1]) is None


def test_a_full_disk_is_said_beforehand(packed: Packed, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda folder: type("", (), {"free": 4096})())
    refused(packed.archive, into, "no room for what is packed")
    assert list(into.iterdir()) == []
