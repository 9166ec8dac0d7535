"""Steps a second through the gateway, beside the same environments in process and in AsyncVectorEnv.

Run `python benchmarks/gateway.py [--json] [--repetitions N] [--case NAME] [--cores free|busy]`. The client runs in the
clean room, where the three take turns; ratios are medians over paired rounds. It runs once with the cores free and once
with one taken by a busy loop. Figures of a machine that does other work beside are provisional. It also measures
what a million steps add to the server's memory, and how many metered runs at once get the most steps out of the cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.pop(0)  # this folder, where statistics.py would shadow the standard library's
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from statistics import median

from benchmarks.measuring import machine, options
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Collect, Job, Limits, Mount, Sandbox
from harness.gateway.host import Gateway, serving
from harness.gateway.offer import Offer, Served

LIMITS = Limits(cpu=3600, wall=3600, memory=2 << 30, processes=256, disk=16 << 20)
CASES = {
    "one CartPole-v1": ("CartPole-v1", 0, 3000, 400, {"free": (0.70, 15.0), "busy": (0.40, 4.0)}),
    "one Swimmer-v5": ("Swimmer-v5", 0, 800, 250, {"free": (0.60, 3.5), "busy": (0.60, 2.2)}),
    "8 CartPole-v1": ("CartPole-v1", 8, 800, 150, {"free": (0.85, 6.0), "busy": (0.85, 8.0)}),
    "8 Swimmer-v5": ("Swimmer-v5", 8, 120, 60, {"free": (0.90, 2.2), "busy": (0.75, 4.0)}),
    "64 CartPole-v1": ("CartPole-v1", 64, 120, 15, {"free": (1.00, 13.0), "busy": (0.90, 18.0)}),
}
"""Environment, how many (0: a single one), vector steps a round, of AsyncVectorEnv's too, and goals by cores."""
STEPPED = """
import json, sys, time
import gymnasium, numpy as np

name, count, steps, slow, repetitions = json.loads(sys.argv[1])
ours = f"reproof/{name}"
if count:
    kinds = {
        "in_process": gymnasium.make_vec(name, num_envs=count, vectorization_mode="sync"),
        "gateway": gymnasium.make_vec(ours, num_envs=count),
        "async": gymnasium.make_vec(name, num_envs=count, vectorization_mode="async"),
    }
else:
    kinds = {
        "in_process": gymnasium.make(name),
        "gateway": gymnasium.make(ours),
        "async": gymnasium.make_vec(name, num_envs=1, vectorization_mode="async"),
    }


def rate(kind, env, steps):
    actions = [env.action_space.sample() for _ in range(64)]
    single = not isinstance(env, gymnasium.vector.VectorEnv)
    env.reset(seed=1)
    began = time.perf_counter()
    for step in range(steps):
        _, _, terminated, truncated, _ = env.step(actions[step % 64])
        if single and (terminated or truncated):
            env.reset()
    return steps * max(count, 1) / (time.perf_counter() - began)


rates = {kind: [] for kind in kinds}
for turn in range(repetitions + 1):
    for kind in list(kinds) if turn % 2 else reversed(list(kinds)):
        found = rate(kind, kinds[kind], slow if kind == "async" else steps)
        if turn:
            rates[kind].append(found)
for env in kinds.values():
    env.close()
with open("/out/rates.json", "w") as file:
    json.dump(rates, file)
"""
HOG = "while True: pass"
LEARNT = """
import json, random, sys, time
import gymnasium

name, steps, work = json.loads(sys.argv[1])
env, values = gymnasium.make(f"reproof/{name}"), [0.0] * 1000
env.reset(seed=1)
began = time.perf_counter()
for step in range(steps):
    _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
    for _ in range(work):  # as much Python as a tabular learner does a step
        place = random.randrange(1000)
        values[place] += 0.5 * (reward + 0.9 * max(values[place - 4 : place]  or [0.0]) - values[place])
    if terminated or truncated:
        env.reset()
with open("/out/seconds.json", "w") as file:
    json.dump(time.perf_counter() - began, file)
"""
LEARNERS = {"CartPole-v1": (30_000, 8), "Swimmer-v5": (8_000, 8)}
"""Environment, steps, and updates of a table a step, of the runs that are done at once."""
AT_ONCE, REPEATED = (1, 2, 3, 4), 5
MEMORY_GOAL = 20.0
"""MB that a million steps may add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Steps a second of one case, and the ratios that have goals."""

    case: str
    cores: str
    in_process: float
    async_: float
    gateway: float
    ratio_in_process: float
    ratio_async: float
    goal_in_process: float
    goal_async: float

    @property
    def met(self) -> bool:
        """Whether both goals are met."""
        return self.ratio_in_process >= self.goal_in_process and self.ratio_async >= self.goal_async

    def row(self) -> dict[str, object]:
        """The figure as it is printed."""
        return {name.rstrip("_"): value for name, value in asdict(self).items()}


def main() -> int:
    """Measure, print, and end with 0 if every goal is met."""
    parser = options(__doc__, repetitions=15)
    parser.add_argument("--case", choices=list(CASES), action="append", help="only this one; may be repeated")
    parser.add_argument("--cores", choices=["free", "busy"], action="append", help="only so; both if left out")
    chosen = parser.parse_args()
    room = open_sandbox()
    figures = []
    for cores in chosen.cores or ("free", "busy"):
        with _taken(cores):
            figures += [_figure(room, case, cores, chosen.repetitions) for case in chosen.case or CASES]
    beside = (
        {} if chosen.case or chosen.cores else {"memory_mb": _memory(room), "scheduling": _scheduling(room, REPEATED)}
    )
    _print(figures, beside, as_json=chosen.json)
    return 0 if all(figure.met for figure in figures) and beside.get("memory_mb", 0.0) <= MEMORY_GOAL else 1


