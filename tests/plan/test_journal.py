"""A plan and its journal on disk: whole or not at all, one writer, no changes behind its back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.config import Settings
from harness.errors import ConfigError, PaperError, RecordError, UsageError
from harness.paper.load import Paper
from harness.plan import journal
from harness.plan.asked import MOST, ensure_still_ready, items_of, thawed
from harness.plan.plan import FILE, Place, find_plan, find_plans, keep_plan

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
Asked = Callable[..., Settings]


@pytest.fixture
def asked(tiny: Paper, tmp_path: Path, settings: Callable[..., Settings]) -> Asked:
    def make(adapter: str = "reference", repeats: int = 2, **rest: object) -> Settings:
        return settings(
            tiny.folder, tmp_path / "results", adapter, backend="process", options={"repeats": repeats}, **rest
        )

    return make


@pytest.fixture
def place(asked: Asked, tmp_path: Path) -> Place:
    return keep_plan(items_of([asked()]), ["paper=tiny"], results=tmp_path / "results", now=NOW)


def test_events_come_back_and_a_torn_line_is_none(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    assert journal.read(path) == ()
    journal.note(path, "begun", item=1, attempt="a")
    with path.open("ab") as file:
        file.write(b'{"at":"2026-01')
    assert [event.kind for event in journal.read(path)] == ["begun"]
    journal.note(path, "ended", item=1, attempt="a", fault="model", said="x" * 9999)
    assert [event.kind for event in journal.read(path)] == ["begun", "ended"]
    assert len(journal.read(path)[1].said) < 3000
    path.write_bytes(b"nonsense\n" + path.read_bytes())
    with pytest.raises(RecordError, match=r"jsonl:1: this line of the journal is damaged"):
        journal.read(path)


def test_several_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: journal.note(path, "begun", item=item), range(1, 33)))
    assert sorted(event.item or 0 for event in journal.read(path)) == list(range(1, 33))


def test_repeats_take_turns_and_settings_come_back(asked: Asked) -> None:
    one, two = asked(repeats=3), asked("starter", repeats=1)
    items = items_of([one, two])
    assert [(item.participant, item.repeat) for item in items] == [
        ("reference", 1), ("starter", 1), ("reference", 2), ("reference", 3),
    ]  # fmt: skip
    assert [item.number for item in items] == [1, 2, 3, 4]
    assert thawed(items[0]) == one
    assert thawed(items[1]) == two


def test_options_and_relative_folders_come_back(asked: Asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = asked().model_copy(update={"paper": "papers/tiny", "results": Path("here")})
    who = before.participant.model_copy(update={"options": {"run": ["sh", "-c", "a b"], "environment": {"A": "1"}}})
    monkeypatch.chdir(tmp_path)
    [item, _] = items_of([before.model_copy(update={"participant": who})])
    found = thawed(item)
    assert found.participant == who
    assert (found.results, found.paper) == (tmp_path / "here", str(tmp_path / "papers/tiny"))


def test_nothing_is_begun_that_could_not_be_ended(asked: Asked, tiny: Paper, tmp_path: Path) -> None:
    good = asked()
    for changed, error, says in (
        ({"paper": "nowhere"}, UsageError, "unknown paper"),
        ({"workspace": tmp_path / "w"}, UsageError, "a workspace of its own"),
        ({"results": tmp_path / "other"}, UsageError, "one results folder"),
        ({"budget": good.budget.model_copy(update={"name": "none"})}, UsageError, "unknown budget"),
        ({"participant": good.participant.model_copy(update={"adapter": "nobody"})}, UsageError, "unknown adapter"),
        ({"participant": good.participant.model_copy(update={"adapter": "human"})}, UsageError, "own pace"),
        ({"sandbox": good.sandbox.model_copy(update={"waive": ["nothing"]})}, ConfigError, "unknown waiver"),
        ({"private_path": tmp_path}, UsageError, "references are not installed"),
    ):
        with pytest.raises(error, match=says):
            items_of([good, good.model_copy(update=changed)])
    many = good.participant.model_copy(update={"repeats": 1000})
    with pytest.raises(UsageError, match="too many"):
        items_of([good.model_copy(update={"participant": many})] * (MOST // 1000 + 1))
    items = items_of([good])
    with (tiny.folder / "paper.yaml").open("a") as file:
        file.write("\n# a note")
    ensure_still_ready(items)
    text = (tiny.folder / "paper.yaml").read_text()
    (tiny.folder / "paper.yaml").write_text(text.replace("below: 2.0", "below: 2.1"))
    with pytest.raises(UsageError, match="was changed since the plan was made"):
        ensure_still_ready(items)
    (tiny.folder / "paper.yaml").write_text("title: [")
    with pytest.raises(PaperError):
        ensure_still_ready(items)


def test_a_plan_that_was_changed_is_not_carried_out(place: Place) -> None:
    assert len(place.plan().items) == 2
    path = place.folder / FILE
    facts = json.loads(path.read_text())
    facts["items"][0]["settings"]["sandbox"]["waive"] = ["everything"]
    path.write_text(json.dumps(facts))
    with pytest.raises(RecordError, match="was changed since it was made"):
        place.plan()


def test_plans_are_private_and_found_by_name(place: Place, tmp_path: Path) -> None:
    assert place.folder.stat().st_mode & 0o077 == 0
    later = keep_plan(place.plan().items, [], results=tmp_path / "results", now=NOW.replace(hour=10))
    assert find_plans(tmp_path / "results") == [place, later]
    assert find_plan(None, tmp_path / "results") == later
    assert find_plan(place.folder.name, tmp_path / "results") == place
    with pytest.raises(UsageError, match="unknown plan"):
        find_plan("nothing", tmp_path / "results")
    with pytest.raises(UsageError, match="there is no plan here"):
        find_plan(None, tmp_path)


def test_one_process_at_a_time_carries_a_plan_out(place: Place) -> None:
    assert place.runner() is None
    hold = (
        "import sys, pathlib; from harness.plan.plan import Place\n"
        "with Place(pathlib.Path(sys.argv[1])).taken(): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(place.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert place.runner() == other.pid
        with pytest.raises(UsageError, match="is being carried out"), place.taken():
            pass
        other.kill()
    assert place.runner() is None
    with place.taken():
        pass
