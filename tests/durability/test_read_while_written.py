"""What is read while somebody writes is whole, and a state that there was: the old one or the new one."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_paper import lean, write_paper

from harness.archive.pack import pack
from harness.archive.unpack import unpack
from harness.attempt.desk import EXECUTING, Desk, Executing
from harness.errors import RecordError, UsageError
from harness.paper.load import load_paper
from harness.pipeline import Measurements, score
from harness.record.store import read
from harness.report import page as pages
from harness.report.entries import read_results
from harness.report.kept import list_attempts
from harness.report.mirror import entries
from harness.report.page import write_page
from harness.road import Road, road_of
from harness.scoring.score import Score

Attempted = tuple[Road, Score]
Begin = Callable[..., Road]
ROUNDS = 6
"""How often is written, at least, while others read."""


@contextlib.contextmanager
def meanwhile(write: Callable[[], object]) -> Iterator[Callable[[], bool]]:
    """Have something written again and again on a thread of its own; gives whether to read on."""
    over, rounds, failed = threading.Event(), [0], list[BaseException]()

    def go() -> None:
        try:
            while not over.is_set():
                write()
                rounds[0] += 1
        except BaseException as error:
            failed.append(error)

    writer = threading.Thread(target=go)
    writer.start()
    try:
        yield lambda: rounds[0] < ROUNDS and not failed
    finally:
        over.set()
        writer.join()
    if failed:
        raise failed[0]


@pytest.fixture
def scored(lean_finished: Attempted, tmp_path: Path) -> Road:
    """A scored attempt that tests may write to."""
    source = lean_finished[0]
    shutil.copytree(source.store.root, tmp_path / "results", symlinks=True, ignore=shutil.ignore_patterns("mlflow"))
    road = road_of(Desk(folder=tmp_path / "results" / "attempts" / source.attempt.id))
    write_page(road.desk)
    return road


@pytest.fixture
def scored_otherwise(scored: Road, tmp_path: Path) -> Road:
    """The same attempt, to be scored by another version of the paper."""

    def heavier(spec: dict[str, Any]) -> None:
        lean(spec)
        spec["claims"]["number_said"]["weight"] = 3

    folder = write_paper(
        tmp_path / "other" / "lean", heavier, mutations=(scored.paper.private / "mutations.yaml").read_text()
    )
    return replace(scored, desk=Desk(folder=scored.folder), paper=load_paper(folder))


def test_a_page_is_whole_whenever_it_is_opened(scored: Road) -> None:
    page, drawn = scored.records / "page.html", set()

    def write() -> None:
        score(scored, again=True)
        write_page(scored.desk)

    with meanwhile(write) as going:
        while going():
            text = page.read_text(encoding="utf-8")
            assert text.rstrip().endswith("</html>")
            drawn.add(text)
    assert len(drawn) > 1, "the ledger that it shows has grown"


def test_what_is_packed_and_mirrored_while_it_is_scored_is_one_of_the_two(
    scored: Road, scored_otherwise: Road, tmp_path: Path
) -> None:
    turns = [scored_otherwise, scored]
    seen, reader = set(), replace(scored, desk=Desk(folder=scored.folder))

    def write() -> None:
        turns.reverse()
        score(turns[0], again=True)
        write_page(turns[0].desk, paper=turns[0].paper)

    with meanwhile(write) as going:
        while going() or not seen:
            to, into = tmp_path / "packed.tar.gz", tmp_path / "unpacked"
            to.unlink(missing_ok=True)
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir()
            with contextlib.suppress(UsageError):  # by the other version of the paper just now, and that is said
                manifest = pack(reader, to, outputs=False).manifest
                assert unpack(to, into) == manifest
                at = into / "attempts" / reader.attempt.id / "submissions" / "001"
                versions = {
                    read(at / "score.json", Score).paper_version,
                    read(at / "measurements.json", Measurements).paper_version,
                    manifest.paper_version,
                }
                assert len(versions) == 1
                seen |= versions
            with contextlib.suppress(RecordError), reader.desk.held():
                parent, children = entries(reader)
                assert parent.tags["reproof.paper_version"] == reader.paper.version[:12]
                assert all(metric for child in children for metric in child.metrics)
    assert seen == {scored.paper.version}


def test_attempts_that_are_just_begun_trouble_no_list(begin: Begin, scored: Road, tmp_path: Path) -> None:
    results, names = scored.store.root, iter(range(1000))
    found = {row["attempt"] for row in list_attempts(results)}

    def write() -> None:
        begin(results=results, workspace=tmp_path / f"work{next(names)}")

    with meanwhile(write) as going:
        while going():
            board = read_results([results])
            assert board.left_out == []
            rows = {row["attempt"]: row for row in list_attempts(results)}
            assert found <= rows.keys()
            assert all(row["paper"] == "lean" for row in rows.values())
            found |= rows.keys()


def test_a_command_that_ends_while_the_budget_is_looked_at_is_counted_once(
    begin: Begin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    road = begin(results=tmp_path / "results", workspace=tmp_path / "work")
    desk, looked = road.desk, Desk._executing
    desk.start_clock()
    live = desk.folder / EXECUTING / "1.json"
    live.parent.mkdir()
    live.write_text('{"job": "1", "command": "train", "cpu": 7.0}')

    def ends(when: str) -> Callable[[Desk], list[tuple[Path, Executing]]]:
        def looking(self: Desk) -> list[tuple[Path, Executing]]:
            found = looked(self) if when == "after" else []
            desk.note("executed", job="1", command="train", cpu=7.0, ended="done")
            live.unlink()
            return found if when == "after" else looked(self)

        return looking

    for when in ("before", "after"):
        with monkeypatch.context() as patched:
            patched.setattr(Desk, "_executing", ends(when))
            assert Desk(folder=desk.folder).account().used("cpu") == 7.0, when
        live.write_text('{"job": "1", "command": "train", "cpu": 7.0}')


def test_a_page_is_not_laid_over_that_of_a_newer_score(
    scored: Road, scored_otherwise: Road, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing, done, draw = threading.Event(), threading.Event(), pages.draw_page

    def draw_slowly(found: Any) -> str:
        drawing.set()
        done.wait(0.5)  # whoever scores meanwhile gets this far only if nobody keeps them waiting
        return draw(found)

    monkeypatch.setattr(pages, "draw_page", draw_slowly)
    drawer = threading.Thread(target=write_page, args=[scored.desk])
    drawer.start()
    assert drawing.wait(60)
    score(scored_otherwise, again=True)
    done.set()
    drawer.join()
    assert not (scored.records / "page.html").exists(), "it shows the score before"


READERS = (("report",), ("status",), ("leaderboard",), ("attempts",), ("dispute", "list"), ("timesheet",))


@pytest.mark.slow  # each verb is a process
def test_every_verb_that_reads_answers_while_others_write(
    scored: Road, scored_otherwise: Road, environment: dict[str, str], tmp_path: Path
) -> None:
    turns = [scored_otherwise, scored]

    def write() -> None:
        turns.reverse()
        score(turns[0], again=True)
        write_page(turns[0].desk, paper=turns[0].paper)

    with meanwhile(write) as going:
        rounds = 0
        while going() or rounds < 2:
            rounds += 1
            for verb in READERS:
                about = [scored.attempt.id] if verb[0] not in ("leaderboard", "attempts") else []
                words = [*verb, *about, "--results", str(scored.store.root), "--json"]
                done = subprocess.run(
                    [sys.executable, "-c", "from harness.cli.start import main; main()", *words],
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=100,
                    check=False,
                )
                assert done.returncode == 0, (words, done.stderr)
                said = json.loads(done.stdout)
                assert said is not None
                if verb == ("leaderboard",):
                    assert said.get("left_out", []) == []
                if verb == ("report",):
                    assert said["paper_version"] in (scored.paper.version, scored_otherwise.paper.version)