@contextmanager
def _taken(cores: str) -> Iterator[None]:
    """One core taken by another program, if it is to be."""
    if cores == "free":
        yield
        return
    hog = subprocess.Popen([sys.executable, "-c", HOG])
    try:
        yield
    finally:
        hog.kill()
        hog.wait()


def _figure(room: Sandbox, case: str, cores: str, repetitions: int) -> Figure:
    name, count, steps, slow, goals = CASES[case]
    with _serving(name) as gateway:
        rates = _told(room, gateway, STEPPED, [name, count, steps, slow, repetitions], "rates.json")

    def ratio(other: str) -> float:
        return median(a / b for a, b in zip(rates["gateway"], rates[other], strict=True))

    return Figure(
        case=case, cores=cores, in_process=median(rates["in_process"]), async_=median(rates["async"]),
        gateway=median(rates["gateway"]), ratio_in_process=ratio("in_process"), ratio_async=ratio("async"),
        goal_in_process=goals[cores][0], goal_async=goals[cores][1],
    )  # fmt: skip


@contextmanager
def _serving(name: str) -> Iterator[Gateway]:
    served = Served(make=name, keywords={}, steps=2**62, evaluation_steps=0, max_episode_steps=None)
    with tempfile.TemporaryDirectory() as folder:
        offer = Offer(environments={f"reproof/{name}": served}, secret="benchmark", log=folder)
        with serving(offer, Path(folder)) as gateway:
            yield gateway


def _told(room: Sandbox, gateway: Gateway, code: str, words: list[object], file: str) -> Any:
    """Run a client in the clean room beside a server, and read what it has written."""
    with tempfile.TemporaryDirectory() as folder:
        script, out = Path(folder, "client.py"), Path(folder, "out")
        out.mkdir()
        script.write_text(code)
        job = Job(
            command=("python", "/client.py", json.dumps(words)),
            limits=LIMITS,
            mounts=(Mount(source=script, target="/client.py"),),
            collect=Collect(files=(file,), into=out),
        )
        done = room.run(gateway.dress(job))
        if done.exit != 0:
            raise RuntimeError(f"{words}: {done.killed_by} {done.log[-2000:]}")
        return json.loads((out / file).read_text())


def _scheduling(room: Sandbox, repetitions: int) -> list[dict[str, object]]:
    """Steps a second of all runs together, by how many there are at once."""
    rates: dict[tuple[str, int], list[float]] = {(name, at_once): [] for name in LEARNERS for at_once in AT_ONCE}
    for _ in range(repetitions):
        for name, at_once in rates:
            rates[name, at_once].append(_together(room, name, at_once))
    return [
        {"environment": name, "at_once": at_once, "steps_a_second": median(found)}
        for (name, at_once), found in rates.items()
    ]


def _together(room: Sandbox, name: str, at_once: int) -> float:
    steps, work = LEARNERS[name]
    with ExitStack() as servers, ThreadPoolExecutor(at_once) as pool:
        gateways = [servers.enter_context(_serving(name)) for _ in range(at_once)]
        runs = [pool.submit(_told, room, each, LEARNT, [name, steps, work], "seconds.json") for each in gateways]
        return sum(steps / run.result() for run in runs)


def _memory(room: Sandbox, steps: int = 1_000_000) -> float:
    """MB that so many steps add to the server, after as many have warmed it up as a round takes."""
    with _serving("CartPole-v1") as gateway:
        words: list[object] = ["CartPole-v1", 20_000, 0]
        _told(room, gateway, LEARNT, words, "seconds.json")
        before = gateway.resident
        _told(room, gateway, LEARNT, ["CartPole-v1", steps, 0], "seconds.json")
        return (gateway.resident - before) / 1e6


def _print(figures: list[Figure], beside: dict[str, Any], *, as_json: bool) -> None:
    versions = {name: version(name) for name in ("reproof", "gymnasium", "mujoco", "numpy")}
    rows = [figure.row() for figure in figures]
    if as_json:
        print(json.dumps({"machine": machine(), "versions": versions, "rows": rows, **beside}, indent=1))
        return
    print(*(f"{name} {value}" for name, value in {**machine(), **versions}.items()), sep=", ")
    for figure in figures:
        print(
            f"{figure.case:16} {figure.cores}  {figure.gateway:9.0f}/s  in process {figure.in_process:9.0f}/s "
            f"x{figure.ratio_in_process:.2f} (goal {figure.goal_in_process:g})  async {figure.async_:8.0f}/s "
            f"x{figure.ratio_async:.1f} (goal {figure.goal_async:g})  {'met' if figure.met else 'MISSED'}"
        )
    if not beside:
        return
    print(f"a million steps add {beside['memory_mb']:.1f} MB to the server (goal {MEMORY_GOAL:g})")
    for row in beside["scheduling"]:
        print(f"{row['environment']:12} {row['at_once']} runs at once  {row['steps_a_second']:9.0f} steps/s in all")


if __name__ == "__main__":
    sys.exit(main())
