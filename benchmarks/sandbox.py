"""Start-up of the clean room over a bare start: `true` and `python -c pass`, and what each part of it costs.

Run `python benchmarks/sandbox.py [--json] [--repetitions N]`. The bare start and the clean room take turns; the
figure that has a goal is the median of the paired differences.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import Row, Runs, command, compared, cpu_of, in_turn, options, report
from harness.cleanroom import hierarchy, layout, seccomp
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.binary import find_binary
from harness.cleanroom.bubblewrap import JOIN
from harness.cleanroom.cgroup import Host
from harness.cleanroom.sandbox import Collect, Job, Limits, Sandbox, SandboxSettings
from harness.errors import SandboxError

MOST_MS = 15.0
LIMITS = Limits(cpu=10, wall=60, memory=512 << 20, processes=16, disk=16 << 20)
COMMANDS = {"true": ("true",), "python -c pass": ("python", "-c", "pass")}
PARTS = ("bare", "bubblewrap alone", "with seccomp", "a cgroup made and removed", "a shell that joins one")


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    chosen = options(__doc__, repetitions=40).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rooms = {"clean room": open_sandbox(), "backend process": open_sandbox(SandboxSettings(backend="process"))}
        isolation = rooms["clean room"].description()
        whole = {name: in_turn(_starts(words, rooms), chosen.repetitions) for name, words in COMMANDS.items()}
        used = {name: _cpu(words, rooms["clean room"], chosen.repetitions) for name, words in COMMANDS.items()}
        parts = in_turn(_parts(rooms["clean room"], Path(folder)), chosen.repetitions)
    rows = [row for name, runs in whole.items() for row in _over(name, runs)]
    rows += [compared(f"{name}: CPU of the job", runs, "clean room", "bare") for name, runs in used.items()]
    rows += _split(parts)
    return report(rows, versions={"clean room": isolation.version, **_waived(isolation.waivers)}, as_json=chosen.json)


def _waived(waivers: tuple[str, ...]) -> dict[str, str]:
    return {"waived": ", ".join(waivers)} if waivers else {}


def _starts(words: tuple[str, ...], rooms: dict[str, Sandbox]) -> dict[str, Callable[[], object]]:
    job = Job(command=words, limits=LIMITS)
    return {"bare": _bare(words)} | {name: _inside(room, job) for name, room in rooms.items()}


def _bare(words: tuple[str, ...]) -> Callable[[], object]:
    environment = layout.environment(Job(command=words, limits=LIMITS))
    return lambda: subprocess.run(words, env=environment, capture_output=True, check=True)


def _inside(room: Sandbox, job: Job) -> Callable[[], object]:
    def run() -> None:
        done = room.run(job)
        if done.exit != 0 or any(fate != "ok" for fate in done.collected.values()):
            raise RuntimeError(f"{job.command}: {done}")

    return run


def _cpu(words: tuple[str, ...], room: Sandbox, repetitions: int) -> Runs:
    """CPU seconds, which hardly depend on what else the machine does: the cgroup's, and the bare process's."""
    job = Job(command=words, limits=LIMITS)
    inside = [room.run(job).usage.cpu for _ in range(repetitions)]
    bare = [cpu_of(list(words), layout.environment(job)) for _ in range(repetitions)]
    return Runs(seconds={"clean room": inside, "bare": bare})


def _over(name: str, runs: Runs) -> Iterator[Row]:
    over = 1e3 * runs.difference("clean room", "bare")
    yield Row(
        name=f"{name}: clean room over bare", measured=over, unit="ms", goal=f"measured <= {MOST_MS:g}",
        met=over <= MOST_MS, least=1e3 * (runs.least("clean room") - runs.least("bare")),
    )  # fmt: skip
    yield compared(f"{name}: clean room", runs, "clean room", "bare")
    yield compared(f"{name}: backend process", runs, "backend process", "bare")


def _parts(room: Sandbox, folder: Path) -> dict[str, Callable[[], object]]:
    """Starts of `true` with more and more of what the clean room does."""
    job = Job(command=("true",), limits=LIMITS)
    binary, words = find_binary(), layout.arguments(job)
    parts: dict[str, Callable[[], object]] = {
        "bare": _bare(("true",)),
        "bubblewrap alone": command(binary, *words, "--", "true"),
        "with seccomp": lambda: _filtered(binary, words),
        "without files": _inside(room, job),
        "one file collected": _collecting(room, folder),
    }
    try:
        host = hierarchy.host()
    except SandboxError:
        return parts
    return parts | {
        "a cgroup made and removed": lambda: _group(host, None),
        "a shell that joins one": lambda: _group(host, ("true",)),
    }


def _filtered(binary: Path, words: list[str]) -> None:
    handle = os.memfd_create("seccomp")
    try:
        os.write(handle, seccomp.program())
        os.lseek(handle, 0, os.SEEK_SET)
        whole = [str(binary), *words, "--seccomp", str(handle), "--", "true"]
        subprocess.run(whole, pass_fds=(handle,), capture_output=True, check=True)
    finally:
        os.close(handle)


def _group(host: Host, words: tuple[str, ...] | None) -> None:
    group = host.create(memory=LIMITS.memory, processes=LIMITS.processes)
    try:
        if words is not None:
            subprocess.run(["/bin/sh", "-c", JOIN, "sh", *group.doors, "--", *words], capture_output=True, check=True)
    finally:
        group.close()


def _collecting(room: Sandbox, folder: Path) -> Callable[[], object]:
    serial = itertools.count()

    def run() -> None:
        into = folder / str(next(serial))
        into.mkdir()
        collect = Collect(files=("value",), into=into)
        _inside(room, Job(command=("/bin/sh", "-c", "echo 1 > /out/value"), limits=LIMITS, collect=collect))()

    return run


def _split(runs: Runs) -> Iterator[Row]:
    for name in PARTS:
        if name in runs.seconds:
            yield Row(name=f"part: {name}", measured=1e3 * runs.median(name), unit="ms", least=1e3 * runs.least(name))
    yield _more("all of the clean room over bubblewrap with seccomp", runs, "without files", "with seccomp")
    yield _more("one file collected over none", runs, "one file collected", "without files")


def _more(name: str, runs: Runs, this: str, other: str) -> Row:
    least = 1e3 * (runs.least(this) - runs.least(other))
    return Row(name=f"part: {name}", measured=1e3 * runs.difference(this, other), unit="ms", least=least)


if __name__ == "__main__":
    sys.exit(main())
