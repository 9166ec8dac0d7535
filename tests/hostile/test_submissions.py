# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""Whole submissions that do harm when they are rerun: what each run's record says, and what the score says of it."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from textwrap import indent
from typing import Any

import pytest
from tiny_paper import WORK, lean, write_paper
from watching import alive

from harness.pipeline import Rerun, units_of
from harness.record.store import read
from harness.report.page import write_page
from harness.rerun.engine import known_records
from harness.rerun.execute import RunRecord
from harness.road import Road
from harness.scoring.finding import Verdict
from harness.scoring.score import ClaimScore, Score

Submit = Callable[..., tuple[Road, Score]]
HARM = """\
def walk(parameters, seed, instance, out):
    import os, pickle, resource, signal, sys, time
    honest(parameters, seed, instance, out)
    if parameters["method"] == "noisy" and "shift" not in instance:
        position = [3.0, 1.5, 1.0, 0.75]
        here = out / "position.npy"
{harm}


LEFT = ["/tmp/m", "/dev/shm/m", "/run/m", "/home/m", "/reproof/m", "/reproof/work/m", "/var/tmp/m", "/reproof/run/m"]


def headed(header, data):
    text = header.encode() + bytes([10])
    return bytes([0x93]) + b"NUMPY" + bytes([1, 0]) + struct.pack("<H", len(text)) + text + data


def orphan(act):
    import os
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            act()
        os._exit(0)
    os.wait()


def honest("""
COUNTED, SPOILT, LOST = "completed", "unusable", "crashed"
HARMS: dict[str, tuple[str, str | None, str]] = {
    "the other byte order": ("here.write_bytes(headed(\"{'descr': '>f8', 'fortran_order': False, 'shape': (4,)}\", struct.pack('>4d', *position)))", SPOILT, "native little-endian byte order"),
    "half the precision": ("here.write_bytes(headed(\"{'descr': '<f4', 'fortran_order': False, 'shape': (4,)}\", struct.pack('<4f', *position)))", SPOILT, "position has the wrong dtype"),
    "whole numbers": ("here.write_bytes(headed(\"{'descr': '<i8', 'fortran_order': False, 'shape': (4,)}\", struct.pack('<4q', 3, 1, 1, 0)))", SPOILT, "position has the wrong dtype"),
    "complex numbers": ("here.write_bytes(headed(\"{'descr': '<c16', 'fortran_order': False, 'shape': (4,)}\", bytes(64)))", SPOILT, "position has the wrong dtype"),
    "objects": ("here.write_bytes(headed(\"{'descr': '|O', 'fortran_order': False, 'shape': (4,)}\", pickle.dumps(position)))", SPOILT, "position holds Python objects"),
    "records": ("here.write_bytes(headed(\"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (4,)}\", bytes(32)))", SPOILT, "position has the wrong dtype"),
    "a trillion numbers": ("here.write_bytes(headed(\"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}\", bytes(32)))", SPOILT, "position has the wrong shape"),
    "fewer than nothing": ("here.write_bytes(headed(\"{'descr': '<f8', 'fortran_order': False, 'shape': (-4,)}\", bytes(32)))", SPOILT, "position"),
    "a program for a header": ("here.write_bytes(headed(\"__import__('os').system('touch /tmp/x')\", bytes(32)))", SPOILT, "position cannot be read"),
    "infinity": ("save(here, [3.0, float('inf'), 1.0, 0.75])", SPOILT, "position is not finite"),
    "less than nothing, infinitely": ("save(here, [3.0, 1.5, 1.0, float('-inf')])", SPOILT, "position is not finite"),
    "infinity in words": ("(out / 'report.json').write_text('{\"mean\": Infinity, \"steps\": 4}')", SPOILT, "report.mean is not finite"),
    "a number without end": ("(out / 'report.json').write_text('{\"mean\": ' + '9' * 400 + ', \"steps\": 4}')", SPOILT, "report.mean is out of range"),
    "a truth for a number": ("(out / 'report.json').write_text('{\"mean\": true, \"steps\": 4}')", SPOILT, "report.mean has the wrong type"),
    "a named pipe": ("here.unlink(); os.mkfifo(here)", SPOILT, "a named pipe"),
    "a folder": ("here.unlink(); here.mkdir()", SPOILT, "a folder"),
    "a link to its input": ("here.unlink(); here.symlink_to(sys.argv[1])", SPOILT, "a symbolic link"),
    "a file of holes": ("open(here, 'r+b').truncate(1 << 40)", LOST, "File too large"),
    "files without end": ("[open(out / str(i), 'w').close() for i in range(10**9)]", None, ""),
    "folders without end": ("[(os.mkdir('d'), os.chdir('d')) for os.x in (os.chdir(out),) for i in range(10**9)]", None, ""),
    "processes without end": ("[os.fork() for i in range(10**9)]", None, ""),
    "memory of its own": ("[bytearray(b'x') * (1 << 20) for i in range(10**4)]", None, "memory"),
    "memory that is shared": ("open('/dev/shm/x', 'wb').write(bytes(300 << 20))", LOST, "No space left"),
    "signals ignored": ("[signal.signal(n, signal.SIG_IGN) for n in range(1, 32) if n not in (9, 19)]; signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\nwhile True: pass", "killed", "more than its 1 s of CPU time"),
    "its CPU limit raised": ("resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))", LOST, "ValueError"),
    "its input changed": ("open(sys.argv[1], 'w').write('{}')", LOST, "Read-only file system"),
    "its code changed": ("open('reproduction/work.py', 'w').write('')", LOST, "Read-only file system"),
    "the first process ended": ("os.kill(1, 9); os.kill(os.getppid(), 9); os._exit(7)", None, ""),
    "a smallest number": ("save(here, [5e-324] * 4)", COUNTED, "measured"),
    "what a run before it has left": ("met = [p for p in LEFT if os.path.exists(p)]; print('MET' * len(met)); [open(p, 'w').close() for p in LEFT if os.access(os.path.dirname(p), os.W_OK)]; assert not met", COUNTED, "measured"),
    "an output that a daemon goes on changing": ("orphan(lambda: [save(here, [float(i)] * 4) for i in range(10**9)]); time.sleep(0.2)", None, ""),
    "an output that it holds open": ("os.set_inheritable(os.open(here, os.O_RDWR), True); orphan(lambda: os.execvp('sh', ['sh', '-c', 'while :; do printf x >>/proc/self/fd/3; done; : $token']))", None, ""),
    "an output by a second name": ("os.link(here, out / 'twin'); here.unlink(); os.symlink('twin', here)", SPOILT, "a symbolic link"),
    "its input by a second name": ("here.unlink(); os.link(sys.argv[1], here)", LOST, "Invalid cross-device link"),
    "a daemon left behind": ("orphan(lambda: os.execvp('sh', ['sh', '-c', 'sleep 60; : $token']))", COUNTED, ""),
    "records forged": ("[(out / n).write_text('{\"status\": \"completed\"}') for n in ('run.json', 'score.json', 'log.txt', 'metered.npy')]", COUNTED, ""),
    "a log without end": ("[print('x' * 10**5) for _ in range(2000)]", None, ""),
    "a log of escapes": ("print('\\x1b[2J\\x1b]0;owned\\x07\\u202e<script>alert(1)</script>')", COUNTED, ""),
}  # fmt: skip


