# ruff: noqa: E501 -- the tables are easier to read in one line a case
"""A complete paper of next to nothing: every kind of claim, a probe, `needs`, held-out arrays and mutations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

PAPER = """\
title: A tiny paper
authors: [A. Nobody]
venue: ICML
year: 2021
award: {name: None, source: a fixture}
code: null
summary: A walk that fades as one over its step.
seeds: {looks: [3, 4], reference: 3}
budgets:
  standard: {working: 1 h, wall: 1 min, cpu: 10 s, disk: 16 MiB}
experiments:
  walk:
    summary: Walk four steps
    cases: [{method: noisy, step: 1.0}, {method: still, step: 0.5}]
    deterministic: [{method: still}]
    instances: {pinned: {goal: 3.0}, held_out: {count: 2}}
    outputs:
      position: {file: position.npy, dtype: float64, shape: [4]}
      report: {file: report.json, keys: {mean: float, steps: int}}
    limits: {cpu: 5 s, memory: 256 MiB, processes: 8, disk: 4 MiB}
  relay:
    summary: Double the last step of the walk
    cases: [{method: noisy}, {method: still}]
    deterministic: [{method: still}]
    needs: walk
    outputs: {twice: {file: twice.json, keys: {value: float}}}
    limits: {cpu: 5 s, memory: 256 MiB, processes: 8, disk: 4 MiB}
  update:
    summary: One update of three weights
    instances: {held_out: {count: 1}}
    deterministic: true
    outputs: {gradient: {file: gradient.npy, dtype: float64, shape: [3]}}
    limits: {cpu: 5 s, memory: 256 MiB, processes: 8, disk: 4 MiB}
metrics:
  mean_position: {summary: mean of the four positions, trust: recomputed}
  said_mean: {summary: the mean as the submission says it, trust: reported}
  trace: {summary: position against step, trust: recomputed, kind: curve}
  doubled: {summary: twice the last step, trust: recomputed}
claims:
  number_published:
    statement: The noisy walk has the published mean.
    kind: numeric
    metric: mean_position
    of: {experiment: walk, instance: pinned, method: noisy}
    target: {value: 1.5625, margin: 0.1, n: 5, spread: {kind: sd, value: 0.02}, provenance: {kind: paper, where: Table 1}}
    weight: 2
    core: true
  number_reference:
    statement: The noisy walk has the reference's mean on fresh goals.
    kind: numeric
    metric: mean_position
    of: {experiment: walk, instance: held_out, method: noisy}
    target: {reference: true, margin: {relative: 0.1}}
    weight: 2
    core: true
  number_relative:
    statement: The noisy walk is twice as high as the still one.
    kind: numeric
    metric: mean_position
    of: {experiment: walk, instance: pinned, method: noisy}
    relative_to: {experiment: walk, instance: pinned, method: still}
    target: {value: 2.0, margin: 0.1, n: 1, spread: {kind: none}, provenance: {kind: derived, where: by hand}}
    weight: 1
  number_said:
    statement: The submission says the mean that it has.
    kind: numeric
    metric: said_mean
    of: {experiment: walk, instance: pinned, method: noisy}
    target: {value: 1.5625, margin: 0.1, n: 5, spread: {kind: se, value: 0.01}, provenance: {kind: paper, where: Table 2}}
    weight: 1
  exact_published:
    statement: The still walk has this mean exactly.
    kind: exact
    metric: mean_position
    of: {experiment: walk, instance: pinned, method: still}
    target: {value: 0.78125, tolerance: 1e-9, provenance: {kind: derived, where: by hand}}
    weight: 1
    core: true
  exact_reference:
    statement: The still walk has the reference's mean exactly.
    kind: exact
    metric: mean_position
    of: {experiment: walk, instance: held_out, method: still}
    target: {reference: true, tolerance: 1e-9}
    weight: 1
  exact_relay:
    statement: The relay doubles the last step of the still walk.
    kind: exact
    metric: doubled
    of: {experiment: relay, instance: pinned, method: still}
    target: {value: 0.75, tolerance: 1e-9, provenance: {kind: derived, where: by hand}}
    weight: 1
  ordering_difference:
    statement: The noisy walk is higher than the still one.
    kind: ordering
    metric: mean_position
    higher: {experiment: walk, instance: pinned, method: noisy}
    lower: {experiment: walk, instance: pinned, method: still}
    provenance: {kind: unverified, where: recalled}
    weight: 1
  ordering_improvement:
    statement: The noisy relay is higher than the still one on most goals.
    kind: ordering
    metric: doubled
    higher: {experiment: relay, instance: held_out, method: noisy}
    lower: {experiment: relay, instance: held_out, method: still}
    by: improvement
    provenance: {kind: paper, where: Figure 1}
    weight: 1
  threshold_below:
    statement: The noisy walk stays below two.
    kind: threshold
    metric: mean_position
    of: {experiment: walk, instance: pinned, method: noisy}
    below: 2.0
    provenance: {kind: paper, where: section 3}
    weight: 1
  threshold_above:
    statement: The noisy walk stays above one.
    kind: threshold
    metric: mean_position
    of: {experiment: walk, instance: pinned, method: noisy}
    above: 1.0
    provenance: {kind: paper, where: section 3}
    weight: 1
  exponent_published:
    statement: The noisy walk fades as one over its step.
    kind: exponent
    metric: trace
    of: {experiment: walk, instance: pinned, method: noisy}
    target: {value: -1.0, margin: 0.1, n: 1, spread: {kind: none}, provenance: {kind: derived, where: by hand}}
    weight: 1
  curve_reference:
    statement: The noisy walk follows the reference's curve on fresh goals.
    kind: curve
    metric: trace
    of: {experiment: walk, instance: held_out, method: noisy}
    target: {reference: true, margin: 0.3}
    weight: 1
  curve_published:
    statement: The noisy walk follows the published curve.
    kind: curve
    metric: trace
    of: {experiment: walk, instance: pinned, method: noisy}
    target:
      x: [1, 2, 3, 4]
      mean: [3.0, 1.5, 1.0, 0.75]
      sd: [0.03, 0.02, 0.02, 0.02]
      n: 5
      margin: 0.2
      provenance: {kind: paper, where: Figure 2}
    weight: 1
