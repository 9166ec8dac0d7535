"""Killing the harness: real commands in processes of their own, struck at moments drawn by chance, and asked again."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.cleanroom.hierarchy import host

REPROOF = (sys.executable, "-c", "from harness.cli.start import main; main()")
PATIENCE = 240.0
STARTING = 0.1
"""The share of kills that fall while a command starts, whatever its attempt has come to."""
STAGES = ("asked", "handed out", "at work", "worked", "handed in", "rerun", "scored", "ended", "done")
"""What the records say an attempt has come to, at the moment of a kill."""
_STRIKING = Path(__file__).with_name("striking")
_BWRAP = """\
#!/bin/sh
# notes which run begins, and when, before it begins
if [ "$1" = --args ]; then
    inputs=$(tr '\\0' '\\n' < "/proc/self/fd/$2" | grep -x -B 1 /reproof/run | head -n 1)
    [ -n "$inputs" ] && echo "$(date +%s.%N) $(cat "$inputs/RUN.json")" >> "{log}"
fi
exec {bwrap} "$@"
"""


@dataclass
class Place:
    """A folder with results, papers, temporary files and a clean room whose runs are counted."""

    folder: Path
    environment: dict[str, str]
    results_name: str = "results"
    started: list[int] = field(default_factory=list)
    """Process ids of all commands."""

    @classmethod
    def made(cls, folder: Path, environment: dict[str, str], bwrap: Path) -> Place:
        """Lay it out; `bwrap` is the program that makes clean rooms."""
        programs, scratch = folder / "bin", folder / "tmp"
        programs.mkdir(parents=True)
        scratch.mkdir()
        (programs / "bwrap").write_text(_BWRAP.format(log=folder / "begun.log", bwrap=bwrap))
        (programs / "bwrap").chmod(stat.S_IRWXU)
        path = f"{programs}{os.pathsep}{environment['PATH']}"
        return cls(folder=folder, environment={**environment, "PATH": path, "TMPDIR": str(scratch)})

    @property
    def results(self) -> Path:
        return self.folder / self.results_name

    def begun(self) -> list[tuple[float, str]]:
        """When which run began in the clean room, in seconds since 1970."""
        log = self.folder / "begun.log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [(float(at), run) for at, _, run in (line.partition(" ") for line in lines)]

    def start(self, *words: object, **more: str) -> subprocess.Popen[str]:
        """Begin a command; `more` are variables of its environment."""
        process = subprocess.Popen(
            [*REPROOF, *map(str, words)],
            cwd=self.folder,
            env={**self.environment, **more},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.started.append(process.pid)
        return process

    def leftovers(self) -> list[str]:
        """What a harness that is at its end must not leave: staged files and folders, beside results or in /tmp."""
        staged = [path for path in self.folder.rglob("*") if _is_staged(path.name)]
        mounts = [line for line in Path("/proc/mounts").read_text().splitlines() if str(self.folder) in line]
        own = [path for path in (self.folder / "tmp").iterdir() if not _is_trial(path)]
        return sorted(map(str, {*staged, *own, *self._groups(), *mounts}))

    def _groups(self) -> list[Path]:
        """Control groups of commands that were killed."""
        groups = [path for base in host().bases for path in base.glob("reproof-*-*-*-*")]
        return [path for path in groups if int(path.name.split("-")[2]) in self.started]

    def alive(self) -> list[str]:
        """Processes that have to do with this place, but for this one; their command lines."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    line = (entry / "cmdline").read_bytes()
                except OSError:
                    continue
                if str(self.folder).encode() in line:
                    found.append(line.replace(b"\0", b" ").decode(errors="replace")[:200])
        return found


def _is_staged(name: str) -> bool:
    """Whether it is what ours write before they move it, or MLflow."""
    return re.search(r"\.scratch$|^\..*\.[0-9a-f]{32}$|^\.artifact\.uploading\.", name) is not None


def _is_trial(path: Path) -> bool:
    """Whether Python itself has tried there whether it can write: four bytes, which a kill may leave."""
    return re.fullmatch(r"[a-z0-9_]{8}", path.name) is not None and path.is_file() and path.stat().st_size <= 4


