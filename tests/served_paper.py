"""A small paper whose environments the harness owns: a corridor, walked to its ends, with a goal at one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tiny_paper import MAIN

ID = "reproof/Corridor-v0"
PAPER = """\
title: A corridor
authors: [A. Nobody]
venue: ICML
year: 2021
award: {name: None, source: a fixture}
code: null
summary: Who always walks to the same side finds a goal that is there.
seeds: {looks: [2, 3], reference: 2}
budgets:
  standard: {working: 1 h, wall: 1 d, cpu: 10 min, disk: 16 MiB, env_steps: 5 000}
experiments:
  walking:
    summary: Walk about, then walk to one side
    cases: [{to: right}, {to: left}]
    instances: {pinned: {goal: 2.0, side: 1}, held_out: {count: 1}}
    saturates: true
    outputs: {report: {file: report.json, keys: {walks: int}}}
    environments:
      reproof/Corridor-v0:
        {make: "environments.py:Corridor", steps: 400, evaluation_steps: 60, parameters: [goal, side]}
    limits: {cpu: 20 s, memory: 1 GiB, processes: 64, disk: 4 MiB}
  adding:
    summary: Add two numbers
    instances: {pinned: {a: 1, b: 2}, held_out: {count: 1}}
    deterministic: true
    outputs: {report: {file: report.json, keys: {sum: float}}}
    limits: {cpu: 10 s, memory: 256 MiB, processes: 8, disk: 4 MiB}
