"""Participants of ours on the road: all on one plan, and none of them twice for the same content."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import harness
from harness.config import (
    BudgetSettings,
    EngineSettings,
    ParticipantSettings,
    SandboxChoice,
    Settings,
    TrackingSettings,
)
from harness.errors import ReproofError
from harness.handing_in import hand_in
from harness.handing_out import hand_out, work
from harness.paper.load import Paper
from harness.paper.mutations import ALTERNATIVE, FILE, find_mutation
from harness.pipeline import kept_score, rerun, score
from harness.record.files import canonical, private_folder, write_text
from harness.rerun.engine import Progress
from harness.rerun.runtime import runtime_summary
from harness.road import Road, resume
from harness.scoring.score import Score

_SOURCES = {".py", ".c", ".yaml", ".md", ".json", ".npz", ".npy"}
_ELSEWHERE = {"public": {"private"}, "private": set[str](), "harness": {"cli", "report", "archive"}}
"""Folders that are looked at by another name, or decide nothing of a proof."""


def content_of(paper: Paper) -> str:
    """Digest of all that decides a proof: the paper's files, the harness's, and what runs compute with."""
    return _digest({place: digest for place, digest in _files(paper)})


def _shared(paper: Paper) -> str:
    """The same without what one participant alone hands in: changing a mutation leaves the others known."""
    own = {f"private/{FILE}", *(place for place, _ in _files(paper) if place.startswith(f"private/{ALTERNATIVE}/"))}
    return _digest({place: digest for place, digest in _files(paper) if place not in own})


def _own(paper: Paper, adapter: str, name: str) -> dict[str, str]:
    """What that participant alone hands in."""
    if adapter == "mutation":
        mutation = find_mutation(paper, name)
        return {mutation.file: f"{mutation.old}\0{mutation.new}"}
    return dict(_digests(paper.private / ALTERNATIVE)) if adapter == "alternative" else {}


def _digest(files: dict[str, str]) -> str:
    return hashlib.sha256(canonical({"files": files, "runtime": runtime_summary()})).hexdigest()


def _files(paper: Paper) -> Iterator[tuple[str, str]]:
    folders = {"public": paper.folder, "private": paper.private, "harness": Path(harness.__file__).parent}
    for name, folder in folders.items():
        for place, digest in _digests(folder):
            if place.partition("/")[0] not in _ELSEWHERE[name]:
                yield f"{name}/{place}", digest


def _digests(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if (
            path.suffix in _SOURCES
            and path.is_file()
            and not any(part == "__pycache__" or part[0] == "." for part in place.parts)
        ):
            yield str(place), hashlib.sha256(path.read_bytes()).hexdigest()


class Trial:
    """Takes participants over the road, all on the plan of the first; what was done for this content is kept."""

    def __init__(self, paper: Paper, results: Path, tell: Callable[[str], None], progress: Progress) -> None:
        """Begin, or go on where an interrupted one stopped."""
        self.content = content_of(paper)
        self._paper, self._results, self.tell, self._progress = paper, results, tell, progress
        self.kept = results / "kept" / _shared(paper)[:32]
        """The folder of what is known, for whatever participants hand in."""

    def run(
        self, adapter: str, name: str, *, slots: str = "curtailed", plan: str = "plan", **options: Any
    ) -> tuple[Road, Score]:
        """From brief to score, unless that was done.

        Args:
            adapter: A file of agents/.
            name: The participant's.
            slots: `all`, `curtailed` or `first`.
            plan: All participants with one word here share seeds and held-out instances.
            options: For the adapter.
        """
        own = _digest(_own(self._paper, adapter, name))[:12]
        note = self.kept / f"{plan}-{adapter}-{name}-{slots}-{own}.txt"
        road = self._known(note) or self._walk(adapter, name, slots, plan, options)
        result = kept_score(road.records) or score(road)
        write_text(note, road.attempt.id)
        self.tell(f"{name}: {result.verdict}, score {result.score.value:.3f} on {result.slots} slots")
        return road, result

    def _known(self, note: Path) -> Road | None:
        if not note.is_file():
            return None
        try:
            road = resume(note.read_text(), self._results, tell=lambda text: None, progress=self._progress)
            return road if kept_score(road.records) is not None else None
        except (ReproofError, OSError):  # its records are gone: it is done again
            return None

    def _walk(self, adapter: str, name: str, slots: str, plan: str, options: dict[str, Any]) -> Road:
        road = hand_out(self._settings(adapter, name, options), tell=lambda text: None, progress=self._progress)
        hand_in(road, work(road, options))
        shared = self.kept / plan
        if shared.is_dir():
            shutil.copytree(shared, private_folder(road.private), dirs_exist_ok=True)
        rerun(road, slots=slots)  # type: ignore[arg-type]
        if not shared.is_dir():
            private_folder(shared.parent)
            shutil.copytree(road.private, shared)
        return road

    def _settings(self, adapter: str, name: str, options: dict[str, Any]) -> Settings:
        private = self._paper.private
        return Settings(
            paper=str(self._paper.folder),
            participant=ParticipantSettings(adapter=adapter, kind=adapter, name=name, options=options),
            budget=BudgetSettings(name="standard"),
            sandbox=SandboxChoice(backend="bubblewrap"),
            engine=EngineSettings(),
            tracking=TrackingSettings(uri="none"),
            results=self._results,
            private_path=private.parent if private.name != "private" else None,
            slots="curtailed",
        )
