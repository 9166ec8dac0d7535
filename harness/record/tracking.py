"""MLflow as a mirror of the records: an experiment per paper, a run per attempt, a child per run; its only importer."""

from __future__ import annotations

import contextlib
import hashlib
import math
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from harness.folders import state_folder
from harness.record.away import LOCKED_FOR, faults, settings_of_mlflow, wait_for
from harness.record.entry import (
    ATTEMPT_TAG,
    CONTENT_TAG,
    KEY_TAG,
    KIND_TAG,
    PARENT_TAG,
    STALE_TAG,
    Dataset,
    Entry,
    default_uri,
    is_database,
)
from harness.record.files import PRIVATE_FILE, Store, private_folder
from harness.record.rows import milliseconds, rows_of
from harness.record.views import experiment_tags
from harness.scratch import scratch, sweep

_AT_ONCE = 8  # calls on a server, which spends most of each waiting
_MOMENT = 5.0  # seconds
Progress = Callable[[int, int, str], None]
Sign = Callable[[], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """What became of an attempt in MLflow."""

    run: str
    """MLflow's id of the attempt's run."""
    runs: int
    """Child runs that its score rests on."""
    added: int
    """Of these, new ones; and old ones that said something else, made anew."""
    stale: int
    """Child runs that its score does not rest on any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A child run that MLflow has."""

    id: str
    status: str
    tags: Mapping[str, str]

    def says(self, entry: Entry) -> bool:
        """Whether it is whole, and says what the entry says."""
        return (self.status, self.tags.get(CONTENT_TAG)) == (entry.status, entry.content)


class Mirror:
    """Writes attempts to an MLflow store; what is there already is not written twice."""

    def __init__(
        self, store: Store, *, uri: str | None, prefix: str, patience: float = math.inf, sign: Sign | None = None
    ) -> None:
        """Open the store, creating it first where it is ours.

        Args:
            store: The records, in which a server's lock lies; that of a SQLite database lies beside it.
            uri: MLflow's tracking URI; None for SQLite inside the results folder.
            prefix: Put before the paper's id in the experiment's name.
            patience: Seconds that mirroring an attempt may take on a slow server.
            sign: Called whenever the store has answered.

        Raises:
            MirrorFault: The store cannot be reached.
        """
        settings_of_mlflow()
        self._uri = uri or default_uri(store)
        # A server keeps artifacts where it was told to; beside a bare database they would land in the current folder.
        self._artifacts = (store.root / "mlflow" / "artifacts").resolve() if is_database(self._uri) else None
        self._store, self._prefix, self._patience, self._sign = store, prefix, patience, sign
        # Four processes that together create a fresh database break each other's migrations.
        with faults(self._uri):
            if self._artifacts:
                private_folder(self._artifacts)
            self._first = FileLock(_lock_of(self._uri, store), timeout=3 * LOCKED_FOR)
            _import_mlflow()  # takes seconds, and eight processes that do so one after the other, a minute
            with self._first:
                self._client = _Heard(_client(self._uri), sign) if sign else _client(self._uri)

    def attempt(
        self, paper: str, attempt: str, parent: Entry, children: Sequence[Entry], progress: Progress | None = None
    ) -> Mirrored:
        """Mirror an attempt: update its run, add the child runs that are not there, mark those that are left over.

        Raises:
            MirrorFault: The store failed; the records are whole, and mirroring can be repeated.
        """
        with faults(self._uri), self._turn(), FileLock(self._store.lock(f"mlflow-{attempt}"), timeout=3 * LOCKED_FOR):
            with self._first:
                experiment = self._experiment(paper)
            kept = self._kept(experiment.experiment_id, attempt)
            run = self._parent(experiment.experiment_id, attempt, parent)
            tags = {PARENT_TAG: run, ATTEMPT_TAG: attempt, STALE_TAG: "no"}
            fresh = self._settle(children, kept, tags)
            # here first, and one process after the other: whoever sends runs at once would each try to create the
            # datasets that they share
            with self._first:
                _use(self._client, run, [dataset for child in children for dataset in child.datasets])
            self._add(experiment, [child.tagged(tags) for child in fresh], progress)
            wanted = {child.tags[KEY_TAG] for child in children}
            stale = [old for key, old in kept.items() if key not in wanted]
            for old in stale:
                self._set(old, {STALE_TAG: "yes", PARENT_TAG: run})
            self._fill(run, parent.tagged({ATTEMPT_TAG: attempt, STALE_TAG: "no"}))
        return Mirrored(run=run, runs=len(children), added=len(fresh), stale=len(stale))

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One after the other of this user's processes sends to a server: several at once time each other out there.

        Raises:
            TimeoutError: Others sent for longer than our patience.
        """
        if is_database(self._uri):
            yield
            return
        name = hashlib.sha256(self._uri.encode()).hexdigest()[:32]
        lock, until = FileLock(private_folder(state_folder() / "mirrors") / f"{name}.lock"), self._until()
        while not _taken(lock):
            if time.monotonic() > until:
                raise TimeoutError(f"others were sending to it for {self._patience:.0f} s")
            if self._sign is not None:
                self._sign()
        try:
            yield
        finally:
            lock.release()

    def _until(self) -> float:
        return time.monotonic() + self._patience

    def _experiment(self, paper: str) -> Any:
        name = f"{self._prefix}{paper}"
        found = self._client.get_experiment_by_name(name)
        if found is None:
            found = self._client.get_experiment(self._create(name, paper))
        if found.lifecycle_stage == "deleted":
            self._client.restore_experiment(found.experiment_id)
        for key, value in experiment_tags(found.experiment_id, paper).items():
            if key not in found.tags:  # what somebody has changed stays as they want it
                self._client.set_experiment_tag(found.experiment_id, key, value)
        return found

    def _create(self, name: str, paper: str) -> Any:
        """Make an experiment; the id of one that another machine, or another results folder, has just made."""
        from mlflow.exceptions import MlflowException

        location = (self._artifacts / paper).as_uri() if self._artifacts else None
        try:
            return self._client.create_experiment(name, artifact_location=location)
        except MlflowException:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return found.experiment_id

    def _kept(self, experiment: str, attempt: str) -> dict[str, _Kept]:
        """The child runs that are there, by the run's key; of two, as a call that was repeated leaves, one goes."""
        found: dict[str, _Kept] = {}
        for run in self._found(experiment, attempt, "run"):
            kept = _Kept(id=run.info.run_id, status=run.info.status, tags=run.data.tags)
            if (key := kept.tags.get(KEY_TAG, "")) in found:
                self._client.delete_run(kept.id)
            else:
                found[key] = kept
        return found

    def _found(self, experiment: str, attempt: str, kind: str) -> list[Any]:
        """An attempt's runs of a kind, those that have ended first: a call that comes late begins one again."""
        query = f"tags.`{ATTEMPT_TAG}` = '{attempt}' and tags.`{KIND_TAG}` = '{kind}'"
        return sorted(self._search(experiment, query), key=lambda run: bool(run.info.status == "RUNNING"))

    def _search(self, experiment: str, query: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([experiment], query, max_results=1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _parent(self, experiment: str, attempt: str, entry: Entry) -> str:
        found = [str(run.info.run_id) for run in self._found(experiment, attempt, "attempt")]
        for run in found[1:]:  # restored with a deleted experiment, or made twice by a call that was repeated
            self._client.delete_run(run)
        if found:
            return found[0]
        tags = {ATTEMPT_TAG: attempt, KIND_TAG: "attempt"}
        run = self._client.create_run(
            experiment, start_time=milliseconds(entry.started), run_name=entry.name, tags=tags
        )
        return str(run.info.run_id)

    def _settle(self, children: Sequence[Entry], kept: Mapping[str, _Kept], tags: Mapping[str, str]) -> list[Entry]:
        """Leave what is as it should be, delete what says something else; the children that are to be written."""
        fresh = []
        for child in children:
            old = kept.get(child.tags[KEY_TAG])
            if old is not None and old.says(child):
                self._set(old, tags)
                continue
            if old is not None:
                self._client.delete_run(old.id)  # its parameters and metrics could not be changed
            fresh.append(child)
        return fresh

    def _set(self, old: _Kept, tags: Mapping[str, str]) -> None:
        for key, value in tags.items():
            if old.tags.get(key) != value:
                self._client.set_tag(old.id, key, value)

    def _add(self, experiment: Any, entries: list[Entry], progress: Progress | None) -> None:
        if not entries:
            return
        if not is_database(self._uri) or not _insert(self._client, experiment, entries):
            self._send(str(experiment.experiment_id), entries, progress)

    def _send(self, experiment: str, entries: list[Entry], progress: Progress | None) -> None:
        """Write runs by MLflow's own calls, several at once, within our patience."""
        until = self._until()

        def send(entry: Entry) -> None:
            if time.monotonic() > until:
                raise TimeoutError(f"{len(entries)} runs were not written within {self._patience:.0f} s")
            run = self._client.create_run(
                experiment, start_time=milliseconds(entry.started), run_name=entry.name, tags=dict(entry.tags)
            ).info.run_id
            _log(self._client, run, entry, at=milliseconds(entry.ended))
            _end(self._client, run, entry)  # a run that is still said to be running is not whole

        pool = ThreadPoolExecutor(max_workers=_AT_ONCE, thread_name_prefix="mirror")
        try:
            for number, _ in enumerate(pool.map(send, entries), start=1):
                if progress is not None:
                    progress(number, len(entries), "mirrored to MLflow")
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _fill(self, run: str, entry: Entry) -> None:
        """Bring the attempt's own run up to date; it keeps its id, which people have noted."""
        there = self._client.get_run(run)
        if (there.info.status, there.data.tags.get(CONTENT_TAG)) == (entry.status, entry.tags[CONTENT_TAG]):
            return
        if there.info.run_name != entry.name:
            self._client.update_run(run, name=entry.name)
        _sweep(there.info.artifact_uri)
        with scratch("texts") as folder:  # MLflow's own way with texts leaves its folder behind where it is killed
            for path in (*entry.artifacts, *_files_of(entry.texts, folder)):
                self._client.log_artifact(run, str(path))
        params = {key: value for key, value in entry.params.items() if key not in there.data.params}
        changed = replace(entry, params=params, metrics=tuple(self._changed(run, there, entry)))
        _log(self._client, run, changed, at=int(time.time() * 1000))  # of two points of a step, the later one is shown
        _tag(self._client, run, entry.tags)
        _end(self._client, run, entry)

    def _changed(self, run: str, there: Any, entry: Entry) -> Iterator[tuple[str, float, int]]:
        """The points that are not what MLflow shows; where it shows one that is no more, a gap."""
        shown = {
            (name, point.step): point.value
            for name in there.data.metrics
            for point in sorted(self._client.get_metric_history(run, name), key=lambda point: point.timestamp)
        }
        wanted = {(name, step): value for name, value, step in entry.metrics}
        for (name, step), value in {**dict.fromkeys(shown, math.nan), **wanted}.items():
            old = shown.get((name, step))
            if old is None or not (old == value or (math.isnan(old) and math.isnan(value))):
                yield name, value, step


def _sweep(uri: str) -> None:
    """Remove what MLflow was writing for a run when it was killed; nobody else writes while the attempt is ours."""
    if uri.startswith("file://"):
        for path in Path(url2pathname(urlsplit(uri).path)).glob(".artifact.uploading.*"):  # names MLflow reserves
            path.unlink(missing_ok=True)


def _files_of(texts: Mapping[str, str], folder: Path) -> Iterator[Path]:
    for name, text in texts.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        yield path


def _taken(lock: FileLock) -> bool:
    """Whether a lock could be taken within a moment."""
    with contextlib.suppress(Timeout):
        lock.acquire(timeout=_MOMENT)
        return True
    return False


@contextmanager
def alone(store: Store, attempt: str, *, uri: str) -> Iterator[None]:
    """Keep others from showing an attempt; what is read of it here is not older than what they have written.

    Raises:
        MirrorFault: Somebody else does for longer than one waits.
    """
    lock = FileLock(store.lock(f"track-{attempt}"), timeout=3 * LOCKED_FOR)
    with faults(uri):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _lock_of(uri: str, store: Store) -> Path:
    """The file that everybody locks who may create something in a store.

    It lies beside a database: in the results folder it would keep only those from each other who share that.
    """
    file = _file_of(uri)
    return store.lock("mlflow") if file is None else private_folder(file.parent) / f".{file.name}.lock"


def _file_of(uri: str) -> Path | None:
    """The file of a SQLite database; None for any other store."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def _import_mlflow() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.store.db.utils
        import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 -- the client would, later


class _Heard:
    """MLflow's client, of whose every answer somebody hears."""

    def __init__(self, client: Any, sign: Sign) -> None:
        self._own, self._sign = client, sign

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._own, name)
        if not callable(found):
            return found

        def call(*given: Any, **named: Any) -> Any:
            answer = found(*given, **named)
            self._sign()
            return answer

        return call


def _client(uri: str) -> Any:
    """MLflow's client, its store known to answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient
        from mlflow.store.db.utils import create_sqlalchemy_engine
    if (file := _file_of(uri)) is not None:
        sweep(file.absolute().parent)  # who had laid it may have been killed before it was tidied up
        if not file.exists():
            _lay(file)
        wait_for(file)
    elif is_database(uri):
        # MLflow itself would try for minutes
        create_sqlalchemy_engine(uri).connect().close()  # type: ignore[no-untyped-call]
    client = MlflowClient(tracking_uri=uri)
    client.search_experiments(max_results=1)
    return client


def _lay(file: Path) -> None:
    """Make a fresh SQLite database beside its place, its owner's alone, and move it there whole.

    MLflow makes its tables in some forty steps, and can do nothing with what is left where a kill or a full disk comes
    between two of them.
    """
    with warnings.catch_warnings(), scratch("mlflow", within=file.absolute().parent) as beside:
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient

        made = beside / file.name
        client = MlflowClient(tracking_uri=f"sqlite:///{made}")
        client.search_experiments(max_results=1)
        client._tracking_client.store.engine.dispose()
        made.chmod(PRIVATE_FILE)
        with contextlib.suppress(FileExistsError):  # somebody else was quicker
            file.hardlink_to(made)


def _insert(client: Any, experiment: Any, entries: list[Entry]) -> bool:
    """Write runs into a database in one transaction: all of them, or, where MLflow's tables have changed, none.

    MLflow's own calls take twenty times as long there (benchmarks/mirror.py): each is a transaction or several.
    """
    from mlflow.store.db.base_sql_model import Base

    tables, number = Base.metadata.tables, int(experiment.experiment_id)
    with client._tracking_client.store.ManagedSessionMaker(read_only=False) as session:
        datasets = tables["datasets"]
        there = session.execute(datasets.select().where(datasets.c.experiment_id == number)).mappings()
        known = {(row["name"], row["digest"]): row["dataset_uuid"] for row in there}
        rows = rows_of(entries, experiment=number, artifacts=experiment.artifact_location, known=known)
        if not all(_fits(tables[name], found) for name, found in rows.items()):
            return False
        for name, found in rows.items():
            session.execute(tables[name].insert(), found)
    return True


def _fits(table: Any, rows: list[dict[str, Any]]) -> bool:
    """Whether a table has the columns of our rows, and asks for no others."""
    asked = {c.name for c in table.columns if not (c.nullable or c.default or c.server_default or c.computed)}
    return asked <= rows[0].keys() <= set(table.columns.keys())


def _log(client: Any, run: str, entry: Entry, *, at: int) -> None:
    from mlflow.entities import Metric, Param

    metrics = [Metric(name, value, at, step) for name, value, step in entry.metrics]
    client.log_batch(run, metrics=metrics, params=[Param(key, value) for key, value in entry.params.items()])
    _use(client, run, entry.datasets)


def _use(client: Any, run: str, datasets: Iterable[Dataset]) -> None:
    """That a run was done on some instances."""
    from mlflow.entities import Dataset as Data
    from mlflow.entities import DatasetInput, InputTag

    used = [
        DatasetInput(
            Data(name=one.name, digest=one.digest, source_type="reproof", source=one.source),
            [InputTag("mlflow.data.context", one.context)],
        )
        for one in dict.fromkeys(datasets)
    ]
    if used:
        client.log_inputs(run, datasets=used)


def _tag(client: Any, run: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])


def _end(client: Any, run: str, entry: Entry) -> None:
    client.set_terminated(run, status=entry.status, end_time=milliseconds(entry.ended))
