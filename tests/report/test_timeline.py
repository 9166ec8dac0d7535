"""The timeline of an agent's work: on the page, bounded and harmless, and on a terminal."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from report.test_page import EVIL, Attempted, Outline, text_of
from talks import Talk, exchange, write_journal

from harness.attempt.desk import Desk
from harness.cli.main import reproof
from harness.proxy.exchange import JOURNAL, Exchange, Tokens
from harness.report.dossier import Dossier, open_dossier
from harness.report.page import draw_page, write_page
from harness.report.timeline import entries_of, step_of
from harness.report.timeline_page import MOST_ENTRIES, timeline_of
from harness.trajectory.derive import derive
from harness.trajectory.keep import FILE, trajectory_of

TURNS = [
    ("I read the brief first.", "cat BRIEF.md", "# The brief\n" + "a line of it\n" * 80),
    ("The stubs want an update.", "vi algorithm.py", ""),
    ("Nothing is left to do.", "", ""),
]


@pytest.fixture(scope="module")
def dossier(finished: Attempted) -> Dossier:
    return open_dossier(finished[0].desk)


@pytest.fixture
def desk(finished: Attempted, tmp_path: Path) -> Desk:
    """A copy of a scored attempt, in which a journal may be laid."""
    folder = tmp_path / "results" / "attempts" / finished[0].folder.name
    shutil.copytree(finished[0].folder, folder)
    return Desk(folder=folder)


@pytest.fixture
def call(desk: Desk) -> Callable[..., Result]:
    def run(*words: str) -> Result:
        told = ["trajectory", desk.attempt.id, "--results", str(desk.folder.parents[1]), *words]
        return CliRunner().invoke(reproof, told)

    return run


def work(found: Dossier, turns: Sequence[tuple[str, str, str]] = TURNS, **more: Any) -> list[Exchange]:
    """A talk of the time of the attempt."""
    talk = Talk("messages", **more)
    made = list(talk.turns(turns))
    began = found.attempt.started
    return [
        msgspec.structs.replace(item, at=(began + timedelta(seconds=item.number)).isoformat(), seconds=0.5)
        for item in made
    ]


def shown(found: Dossier, exchanges: Sequence[Exchange]) -> str:
    trajectory = derive(exchanges, attempt=found.attempt.id, agent="agent", version="1")
    return draw_page(replace(found, trajectory=trajectory))


def test_a_page_tells_what_was_said_called_and_answered(dossier: Dossier) -> None:
    waits = msgspec.structs.replace(work(dossier)[1], waited=12.0)
    first, _, last = work(dossier)
    page = shown(dossier, [first, waits, last])
    text = text_of(page)
    assert (
        "3 requests to scripted in 1 conversation: 300 tokens in (40% of them from a cache), 60 out, $0.03; 12 s"
        in text
    )
    for words in (
        "0:00:00 1 instructions You are an agent.", "0:00:00 3 I read the brief first.",
        "shell cat BRIEF.md 82 lines came back",
        "reasoning thinking: I read the brief first.", "a line of it a line of it", "waited 12 s for the provider",
        "100 tokens in, 20 out, $0.0100",
    ):  # fmt: skip
        assert words in text, words
    assert Outline(page).open == []
    assert "shortened" not in text


def test_commits_stand_among_the_steps_with_what_they_earn(dossier: Dossier) -> None:
    page = shown(dossier, work(dossier))
    score = dossier.score
    said = f"commit {score.commit[:12]}: score {score.score.value:.3f} [{score.score.low:.3f}, "
    said += f"{score.score.high:.3f}], PASS"
    assert said in text_of(page)
    commit, done = page.index(said[:20]), page.index("Nothing is left to do.")
    assert page.index('id="work"') < commit
    assert page.index('id="work"') < done


def test_an_attempt_without_models_has_no_timeline(dossier: Dossier) -> None:
    assert 'id="work"' not in draw_page(dossier)
    assert timeline_of(dossier) is None


def test_hostile_steps_stay_texts(dossier: Dossier) -> None:
    turns = [(EVIL, EVIL, EVIL), (f"\ud800{EVIL}", EVIL, EVIL), (EVIL, "", "")]
    made = work(dossier, turns, system=EVIL, first=EVIL)
    made.append(exchange(3, "messages", {}, None, status=500, ended="failed", said=EVIL, tokens=Tokens()))
    made = [msgspec.structs.replace(item, model=EVIL) for item in made]
    page = shown(dossier, made)
    assert Outline(page).open == []
    assert not Outline(page).all("script")
    assert not [image for image in Outline(page).all("img") if image.get("src") == "x"]
    for raw in ("\x1b", "\u202e", "<script>alert"):
        assert raw not in page
    assert page.count("&lt;script&gt;alert(1)") > 10


@pytest.mark.slow
def test_ten_megabytes_make_a_page_of_bounded_size_in_time(desk: Desk, dossier: Dossier) -> None:
    turns = [(f"Step {n}. " + "<&>" * 50, f"cat {n}", f"\x1b[3{n}m<&\n" * 7000) for n in range(150)]
    write_journal(desk.folder / JOURNAL, work(dossier, turns))
    trajectory_of(desk)
    assert (desk.folder / FILE).stat().st_size > 9_000_000
    start = time.process_time()
    page = write_page(desk)
    assert time.process_time() - start < 2.0
    assert page.stat().st_size < 1_500_000
    assert "of them shortened" in text_of(page.read_text())


def test_a_page_of_many_steps_shows_the_first_and_the_last(dossier: Dossier) -> None:
    page = shown(dossier, work(dossier, [(f"Step {n}.", f"cat {n}", f"{n}" * 10) for n in range(1000)]))
    text = text_of(page)
    assert "entries left out here" in text
    for words in ("Step 0.", "Step 100.", "Step 999."):
        assert words in text
    assert "Step 500." not in text
    assert page.count("<li class=") <= MOST_ENTRIES + 20


@pytest.mark.slow
def test_a_page_of_many_calls_and_conversations_is_bounded_too(dossier: Dossier) -> None:
    calls = [
        {"id": f"c{n}", "function": {"name": "f" * 300, "arguments": json.dumps({"x": "&" * 900})}} for n in range(60)
    ]
    answer = {"choices": [{"message": {"content": "&" * 5000, "tool_calls": calls}}]}
    made = [
        exchange(number, "chat", {"messages": [{"role": "user", "content": f"{number}" + "é" * 9000}]}, answer)
        for number in range(400)
    ]
    assert len(shown(dossier, made).encode()) < 2_000_000


def test_a_trajectory_is_kept_and_made_anew_when_the_journal_has_grown(desk: Desk, dossier: Dossier) -> None:
    made = work(dossier)
    write_journal(desk.folder / JOURNAL, made[:1])
    first = trajectory_of(desk)
    assert first is not None
    kept = (desk.folder / FILE).stat()
    assert trajectory_of(desk) == first
    assert (desk.folder / FILE).stat().st_mtime_ns == kept.st_mtime_ns
    write_journal(desk.folder / JOURNAL, made[1:])
    second = trajectory_of(desk)
    assert second is not None
    assert len(second.steps) > len(first.steps)
    (desk.folder / FILE).write_text("{")
    assert trajectory_of(desk) == second
    (desk.folder / JOURNAL).unlink()
    assert trajectory_of(desk) == second, "an archive brings the trajectory alone"


def test_a_trajectory_from_elsewhere_is_shown_as_such_and_a_damaged_one_takes_nothing_with_it(
    desk: Desk, dossier: Dossier
) -> None:
    write_journal(desk.folder / JOURNAL, work(dossier))
    assert "What went through the proxy" in text_of(write_page(desk).read_text())
    (desk.folder / JOURNAL).unlink()
    assert "no proxy here has heard it" in text_of(write_page(desk).read_text())
    (desk.folder / FILE).write_text('{"schema_version": "ATIF-v1.8"}')
    page = write_page(desk).read_text()
    assert "The trajectory cannot be read" in text_of(page)
    assert 'id="work"' not in page
    assert Outline(page).open == []


def test_the_version_of_the_program_is_the_ledger_s(desk: Desk, dossier: Dossier) -> None:
    write_journal(desk.folder / JOURNAL, work(dossier))
    desk.note("resumed", program="claude 2.1.197")
    found = trajectory_of(desk)
    assert found is not None
    assert found.agent.version == "2.1.197"


def test_what_an_agent_says_of_itself_is_named_as_reported(desk: Desk, dossier: Dossier) -> None:
    write_journal(desk.folder / JOURNAL, work(dossier))
    (desk.folder / "reported.jsonl").write_text("x" * 2048)
    assert "as reported by it (reported.jsonl, 2 KiB)" in text_of(write_page(desk).read_text())


def test_the_verb_lists_the_steps_and_shows_one_whole(
    call: Callable[..., Result], desk: Desk, dossier: Dossier
) -> None:
    write_journal(desk.folder / JOURNAL, work(dossier, [(EVIL, EVIL, EVIL), *TURNS]))
    lines = call().output
    assert "4 requests to scripted in 1 conversation" in lines
    assert "I read the brief first." in lines
    assert "shell: cat BRIEF.md  → 82 lines" in lines
    step = call("--step", "4").output
    assert step.startswith("step 4 · agent · 0:00:01")
    assert "a line of it\na line of it" in step
    for output in (lines, call("--step", "3").output):
        assert "\x1b" not in output
        assert "\u202e" not in output
    assert json.loads(call("--json").output)["schema_version"] == "ATIF-v1.8"
    assert json.loads(call("--step", "4", "--json").output)["message"] == "I read the brief first."


@pytest.mark.parametrize("number", ["0", "99", "2.1", "x", "1.", "-1", "1.1.1", "²", "9" * 5000])
def test_a_step_that_is_not_there_is_refused(
    call: Callable[..., Result], desk: Desk, dossier: Dossier, number: str
) -> None:
    write_journal(desk.folder / JOURNAL, work(dossier))
    done = call("--step", number)
    assert "no such step" in str(done.exception)


def test_the_verb_says_why_there_is_none(call: Callable[..., Result], desk: Desk) -> None:
    done = call()
    assert "no model was asked" in str(done.exception)
    assert "timesheet" in str(done.exception)


def test_steps_of_other_conversations_have_numbers_of_their_own(dossier: Dossier) -> None:
    aside = exchange(
        9, "messages", Talk("messages", first="A title?").request, Talk("messages").answer("Title", "", "")
    )
    found = derive([*work(dossier), aside], attempt="a", agent="b", version="c")
    assert found is not None
    assert {"5", "2.3"} <= {entry.number for entry in entries_of(found, began=dossier.attempt.started)}
    assert step_of(found, "2.3", began=dossier.attempt.started).text == "Title"
