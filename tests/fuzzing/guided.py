"""Fuzzing guided by coverage (atheris, libFuzzer's for Python) of the readers of bytes that are our own.

    python tests/fuzzing/guided.py TARGET SECONDS [FOLDER]

A failure ends it with a traceback and the input in FOLDER (a temporary one unless said); what it finds becomes a named
case of the property tests. Needs `pip install atheris`; not in CI, where the property
tests are.
"""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[1])]
with atheris.instrument_imports(include=["harness"]):
    from confined import confined
    from fuzzing import test_bundles, test_outputs, test_sockets
    from proxy import scripted
    from proxy.conversations import ANSWERS, EVENTS, FORMATS
    from talks import BEGAN, Talk
    from tiny_paper import PAPER

    from harness.archive.unpack import unpack
    from harness.attempt import contents, ledger
    from harness.attempt.plumbing import File
    from harness.attempt.reported import _parsed
    from harness.cleanroom.collect import Receiver
    from harness.cleanroom.sandbox import Collect
    from harness.errors import ReproofError
    from harness.gateway.opening import read_wanted
    from harness.gateway.owned import Refusal
    from harness.paper.source import read
    from harness.plan import journal
    from harness.proxy.stream import Telling, WithoutUsage
    from harness.proxy.usage import told
    from harness.report.timeline import entries_of
    from harness.report.timeline_text import step_lines, trajectory_lines
    from harness.rerun.outputs import load_output
    from harness.trajectory.derive import derive
    from harness.trajectory.keep import text_of
    from harness.trajectory.read import read_trajectory

SCRATCH = Path(tempfile.mkdtemp(prefix="guided-"))
Target = Callable[[bytes], object]


def _laid(name: str, data: bytes) -> Path:
    path = SCRATCH / name
    path.write_bytes(data)
    return path


def outputs(data: bytes) -> None:
    """An array, an archive or an object, by its first byte."""
    output = (test_outputs.ARRAY, test_outputs.ARCHIVE, test_outputs.OBJECT)[data[0] % 3 if data else 0]
    _laid(output.file, data[1:])
    load_output(SCRATCH, "thing", output, largest=1 << 20)


def archive(data: bytes) -> None:
    """A tar, which is put into gzip here so that its checksum hides nothing."""
    into = SCRATCH / "into"
    into.mkdir()
    try:
        unpack(_laid("a.tar.gz", gzip.compress(data, 0)), into)
    finally:
        shutil.rmtree(into)


def stream(data: bytes) -> None:
    """A streamed answer, its format by the first byte, cut at a place by the second; cuts change nothing."""
    format, at, data = FORMATS[data[0] % 4 if data else 0], data[1] if len(data) > 1 else 0, data[2:]
    found = []
    for cuts in ([data], [data[:at], data[at:]]):
        telling, strip = Telling(format), WithoutUsage()
        passed = b"".join([*((telling.feed(cut), strip.feed(cut))[1] for cut in cuts), strip.end()])
        found.append((telling.answer, telling.ended, telling.failed, passed))
    assert found[0] == found[1]
    told(format, found[0][0])


def trajectory(data: bytes) -> None:
    """A trajectory that came from elsewhere, read, shown and written again."""
    found = read_trajectory(data, where="there", began=BEGAN)
    entries = entries_of(found, began=BEGAN)
    lines = [*trajectory_lines(found, entries), *(line for entry in entries for line in step_lines(entry))]
    assert all(line.replace("\n", "").replace("\t", "").isprintable() for line in lines)
    assert read_trajectory(text_of(found).encode(), where="there", began=BEGAN) == found


