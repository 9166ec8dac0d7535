"""What a job of Harbor's left on disk: read as hostile input, nothing in it executed or followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec

from harness.attempt.attempt import Fault
from harness.attempt.submission import DEFAULT_LIMITS
from harness.errors import UsageError

RESULT = "result.json"
BUNDLES = ("artifacts/logs/artifacts/submission.bundle", "artifacts/submission.bundle")
"""Where a trial's commits may lie, beneath its folder."""
TRAJECTORY = "agent/trajectory.json"
MOST_TRIALS = 10_000
_LARGEST, _LARGEST_TRAJECTORY = 8 * 2**20, 64 * 2**20
_MODEL = ("Api", "Auth", "RateLimit", "ModelNotFound", "NetworkConnection")
_BUDGET = ("AgentTimeout", "OutputTokenExceeded", "UsageLimit")

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
_Dollars = Annotated[float, msgspec.Meta(ge=0, le=1e9)]


class _Model(msgspec.Struct, frozen=True):
    name: _Name
    provider: _Name | None = None

    @property
    def whole(self) -> str:
        """As Harbor's command line takes it."""
        return f"{self.provider}/{self.name}" if self.provider else self.name


class _Agent(msgspec.Struct, frozen=True):
    name: _Name
    version: Annotated[str, msgspec.Meta(max_length=200)]
    model_info: _Model | None = None


class _Context(msgspec.Struct, frozen=True):
    n_input_tokens: _Count | None = None
    n_output_tokens: _Count | None = None
    cost_usd: _Dollars | None = None


class _Verifier(msgspec.Struct, frozen=True):
    rewards: Annotated[dict[str, float], msgspec.Meta(max_length=1000)] | None = None


class _Exception(msgspec.Struct, frozen=True):
    exception_type: _Name


class _Phase(msgspec.Struct, frozen=True):
    started_at: datetime | None = None
    finished_at: datetime | None = None


class _Result(msgspec.Struct, frozen=True):
    """A trial's result.json, as far as it is of use."""

    id: Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-fA-F-]{32,36}\Z")]
    task_name: _Name
    trial_name: _Name
    agent_info: _Agent
    agent_result: _Context | None = None
    verifier_result: _Verifier | None = None
    exception_info: _Exception | None = None
    agent_execution: _Phase | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One trial, with what it says of itself; none of it is measured by us."""

    id: str
    name: str
    folder: Path
    paper: str
    agent: str
    version: str
    model: str | None
    seconds: float | None
    """Of the agent's work; None: it did not begin."""
    tokens: int | None
    dollars: float | None
    reward: float | None
    exception: str | None

    @property
    def fault(self) -> Fault:
        """Whose fault it is that the agent did not end well."""
        if self.exception is None:
            return "none"
        if self.exception.startswith(_BUDGET) or "UsageLimit" in self.exception:
            return "budget"
        if self.seconds is None or self.exception.startswith(("Environment", "Sandbox", "AgentSetup", "Healthcheck")):
            return "harness"
        if any(part in self.exception for part in _MODEL):
            return "model"
        if self.exception.startswith(("Verifier", "Reward", "AddTests", "DownloadVerifier")):
            return "none"  # the agent's work was over by then
        return "submission"

    def reported(self) -> dict[str, Any]:
        """What it says of itself, for the record."""
        named = ("name", "version", "seconds", "tokens", "dollars", "reward", "exception")
        return {"harness": "harbor", "trial": self.id, **{name: getattr(self, name) for name in named}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """A trial that cannot be taken in, and why."""

    name: str
    why: str


def read_job(job: Path) -> Iterator[Trial | Unreadable]:
    """The trials of a job, by name.

    Raises:
        UsageError: This folder holds no trials.
    """
    if not job.is_dir():
        raise UsageError("there is no such folder", where=job, remedy="name jobs/NAME, the folder of one job")
    names = sorted(path.name for path in job.iterdir() if path.is_dir() and not path.is_symlink())
    found = [name for name in names if (job / name / RESULT).exists()]
    if not found:
        remedy = "name the folder of one job, jobs/NAME; a trial that is under way has no result yet"
        raise UsageError(
            "this folder holds no trials of Harbor's", where=job, expected=f"TRIAL/{RESULT}", remedy=remedy
        )
    if len(found) > MOST_TRIALS:
        raise UsageError("this job holds too many trials", where=job, expected=f"at most {MOST_TRIALS}", got=len(found))
    for name in found:
        yield _read(job / name)


def _read(folder: Path) -> Trial | Unreadable:
    try:
        result = msgspec.json.decode(plain_bytes(folder, RESULT, most=_LARGEST), type=_Result)
        return _trial(folder, result)
    except (OSError, msgspec.MsgspecError, RecursionError, ValueError) as error:
        return Unreadable(name=folder.name, why=f"{RESULT}: {str(error)[:300]}")


def _trial(folder: Path, result: _Result) -> Trial:
    context = result.agent_result or _Context()
    counts = [count for count in (context.n_input_tokens, context.n_output_tokens) if count is not None]
    rewards = (result.verifier_result.rewards if result.verifier_result else None) or {}
    return Trial(
        id=result.id.lower(),
        name=result.trial_name,
        folder=folder,
        paper=result.task_name.rpartition("/")[2],
        agent=result.agent_info.name,
        version=result.agent_info.version,
        model=result.agent_info.model_info.whole if result.agent_info.model_info else None,
        seconds=_seconds(result.agent_execution),
        tokens=sum(counts) if counts else None,
        dollars=context.cost_usd,
        reward=rewards.get("reward"),
        exception=result.exception_info.exception_type if result.exception_info else None,
    )


def _seconds(phase: _Phase | None) -> float | None:
    if phase is None or phase.started_at is None or phase.finished_at is None:
        return None
    begun, ended = (at if at.tzinfo else at.replace(tzinfo=UTC) for at in (phase.started_at, phase.finished_at))
    return max(0.0, (ended - begun).total_seconds())


def bundle_of(trial: Trial) -> bytes | None:
    """The commits that a trial left; empty where it left the start commit as it was, None where it left nothing.

    Raises:
        OSError: What lies there is no plain file, or a link leads there.
        ValueError: It is too large.
    """
    for place in BUNDLES:
        try:
            return plain_bytes(trial.folder, place, most=DEFAULT_LIMITS.bundle)
        except FileNotFoundError:
            continue
    return None


def trajectory_of(trial: Trial) -> bytes | None:
    """The trajectory that its agent reports, an object in JSON; None where there is none that can be kept."""
    try:
        data = plain_bytes(trial.folder, TRAJECTORY, most=_LARGEST_TRAJECTORY)
        msgspec.json.decode(data, type=dict[str, Any])
    except (OSError, ValueError, msgspec.MsgspecError, RecursionError):
        return None
    return data


def plain_bytes(folder: Path, place: str, *, most: int) -> bytes:
    """A plain file's content, read without following a link at any step beneath the folder.

    Raises:
        OSError: It is missing, or no plain file, or a link is on the way.
        ValueError: It is too large.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    *above, name = place.split("/")
    try:
        for part in above:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
            os.close(handle)
            handle = below
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=handle)
    finally:
        os.close(handle)
    with os.fdopen(file, "rb") as content:
        facts = os.fstat(content.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(f"{place} is no plain file")
        if facts.st_size > most:
            raise ValueError(f"{place} holds {facts.st_size} bytes, more than {most}")
        return content.read(most + 1)[:most]
