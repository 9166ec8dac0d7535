"""YAML as a paper's author means it, and files that mean harm."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import PaperError
from harness.paper.source import LARGEST_FILE, Source, read


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "paper.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def value(tmp_path: Path, text: str) -> object:
    return read(written(tmp_path, text)).value


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1e-4", 1e-4),
        ("1E5", 1e5),
        ("-2e3", -2e3),
        ("+2e+3", 2e3),
        (".5e1", 5.0),
        ("1.5e-3", 1.5e-3),
        ("1.", 1.0),
        ("3", 3),
    ],
)
def test_what_looks_like_a_number_is_one(tmp_path: Path, text: str, number: float) -> None:
    found = value(tmp_path, f"x: {text}")
    assert found == {"x": number}


@pytest.mark.parametrize("text", ["e5", "1e", "1e-", "0x", "60 s", "1e5x", '"1e-4"'])
def test_what_does_not_is_a_text(tmp_path: Path, text: str) -> None:
    found = value(tmp_path, f"x: {text}")
    assert isinstance(found, dict)
    assert isinstance(found["x"], str)


def test_lines_of_keys_and_items_are_known(tmp_path: Path) -> None:
    source = read(written(tmp_path, "a: 1\nb:\n  - x\n  - c: 2\n    d: 3\n"))
    assert isinstance(source, Source)
    assert [source.line(where) for where in (("a",), ("b",), ("b", 0), ("b", 1, "d"), ("b", 1, "missing"), ("z",))] == [
        1,
        2,
        3,
        5,
        4,
        1,
    ]
    assert source.place(("b", 1, "d")).endswith("paper.yaml:5 b.1.d")


def test_anchors_and_merge_keys_are_read(tmp_path: Path) -> None:
    text = "first: &a {x: 1, y: 2}\nsecond: {<<: *a, y: 3}\nthird: *a\n"
    assert value(tmp_path, text) == {"first": {"x": 1, "y": 2}, "second": {"x": 1, "y": 3}, "third": {"x": 1, "y": 2}}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", ":3", "stands twice"),
        ("a:\n  x: 1\n  y: {z: 1, z: 2}\n", ":3", "stands twice"),
        ("a: 1\n\tb: 2\n", ":2", "not YAML"),
        ("a: [1, 2\nb: 3\n", ":2", "not YAML"),
        ("a: *nobody\n", ":1", "not YAML"),
        ("a: !!python/object/apply:os.system [echo]\n", ":1", "not YAML"),
        ("a: 1\n---\nb: 2\n", "", "not YAML"),
        ("? [1, 2]\n: 3\n", ":1", ""),
        ("? {a: 1}\n: 3\n", ":1", ""),
        ("a: \x07\n", "", "not YAML"),
        ("a:\n- " + "[" * 100 + "]" * 100, ":2", "too deep"),
        ("", "", "is empty"),
        ("# nothing\n", "", "is empty"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, text: str, line: str, says: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(PaperError) as caught:
        read(path)
    assert f"{path}{line}" in str(caught.value)
    assert says in str(caught.value)


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PaperError, match="UTF-8"):
        read(written(tmp_path, "title: Grüße".encode("latin-1")))


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PaperError, match="missing"):
        read(tmp_path / "paper.yaml")
    with pytest.raises(PaperError, match="cannot be read"):
        read(tmp_path)


def test_a_data_set_is_no_config(tmp_path: Path) -> None:
    with pytest.raises(PaperError, match="too large"):
        read(written(tmp_path, "x: " + "1" * LARGEST_FILE))


def bomb(kind: str, levels: int = 30) -> str:
    """Each level names the one below nine times."""
    lines = [f"a0: &a0 {'{x: 1}' if kind == 'mapping' else '[x]'}"]
    for n in range(1, levels):
        below = ", ".join([f"*a{n - 1}"] * 9)
        inner = ", ".join(f"k{i}: *a{n - 1}" for i in range(9))
        lines.append(f"a{n}: &a{n} [{below}]" if kind == "list" else f"a{n}: &a{n} {{{inner}}}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("kind", ["list", "mapping"])
def test_a_bomb_of_aliases_is_refused_in_no_time(tmp_path: Path, kind: str) -> None:
    path = written(tmp_path, bomb(kind))
    code = f"from pathlib import Path; from harness.paper.source import read; read(Path({str(path)!r}))"
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (2 << 30,) * 2)\n{code}"
    done = subprocess.run([sys.executable, "-c", limited], capture_output=True, text=True, timeout=20)
    assert "PaperError" in done.stderr, done.stderr[-500:]


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "a: &a {b: *a}\n", "[" * 5000 + "]" * 5000])
def test_endless_depth_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PaperError):
        read(written(tmp_path, text))
