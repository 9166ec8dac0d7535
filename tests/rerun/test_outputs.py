# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""Outputs of untrusted code: nothing but what was declared gets through, and nothing costs more than it may."""

from __future__ import annotations

import io
import json
import pickle
import struct
import tempfile
import time
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import OutputError
from harness.paper.schema import ArchiveOutput, Array, ArrayOutput, JsonOutput, Output
from harness.rerun.outputs import load_output

LARGEST = 1 << 20
DTYPES = ["float64", "float32", "int64", "int32", "uint8", "bool"]


def array(shape: list[Any], dtype: str = "float64", *, finite: bool = True) -> ArrayOutput:
    return ArrayOutput(file="a.npy", dtype=dtype, shape=shape, finite=finite)  # type: ignore[arg-type]


def given_file(folder: Path, output: Output, data: bytes) -> Any:
    (folder / output.file).write_bytes(data)
    return load_output(folder, "thing", output, largest=LARGEST)


def refused(folder: Path, output: Output, data: bytes) -> str:
    with pytest.raises(OutputError) as caught:
        given_file(folder, output, data)
    assert "thing" in str(caught.value)
    return str(caught.value)


def npy(values: Any, **how: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values, **how)
    return file.getvalue()


def headed(header: str, data: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    text = header.encode() + b"\n"
    size = struct.pack("<H" if version == b"\x01\x00" else "<I", len(text))
    return b"\x93NUMPY" + version + size + text + data


def npz(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


shapes = st.lists(st.integers(0, 4), min_size=0, max_size=4)


@settings(deadline=None, max_examples=60)
@given(shape=shapes, dtype=st.sampled_from(DTYPES), fortran=st.booleans(), seed=st.integers(0, 99))
def test_what_is_as_declared_comes_back_as_it_was(shape: list[int], dtype: str, fortran: bool, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 2, size=shape).astype(dtype)
    values = np.asfortranarray(values) if fortran and shape else values
    with tempfile.TemporaryDirectory() as folder:
        read = given_file(Path(folder), array(shape, dtype), npy(values))
        free = given_file(Path(folder), array(["any"] * len(shape), dtype), npy(values))
    assert read.dtype == values.dtype
    assert read.shape == values.shape
    assert np.array_equal(read, values)
    assert np.array_equal(free, values)


@settings(deadline=None, max_examples=60)
@given(shape=shapes, declared=shapes, dtype=st.sampled_from(DTYPES), wanted=st.sampled_from(DTYPES))
def test_any_other_shape_or_dtype_is_refused(shape: list[int], declared: list[int], dtype: str, wanted: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if shape == declared and dtype == wanted:
            given_file(Path(folder), array(declared, wanted), npy(np.zeros(shape, dtype)))
        else:
            message = refused(Path(folder), array(declared, wanted), npy(np.zeros(shape, dtype)))
            assert "expected" in message
            assert "got" in message


@settings(deadline=None, max_examples=150)
@given(
    data=st.binary(max_size=300),
    start=st.sampled_from([b"", b"\x93NUMPY\x01\x00", b"\x93NUMPY\x02\x00", b"PK\x03\x04", b"{", b"["]),
)
@pytest.mark.parametrize(
    "output",
    [
        array(["any"]),
        ArchiveOutput(file="a.npz", arrays={"x": Array(dtype="float64", shape=["any"])}),
        JsonOutput(file="a.json", keys={"x": "list"}),
    ],
    ids=["npy", "npz", "json"],
)
def test_garbage_is_refused_by_an_output_error(output: Output, data: bytes, start: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        refused(Path(folder), output, start + data)


@pytest.mark.parametrize("cut", [0, 5, 9, 40, 127, 128, 135])
def test_a_truncated_array_is_refused(tmp_path: Path, cut: int) -> None:
    refused(tmp_path, array([1]), npy(np.zeros(1))[:cut])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_is_not_finite_is_refused_with_its_place(tmp_path: Path, value: float, dtype: str) -> None:
    values = np.zeros((2, 3), dtype)
    values[1, 2] = value
    assert f"{value} at (1, 2)" in refused(tmp_path, array([2, 3], dtype), npy(values))
    assert not np.isfinite(given_file(tmp_path, array([2, 3], dtype, finite=False), npy(values))).all()


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "exploded"))


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    sign = tmp_path / "exploded"
    objects = np.array([Bomb(sign)], dtype=object)
    message = refused(tmp_path, array([1]), npy(objects, allow_pickle=True))
    assert "pickle" in message
    assert "numeric array" in message
    refused(tmp_path, array([1]), pickle.dumps(Bomb(sign)))
    archive = ArchiveOutput(file="a.npz", arrays={"x": Array(dtype="float64", shape=[1])})
    refused(tmp_path, archive, npz({"x.npy": npy(objects, allow_pickle=True)}))
    refused(tmp_path, archive, npz({"x.npy": pickle.dumps(Bomb(sign))}))
    refused(tmp_path, JsonOutput(file="a.json", keys={"x": "int"}), pickle.dumps(Bomb(sign)))
    assert not sign.exists()


def test_big_endian_is_refused_with_the_remedy(tmp_path: Path) -> None:
    assert "little-endian" in refused(tmp_path, array([2]), npy(np.zeros(2, ">f8")))


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True,)}",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1.0,)}",
        "{'descr': '<f8', 'fortran_order': 3, 'shape': (1,)}",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (1,)}",
        "{'descr': '<f8', 'shape': (1,)}",
        "__import__('os').system('true')",
        "(" * 200,
        "{" * 3000,
        "{'descr': '<f8', 'fortran_order': False, 'shape': (" + "1," * 40 + ")}",
        "[]",
    ],
    ids=range(15),
)
@pytest.mark.parametrize("version", [b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00"])
def test_a_lying_header_is_refused(tmp_path: Path, header: str, version: bytes) -> None:
    refused(tmp_path, array(["any"]), headed(header, b"\0" * 8, version))


def test_no_file_costs_more_memory_than_it_may(tmp_path: Path) -> None:
    """Headers and members that inflate a thousandfold are refused before they are inflated."""
    declared = ArchiveOutput(file="a.npz", arrays={"x": Array(dtype="float64", shape=["any"])})
    size = 64 << 20
    long_header = b"\x93NUMPY\x02\x00" + struct.pack("<I", size) + b" " * size
    honest = npy(np.zeros(size // 8))
    for data in (npz({"x.npy": long_header}), npz({"x.npy": honest})):
        assert len(data) < LARGEST
        tracemalloc.start()
        refused(tmp_path, declared, data)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 4 * LARGEST, f"{peak / LARGEST:.0f} times the limit"


def test_an_archive_with_lies_about_its_members_is_refused(tmp_path: Path) -> None:
    declared = ArchiveOutput(file="a.npz", arrays={"x": Array(dtype="float64", shape=[4])})
    good = npz({"x.npy": npy(np.arange(4.0)), "extra.npy": b"never read"})
    assert list(given_file(tmp_path, declared, good)) == ["x"]
    assert given_file(tmp_path, declared, good)["x"].tolist() == [0, 1, 2, 3]
    assert "lacks an array" in refused(tmp_path, declared, npz({"y.npy": npy(np.arange(4.0))}))
    assert "shape" in refused(tmp_path, declared, npz({"x.npy": npy(np.arange(5.0))}))
    for place in range(0, len(good), 7):  # every kind of damage
        broken = bytearray(good)
        broken[place] ^= 0xFF
        (tmp_path / "a.npz").write_bytes(bytes(broken))
        try:
            read = load_output(tmp_path, "thing", declared, largest=LARGEST)
        except OutputError:
            continue
        assert read["x"].tolist() == [0, 1, 2, 3]


def test_an_encrypted_or_strange_member_is_refused(tmp_path: Path) -> None:
    declared = ArchiveOutput(file="a.npz", arrays={"x": Array(dtype="float64", shape=[4])})
    data = bytearray(npz({"x.npy": npy(np.arange(4.0))}, zipfile.ZIP_STORED))
    central = data.index(b"PK\x01\x02")
    data[central + 8] |= 1  # "encrypted"
    data[6] |= 1
    refused(tmp_path, declared, bytes(data))
    data = bytearray(npz({"x.npy": npy(np.arange(4.0))}, zipfile.ZIP_STORED))
    data[data.index(b"PK\x01\x02") + 10] = 99  # a method of compression nobody knows
    data[8] = 99
    refused(tmp_path, declared, bytes(data))


JSON = JsonOutput(file="a.json", keys={"n": "int", "x": "float", "s": "str", "b": "bool", "l": "list"})
GOOD = {"n": 3, "x": 0.5, "s": "text", "b": True, "l": [1, 2.5, [3]]}


def test_declared_keys_of_an_object_come_back(tmp_path: Path) -> None:
    assert given_file(tmp_path, JSON, json.dumps({**GOOD, "more": "dropped"}).encode()) == GOOD
    assert given_file(tmp_path, JSON, json.dumps({**GOOD, "x": 2}).encode())["x"] == 2


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n", 1.5), ("n", "3"), ("n", True), ("n", None), ("x", "0.5"), ("x", True), ("s", 3), ("b", 1), ("l", {"0": 1}),
        ("l", ["a"]), ("l", [None]), ("l", [True]), ("l", [[["a"]]]), ("x", float("nan")), ("x", float("inf")), ("l", [1.0, float("nan")]),
    ],
)  # fmt: skip
def test_another_type_in_an_object_is_refused(tmp_path: Path, key: str, value: object) -> None:
    assert f"thing.{key}" in refused(tmp_path, JSON, json.dumps({**GOOD, key: value}).encode())


@pytest.mark.parametrize("key", list(GOOD))
def test_a_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    left = {name: value for name, value in GOOD.items() if name != key}
    assert key in refused(tmp_path, JSON, json.dumps(left).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"3", b"null", b'{"n": 3', b"\xff\xfe", b'{"n": 1' + b"0" * 5000 + b"}",
        b'{"l": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"n":' * 50_000,
    ],
    ids=range(9),
)  # fmt: skip
def test_a_broken_object_is_refused(tmp_path: Path, data: bytes) -> None:
    refused(
        tmp_path,
        JsonOutput(file="a.json", keys={"n": "int"})
        if b"l" not in data
        else JsonOutput(file="a.json", keys={"l": "list"}),
        data,
    )


def test_a_number_too_large_for_a_double_is_refused(tmp_path: Path) -> None:
    """It would end whoever makes a double of it."""
    refused(tmp_path, JsonOutput(file="a.json", keys={"x": "float"}), b'{"x": 1' + b"0" * 400 + b"}")


def test_a_huge_object_is_refused_before_it_is_parsed(tmp_path: Path) -> None:
    """Empty lists take sixty bytes each once they are parsed: a file of the disk limit would fill the machine."""
    (tmp_path / "a.json").write_bytes(b'{"l": [' + b"0," * (10 << 20) + b"0]}")
    began = time.process_time()
    with pytest.raises(OutputError, match="large"):
        load_output(tmp_path, "thing", JsonOutput(file="a.json", keys={"l": "list"}), largest=256 << 20)
    assert time.process_time() - began < 1


def test_what_is_no_regular_file_is_missing(tmp_path: Path) -> None:
    output = array([1])
    with pytest.raises(OutputError, match=r"a\.npy.*no such regular file"):
        load_output(tmp_path, "thing", output, largest=LARGEST)
    (tmp_path / "real.npy").write_bytes(npy(np.zeros(1)))
    (tmp_path / "a.npy").symlink_to(tmp_path / "real.npy")
    with pytest.raises(OutputError, match="missing"):
        load_output(tmp_path, "thing", output, largest=LARGEST)
    (tmp_path / "a.npy").unlink()
    (tmp_path / "a.npy").mkdir()
    with pytest.raises(OutputError, match="missing"):
        load_output(tmp_path, "thing", output, largest=LARGEST)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_what_numpy_packs_is_inflated(tmp_path: Path, method: int) -> None:
    """The library bounds what it inflates of DEFLATE alone: 200 bytes of bzip2 can be some hundred megabytes."""
    declared = ArchiveOutput(file="a.npz", arrays={"x": Array(dtype="float64", shape=[4])})
    data = npz({"x.npy": npy(np.arange(4.0)) + bytes(50 << 20)}, method)
    assert len(data) < 20_000
    tracemalloc.start()
    try:
        said = refused(tmp_path, declared, data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "packed in another way" in said
    assert peak < 1 << 20