@dataclass(frozen=True)
class Kill:
    """One kill, and where it fell."""

    verb: str
    stage: str
    after: float
    """Seconds since the command began."""


@dataclass
class Killer:
    """Strikes commands at moments drawn by chance, so that every stage gets its share."""

    place: Place
    chance: random.Random
    kills: list[Kill] = field(default_factory=list)
    commands: int = 0
    _since: int = 0
    """Kills before those of the attempt under way."""
    lengths: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.5))
    """Seconds that a stage is thought to take."""

    def attempt(self, *words: object, most: int = 0, stages: Sequence[str] = ()) -> dict[str, Any]:
        """Ask for an attempt, again and again until it ends; its score.

        Args:
            words: The verb and what is asked for.
            most: How many kills at most, at moments drawn by chance.
            stages: Where the kills fall, in place of that.
        """
        self._since = len(self.kills)
        for target in [*stages, *[""] * most]:
            done = self._struck(words, target or self._target())
            if done is not None:
                return done
        return self.whole(*words)

    def learn(self, *words: object) -> None:
        """How long each stage takes: one attempt elsewhere, which is not killed."""
        place = Place(folder=self.place.folder, environment=self.place.environment, results_name="learned")
        process = place.start(*words, "results=learned")
        began, seen = time.monotonic(), {"asked": 0.0}
        while process.poll() is None:
            seen.setdefault(stage_of(place.results)[0], time.monotonic() - began)
            time.sleep(0.002)
        assert process.returncode == 0, process.communicate()[1]
        process.communicate()
        seen["gone"] = time.monotonic() - began
        times = list(seen.items())
        self.lengths |= {name: later - at for (name, at), (_, later) in pairwise(times)}
        (self.place.folder / "begun.log").unlink(missing_ok=True)

    def _window(self, target: str) -> float:
        """Seconds within which a stage is struck: the more often it was in this attempt, the less of it is left."""
        had = sum(kill.stage == target for kill in self.kills[self._since :])
        return 1.2 * self.lengths[target] / (1 + had)

    def _target(self) -> str:
        """The stage that the attempt is at, or one to come: mostly near, so that many kills fall into one attempt."""
        if self.chance.random() < STARTING:
            return "asked"
        to_come = STAGES[STAGES.index(stage_of(self.place.results)[0]) % STAGES.index("done") : -1]
        return to_come[min(int(self.chance.expovariate(1.0)), len(to_come) - 1)]

    def _struck(self, words: Sequence[object], target: str) -> dict[str, Any] | None:
        """One command, killed once it has come to a stage and a while has passed; what it printed if it was quicker."""
        process, began = self.place.start(*words), time.monotonic()
        self.commands += 1
        waiting, here = self.chance.uniform(0.0, self._window(target)), STAGES.index(target)
        taken = stage_of(self.place.results)[1]
        while process.poll() is None and not _is_at(stage_of(self.place.results), here, taken):
            assert time.monotonic() - began < PATIENCE, f"it never came to {target}"
            time.sleep(0.002)
        try:
            process.wait(timeout=waiting)
        except subprocess.TimeoutExpired:
            self._strike(process, str(words[0]), began, taken)
        out, said = process.communicate(timeout=PATIENCE)
        if process.returncode == 0:
            return json.loads(out)  # type: ignore[no-any-return]
        assert process.returncode == -signal.SIGKILL, said
        return _whole(out)

    def _strike(self, process: subprocess.Popen[str], verb: str, began: float, taken: int) -> None:
        alone = self.chance.random() < 0.5
        stage, now = stage_of(self.place.results)
        os.kill(process.pid, signal.SIGKILL) if alone else os.killpg(process.pid, signal.SIGKILL)
        starting = now == taken and stage not in ("asked", "done")
        self.kills.append(Kill(verb, f"{stage}, starting" if starting else stage, time.monotonic() - began))

    def verb(self, *words: object, kills: int, within: float, anew: Callable[[], object] | None = None) -> Any:
        """Ask for something of a verb, killed so many times within so many seconds; what it prints in the end.

        Args:
            words: The verb and its arguments.
            kills: How many at most.
            within: Seconds that it takes, about; each part of them gets its share of the kills.
            anew: Called where it was quicker than the kill, so that there is something to do again; None: that ends it.
        """
        for number in range(kills):
            process, began = self.place.start(*words), time.monotonic()
            self.commands += 1
            try:
                process.wait(timeout=within * (number + self.chance.random()) / kills)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                self.kills.append(Kill(str(words[0]), str(words[0]), time.monotonic() - began))
            out, said = process.communicate(timeout=PATIENCE)
            assert process.returncode in (0, -signal.SIGKILL), said
            whole = _whole(out)
            if whole is not None and anew is None:
                return whole
            if whole is not None and anew is not None:
                anew()
        return self.whole(*words)

    def whole(self, *words: object) -> Any:
        """Ask, and let it end."""
        self.commands += 1
        process = self.place.start(*words)
        out, said = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, said
        return json.loads(out)

    def steps(self, *words: object) -> list[str]:
        """What a command does to files and which programs it begins, in this order, one of each kind."""
        self._until("", *words)
        return (self.place.folder.parent / "steps").read_text().splitlines()

    def before(self, step: str, *words: object) -> None:
        """Kill a command before a step; where it comes to none such, it ends by itself."""
        self._until(step, *words)

    def _until(self, step: str, *words: object) -> None:
        log, alone = self.place.folder.parent / "steps", self.chance.random() < 0.5
        log.write_text("")
        order = {"place": str(self.place.folder), "log": str(log), "step": step, "group": not alone}
        path = os.pathsep.join([str(_STRIKING), *filter(None, [self.place.environment.get("PYTHONPATH")])])
        began = time.monotonic()
        process = self.place.start(*words, PYTHONPATH=path, REPROOF_STRIKE=json.dumps(order))
        self.commands += 1
        _, said = process.communicate(timeout=PATIENCE)
        assert process.returncode in (0, -signal.SIGKILL) or "its process ended with -9" in said, said
        if process.returncode:
            self.kills.append(Kill(str(words[0]), f"before {step}", time.monotonic() - began))

    def length_of(self, *words: object) -> float:
        """Seconds that a command takes that is not killed."""
        began = time.monotonic()
        self.whole(*words)
        return time.monotonic() - began

    def figures(self) -> str:
        """How many kills fell where."""
        share = Counter(kill.stage for kill in self.kills)
        told = ", ".join(f"{name} {share[name]}" for name in sorted(share))
        return f"{len(self.kills)} kills of {self.commands} commands: {told}"