metrics:
  mean_return: {summary: mean return of the evaluation's episodes, trust: metered}
  walks: {summary: episodes of the training, trust: metered}
  error: {summary: distance from the sum, trust: recomputed}
claims:
  right_finds_it: &right
    statement: To the right there is the goal.
    kind: exact
    metric: mean_return
    of: {experiment: walking, instance: pinned, to: right}
    target: {value: 2.0, tolerance: 1.0e-9, provenance: {kind: derived, where: by hand}}
    weight: 2
    core: true
  left_does_not:
    <<: *right
    statement: To the left there is nothing.
    of: {experiment: walking, instance: pinned, to: left}
    target: {value: 0.0, tolerance: 1.0e-9, provenance: {kind: derived, where: by hand}}
    core: false
  fresh_side:
    statement: On a corridor drawn for the attempt, walking to the left earns what the reference earns.
    kind: numeric
    metric: mean_return
    of: {experiment: walking, instance: held_out, to: left}
    target: {reference: true, margin: {relative: 0.1}}
    weight: 2
  enough_walks:
    statement: The training has some walks.
    kind: threshold
    metric: walks
    of: {experiment: walking, instance: pinned, to: right}
    above: 3
    provenance: {kind: derived, where: "no walk takes more than a hundred steps"}
    weight: 1
  sum:
    <<: *right
    statement: The sum is right.
    metric: error
    of: {experiment: adding, instance: held_out}
    target: {value: 0.0, tolerance: 1.0e-9, provenance: {kind: derived, where: by hand}}
    weight: 1
rubric:
  all: {statement: All of it., weight: 1, leaves: [right_finds_it, left_does_not, fresh_side, enough_walks, sum]}
"""
ENVIRONMENTS = '''\
"""A corridor whose goal is on one side."""

import functools

import gymnasium
from gymnasium import spaces
from gymnasium.vector import SyncVectorEnv


class Corridor(gymnasium.Env):
    observation_space, action_space = spaces.Discrete(9), spaces.Discrete(2)

    def __init__(self, goal, side=1):
        self.goal, self.side = goal, side

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = 4 + int(self.np_random.integers(-1, 2))
        return self.at, {}

    def step(self, action):
        self.at += 2 * int(action) - 1
        reward = self.goal if self.at == 4 + 4 * self.side else 0.0
        return self.at, reward, self.at in (0, 8), False, {}


def make(phase="training", goal=2.0, side=1):
    return Corridor(goal, side)


def make_several(num_envs=1, phase="training", autoreset_mode="NextStep", **keywords):
    return SyncVectorEnv([functools.partial(make, **keywords)] * num_envs, autoreset_mode=autoreset_mode)


if "reproof/Corridor-v0" not in gymnasium.registry:
    gymnasium.register("reproof/Corridor-v0", entry_point=make, vector_entry_point=make_several)
'''
METRICS = """\
def mean_return(outputs, instance, parameters, metered):
    judged = (metered["stream"] == "evaluation") & (metered["outcome"] == "terminated")
    return float(metered["return"][judged].mean())


def walks(outputs, instance, parameters, metered):
    return float(((metered["stream"] == "training") & (metered["outcome"] == "terminated")).sum())


def error(outputs, instance, parameters):
    return abs(outputs["report"]["sum"] - instance["a"] - instance["b"])
"""
INSTANCES = """\
def draw(experiment, rng):
    if experiment == "adding":
        return {"a": float(rng.uniform()), "b": float(rng.uniform())}
    return {"goal": float(rng.uniform(1, 5)), "served": {"side": -1}}
"""
WORK = """\
import json
import random

import gymnasium

import environments


def work(run, folder, out):
    report = adding(run) if run["experiment"] == "adding" else walking(run)
    (out / "report.json").write_text(json.dumps(report))


def adding(run):
    return {"sum": float(run["instance"]["a"] + run["instance"]["b"])}


def walking(run):
    source, walks = random.Random(run["seed"]), 0
    env = gymnasium.make("reproof/Corridor-v0")
    left = run["environments"]["reproof/Corridor-v0"]["steps"]
    env.reset(seed=run["seed"])
    for _ in range(left):
        if env.step(source.randrange(2))[2]:
            walks += 1
            env.reset()
    judged = gymnasium.make("reproof/Corridor-v0", phase="evaluation")
    for _ in range(5):
        judged.reset()
        while not judged.step(int(run["parameters"]["to"] == "right"))[2]:
            pass
    return {"walks": walks}
"""
GREEDY = WORK.replace("range(left)", "range(left + 1)")
"""Takes a step more than it may, and does not heed that it is refused."""
HEEDFUL = GREEDY.replace(
    """        if env.step(source.randrange(2))[2]:
""",
    """        try:
            over = env.step(source.randrange(2))[2]
        except RuntimeError as error:
            print(error)
            break
        if over:
""",
)
"""Takes a step more than it may, and goes on with what it has when it is refused."""
FLOODING = (
    WORK.replace(
        "    source, walks",
        """    if run["parameters"]["to"] == "left":
        flood()
    source, walks""",
    )
    + """

def flood():
    import contextlib
    import os
    import socket

    control = socket.socket(fileno=os.dup(int(os.environ["REPROOF_GATEWAY"])))
    control.setblocking(False)
    for _ in range(5000):
        with contextlib.suppress(BlockingIOError):
            control.send(os.urandom(100))
    opened = [gymnasium.make("reproof/Corridor-v0") for _ in range(10_000)]
"""
)
"""Throws garbage at the gateway and opens environments without end, in one of its cases."""
MUTATIONS = """\
- name: the_other_way
  file: reproduction/work.py
  old: run["parameters"]["to"] == "right"
  new: run["parameters"]["to"] == "left"
  why: It walks to the other side.
  fails: [right_finds_it]
"""
BRIEF = """\
# A corridor

Write `walking` and `adding`.

<!-- reproof:experiments -->
<!-- /reproof:experiments -->

<!-- reproof:claims -->
<!-- /reproof:claims -->
"""
STUB = """\
def work(run, folder, out):
    raise NotImplementedError("yours to write")
"""
FILES = {
    "brief.md": BRIEF,
    "metrics.py": METRICS,
    "environments.py": ENVIRONMENTS,
    "starter/reproduction/__init__.py": "",
    "starter/reproduction/__main__.py": MAIN,
    "starter/reproduction/work.py": STUB,
    "private/instances.py": INSTANCES,
    "private/reference/reproduction/work.py": WORK,
    "private/mutations.yaml": MUTATIONS,
}
Edit = Callable[[dict[str, Any]], object]


def write_served(folder: Path, edit: Edit | None = None, **files: str) -> Path:
    """Write the paper into a folder, its paper.yaml edited, single files replaced by their stem."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files.get(path.stem, text))
    value = yaml.safe_load(PAPER)
    if edit is not None:
        edit(value)
    (folder / "paper.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    return folder


def corridor(spec: dict[str, Any]) -> dict[str, Any]:
    """The environment of the walk, to be edited."""
    found: dict[str, Any] = spec["experiments"]["walking"]["environments"][ID]
    return found