probes:
  one_update:
    statement: One update is the reference's.
    of: {experiment: update, instance: held_out}
    compare: {gradient: {rtol: 1e-9, atol: 1e-12}}
    weight: 2
    core: true
rubric:
  numbers:
    statement: The numbers of the tables.
    weight: 3
    leaves: [number_published, number_reference, number_relative, number_said]
    groups:
      exact: {statement: What is known exactly., weight: 3, leaves: [exact_published, exact_reference, exact_relay]}
  shapes:
    statement: Orders and curves.
    weight: 2
    leaves: [ordering_difference, ordering_improvement, threshold_below, threshold_above, exponent_published, curve_reference, curve_published]
  algorithm: {statement: The update itself., weight: 1, leaves: [one_update]}
"""
METRICS = """\
import numpy as np


def mean_position(outputs, instance, parameters):
    return outputs["position"].mean()


def said_mean(outputs, instance, parameters):
    return outputs["report"]["mean"]


def trace(outputs, instance, parameters):
    position = outputs["position"]
    return np.column_stack([np.arange(1.0, len(position) + 1), position])


def doubled(outputs, instance, parameters):
    return outputs["twice"]["value"]
"""
INSTANCES = """\
import numpy as np


def draw(experiment, rng):
    if experiment == "update":
        return {"weights": rng.standard_normal(3), "rate": float(rng.uniform(0.1, 1))}
    return {"goal": float(rng.uniform(2, 4)), "shift": rng.uniform(0.5, 1.5, 4)}
"""
MAIN = """\
import json
import sys
from pathlib import Path

from reproduction.work import work

run = json.loads(Path(sys.argv[1]).read_text())
work(run, Path(sys.argv[1]).parent, Path(sys.argv[2]))
"""
STUB = """\
def work(run, folder, out):
    raise NotImplementedError("the walk is yours to write")
"""
WORK = """\
import ast
import json
import random
import struct


