"""Taking a job in: each trial's commits become an attempt here, handed in, rerun and scored like any other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from filelock import FileLock, Timeout

from harness.attempt.confined import BUNDLE_FILE, refusal, run_git
from harness.attempt.participant import Outcome
from harness.attempt.submission import DEFAULT_LIMITS
from harness.cleanroom.sandbox import Mount
from harness.config import compose
from harness.errors import RecordError, SubmissionError, UsageError
from harness.exchange.guest import Origin, begin, guest_settings, known_origins, plain
from harness.exchange.harbor_job import Trial, Unreadable, bundle_of, read_job, trajectory_of
from harness.folders import find_papers
from harness.handing_in import hand_in
from harness.pipeline import kept_score
from harness.record.files import Store, write_text
from harness.rerun.engine import Progress
from harness.road import UNFINISHED, Road, Tell, resume
from harness.scoring.score import Score
from harness.scratch import scratch
from harness.trajectory.keep import FILE as TRAJECTORY_FILE
from harness.trajectory.keep import text_of
from harness.trajectory.read import read_trajectory

REPORTED = "reported.harbor.json"
REPORTED_TRAJECTORY = "reported.trajectory.json"
"""In the attempt's folder: what the other harness and its agent say of themselves; nothing is computed from them."""
_UNHEARD = "As the agent reports it: it worked in another harness, and nobody here heard what it asked its model"
State = Literal["scored", "known", "refused", "skipped"]

_BRING = """\
export GIT_DIR="$2/.git" GIT_WORK_TREE="$2"
cd "$2" && git -c core.hooksPath=/dev/null -c fetch.fsckObjects=true fetch -q --no-tags --no-recurse-submodules "$3" \\
    HEAD:refs/heads/taken && git reset -q --hard refs/heads/taken && git branch -q -D taken
"""
"""Brings a work tree to the head of a bundle; words: an output folder, the work tree, the bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of one trial."""

    trial: str
    state: State
    why: str = ""
    """Why it is not scored."""
    fault: str = "none"
    """Whose fault it was that its agent did not end well."""
    paper: str | None = None
    attempt: str | None = None
    verdict: str | None = None
    value: float | None = None
    reported: float | None = None
    """What the other harness counted for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taker:
    """Takes trials in, into one results folder."""

    finish: Callable[[Road], Score]
    tell: Tell
    progress: Progress
    overrides: tuple[str, ...] = ()
    """Settings in Hydra's grammar."""

    def take(self, job: Path) -> Iterator[Taken]:
        """Take in all trials of a job; those that are here already stay as they are, and what was begun goes on.

        Raises:
            UsageError: This folder holds no trials, or somebody takes it in at this moment.
        """
        trials = list(read_job(job))
        store = self._store()
        with _alone(store, job):
            known = known_origins(store, "harbor")
            for trial in trials:
                yield self._one(trial, job.name, store, known)

    def _store(self) -> Store:
        anything = next(iter(find_papers()), "none")
        return Store(compose([f"paper={anything}", "participant=guest", *self.overrides])[0].results.resolve())

    def _one(self, trial: Trial | Unreadable, job: str, store: Store, known: dict[str, str]) -> Taken:
        if isinstance(trial, Unreadable):
            return Taken(trial=plain(trial.name), state="skipped", why=plain(trial.why), fault="harness")
        facts: dict[str, Any] = {"trial": plain(trial.name), "fault": trial.fault, "reported": trial.reward}
        if trial.paper not in find_papers():
            return Taken(**facts, state="skipped", why=f"no paper here is called {plain(trial.paper)}")
        facts["paper"] = trial.paper
        try:
            road, state = self._road(trial, job, store, known)
            if road is None:
                return Taken(**facts, state="skipped", why=_nothing(trial))
            return self._scored(trial, road, facts, state)
        except SubmissionError as error:
            return Taken(**facts, state="refused", why=str(error), attempt=known.get(trial.id))
        except (OSError, ValueError) as error:
            return Taken(**facts, state="refused", why=plain(str(error)))

    def _road(self, trial: Trial, job: str, store: Store, known: dict[str, str]) -> tuple[Road | None, State]:
        if name := known.get(trial.id):
            road = resume(name, store.root, tell=self.tell, progress=self.progress)
            return road, "known" if _is_done(road) else "scored"
        if bundle_of(trial) is None:
            return None, "skipped"
        origin = Origin(harness="harbor", job=job, trial=trial.id, agent=trial.agent, model=trial.model)
        settings = guest_settings(origin, trial.paper, self.overrides)
        road = begin(settings, origin, tell=self.tell, progress=self.progress)
        known[trial.id] = road.attempt.id
        return road, "scored"

    def _scored(self, trial: Trial, road: Road, facts: dict[str, Any], state: State) -> Taken:
        _keep_reported(trial, road)
        if state == "known":
            result = kept_score(road.records)
        else:
            if not road.desk.submissions:
                _hand_in(trial, road)
            result = self.finish(road)
        assert result is not None
        facts |= {"attempt": road.attempt.id, "verdict": result.verdict, "value": result.score.value}
        return Taken(**facts, state=state)


