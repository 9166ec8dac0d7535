# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""Outputs: arrays, archives and objects that hostile code wrote, at every place of their formats."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzzing.effort import LONGEST_MESSAGE, Effort, answered
from fuzzing.material import changed, damaged, values
from hypothesis import strategies as st

from harness.errors import OutputError, RecordError
from harness.paper.schema import ArchiveOutput, Array, ArrayOutput, Experiment, JsonOutput, Output
from harness.rerun.instance import Instance, restore, save
from harness.rerun.outputs import load_output, problems_of

ARRAY = ArrayOutput(file="a.npy", dtype="float64", shape=["any", 3])
ARCHIVE = ArchiveOutput(
    file="a.npz", arrays={"x": Array(dtype="float64", shape=["any", 3]), "y": Array(dtype="bool", shape=[2])}
)
OBJECT = JsonOutput(file="a.json", keys={"n": "int", "x": "float", "s": "str", "b": "bool", "l": "list"})
TRUE = {"n": 7, "x": 0.5, "s": "é", "b": True, "l": [1, [2.5, 3]]}
EXTENTS = (
    "0",
    "1",
    "4",
    "-1",
    "3.0",
    "True",
    "None",
    "1e9",
    "2**9",
    "10" * 30,
    "0x" + "f" * 6000,
    "'3'",
    "()",
    "(4, 3)",
)
DTYPES = (
    "'<f8'", "'>f8'", "'=f8'", "'|f8'", "'f8'", "'<f4'", "'O'", "'|O'", "'<U5'", "'S0'", "'V9999999999'", "'<M8[s]'", "'<m8'",
    "'f8,f8'", "'(2,)f8'", "[('a', '<f8')]", "[('a', 'O')]", "[('', '<f8', (9999999, 9999999))]", "('<f8', (3,))", "''", "None",
    "{'names': ['a'], 'formats': ['<f8'], 'offsets': [2**40]}", "'<f8\\\\x00'", "b'<f8'", "8", "'<c16'", "'float64'", "'a' * 9",
    "[" * 90 + "]" * 90, "-" * 3000 + "1", "(" * 150 + ")" * 150, "'" + "f8," * 3000 + "'", "'\\\\d'", "10L", "lambda: 0",
)  # fmt: skip


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def npz(compressed: bool) -> bytes:
    file = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(file, x=np.arange(6.0).reshape(2, 3), y=np.array([True, False]))
    return file.getvalue()


def headed(text: str) -> bytes:
    """An array of that header, which is none."""
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


@st.composite
def headers(draw: Any) -> bytes:
    """An array whose header is grammatical, mostly, and lies."""
    extents = draw(st.lists(st.sampled_from(EXTENTS), max_size=4))
    fields = {
        "descr": draw(st.sampled_from(DTYPES)),
        "fortran_order": draw(st.sampled_from(["True", "False", "1", "None", "'no'"])),
        "shape": draw(st.sampled_from(["({})", "[{}]", "{}", "({},)"])).replace("{}", ", ".join(extents)),
    }
    left = draw(st.sampled_from([[], [], [], ["shape"], ["descr"]]))
    pairs = [f"'{name}': {value}" for name, value in fields.items() if name not in left]
    text = "{" + ", ".join([*pairs, *draw(st.sampled_from([[], [], ["'more': 1"], ["'shape': (2, 3)"]]))]) + "}\n"
    version = draw(
        st.sampled_from([b"\x01\x00", b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x01\x01", b"\xff\xff"])
    )
    said = draw(st.sampled_from([len(text), len(text), len(text), 0, 1, 65535, len(text) - 1]))
    size = struct.pack("<H", said % 2**16) if version[:1] == b"\x01" else struct.pack("<I", said)
    return (
        b"\x93NUMPY" + version + size + text.encode("latin1") + draw(st.sampled_from([b"", b"\0" * 48, b"\xff" * 96]))
    )


def tried(folder: Path, output: Output, data: bytes) -> Any:
    (folder / output.file).write_bytes(data)
    found = answered(lambda: load_output(folder, "thing", output, largest=1 << 20), OutputError)
    experiment = Experiment.model_validate(
        {
            "summary": "s",
            "outputs": {"thing": output},
            "limits": {"cpu": 1, "disk": 1 << 20},
            "instances": {"pinned": {}},
        }
    )
    problems = problems_of(folder, experiment)
    assert bool(problems) == (found is None)
    assert all(text.isprintable() or "\n" in text for text in problems)
    assert sum(map(len, problems)) <= LONGEST_MESSAGE
    return found


def test_headers_of_arrays(effort: Effort, tmp_path: Path) -> None:
    @effort.over(headers(), few=30)
    def check(data: bytes) -> None:
        found = tried(tmp_path, ARRAY, data)
        assert found is None or (found.dtype == np.float64 and found.ndim == 2 and np.isfinite(found).all())


@pytest.mark.parametrize("compressed", [False, True], ids=["stored", "deflated"])
def test_archives(effort: Effort, tmp_path: Path, compressed: bool) -> None:
    whole = npz(compressed)
    structure = [place for place in range(len(whole)) if whole[place : place + 2] == b"PK"]
    marks = [b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\7", b"x.npy", b"../x.npy", b"\x93NUMPY\x01\x00"]
    around = [place + step for place in structure for step in range(0, 46, 2)]

    @effort.over(damaged(whole, marks=marks, at=around), few=25)
    def check(data: bytes) -> None:
        found = tried(tmp_path, ARCHIVE, data)
        assert found is None or set(found) == {"x", "y"}


def test_arrays_damaged(effort: Effort, tmp_path: Path) -> None:
    @effort.over(damaged(npy(np.arange(6.0).reshape(2, 3)), at=range(128)), few=25)
    def check(data: bytes) -> None:
        tried(tmp_path, ARRAY, data)


def test_objects(effort: Effort, tmp_path: Path) -> None:
    shaped = changed(TRUE).map(lambda value: json.dumps(value).encode())
    marks = [b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b'"\\ud800"', b"[" * 3000, b'{"n":', b"\xef\xbb\xbf"]

    @effort.over(shaped | damaged(json.dumps(TRUE).encode(), marks=marks), few=25)
    def check(data: bytes) -> None:
        found = tried(tmp_path, OBJECT, data)
        if found is not None:
            assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_instances(effort: Effort, tmp_path: Path) -> None:
    """Held-out instances as an archive holds them: a folder of JSON and arrays."""
    folder = tmp_path / "walk-0"
    save(
        Instance(experiment="walk", which="held_out", index=0, values={"goal": 0.5}, arrays={"x": np.arange(6.0)}),
        folder,
    )
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    about = json.loads(files["instance.json"])
    shaped = (changed(about) | values()).map(lambda value: {**files, "instance.json": json.dumps(value).encode()})
    arrays = (headers() | damaged(files["x.npy"], at=range(128))).map(lambda data: {**files, "x.npy": data})
    undigested = {name: value for name, value in about.items() if name != "digest"}
    odd = [
        {**files, "instance.json": json.dumps(undigested).encode()},
        {**files, "x.npy": headed("{'descr': '<f8', 'shape': ('")},
    ]

    @effort.over(shaped | arrays, few=25, cases=odd)
    def check(told: dict[str, bytes]) -> None:
        for name, data in told.items():
            (folder / name).write_bytes(data)
        answered(lambda: restore(folder, "walk", "held_out", 0), RecordError)