def collected(data: bytes) -> None:
    """The stream of files out of a clean room."""
    into = SCRATCH / "collected"
    into.mkdir()
    try:
        receiver = Receiver(Collect(directory="/out", files=("a.npy", "b.json"), into=into), limit=1 << 16)
        try:
            receiver.feed(data[: len(data) // 2]) and receiver.feed(data[len(data) // 2 :])
            receiver.finish(keep=True)
        finally:
            receiver.close()
        assert {path.name for path in into.iterdir()} <= {"a.npy", "b.json"}
    finally:
        shutil.rmtree(into)


def git(data: bytes) -> None:
    """What Git says of a submission, from inside the sandbox."""
    kind, data = data[0] % 3 if data else 0, data[1:]
    if kind == 0:
        contents.read_listing(data, files=5, total=100, where="there")
    elif kind == 1:
        contents.read_history(data, head="c" * 40, base="a" * 40, most=5, where="there")
    else:
        list(contents.read_blobs(data))


def gateway(data: bytes) -> None:
    """What a client asks of the gateway."""
    with contextlib.suppress(Refusal):
        read_wanted(data)


def paper(data: bytes) -> None:
    """YAML as papers are written."""
    read(_laid("paper.yaml", data))


def reported(data: bytes) -> None:
    """Numbers of a submission."""
    with contextlib.suppress(ValueError):
        _parsed(File(data).data)


def records(data: bytes) -> None:
    """A ledger and a plan's journal."""
    kind = ledger if data[:1] < b"\x80" else journal
    kind.read(_laid("lines.jsonl", data[1:]))
    for torn in SCRATCH.glob("*.torn-*"):
        torn.unlink()


def _tar() -> bytes:
    import io
    import tarfile

    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in (("manifest.json", b"{}"), ("a.npy", b"x"), ("b.json", b"{}")):
            info = tarfile.TarInfo(name)
            info.size = len(text)
            tar.addfile(info, io.BytesIO(text))
    return file.getvalue()


def seeds(target: str) -> Iterator[bytes]:
    """True inputs to begin with."""
    match target:
        case "outputs":
            import numpy as np

            yield b"\0" + test_outputs.npy(np.arange(6.0).reshape(2, 3))
            yield from (b"\1" + test_outputs.npz(compressed) for compressed in (False, True))
            yield b"\2" + json.dumps(test_outputs.TRUE).encode()
        case "archive":
            yield _tar()
        case "collected":
            yield b"ST" + _tar()
        case "stream":
            for number, format in enumerate(FORMATS):
                yield bytes([number, 40]) + scripted.told(*EVENTS[format])
                yield bytes([number, 9]) + scripted.told(ANSWERS[format])
        case "trajectory":
            made = derive(Talk("chat").turns([("I look.", "ls", "a")]), attempt="a", agent="b", version="c")
            assert made is not None
            yield text_of(made).encode()
        case "git":
            yield from (b"\0" + test_bundles.LISTING, b"\1" + test_bundles.HISTORY, b"\2" + test_bundles.BLOBS)
        case "gateway":
            yield json.dumps(test_sockets.WANTED).encode()
        case "paper":
            yield PAPER.encode()
        case "reported":
            yield b'{"a": 0.81, "b": 1e3, "c": NaN, "d": [1, "x"], "e": {"f": true}}'
        case "records":
            ledger.append(SCRATCH / "seed.jsonl", "noted", {"text": "x", "more": [1, {"a": 0.5}]})
            yield b"\0" + (SCRATCH / "seed.jsonl").read_bytes()
            yield b'\x80{"at":"2026-11-23T08:00:00Z","kind":"begun","item":1,"attempt":"a"}\n'


TARGETS: dict[str, Target] = {
    "outputs": outputs, "archive": archive, "stream": stream, "trajectory": trajectory, "collected": collected,
    "git": git, "gateway": gateway, "paper": paper, "reported": reported, "records": records,
}  # fmt: skip


def main() -> None:
    """Fuzz one target."""
    name, seconds, *rest = sys.argv[1:]
    target, folder = TARGETS[name], Path(rest[0] if rest else tempfile.mkdtemp(prefix=f"found-{name}-"))
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)

    def one(data: bytes) -> None:
        with contextlib.suppress(ReproofError):
            target(data)

    limits = ["-max_len=8192", "-timeout=20", "-rss_limit_mb=3072", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", f"-artifact_prefix={folder}/", *limits, str(corpus)], one)
    with confined(folder):
        atheris.Fuzz()


if __name__ == "__main__":
    main()
