"""What the benchmark scripts share: timing side by side, rows with goals, printing."""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # as the command line has it; numpy reads them when it is imported

Report = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure, its peer's beside it, and the goal it has to meet."""

    name: str
    measured: float | None
    unit: str
    peer: str | None = None
    peer_measured: float | None = None
    ratio: float | None = None
    """Measured divided by the peer's, as the median over pairs where the two ran in turn."""
    goal: str | None = None
    met: bool | None = None
    """None: there is no goal."""
    least: float | None = None
    """The smallest of the times, which other work on the machine disturbs least."""
    peer_least: float | None = None
    note: str = ""
    """Why a figure is absent, or what it is."""


@dataclass(slots=True, kw_only=True)
class Runs:
    """Seconds of several things that ran in turn: the n-th times of all belong to one round."""

    seconds: dict[str, list[float]] = field(default_factory=dict)

    def median(self, name: str) -> float:
        """Median seconds."""
        return median(self.seconds[name])

    def least(self, name: str) -> float:
        """Smallest of the seconds."""
        return min(self.seconds[name])

    def ratio(self, name: str, other: str) -> float:
        """Median over rounds of one time divided by another, which a change of the machine's load hardly moves."""
        return median(a / b for a, b in zip(self.seconds[name], self.seconds[other], strict=True))

    def difference(self, name: str, other: str) -> float:
        """Median over rounds of one time minus another, in seconds."""
        return median(a - b for a, b in zip(self.seconds[name], self.seconds[other], strict=True))


def in_turn(things: Mapping[str, Callable[[], object]], repetitions: int, *, warm: int = 1) -> Runs:
    """Time several things side by side, one after the other in every round, the order reversed in every second one.

    Args:
        things: What to time, by name.
        repetitions: Rounds that count.
        warm: Rounds before them, which do not.
    """
    runs = Runs(seconds={name: [] for name in things})
    for turn in range(-warm, repetitions):
        for name, thing in things.items() if turn % 2 == 0 else reversed(things.items()):
            seconds = elapsed(thing)
            if turn >= 0:
                runs.seconds[name].append(seconds)
    return runs


def elapsed(thing: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    began = time.perf_counter()
    thing()
    return time.perf_counter() - began


def command(
    *words: str | Path,
    status: Sequence[int] = (0,),
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Callable[[], object]:
    """A call that runs a program to its end, and fails if its exit status is not one of those named."""

    def run() -> None:
        texts = [str(word) for word in words]
        done = subprocess.run(
            texts, capture_output=True, stdin=subprocess.DEVNULL, check=False, cwd=cwd, env=environment
        )
        if done.returncode not in status:
            said = (done.stderr or done.stdout).decode(errors="replace")[-2000:]
            raise RuntimeError(f"{' '.join(map(str, words))} ended with {done.returncode}: {said}")

    return run


def cpu_of(words: Sequence[str], environment: Mapping[str, str], *, cwd: Path | None = None) -> float:
    """CPU seconds of a program run to its end.

    Raises:
        RuntimeError: Its exit status is not 0.
    """
    with tempfile.TemporaryFile() as log:
        child = subprocess.Popen(words, env=environment, cwd=cwd, stdout=log, stderr=log)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)  # reaped here, for its usage
        if child.returncode != 0:
            log.seek(0)
            raise RuntimeError(f"{' '.join(words)}: {log.read().decode(errors='replace')[-2000:]}")
    return used.ru_utime + used.ru_stime


def ours(name: str) -> Path:
    """The path of one of our console scripts, in the environment that runs the benchmark."""
    return Path(sys.executable).with_name(name)


def compared(name: str, runs: Runs, this: str, other: str, *, scale: float = 1e3, unit: str = "ms") -> Row:
    """A row of two things that ran in turn, without a goal."""
    return Row(
        name=name, measured=scale * runs.median(this), unit=unit,
        peer=other, peer_measured=scale * runs.median(other), ratio=runs.ratio(this, other),
        least=scale * runs.least(this), peer_least=scale * runs.least(other),
    )  # fmt: skip


def machine() -> dict[str, object]:
    """What the figures were measured on, and how busy it was."""
    models = [s for s in Path("/proc/cpuinfo").read_text().splitlines() if s.startswith("model name")]
    return {
        "cpu": models[0].split(":")[1].strip() if models else platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 1),
    }


def options(doc: str | None, *, repetitions: int, peers: Sequence[str] = ()) -> argparse.ArgumentParser:
    """The options every script has; each peer gets a `--NAME-python`.

    Args:
        doc: The script's docstring.
        repetitions: The default number of rounds.
        peers: Names of peers.
    """
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repetitions", type=int, default=repetitions, help="rounds (default %(default)s)")
    for name in peers:
        parser.add_argument(f"--{name}-python", type=Path, help=f"a Python that has {name}; default: make one")
    if peers:
        parser.add_argument("--no-peers", action="store_true", help="leave the peers out")
    return parser


def report(rows: Sequence[Row], *, versions: Mapping[str, str], as_json: bool) -> int:
    """Print the rows; 0 if every goal is met, else 1."""
    own = {"reproof": version("reproof"), **versions}
    met = all(row.met is not False for row in rows)
    if as_json:
        content = {"machine": machine(), "versions": own, "rows": [asdict(row) for row in rows], "met": met}
        print(json.dumps(content, indent=1, allow_nan=False))
    else:
        print(_table(rows, own, met))
    return 0 if met else 1


def _table(rows: Sequence[Row], versions: Mapping[str, str], met: bool) -> str:
    about = machine()
    cpu = f"{about['cpu']}, {about['cores']} cores, load {about['load']}"
    head = ["", "median", "least", "beside", "median", "least", "ratio", "goal"]
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    left = {0, 3, 7}
    table = [
        "  ".join(c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True)))
        for line in lines
    ]
    return "\n".join([
        f"{cpu}, Linux {about['kernel']}, Python {about['python']}",
        "; ".join(f"{name} {number}" for name, number in versions.items()),
        *(line.rstrip() for line in table),
        "every goal met" if met else "A GOAL IS MISSED",
    ])  # fmt: skip


def _cells(row: Row) -> list[str]:
    goal = "" if row.goal is None else f"{row.goal} {'met' if row.met else 'MISSED'} "
    figures = [_figure(value, row.unit) for value in (row.measured, row.least, row.peer_measured, row.peer_least)]
    ratio = "" if row.ratio is None else f"{row.ratio:.3g}"
    return [row.name, *figures[:2], row.peer or "", *figures[2:], ratio, goal + row.note]


def _figure(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.4g} {unit}"
