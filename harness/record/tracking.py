"""MLflow as a mirror of the records: an experiment per paper, a run per attempt, a child per run; its only importer."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TypeVar

from filelock import FileLock

from harness.errors import HarnessFault
from harness.record.files import Store, private_folder

NO_MIRROR = "none"
ATTEMPT_TAG, KEY_TAG, KIND_TAG = "reproof.attempt", "reproof.run_key", "reproof.kind"
_MOST_METRICS, _MOST_TAGS = 1000, 100  # of one log_batch
_LONGEST_TAG = 5000
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run as MLflow keeps it."""

    name: str
    status: str
    """`FINISHED` or `FAILED`."""
    started: datetime
    ended: datetime
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[tuple[str, float, int], ...] = ()
    """Name, value, step."""
    artifacts: tuple[Path, ...] = ()
    """Files or folders, copied under their own names."""


def default_uri(store: Store) -> str:
    """The SQLite store inside the results folder."""
    return f"sqlite:///{(store.root / 'mlflow' / 'mlflow.db').resolve()}"


def ui_command(store: Store, uri: str | None) -> str:
    """What a person types to see the runs."""
    return f"mlflow ui --backend-store-uri {uri or default_uri(store)}"


class Mirror:
    """Writes attempts to an MLflow store; what is there already is not written twice."""

    def __init__(self, store: Store, *, uri: str | None, prefix: str) -> None:
        """Open the store, creating it first where it is ours.

        Args:
            store: The records; a lock in it keeps two processes from creating a fresh database together.
            uri: MLflow's tracking URI; None for SQLite inside the results folder.
            prefix: Put before the paper's id in the experiment's name.

        Raises:
            HarnessFault: The store cannot be reached.
        """
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from mlflow import MlflowClient

        # A server keeps artifacts where it was told to; beside a bare database they would land in the current folder.
        self._artifacts = None if uri and uri.startswith("http") else (store.root / "mlflow" / "artifacts").resolve()
        if self._artifacts:
            private_folder(self._artifacts)
        self._store, self._prefix = store, prefix
        # Four processes that together create a fresh database break each other's migrations.
        self._first = FileLock(store.lock("mlflow"))
        with _faults(uri), self._first:
            self._client = MlflowClient(tracking_uri=uri or default_uri(store))
            self._client.search_experiments(max_results=1)

    def attempt(self, paper: str, attempt: str, parent: Entry, children: Iterable[Entry]) -> str:
        """Mirror an attempt: update its parent run, and add the child runs that are not there.

        Returns:
            The parent's MLflow run id.

        Raises:
            HarnessFault: The store failed; the records are whole, and mirroring can be repeated.
        """
        with _faults(self._client.tracking_uri), FileLock(self._store.lock(f"mlflow-{attempt}")):
            with self._first:
                experiment = self._experiment(paper)
            parent_id = self._parent(experiment, attempt, parent)
            present = self._present(experiment, parent_id)
            for child in children:
                run_id, status = present.get(child.tags.get(KEY_TAG, ""), (None, None))
                if run_id is None:
                    self._create(experiment, child, {"mlflow.parentRunId": parent_id, ATTEMPT_TAG: attempt})
                elif status != child.status:
                    self._fill(run_id, child, {})
        return parent_id

    def _experiment(self, paper: str) -> str:
        name = f"{self._prefix}{paper}"
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        location = (self._artifacts / paper).as_uri() if self._artifacts else None
        return str(self._client.create_experiment(name, artifact_location=location))

    def _parent(self, experiment: str, attempt: str, entry: Entry) -> str:
        found = self._client.search_runs(
            [experiment], f"tags.`{ATTEMPT_TAG}` = '{attempt}' and tags.`{KIND_TAG}` = 'attempt'", max_results=1
        )
        if not found:
            return self._create(experiment, entry, {ATTEMPT_TAG: attempt, KIND_TAG: "attempt"})
        run_id = str(found[0].info.run_id)
        self._fill(run_id, entry, {})
        return run_id

    def _present(self, experiment: str, parent_id: str) -> dict[str, tuple[str, str]]:
        """The child runs that are there: MLflow's id and status by the run's key."""
        found: dict[str, tuple[str, str]] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [experiment], f"tags.`mlflow.parentRunId` = '{parent_id}'", max_results=1000, page_token=token
            )
            found |= {run.data.tags.get(KEY_TAG, ""): (run.info.run_id, run.info.status) for run in page}
            token = page.token
            if not token:
                return found

    def _create(self, experiment: str, entry: Entry, tags: dict[str, str]) -> str:
        run = self._client.create_run(
            experiment,
            start_time=_milliseconds(entry.started),
            run_name=entry.name,
            tags=_short({**entry.tags, **tags}),
        )
        self._fill(run.info.run_id, entry, {})
        return str(run.info.run_id)

    def _fill(self, run_id: str, entry: Entry, tags: dict[str, str]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        now = _milliseconds(entry.ended)
        params = [Param(key, value[:_LONGEST_TAG]) for key, value in entry.params.items()]
        labels = [RunTag(key, value) for key, value in _short({**entry.tags, **tags}).items()]
        self._client.log_batch(run_id, params=params[:_MOST_TAGS], tags=labels[:_MOST_TAGS])
        for batch in _batches((Metric(name, value, now, step) for name, value, step in entry.metrics), _MOST_METRICS):
            self._client.log_batch(run_id, metrics=batch)
        for path in entry.artifacts:
            log = self._client.log_artifacts if path.is_dir() else self._client.log_artifact
            log(run_id, str(path), *([path.name] if path.is_dir() else []))
        self._client.set_terminated(run_id, status=entry.status, end_time=now)


def _batches(items: Iterable[T], count: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, count)):
        yield batch


def _short(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value[:_LONGEST_TAG] for key, value in tags.items()}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


@contextmanager
def _faults(uri: str | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, HarnessFault):
            raise
        raise HarnessFault(
            "the MLflow store failed",
            where=uri,
            got=f"{type(error).__name__}: {str(error).splitlines()[0][:300]}",
            remedy="the records are whole; when the store answers again, `reproof track ATTEMPT` mirrors them",
        ) from error