def _is_done(road: Road) -> bool:
    """Whether it was handed in, and all that follows has come to its end."""
    if not road.desk.submissions or (road.records / UNFINISHED).exists():
        return False
    return kept_score(road.records) is not None


def _nothing(trial: Trial) -> str:
    if trial.seconds is None:
        return f"its agent never worked ({plain(trial.exception or 'no exception')})"
    return "it left no commits"


def _hand_in(trial: Trial, road: Road) -> None:
    """Bring the trial's commits into the workspace, and hand them in at the cost that it states.

    Where its agent worked in a room here, the workspace stands as it was left, and its time was metered.
    """
    here = any(event.kind == "resumed" for event in road.desk.events())
    content = None if here else bundle_of(trial)
    if content:
        _bring(road, content)
    _declare(trial, road, seconds=None if here else trial.seconds)
    word = {"none": "done", "budget": "working"}.get(trial.fault, "failed")
    ended = f", and ended with {plain(trial.exception)}" if trial.exception else ""
    hand_in(road, Outcome(note=f"worked in Harbor as {plain(trial.name)}{ended}", ended=word, fault=trial.fault))


def _bring(road: Road, content: bytes) -> None:
    limits = DEFAULT_LIMITS.work
    with scratch("take") as staging:
        bundle = staging / BUNDLE_FILE
        bundle.write_bytes(content)
        quota = road.attempt.budget.disk
        mounts = (
            Mount(source=road.workspace, target="/work", writable=True, quota=quota),
            Mount(source=bundle, target=f"/in/{BUNDLE_FILE}"),
        )
        into = staging / "out"
        into.mkdir()
        words = ("/work", f"/in/{BUNDLE_FILE}")
        done = run_git(road.sandbox, _BRING, *words, mounts=mounts, files=(), into=into, limits=limits)
    if done.exit != 0:
        raise refusal(done, "these commits cannot be taken in", where=road.attempt.id, limits=limits)


def _declare(trial: Trial, road: Road, *, seconds: float | None) -> None:
    """Note what the other harness says it cost: nobody here has measured that."""
    said = {"working": seconds, "tokens": trial.tokens, "dollars": trial.dollars}
    used = {item: value for item, value in said.items() if value}
    note = f"as Harbor reports of {plain(trial.name)}"
    if any(event.kind == "noted" and event.data.get("note") == note for event in road.desk.events()):
        return  # taking it in was cut off after this
    with contextlib.suppress(UsageError):  # it is over by its own account, and then that stands
        road.desk.declare(note, used, all_of_it=True)


def _keep_reported(trial: Trial, road: Road) -> None:
    path = road.folder / REPORTED
    if path.exists():
        return
    if (content := trajectory_of(trial)) is not None:
        _keep_trajectory(trial, road, content)
    write_text(path, msgspec.json.format(msgspec.json.encode(trial.reported()), indent=1).decode() + "\n")


def _keep_trajectory(trial: Trial, road: Road, content: bytes) -> None:
    write_text(road.folder / REPORTED_TRAJECTORY, content.decode("utf-8", errors="replace"))
    with contextlib.suppress(RecordError):  # it is kept as it came, and no timeline is drawn
        found = read_trajectory(content, where=trial.name, began=road.attempt.started)
        found.notes = "; ".join(filter(None, (_UNHEARD, found.notes)))
        write_text(road.folder / TRAJECTORY_FILE, text_of(found))


@contextlib.contextmanager
def _alone(store: Store, job: Path) -> Iterator[None]:
    """Nobody else takes jobs into this folder meanwhile."""
    try:
        with FileLock(store.lock("import-harbor"), timeout=0):
            yield
    except Timeout:
        remedy = "wait for the other one to end"
        raise UsageError("a job is being taken in here at this moment", where=job, remedy=remedy) from None
