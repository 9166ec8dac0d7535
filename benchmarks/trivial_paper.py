"""A paper whose runs cost next to nothing, written through the public paper format: what is left is the harness."""

from __future__ import annotations

from pathlib import Path

FILES = {
    "paper.yaml": """\
title: The mean of uniform numbers
authors: [Nobody]
venue: none
year: 2000
award: {name: none, source: a benchmark of the harness itself}
summary: The mean of a hundred uniform numbers is about a half.
seeds: {looks: [3], reference: 2}
budgets:
  standard: {working: 1 h, wall: 1 h, cpu: 1 h}
experiments:
  drawing:
    summary: A hundred numbers are drawn.
    instances:
      pinned: {scale: 1.0}
      held_out: {count: 1}
    outputs:
      drawn: {file: drawn.json, keys: {numbers: list}}
    limits: {cpu: 10 s, memory: 256 MiB, processes: 8, disk: 16 MiB}
metrics:
  mean: {summary: Mean of the numbers, trust: recomputed}
claims:
  mean_is_a_half:
    statement: The mean of the numbers is a half of their scale.
    kind: numeric
    metric: mean
    of: {experiment: drawing, instance: pinned}
    target:
      value: 0.5
      margin: 0.25
      n: 1
      spread: {kind: none}
      provenance: {kind: derived, where: the mean of the uniform distribution}
    weight: 1
    core: true
  mean_is_positive:
    statement: The mean of the numbers is above a tenth.
    kind: threshold
    metric: mean
    of: {experiment: drawing, instance: pinned}
    above: 0.1
    provenance: {kind: derived, where: five standard deviations below the mean}
    weight: 1
  fresh_mean:
    statement: On a scale drawn for the attempt the mean is the reference's.
    kind: numeric
    metric: mean
    of: {experiment: drawing, instance: held_out}
    target: {reference: true, margin: {relative: 0.5}}
    weight: 1
    core: true
rubric:
  all:
    statement: Everything that is claimed.
    weight: 1
    leaves: [mean_is_a_half, mean_is_positive, fresh_mean]
""",
    "brief.md": "# The mean of uniform numbers\n\n`drawing`: draw a hundred numbers from [0, scale).\n",
    "metrics.py": '''\
"""How a run is measured."""


def mean(outputs, instance, parameters):
    """Mean of the numbers that were drawn."""
    numbers = outputs["drawn"]["numbers"]
    return sum(numbers) / len(numbers)
''',
    "starter/reproduction/__init__.py": "",
    "starter/reproduction/__main__.py": '''\
"""Entry point of the contract."""

raise NotImplementedError
''',
    "private/instances.py": '''\
"""Held-out instances."""


def draw(experiment, rng):
    """A scale."""
    return {"scale": float(rng.uniform(1.0, 2.0))}
''',
    "private/mutations.yaml": "[]\n",
    "private/reference/reproduction/__main__.py": '''\
"""Entry point of the contract."""

import json
import random
import sys

with open(sys.argv[1]) as file:
    run = json.load(file)
rng = random.Random(run["seed"])
numbers = [run["instance"]["scale"] * rng.random() for _ in range(100)]
with open(sys.argv[2] + "/drawn.json", "w") as file:
    json.dump({"numbers": numbers}, file)
''',
}


def write_paper(folder: Path) -> Path:
    """Write the paper into a new folder `trivial` below the given one, and give its path."""
    for name, text in FILES.items():
        path = folder / "trivial" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder / "trivial"
