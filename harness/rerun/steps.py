"""What a run took of the environments that the harness served it, kept and worded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from harness.gateway.offer import Closing
from harness.record.store import Record

_SHOWN = 3
"""Kinds of complaints of the gateway that are quoted."""


class StepsUsed(Record):
    """What a run used of one environment that the harness served."""

    training: int
    """Steps."""
    evaluation: int
    """Steps."""
    exhausted: bool
    """Whether a step was refused because the budget was spent."""

    @property
    def words(self) -> str:
        """The steps for people.

        >>> StepsUsed(training=1000, evaluation=0, exhausted=False).words
        '1,000 training steps'
        """
        parts = [f"{self.training:,} training"] if self.training or not self.evaluation else []
        parts += [f"{self.evaluation:,} evaluation"] if self.evaluation else []
        return f"{' and '.join(parts)} steps"


class ServedRun(Record):
    """One run of a submission beside environments that the harness served."""

    run: str
    """The run for people: experiment, case, instance, slot."""
    key: str
    experiment: str
    status: str
    env_steps: dict[str, StepsUsed]
    """By the id of each environment."""
    remarks: list[str]
    """What was amiss, a sentence each."""


def steps_used(closing: Closing | None) -> dict[str, StepsUsed]:
    """The record's form of what a server said when it ended."""
    if closing is None:
        return {}
    return {
        id: StepsUsed(training=steps.training, evaluation=steps.evaluation, exhausted=steps.exhausted)
        for id, steps in closing.used.items()
    }


def remarks(env_steps: Mapping[str, StepsUsed], misbehaved: Sequence[str]) -> list[str]:
    """What was amiss between a run and its environments, a sentence each; nothing where all was well."""
    said = [
        f"it asked for more steps of {id} than it may take, and was refused after {steps.words}"
        for id, steps in env_steps.items()
        if steps.exhausted
    ]
    if misbehaved:
        kinds = Counter(misbehaved).most_common(_SHOWN)
        quoted = "; ".join(f"{what} ({count} times or more)" if count > 1 else what for what, count in kinds)
        said.append(f"it broke the rules of talking to its environments: {quoted}")
    return said
