"""Small inputs that would grow: each is met in a process with little memory and little time, and refused there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fuzzing.test_outputs import npy
from tiny_paper import PAPER, write_paper

ROOM, SECONDS = 160 << 20, 20
"""Bytes of memory beyond what Python and our modules map, and seconds of CPU time; the inputs have at most 1 MiB."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def laughs(form: str) -> str:
    """Each name stands for nine of the one before."""
    lines = [f"a0: &a0 {form.replace('@', 'x').replace('*x', 'x')}"]
    lines += [f"a{n + 1}: &a{n + 1} {form.replace('@', f'a{n}')}" for n in range(25)]
    return "\n".join(lines)


LISTS = laughs("[" + ", ".join(["*@"] * 9) + "]")
MERGED = "a0: &a0 {x: 1}\n" + "\n".join(f"a{n + 1}: &a{n + 1} {{<<: [{', '.join([f'*a{n}'] * 9)}]}}" for n in range(25))
YAML: dict[str, str] = {
    "aliases": LISTS,
    "merges": MERGED,
    "deep lists": "a: " + "[" * 300_000,
    "many deep lists": "a: [" + ("[" * 97 + "]" * 97 + ",") * 5000 + "]",
    "deep maps": "a: " + "{a: " * 200_000,
    "deep blocks": "".join(" " * n + "a:\n" for n in range(1200)),
    "many anchors": "\n".join(f"k{n}: &k{n} 1" for n in range(50_000)),
    "many documents": "---\n" * 260_000,
    "a long scalar": "a: " + "x" * 1_000_000,
    "a long sexagesimal": "a: " + "1:" * 400_000 + "1",
    "a long integer": "a: " + "9" * 1_000_000,
    "a long binary integer": "a: 0b" + "1" * 1_000_000,
    "a paper with long names": PAPER.replace("noisy", "n" * 15_000),
}
ARRAYS: dict[str, Callable[[], tuple[str, bytes]]] = {
    "zeros in an archive": lambda: ("a.npz", bomb()),
    "an array that says it is long": lambda: (
        "a.npy",
        npy(np.zeros((2, 3))).replace(b"(2, 3), }" + b" " * 14, b"(" + b"9" * 14 + b", 3), }"),
    ),
    "a list of lists": lambda: (
        "a.json",
        b'{"n": 1, "x": 1, "s": "", "b": true, "l": ' + b"[" * 400_000 + b"]" * 400_000 + b"}",
    ),
    "many keys": lambda: ("a.json", b"{" + b",".join(b'"%d":[]' % n for n in range(80_000)) + b"}"),
}


def bomb() -> bytes:
    """An archive of half a megabyte that inflates to a fifth of a gigabyte, and says so."""
    import io
    import zipfile

    file = io.BytesIO()
    header = npy(np.zeros((1, 3)))[:128].replace(b"(1, 3), }" + b" " * 10, b"(8500000, 3), }    ")
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("x.npy", "w") as member:
            member.write(header)
            for _ in range(195):
                member.write(bytes(1 << 20))
        archive.writestr("y.npy", npy(np.array([True, False])))
    return file.getvalue()


CHILD = """
import resource, sys
sys.path[:0] = {path!r}
from pathlib import Path
from fuzzing.test_outputs import ARCHIVE, ARRAY, OBJECT
from harness.errors import ReproofError
from harness.paper.load import load_paper
from harness.rerun.outputs import load_output
pages = int(Path("/proc/self/statm").read_text().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + {room},) * 2)
resource.setrlimit(resource.RLIMIT_CPU, ({seconds}, {seconds}))
kinds = {{".npy": ARRAY, ".npz": ARCHIVE, ".json": OBJECT}}
for name in sys.argv[1:]:
    path = Path(name)
    try:
        load_paper(path) if path.is_dir() else load_output(path.parent, "x", kinds[path.suffix], largest=1 << 20)
    except ReproofError as error:
        print("refused:", str(error)[:300].replace(chr(10), " "))
    else:
        print("accepted")
"""


def met(*paths: Path) -> list[str]:
    """What a process of little memory says of each."""
    text = CHILD.format(path=[str(Path(__file__).parents[1])], room=ROOM, seconds=SECONDS)
    done = subprocess.run([sys.executable, "-c", text, *map(str, paths)], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "names",
    [("merges", "a long sexagesimal"), pytest.param(tuple(YAML), marks=pytest.mark.slow)],
    ids=["quick", "all"],
)
def test_papers(tmp_path: Path, names: tuple[str, ...]) -> None:
    folders = []
    for number, text in enumerate(YAML[name] for name in names):
        folders.append(write_paper(tmp_path / f"p{number}"))
        (folders[-1] / "paper.yaml").write_text(text)
    said = met(*folders)
    assert len(said) == len(names)
    odd = [name for name, line in zip(names, said, strict=True) if not line.startswith("refused: ")]
    assert odd in ([], ["a paper with long names"]), list(zip(names, said, strict=True))


@pytest.mark.slow
def test_outputs(tmp_path: Path) -> None:
    paths = []
    for number, make in enumerate(ARRAYS.values()):
        name, data = make()
        paths.append(tmp_path / str(number) / name)
        paths[-1].parent.mkdir()
        paths[-1].write_bytes(data)
        assert len(data) <= 1 << 20
    assert all(line.startswith("refused: ") for line in met(*paths)), list(zip(ARRAYS, met(*paths), strict=True))
