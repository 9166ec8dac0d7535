"""Papers as tasks of Inspect, `inspect eval reproof/PAPER`: only the entry point `inspect_ai` leads here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

from inspect_ai import Task, task
from inspect_ai.agent import react
from inspect_ai.dataset import Sample
from inspect_ai.scorer import Score, Scorer, Target, mean, scorer, stderr
from inspect_ai.solver import TaskState
from inspect_ai.tool import bash
from inspect_ai.util import sandbox

from harness.exchange.inspect_sandbox import ReproofSandbox
from harness.folders import find_papers

_NAMESPACE = "reproof"
_MINUTES = 10
_PROMPT = """\
Reproduce the results of a paper in the Git repository that you are in, /reproof/work. Read BRIEF.md there first: it
says what is claimed, how every number is measured and what it weighs. TASK.md says what `python -m reproduction
RUN.json OUT/` has to do; the verbs of `reproof` that it names are for people, and you need none of them. There is no
network. Commit often. What is in the repository when you are done is rerun elsewhere, with seeds and instances that
nobody has seen, and scored claim by claim; partial work earns partial credit, and what you say of your own results
earns nothing.
"""


@scorer(metrics=[mean(), stderr()])
def rerun() -> Scorer:
    """The score of what the sample leaves in its workspace, rerun and judged outside."""

    async def score(state: TaskState, target: Target) -> Score:
        room = sandbox().as_type(ReproofSandbox)
        found = await room.call.ask("judge", tokens=state.token_usage)
        facts = {name: found[name] for name in ("attempt", "claims", "verdict") if name in found}
        return Score(
            value=found["value"],
            answer=found["verdict"],
            explanation="; ".join(found["reasons"]),
            metadata={**facts, "low": found.get("low"), "high": found.get("high")},
        )

    return score


def _task(paper: str) -> Callable[..., Task]:
    """The task of one paper."""

    def made(agent: str = "inspect", results: str = "results", overrides: str = "") -> Task:
        """One attempt a sample and epoch.

        Args:
            agent: How the records name who works, beside the model.
            results: Where Reproof keeps its records.
            overrides: Settings in Hydra's grammar, separated by spaces.
        """
        facts = {"paper": paper, "agent": agent, "overrides": f"results={results} {overrides}"}
        return Task(
            dataset=[Sample(id=paper, input=_PROMPT, metadata=facts)],
            solver=react(tools=[bash(timeout=60 * _MINUTES)]),
            scorer=rerun(),
            sandbox="reproof",
        )

    made.__name__ = made.__qualname__ = paper
    made.__module__ = _NAMESPACE
    return made


def register() -> dict[str, Callable[..., Task]]:
    """Register a task for each paper that is found here.

    Inspect puts the top-level package of a function before a task's name, and ours is called harness: so these
    functions belong to a module of the name that people know, which holds nothing else.
    """
    module = sys.modules.setdefault(_NAMESPACE, ModuleType(_NAMESPACE))
    found = {}
    for paper in find_papers():
        made = task(name=f"{_NAMESPACE}/{paper}")(_task(paper))
        setattr(module, paper, made)
        found[paper] = made
    return found


TASKS = register()