def _whole(out: str) -> dict[str, Any] | None:
    """What a command printed that was killed after it had said all."""
    try:
        return json.loads(out)  # type: ignore[no-any-return]
    except ValueError:
        return None


def _is_at(found: tuple[str, int], here: int, taken: int) -> bool:
    """Whether a command has taken up the plan, and its attempt has come this far; or is just asked for."""
    stage, now = found
    return here == 0 or (now > taken and STAGES.index(stage) >= here)


def stage_of(results: Path) -> tuple[str, int]:
    """What the newest plan there has come to, and how often plans were taken up."""
    plans = sorted(results.glob("plans/*/journal.jsonl"))
    events = [json.loads(line) for path in plans for line in path.read_bytes().split(b"\n")[:-1]]
    taken = sum(event["kind"] == "taken up" for event in events)
    own = [json.loads(line) for line in plans[-1].read_bytes().split(b"\n")[:-1]] if plans else []
    kinds = [event["kind"] for event in own]
    names = [event["attempt"] for event in own if event["kind"] in ("begun", "continued")]
    if "done" in kinds:
        return "done", taken
    if not names:
        return "asked", taken
    if "ended" in kinds:
        return "ended", taken
    return _stage(results / "attempts" / names[-1]), taken


def _stage(folder: Path) -> str:
    last = folder / "submissions/001"
    for name, record in (("scored", "score.json"), ("rerun", "rerun.json"), ("handed in", "submission.json")):
        if (last / record).exists():
            return name
    ledger = folder / "ledger.jsonl"
    lines = ledger.read_bytes() if ledger.exists() else b""
    if b'"worked":true' in lines:
        return "worked"
    return "at work" if b'"resumed"' in lines else "handed out"
