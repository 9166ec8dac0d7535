"""The seam between the road and whoever works on it: what a participant is given, and what they leave."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from harness.attempt.attempt import Fault
from harness.attempt.quarters import Endpoint as Endpoint
from harness.attempt.quarters import Launch as Launch
from harness.attempt.quarters import told
from harness.attempt.work import Bench
from harness.errors import PaperError, unknown
from harness.folders import ours
from harness.paper.load import Paper
from harness.paper.plugin import load_plugin

if TYPE_CHECKING:
    from harness.proxy.host import Access

AGENTS_PATH = "REPROOF_AGENTS_PATH"
"""Environment variable: further folders of adapters, separated as PATH is."""
ENTRY_POINTS = "reproof.agents"
"""Group of the entry points by which an installed package offers adapters: `NAME = "module"`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a participant gets: the paper's task in a workspace of their own, and a bench that meters their work."""

    paper: Paper
    bench: Bench
    """Runs commands in the clean room, over the workspace, at the attempt's expense."""
    name: str
    options: Mapping[str, Any]
    """What the configuration says to this adapter."""
    tell: Callable[[str], None]
    """Show a line of progress."""
    endpoint: Endpoint | None = None
    """How an agent reaches its model from its quarters; None: it has none."""
    access: Access | None = field(default=None, repr=False)
    """What the proxy behind it may reach: for the harness, and never shown to the agent."""

    @property
    def brief(self) -> str:
        """The sentence that tells an agent what to do."""
        return told()

    def live(self, launch: Launch) -> Outcome:
        """Run an agent's program in quarters of its own until it ends, or until a budget does.

        Raises:
            ConfigError: The launch would show or write what it must not.
            HarnessFault: The quarters failed.
        """
        from harness.attempt.living import live

        return live(self, launch)

    @property
    def workspace(self) -> Path:
        """The participant's repository."""
        return self.bench.desk.workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a participant's work ended; the work itself stands in the workspace, what it cost in the ledger."""

    note: str
    """A sentence for the record."""
    ended: str = "done"
    """`done`, `failed`, or the limit that ended it."""
    fault: Fault = "none"
    """Whose fault it is that the work was not done to its end."""


class Participant(Protocol):
    """An adapter: a file of agents/ with this one function."""

    def work(self, assignment: Assignment) -> Outcome:
        """Work in the assignment's workspace, and return when done or when the budget is spent."""
        ...


def agents_folders(own: Path | None = None) -> list[Path]:
    """Folders in which adapters are looked for: the one asked for, those named by the environment, and ours."""
    named = [Path(part) for part in os.environ.get(AGENTS_PATH, "").split(os.pathsep) if part]
    return [*([own] if own else []), *named, ours("agents")]


def find_agents(own: Path | None = None) -> dict[str, Path | EntryPoint]:
    """Every adapter by its name: a file of a folder, or what an installed package offers as an entry point.

    Of two with one name the first folder's is taken, and ours last.
    """
    *named, last = agents_folders(own)
    found: dict[str, Path | EntryPoint] = {}
    for folder in named:
        _add(found, folder)
    for point in entry_points(group=ENTRY_POINTS):
        found.setdefault(point.name, point)
    _add(found, last)
    return found


def _add(found: dict[str, Path | EntryPoint], folder: Path) -> None:
    for path in sorted(folder.glob("*.py")):
        found.setdefault(path.stem, path)


def open_agent(name: str, own: Path | None = None) -> Participant:
    """The adapter of that name.

    Args:
        name: Its name.
        own: A folder that is looked into first.

    Raises:
        UsageError: Nobody knows the name.
        PaperError: The file lacks `work`, or does not import.
    """
    found = find_agents(own)
    if name not in found:
        raise unknown("adapter", name, found)
    return load_agent(found[name])


def load_agent(source: Path | EntryPoint) -> Participant:
    """An adapter from where it was found.

    Raises:
        PaperError: It lacks `work`, or does not import.
    """
    module = load_plugin(source) if isinstance(source, Path) else _loaded(source)
    if not callable(getattr(module, "work", None)):
        expected = "work(assignment) -> Outcome"
        raise PaperError("this adapter lacks its function", where=where_of(source), expected=expected)
    return cast(Participant, module)


def where_of(source: Path | EntryPoint) -> str:
    """Where an adapter was found, for people."""
    return str(source) if isinstance(source, Path) else f"{source.value} (entry point {ENTRY_POINTS})"


def _loaded(point: EntryPoint) -> Any:
    try:
        return point.load()
    except Exception as error:
        got = f"{type(error).__name__}: {error}"
        raise PaperError("this adapter does not import", where=where_of(point), got=got) from error