def tight(spec: dict[str, Any]) -> None:
    lean(spec)
    spec["experiments"]["walk"]["limits"] = {"cpu": "1 s", "memory": "96 MiB", "processes": 8, "disk": "1 MiB"}


@pytest.fixture(scope="module")
def tight_folder(home: Path) -> Path:
    return write_paper(home / "tight-and-hostile" / "lean", tight)


def records_of(road: Road) -> dict[str, RunRecord]:
    """The records of a submission's runs by label."""
    done = read(road.records / "rerun.json", Rerun)
    units = [unit for unit in units_of(road, done) if unit.author == "submission"]
    found = known_records(units, road.store)
    return {unit.label: found[unit.key] for unit in units}


def leaf(score: Score, id: str) -> ClaimScore:
    return next(claim for claim in score.claims if claim.id == id)


QUICK = ("objects", "a named pipe", "a file of holes", "a daemon left behind", "records forged")
CASES = [pytest.param(*case, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, case in HARMS.items()]


@pytest.mark.parametrize(("harm", "status", "says"), CASES)
def test_it_harms_itself_alone(submit: Submit, tight_folder: Path, harm: str, status: str | None, says: str) -> None:
    token = f"hostile-{uuid.uuid4().hex}"
    harmed = WORK.replace("def walk(", HARM.format(harm=indent(harm.replace("$token", token), " " * 8)), 1)
    begun = time.monotonic()
    road, score = submit({"reproduction/work.py": harmed}, folder=tight_folder)
    assert time.monotonic() - begun < 60
    assert alive(token) == []
    records = records_of(road)
    spoilt = [record for label, record in records.items() if "noisy" in label and "pinned" in label]
    assert spoilt
    assert {record.status for record in records.values() if record not in spoilt} == {"completed"}
    assert {record.status for record in spoilt} <= ({status} if status else {COUNTED, SPOILT, LOST, "killed"}), spoilt
    assert score.score.coverage == 1.0  # no fault of ours
    for name in ("number_reference", "exact_published", "exact_reference"):
        assert leaf(score, name).score > 0.7
    found = leaf(score, "number_published")
    assert says.lower() in found.explanation.lower(), found.explanation
    if status not in (COUNTED, None):
        assert (found.verdict, found.score, score.verdict) == (Verdict.MISSING, 0.0, "FAIL")
    for record in records.values():
        outputs = road.store.run(record.key) / "outputs"
        digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in outputs.iterdir()}
        assert digests == dict(record.outputs), "what is judged is what was collected"
        assert "MET" not in record.log_tail
        text = (road.store.run(record.key) / "log.txt").read_text()
        assert len(text) < 300_000
        assert not {"\x1b", "\u202e"} & set(text)
    shown = write_page(road.desk, paper=road.paper).read_text()
    assert "<script>alert" not in shown
    assert "\x1b" not in shown
