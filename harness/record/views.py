"""Saved views of an experiment in MLflow's UI, linked from its description.

The UI keeps a view that somebody shares as a tag of the experiment, `mlflow.sharedViewState.<key>`, and opens it by
the key in the address. That is no documented interface: a version that no longer knows it shows its usual table.
"""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import dataclass

from harness.record.entry import NOTE_TAG

_KEY = "mlflow.sharedViewState."
ATTEMPTS = "tags.`reproof.kind` = 'attempt'"
_MACHINE_LEARNING = "workflowType=machine_learning"  # the UI opens for chat models otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A query with the columns that answer it."""

    key: str
    title: str
    query: str
    order: str
    columns: tuple[str, ...]

    @property
    def state(self) -> str:
        """The view as the UI keeps it."""
        state = {
            "searchFilter": self.query,
            "orderByKey": self.order,
            "orderByAsc": False,
            "selectedColumns": list(self.columns),
        }
        return f"deflate;{base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()}"


def _tags(*names: str) -> tuple[str, ...]:
    return tuple(f"tags.`reproof.{name}`" for name in names)


VIEWS = (
    View(
        key="reproof-attempts",
        title="attempts, the best first",
        query=ATTEMPTS,
        order="metrics.`score`",
        columns=("attributes.`User`", "metrics.`score`", "metrics.`score_low`", "metrics.`score_high`",
                 *_tags("verdict", "condition", "core_lost", "submission")),
    ),
    View(
        key="reproof-runs",
        title="runs that scores rest on",
        query="tags.`reproof.kind` = 'run' and tags.`reproof.stale` = 'no'",
        order="attributes.start_time",
        columns=("attributes.`User`", "metrics.`used/cpu_s`",
                 *_tags("experiment", "author", "instance", "status", "trust")),
    ),
    View(
        key="reproof-failed",
        title="runs that failed",
        query="tags.`reproof.kind` = 'run' and attributes.status = 'FAILED'",
        order="attributes.start_time",
        columns=("attributes.`User`", *_tags("status", "experiment", "author", "instance", "record")),
    ),
)  # fmt: skip


def view_path(experiment: str, view: View) -> str:
    """Where the UI shows a view, below its own address."""
    return f"#/experiments/{experiment}/runs?{_MACHINE_LEARNING}&viewStateShareKey={view.key}"


def experiment_tags(experiment: str, paper: str) -> dict[str, str]:
    """What a paper's experiment carries: its views, what kind it is, and a description that links them."""
    # in the first line, which is all that the UI shows until somebody asks for more
    links = " · ".join(f"[{view.title}]({view_path(experiment, view)})" for view in VIEWS)
    note = f"Views: {links}\n\nAttempts at {paper}, mirrored from Reproof's records."
    views = {f"{_KEY}{view.key}": view.state for view in VIEWS}
    return {**views, "mlflow.experimentKind": "custom_model_development", NOTE_TAG: note}