def load(path):
    data = path.read_bytes()
    size = struct.unpack("<H", data[8:10])[0]
    header = ast.literal_eval(data[10:10 + size].decode())
    return struct.unpack(f"<{header['shape'][0]}d", data[10 + size:])


def save(path, values):
    header = repr({"descr": "<f8", "fortran_order": False, "shape": (len(values),)})
    header = header + " " * (63 - (10 + len(header)) % 64) + chr(10)
    path.write_bytes(b"\\x93NUMPY\\x01\\x00" + struct.pack("<H", len(header)) + header.encode()
                     + struct.pack(f"<{len(values)}d", *values))


def work(run, folder, out):
    instance = {k: load(folder / v["npy"]) if isinstance(v, dict) else v for k, v in run["instance"].items()}
    if run["experiment"] == "walk":
        walk(run["parameters"], run["seed"], instance, out)
    elif run["experiment"] == "relay":
        report = json.loads(open(run["needs"]["walk"] + "/report.json").read())
        (out / "twice.json").write_text(json.dumps({"value": 2 * report["last"]}))
    else:
        save(out / "gradient.npy", [instance["rate"] * w for w in instance["weights"]])


def walk(parameters, seed, instance, out):
    rng = random.Random(seed)
    noise = 0.01 if parameters["method"] == "noisy" else 0.0
    scale = sum(instance.get("shift", [1.0])) / len(instance.get("shift", [1.0]))
    position = [scale * instance["goal"] * parameters["step"] / (i + 1) * (1 + noise * rng.gauss(0, 1)) for i in range(4)]
    save(out / "position.npy", position)
    (out / "report.json").write_text(json.dumps({"mean": sum(position) / 4, "steps": 4, "last": position[-1]}))
"""
MUTATIONS = """\
- name: doubled_step
  file: reproduction/work.py
  old: parameters["step"] / (i + 1)
  new: 2 * parameters["step"] / (i + 1)
  why: The step is taken twice.
  fails: [number_published, number_reference, exact_published]
- name: forgotten_rate
  file: reproduction/work.py
  old: instance["rate"] * w
  new: w
  why: The rate is forgotten in the update.
  fails: [one_update]
"""
LEAN_MUTATIONS = MUTATIONS[: MUTATIONS.index("- name: forgotten_rate")]
BRIEF = """\
# A tiny paper

Write `walk`, `relay` and `update`.

<!-- reproof:experiments -->
<!-- /reproof:experiments -->

<!-- reproof:claims -->
<!-- /reproof:claims -->
"""
FILES = {
    "paper.yaml": PAPER,
    "brief.md": BRIEF,
    "metrics.py": METRICS,
    "starter/reproduction/__init__.py": "",
    "starter/reproduction/__main__.py": MAIN,
    "starter/reproduction/work.py": STUB,
    "private/instances.py": INSTANCES,
    "private/reference/reproduction/work.py": WORK,
    "private/mutations.yaml": MUTATIONS,
}
Edit = Callable[[dict[str, Any]], object]


def write_paper(folder: Path, edit: Edit | None = None, **files: str) -> Path:
    """Write the paper into a folder, its paper.yaml edited, single files replaced by their stem."""
    files = {"mutations": LEAN_MUTATIONS, **files} if edit is lean else files
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files.get(path.stem, text))
    if edit is not None:
        value = yaml.safe_load(PAPER.replace("1e-9", "1.0e-9").replace("1e-12", "1.0e-12"))
        edit(value)
        (folder / "paper.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    return folder


def lean(spec: dict[str, Any]) -> None:
    """Leave only the walk and six of its claims: fewer runs where only the road matters."""
    del spec["experiments"]["relay"], spec["experiments"]["update"], spec["probes"], spec["metrics"]["doubled"]
    spec["experiments"]["walk"]["instances"]["held_out"] = {"count": 1}
    spec["seeds"] = {"looks": [2, 3], "reference": 2}
    kept = [
        "number_published",
        "number_reference",
        "number_said",
        "exact_published",
        "exact_reference",
        "threshold_below",
    ]
    spec["claims"] = {name: spec["claims"][name] for name in kept}
    spec["rubric"] = {"all": {"statement": "All of it.", "weight": 1, "leaves": kept}}
