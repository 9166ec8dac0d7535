"""From what a command asks for to the items of a plan and back: repeats in turn, settings as JSON, ready or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import SandboxSettings
from harness.config import Settings
from harness.errors import UsageError
from harness.handing_out import ensure_no_password, ensure_no_person, ensure_out_of_reach, granted
from harness.paper.load import open_paper
from harness.plan.plan import Item
from harness.readiness import ensure_ready as ensure_equipped
from harness.record.files import canonical

MOST = 10_000
"""Attempts of one plan."""


def attempts_asked(asked: Sequence[Settings]) -> int:
    """How many attempts some settings ask for."""
    return sum(settings.participant.repeats for settings in asked)


def items_of(asked: Sequence[Settings]) -> list[Item]:
    """An item for each repeat: the first of everything, then the second, so that what is there early is even.

    Raises:
        UsageError: More than one results folder, a workspace for several attempts, too many of them, or one that
            could not be made.
    """
    if (count := attempts_asked(asked)) > MOST:
        raise UsageError("these are too many attempts for one plan", expected=f"at most {MOST}", got=count)
    if len(folders := {settings.results.resolve() for settings in asked}) > 1:
        remedy = "leave `results` the same, and read several of them together: reproof leaderboard --results A "
        raise UsageError("one plan has one results folder", got=", ".join(map(str, folders)), remedy=remedy)
    if count > 1 and any(settings.workspace for settings in asked):
        raise UsageError("each attempt needs a workspace of its own", got="workspace=...", remedy="leave it out")
    versions = [ensure_ready(settings) for settings in asked]
    turns = [
        (settings, version, repeat)
        for repeat in range(1, max(settings.participant.repeats for settings in asked) + 1)
        for settings, version in zip(asked, versions, strict=True)
        if repeat <= settings.participant.repeats
    ]
    return [
        _item(settings, number=number, repeat=repeat, version=version)
        for number, (settings, version, repeat) in enumerate(turns, start=1)
    ]


def _item(settings: Settings, *, number: int, repeat: int, version: tuple[str, str]) -> Item:
    who = settings.participant
    return Item(
        number=number,
        repeat=repeat,
        repeats=who.repeats,
        paper=version[0],
        paper_version=version[1],
        kind=who.kind,
        participant=f"{who.name} · {who.model}" if who.model else who.name,
        settings=frozen(settings),
    )


def frozen(settings: Settings) -> dict[str, Any]:
    """Settings as JSON values that mean the same from any folder."""
    values = settings.model_dump(mode="json")
    who = values.pop("participant")
    places = {
        "paper": str(Path(settings.paper).resolve()) if _is_folder(settings.paper) else settings.paper,
        "results": str(settings.results.resolve()),
        "models": {**values["models"], "prices": _absolute(settings.models.prices)},
        "private_path": _absolute(settings.private_path),
        "agents_path": _absolute(settings.agents_path),
        "workspace": _absolute(settings.workspace),
    }
    return {**values, **places, "participant": {**who.pop("options"), **who}}


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except OSError:  # no system has such a name
        return False


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())


def thawed(item: Item) -> Settings:
    """The settings of an item, as they were composed."""
    return Settings.model_validate(item.settings)


def ensure_ready(settings: Settings) -> tuple[str, str]:
    """See that an attempt could be made and scored now, before hours are spent on others.

    Returns:
        The paper's id and version.

    Raises:
        ReproofError: What is missing: an unknown name, a person, a key, an agent that is not installed, a clean room
            that this machine cannot give, references that are not there.
    """
    ensure_no_person(settings)
    ensure_no_password(settings.tracking.uri)
    ensure_out_of_reach(settings.results)
    paper = open_paper(settings.paper, private_path=settings.private_path)
    budget = granted(paper, settings.budget)
    if not paper.private.is_dir():
        remedy = "name them with private_path=FOLDER, or work in a clone; without them nothing can be scored"
        raise UsageError("this paper's references are not installed", where=paper.id, remedy=remedy)
    ensure_equipped(settings, budget)
    open_sandbox(SandboxSettings(backend=settings.sandbox.backend, waive=tuple(settings.sandbox.waive))).description()
    return paper.id, paper.version


def ensure_still_ready(items: Sequence[Item]) -> None:
    """The same of what is left of a plan, and that no paper was changed meanwhile.

    Raises:
        ReproofError: What is missing, or a paper of another version: attempts by two versions do not compare.
    """
    seen: set[bytes] = set()
    for item in items:
        if (key := canonical(item.settings)) in seen:
            continue
        seen.add(key)
        _, version = ensure_ready(thawed(item))
        if version != item.paper_version:
            remedy = "put the paper back as it was, or cancel this plan and ask for the rest anew"
            raise UsageError(
                "this paper was changed since the plan was made",
                where=item.paper,
                expected=item.paper_version[:12],
                got=version[:12],
                remedy=remedy,
            )
