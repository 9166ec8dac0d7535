"""What MLflow is told of an attempt and of each of its runs, and where its store is; without importing MLflow."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from pathlib import Path

from harness.errors import masked
from harness.record.files import Store, canonical

NO_MIRROR = "none"
"""A tracking URI that asks for no mirror."""
ATTEMPT_TAG, KEY_TAG, KIND_TAG = "reproof.attempt", "reproof.run_key", "reproof.kind"
STALE_TAG = "reproof.stale"
"""`yes` on a run that the attempt's score no longer rests on."""
CONTENT_TAG = "reproof.content"
"""Digest of an entry: what carries the same is not written again."""
NOTE_TAG, PARENT_TAG = "mlflow.note.content", "mlflow.parentRunId"
_LONGEST_NAME, _LONGEST = 250, 5000
DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
"""Schemes of stores that are a database, reached without a server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """An instance, as MLflow lists the data that a run was done on."""

    name: str
    digest: str
    context: str
    """`pinned` or `held_out`."""
    source: str
    """Where it is kept, as JSON."""


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
    datasets: tuple[Dataset, ...] = ()
    artifacts: tuple[Path, ...] = ()
    """Files, copied under their own names."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Artifacts that are no file of ours: content by file name."""

    @property
    def content(self) -> str:
        """Digest of everything it says, its files included."""
        plain = {item.name: str(getattr(self, item.name)) for item in fields(self) if item.name != "artifacts"}
        files = [hashlib.sha256(path.read_bytes()).hexdigest() for path in self.artifacts]
        return hashlib.sha256(canonical([plain, files])).hexdigest()[:16]

    def tagged(self, more: Mapping[str, str]) -> Entry:
        """The entry with all its tags, every text as short as MLflow wants it."""
        tags = {**self.tags, **more, CONTENT_TAG: self.content}
        return replace(
            self,
            name=self.name[:_LONGEST_NAME],
            params={key: value[:_LONGEST] for key, value in self.params.items()},
            tags={key: value[:_LONGEST] for key, value in tags.items()},
        )


def default_uri(store: Store) -> str:
    """The SQLite store inside the results folder."""
    return f"sqlite:///{default_database(store)}"


def default_database(store: Store) -> Path:
    """The file of the SQLite store inside the results folder."""
    return (store.root / "mlflow" / "mlflow.db").resolve()


def is_database(uri: str) -> bool:
    """Whether a tracking URI names a database, and no server.

    >>> is_database("postgresql+psycopg://host/runs"), is_database("http://host:5000")
    (True, False)
    """
    return uri.partition(":")[0].partition("+")[0] in DATABASES


def ui_command(store: Store, uri: str | None) -> str:
    """What a person types to see the runs, or the server's address."""
    if uri is None:
        return f"reproof mlflow --results {store.root}"
    return f"reproof mlflow --uri {masked(uri)}" if is_database(uri) else masked(uri)
