"""Whether a paper's environments can be served, and made in process by whoever works outside the clean room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import gymnasium

from harness.attempt.plumbing import write_files
from harness.attempt.task import start_files
from harness.errors import PaperError
from harness.gateway.offer import Served
from harness.gateway.owned import make
from harness.gateway.spaces import refusal
from harness.paper.load import Paper
from harness.paper.source import read
from harness.rerun.instance import Instance, draw, pinned
from harness.rerun.served import served_in, stand_of
from harness.scratch import scratch

_PATIENCE = 120.0
"""Seconds for a fresh interpreter to open every environment once."""
_OUTSIDE = """\
import json, sys, gymnasium
register = None
try:
    import environments
    register = getattr(environments, "register", None)
except ModuleNotFoundError as error:
    if error.name != "environments":
        raise
found = {}
for id, (judged, instance) in json.load(sys.stdin).items():
    try:
        if register is not None:
            register(instance)
        gymnasium.make_vec(id, num_envs=2, autoreset_mode="SameStep").close()
        env = gymnasium.make(id, phase="evaluation") if judged else gymnasium.make(id)
        env.reset(seed=0)
        found[id] = {"spaces": f"{env.observation_space} and {env.action_space}"}
    except Exception as error:
        found[id] = {"problem": f"{type(error).__name__}: {error}"}
print(json.dumps(found))
"""


def environment_problems(paper: Paper) -> list[str]:
    """One sentence for each environment that cannot be served or opened, with the place in paper.yaml.

    Args:
        paper: The paper; instances are drawn as for an attempt where its generator is here.
    """
    if not any(spec.environments for spec in paper.spec.experiments.values()):
        return []
    served = list(dict.fromkeys(sentence for name in paper.spec.experiments for sentence in _experiment(paper, name)))
    return served or list(_outside(paper))


def _place(paper: Paper, experiment: str, id: str, *more: str) -> str:
    path = ("experiments", experiment, "environments", id, *more)
    return f"paper.yaml:{read(paper.folder / 'paper.yaml').line(path)} {'.'.join(path)}"


def _experiment(paper: Paper, name: str) -> Iterator[str]:
    """What is wrong with an experiment's environments on any of its instances."""
    if not paper.spec.experiments[name].environments:
        return
    for instance in _instances(paper, name):
        try:
            served = served_in(paper, name, instance)
        except PaperError as error:
            yield str(error)
            continue
        for id, one in served.items():
            problem = _problem(one)
            if problem is not None:
                yield f"{_place(paper, name, id, 'make')}: {problem} (on the instance {instance.label})"


def _instances(paper: Paper, experiment: str) -> list[Instance]:
    """Those that are pinned, and such as an attempt would be drawn."""
    drawn = (paper.private / "instances.py").is_file()
    spec = paper.spec.experiments[experiment]
    owner = experiment if spec.instances else str(spec.needs)
    return [*pinned(paper, experiment), *(draw(paper, owner, entropy=0) if drawn else ())]


def _problem(served: Served) -> str | None:
    """Why an environment cannot be served; None where it can."""
    try:
        env, _ = make(served)
    except gymnasium.error.Error as error:
        return f"Gymnasium cannot make {served.make}: {error}"
    except AttributeError as error:
        return f"environments.py lacks {served.make.rpartition(':')[2]}, or its constructor fails: {error}"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        return f"{served.make.rpartition('/')[2]} cannot be made with {_named(served.keywords)}: {said}"
    try:
        return _unfit(env)
    finally:
        env.close()


def _named(keywords: dict[str, Any]) -> str:
    return ", ".join(keywords) or "no parameters"


def _unfit(env: gymnasium.Env[Any, Any]) -> str | None:
    for name in ("observation_space", "action_space"):
        space = getattr(env, name, None)
        if space is None:
            return f"it has no {name}"
        wrong = refusal(space)
        if wrong is not None:
            return f"its {name} cannot be served: {wrong}"
    try:
        observation, _ = env.reset(seed=0)
        if observation not in env.observation_space:
            return f"reset() gives an observation outside of {env.observation_space}: {observation!r}"
        env.action_space.seed(0)
        env.step(env.action_space.sample())
    except Exception as error:
        return f"its first step fails: {type(error).__name__}: {error}"
    return None


def _outside(paper: Paper) -> Iterator[str]:
    """What is wrong with the same ids in a workspace, where no gateway is."""
    served = {id: (name, one) for name, spec in paper.spec.experiments.items() for id, one in spec.environments.items()}
    stand = stand_of(paper)
    asked = {
        id: (bool(one.evaluation_steps), _values(paper, stand.experiments.get(id))) for id, (_, one) in served.items()
    }
    opened = _opened(paper, asked)
    for id, (name, _) in served.items():
        found = opened.get(id, {"problem": opened.get("", {}).get("problem", "it was not opened")})
        place = _place(paper, stand.experiments.get(id, name), id)
        if "problem" in found:
            remedy = "environments.py has to register it for use in process (docs/add-a-paper.md, Environments)"
            yield f"{place}: outside the clean room it does not open: {found['problem']}; {remedy}"
        elif id in stand.environments and found["spaces"] != (ours := _spaces(stand.environments[id])):
            yield f"{place}: outside the clean room its spaces are {found['spaces']}, served they are {ours}"


def _values(paper: Paper, experiment: str | None) -> dict[str, Any]:
    """The instance that an environment is opened on, as RUN.json has it; empty where none is pinned."""
    instances = pinned(paper, experiment) if experiment else []
    return instances[0].as_sent() if instances else {}


def _spaces(served: Served) -> str:
    env, _ = make(served)
    try:
        return f"{env.observation_space} and {env.action_space}"
    finally:
        env.close()


def _opened(paper: Paper, asked: dict[str, tuple[bool, dict[str, Any]]]) -> dict[str, dict[str, str]]:
    """Every id, opened by a fresh interpreter in a workspace; beneath the empty id why none could be.

    Args:
        paper: The paper.
        asked: By id: whether it has an evaluation stream, and the instance that it is opened on.
    """
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with scratch("outside") as workspace:
        write_files(workspace, start_files(paper))
        try:
            done = subprocess.run(
                [sys.executable, "-c", _OUTSIDE], input=json.dumps(asked), cwd=workspace, env=own, capture_output=True,
                text=True, timeout=_PATIENCE,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {"": {"problem": f"it took more than {_PATIENCE:.0f} s"}}
    if done.returncode != 0:
        return {"": {"problem": (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]}}
    found: dict[str, dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return found
