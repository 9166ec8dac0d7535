"""Files made to cost whoever reads them more than they are worth: tables of contents, nesting, numbers."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from harness.errors import OutputError
from harness.paper.schema import ArchiveOutput, Array, JsonOutput
from harness.rerun.outputs import load_output

DECLARED = ArchiveOutput(file="a.npz", arrays={"x": Array(dtype="float64", shape=[4])})
LARGEST = 64 << 20


def npz(*members: tuple[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(4.0))
    return file.getvalue()


def crowded(count: int) -> bytes:
    """A table of contents of that many members that are not there."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0)
    table = b"".join(entry + b"%05x" % (index % 0xFFFFF) for index in range(count))
    return table + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count & 0xFFFF, count & 0xFFFF, len(table), 0, 0)


def zip64(data: bytes, *, size: int) -> bytes:
    """The same archive with a second end, for giants, that tells another size of its table."""
    end = data.rindex(b"PK\x05\x06")
    giant = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, size, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    return data[:end] + giant + locator + data[end:]


def refused(folder: Path, data: bytes, declared: ArchiveOutput | JsonOutput = DECLARED) -> str:
    """Read it, and see that it is refused soon, cheaply and in words."""
    (folder / declared.file).write_bytes(data)
    tracemalloc.start()
    begun = time.monotonic()
    try:
        with pytest.raises(OutputError) as caught:
            load_output(folder, "thing", declared, largest=LARGEST)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begun < 5
    assert peak < 48 << 20, f"{peak >> 20} MiB"
    assert "thing" in str(caught.value)
    return str(caught.value)


def test_what_is_made_by_numpy_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=np.arange(4.0), **{f"y{index}": np.zeros(1) for index in range(200)})
    assert load_output(tmp_path, "thing", DECLARED, largest=LARGEST)["x"].tolist() == [0, 1, 2, 3]
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(4.0))
    assert load_output(tmp_path, "thing", DECLARED, largest=LARGEST)["x"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [6000, 300_000])
def test_a_crowded_table_of_contents_is_not_read(tmp_path: Path, count: int) -> None:
    assert "its table of contents is too large" in refused(tmp_path, crowded(count))


@pytest.mark.parametrize("size", [0, 2**32, 2**63])
def test_a_second_end_for_giants_is_refused(tmp_path: Path, size: int) -> None:
    assert "is made for giants" in refused(tmp_path, zip64(npz(("x.npy", npy())), size=size))


def test_a_member_that_stands_twice_is_refused(tmp_path: Path) -> None:
    twice = npz(("x.npy", npy()), ("z.npy", npy())).replace(b"z.npy", b"x.npy")
    assert "holds a member twice" in refused(tmp_path, twice)


def test_a_folder_in_the_place_of_a_member(tmp_path: Path) -> None:
    assert "lacks an array" in refused(tmp_path, npz(("x.npy/", b""), ("x", npy())))


def test_without_an_end_it_is_no_archive(tmp_path: Path) -> None:
    refused(tmp_path, npz(("x.npy", npy()))[:-1])
    refused(tmp_path, b"")


OBJECT = JsonOutput(file="a.json", keys={"list": "list"})
DEEP: dict[str, bytes] = {
    "nested": b'{"list": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "open": b'{"list": ' + b'{"a":' * 100_000,
    "numbers": b'{"list": [' + b"9" * 10_000_000 + b"]}",
    "infinite": b'{"list": [1e999]}',
    "not a number": b'{"list": [NaN]}',
    "within": b'{"list": [[[["text"]]]]}',
    "no text": b'{"list": ["\xff"]}',
    "half a letter": b'{"list": ["\\ud800"]}',
}


@pytest.mark.parametrize("data", DEEP.values(), ids=DEEP)
def test_objects_made_to_hurt_are_refused(tmp_path: Path, data: bytes) -> None:
    refused(tmp_path, data, OBJECT)
