"""A results folder, a workspace or $TMPDIR that fills up, runs out of inodes or turns read only: never a zero."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from small_disk import SmallDisk, small_disk
from watching import soon

from harness.attempt import ledger
from harness.attempt.plumbing import File
from harness.attempt.submission import keep_tree, kept_files
from harness.attempt.task import reference_files
from harness.cleanroom.backends import open_sandbox
from harness.cleanroom.sandbox import Completed, Isolation, Job, Sandbox, SandboxSettings
from harness.cli.main import run
from harness.config import Settings
from harness.errors import HarnessFault
from harness.gateway.log import EpisodeLog
from harness.handing_in import hand_in
from harness.handing_out import hand_out, work
from harness.paper.load import Paper
from harness.proxy.account import SPENT, Account
from harness.proxy.exchange import Exchange, Journal, exchanges
from harness.record.files import Store
from harness.record.store import read
from harness.rerun.execute import RunRecord, execute
from harness.rerun.instance import pinned
from harness.rerun.outputs import problems_of
from harness.rerun.plan import Unit

KIB = 1024
STAGED = re.compile(r"\.tree-|\..*\.[0-9a-f]{16,}$")
Verb = Callable[..., tuple[int, str, str]]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture
def verb(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Verb:
    """`reproof`, in this process: its exit code, what it printed, and what it told."""
    monkeypatch.setenv("REPROOF_PAPERS_PATH", str(home / "papers"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)

    def called(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["reproof", *map(str, words)])
        capfd.readouterr()
        code = run()
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return called


def attempt_on(disk: SmallDisk, *more: str) -> list[str]:
    words = ["paper=lean", "participant=reference", f"results={disk.path}/r", "tracking=none"]
    return ["attempt", *words, *more, "--json"]


def begun(disk: SmallDisk) -> list[str]:
    return Store(disk.path / "r").attempts()


def told(err: str) -> dict[str, Any]:
    """The error, as it stands in the last line."""
    return dict(json.loads(err.strip().splitlines()[-1]))


def nothing_is_half_done(disk: SmallDisk) -> None:
    """Runs that are kept are whole and were done; ledgers hold together; nothing lies about."""
    root = disk.path / "r"
    for folder in root.glob("runs/*/*"):
        assert read(folder / "run.json", RunRecord).status == "completed"
    for folder in root.glob("attempts/*"):
        assert (folder / "attempt.json").exists(), "an attempt without a record"
        assert ledger.read(folder / ledger.FILE)
    assert [path for path in root.glob("staging/*")] == []
    assert [path for path in root.rglob(".*") if STAGED.match(path.name)] == []


def goes_on(verb: Verb, disk: SmallDisk) -> None:
    """With room again the same command ends as it would have."""
    disk.free()
    code, out, err = verb(*attempt_on(disk))
    assert code == 0, err
    score = json.loads(out)
    assert (score["verdict"], score["score"]["value"]) == ("PASS", 1.0)
    nothing_is_half_done(disk)


def stopped(verb: Verb, disk: SmallDisk) -> None:
    """An attempt ends with our own exit code, says where and what helps; or, late enough, with its score."""
    code, out, err = verb(*attempt_on(disk))
    if code == 0:
        assert json.loads(out)["verdict"] == "PASS"
        return
    assert code == 70, err
    error = told(err)
    assert str(disk.path) in (error["where"] or ""), error
    assert re.search("No space left|left there", error["got"])
    assert "make room" in error["remedy"]


@pytest.mark.parametrize("room", [116 * KIB, 220 * KIB])
def test_an_attempt_on_a_disk_that_fills_up(verb: Verb, disk: SmallDisk, room: int) -> None:
    disk.leave(room)
    stopped(verb, disk)
    nothing_is_half_done(disk)
    goes_on(verb, disk)


@dataclass
class Filling:
    """A real clean room that a disk fills up under."""

    room: Sandbox
    disk: SmallDisk

    def run(self, job: Job, cancel: threading.Event | None = None) -> Completed:
        self.disk.leave(0)
        return self.room.run(job, cancel)

    def description(self) -> Isolation:
        return self.room.description()


def reference_unit(paper: Paper, store: Store) -> Unit:
    tree = keep_tree(reference_files(paper), store.root)
    experiment = paper.spec.experiments["walk"]
    return Unit(
        author="submission", experiment="walk", parameters={"method": "noisy", "step": 1.0}, seed=1, slot=1,
        instance=pinned(paper, "walk")[0], replicate=0, tree=tree, limits=experiment.limits, circumstances="here",
    )  # fmt: skip


@pytest.mark.parametrize("backend", ["bubblewrap", "process"])
def test_outputs_that_our_disk_does_not_take_are_a_fault_of_ours_and_never_kept(
    tiny: Paper, disk: SmallDisk, backend: str
) -> None:
    store, sandbox = Store(disk.path / "r"), open_sandbox(SandboxSettings(backend=backend))
    unit, never = reference_unit(tiny, store), threading.Event()
    with pytest.raises(HarnessFault, match=r"(?s)cannot write a collected file.*No space left.*make room"):
        execute(unit, tiny, store=store, sandbox=Filling(sandbox, disk), cancel=never)
    assert not store.run(unit.key).exists()
    assert list((store.root / "staging").iterdir()) == []
    disk.free()
    assert execute(unit, tiny, store=store, sandbox=sandbox, cancel=never).status == "completed"


WAITS = """\
import os
import sys
from pathlib import Path

out = Path(sys.argv[2])
(out / "begun").touch()
while os.statvfs(out).f_bavail:
    pass
(out / "position.npy").write_bytes(bytes(65536))
"""


def test_a_job_whose_own_folder_fills_up_is_not_to_blame(
    tiny: Paper, disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a clean room a job writes to $TMPDIR, which others fill."""
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path))
    store, sandbox = Store(tmp_path / "r"), open_sandbox(SandboxSettings(backend="process"))
    files = {"reproduction/__init__.py": File(b"", False), "reproduction/__main__.py": File(WAITS.encode(), False)}
    unit = replace(reference_unit(tiny, store), tree=keep_tree(files, store.root))

    def fill() -> None:
        if soon(lambda: list(disk.path.glob("reproof-*/out/begun")), within=30):
            disk.leave(0)

    filler = threading.Thread(target=fill)
    filler.start()
    with pytest.raises(HarnessFault, match=r"(?s)filled up under a job.*make room"):
        execute(unit, tiny, store=store, sandbox=sandbox, cancel=threading.Event())
    filler.join()
    with pytest.raises(HarnessFault, match=r"less room than this job may use"):
        execute(unit, tiny, store=store, sandbox=sandbox, cancel=threading.Event())
    assert not store.run(unit.key).exists()


def test_work_that_a_full_disk_keeps_from_being_committed_is_not_left_out(
    settings: Callable[..., Settings], home: Path, disk: SmallDisk, tmp_path: Path
) -> None:
    asked = settings(home / "papers" / "lean", tmp_path / "r", workspace=disk.path / "work")
    road = hand_out(asked, tell=lambda text: None)
    done = work(road, {})
    (road.workspace / "data.bin").write_bytes(os.urandom(300 * KIB))
    disk.leave(64 * KIB)
    with pytest.raises(HarnessFault, match=r"(?s)too full for the work to be committed.*make room"):
        hand_in(road, done)
    assert road.desk.submissions == []
    disk.free()
    assert "data.bin" in kept_files(hand_in(road, done).tree, road.store.root)


FILLS = """\
from harness.attempt.participant import Outcome


def work(assignment):
    try:
        with (assignment.workspace / "ballast").open("wb") as file:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
    except OSError:
        if assignment.options["aloud"]:
            raise
    return Outcome(note="could not go on", ended="failed")
"""


@pytest.mark.parametrize("aloud", [True, False])
def test_an_agent_whose_disk_filled_up_is_replaced(
    settings: Callable[..., Settings],
    home: Path,
    disk: SmallDisk,
    tmp_path: Path,
    aloud: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "fills.py").write_text(FILLS)
    monkeypatch.setenv("REPROOF_AGENTS_PATH", str(tmp_path / "agents"))
    asked = settings(
        home / "papers" / "lean", tmp_path / "r", "fills", workspace=disk.path / "work", options={"kind": "agent"}
    )
    road = hand_out(asked, tell=lambda text: None)
    with pytest.raises(HarnessFault, match=r"(?s)(No space left|left there).*make room"):
        work(road, {"aloud": aloud})
    assert [event.kind for event in road.desk.events()][-2:] == ["paused", "replaced"]


def test_a_disk_that_does_not_give_an_output_is_our_fault(tiny: Paper, disk: SmallDisk) -> None:
    for name in ("position.npy", "report.json"):  # this process's memory: nothing lies at its beginning
        (disk.path / name).touch()
        subprocess.run(["mount", "--bind", f"/proc/{os.getpid()}/mem", str(disk.path / name)], check=True)
    try:
        with pytest.raises(HarnessFault, match=r"(?s)position.npy.*Input/output error.*dmesg"):
            problems_of(disk.path, tiny.spec.experiments["walk"])
    finally:
        for name in ("position.npy", "report.json"):
            subprocess.run(["umount", str(disk.path / name)], check=True)


def test_a_ledger_on_a_full_disk_keeps_its_chain_and_is_read(disk: SmallDisk) -> None:
    path = disk.path / ledger.FILE
    ledger.append(path, "started", {})
    disk.leave(0)
    note = {"note": "x" * 1300}  # the first and the second still fit into the file's first page
    with pytest.raises(OSError, match=r"No space left.*ledger"):
        list(map(lambda _: ledger.append(path, "noted", note), range(9)))
    whole = ledger.read(path)
    assert path.read_bytes().endswith(b"\n"), "half a line was left"
    with path.open("ab") as file:
        file.write(b"{")  # as a harness that was killed in the midst
    assert ledger.read(path) == whole, "what is torn is left out where it cannot be set aside"
    disk.free()
    assert ledger.append(path, "noted", {}).number == len(whole)
    [aside] = disk.path.glob("*.torn-*")
    assert aside.read_bytes() == b"{"


@pytest.mark.slow
def test_records_on_a_read_only_disk_are_still_shown(verb: Verb, disk: SmallDisk) -> None:
    assert verb(*attempt_on(disk))[0] == 0
    [name] = begun(disk)
    disk.read_only()
    for words in (["report", name], ["attempts"], ["status", name], ["timesheet", name]):
        code, out, err = verb(*words, "--results", disk.path / "r", "--json")
        assert code == 0, err
        assert json.loads(out)
    for words in (["rerun", name], ["score", name], ["track", name], ["withdraw", name, "--because", "it is late"]):
        code, out, err = verb(*words, "--results", disk.path / "r", "--json")
        assert code in (70, 75), err
        assert "ead-only" in told(err)["got"] or "read only" in told(err)["got"]
    goes_on(verb, disk)


def test_what_is_printed_to_a_full_disk_is_not_taken_for_printed(environment: dict[str, str], tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", "from harness.cli.start import main; main()", "papers", "--json"]
        done = subprocess.run(command, env=environment, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 70
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def exchange(number: int, said: str) -> Exchange:
    return Exchange(
        number=number, at="2026-01-01T00:00:00+00:00", seconds=1.0, format="chat", model="m", status=200, ended="done",
        request={"messages": [{"role": "user", "content": said}]}, answer={"id": number},
    )  # fmt: skip


def test_a_model_s_journal_and_account_are_never_half_written(disk: SmallDisk) -> None:
    path, spent = disk.path / "exchanges.jsonl", disk.path / SPENT
    journal, account = Journal(path, most=1 << 30), Account({}, spent)
    journal.write(exchange(0, "before"))
    before, whole = path.read_bytes(), spent.read_bytes()
    disk.leave(0)
    with pytest.raises(OSError, match=r"No space"):
        journal.write(exchange(1, "lost " * 4000))
    with pytest.raises(OSError, match=r"No space"):
        account.finish("x" * 20_000, "model")
    assert (path.read_bytes(), spent.read_bytes()) == (before, whole)
    disk.free()
    journal.write(exchange(1, "lost " * 4000))  # which nothing may now refer to as if it stood there
    assert [one.request["messages"][0]["content"][:6] for one in exchanges(path)] == ["before", "lost l"]


def test_an_episode_log_that_lost_rows_never_ends_well(disk: SmallDisk) -> None:
    """Closing what is open overlooks errors: they come back at the end, also where there is room by then."""
    log = EpisodeLog(disk.path / "log")
    disk.leave(4 * KIB)
    with contextlib.suppress(OSError):
        for episode in range(1024):
            log.add(0, 0, 1, 0, episode, 1, -1, 0.0, episode, 0.0)
    disk.free()
    with pytest.raises(OSError, match="No space left"), log:
        pass


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("start", range(4))
def test_an_attempt_wherever_the_disk_fills_up(verb: Verb, tmp_path: Path, start: int) -> None:
    """From nothing that is left to all that it needs, in steps of six blocks."""
    for room in range(4 * KIB + start * 24 * KIB, 380 * KIB, 96 * KIB):
        with small_disk(tmp_path / f"disk{room}") as disk:
            disk.leave(room)
            stopped(verb, disk)
            nothing_is_half_done(disk)
            goes_on(verb, disk)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_attempt_wherever_the_inodes_are_used_up(verb: Verb, tmp_path: Path) -> None:
    for number in range(1, 175, 19):
        with small_disk(tmp_path / f"disk{number}") as disk:
            disk.inodes(number)
            stopped(verb, disk)
            nothing_is_half_done(disk)
            goes_on(verb, disk)


@pytest.mark.slow
def test_a_mirror_on_a_full_disk_is_late_and_the_score_is_shown(verb: Verb, disk: SmallDisk) -> None:
    [*words, last] = [word for word in attempt_on(disk) if word != "tracking=none"]
    disk.leave(500 * KIB)
    code, out, err = verb(*words, last)
    assert code == 75, err
    assert json.loads(out)["verdict"] == "PASS"
    assert "make room" in told(err)["remedy"]
    disk.free()
    code, out, err = verb("track", begun(disk)[0], "--results", disk.path / "r", "--json")
    assert code == 0, err
    assert json.loads(out)["added"] == json.loads(out)["runs"] > 5


@pytest.mark.slow
def test_what_follows_a_score_on_a_full_disk(verb: Verb, disk: SmallDisk) -> None:
    assert verb(*attempt_on(disk))[0] == 0
    [name] = begun(disk)
    where = ["--results", disk.path / "r", "--json"]
    before = (disk.path / "r/attempts" / name / "submissions/001/score.json").read_bytes()
    disk.leave(0)
    for words in (["pack", name, "--to", disk.path / "a.tar.gz"], ["rerun", name]):
        code, _, err = verb(*words, *where)
        assert code == 70, err
        assert "make room" in told(err)["remedy"]
    assert not list(disk.path.glob("*a.tar.gz*"))
    assert verb("report", name, *where)[0] == 0, "what was scored is still shown"
    disk.free()
    assert verb("pack", name, "--to", disk.path / "a.tar.gz", *where)[0] == 0
    assert (disk.path / "r/attempts" / name / "submissions/001/score.json").read_bytes() == before
    goes_on(verb, disk)


@pytest.mark.slow
@pytest.mark.parametrize("room", [0, 150 * KIB, 420 * KIB])
def test_a_plan_goes_on_once_there_is_room(verb: Verb, disk: SmallDisk, room: int) -> None:
    words = attempt_on(disk, "participant.repeats=2")
    disk.leave(room)
    code, _, err = verb(*words)
    assert code == 70, err
    disk.free()
    where = ["--results", disk.path / "r", "--json"]
    if not list((disk.path / "r").glob("plans/*/plan.json")):
        assert verb(*words)[0] == 0
    else:
        code, _, err = verb("plan", "resume", "--failed", *where)
        assert code == 0, err
    code, out, err = verb("plan", "show", *where)
    assert code == 0, err
    assert [item["verdict"] for item in json.loads(out)["items"]] == ["PASS", "PASS"]


@pytest.mark.slow
def test_a_full_folder_for_temporary_files(verb: Verb, disk: SmallDisk, tmp_path: Path, monkeypatch: Any) -> None:
    words = ["attempt", "paper=lean", "participant=reference", f"results={tmp_path}/r", "tracking=none", "--json"]
    (disk.path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(disk.path / "tmp"))
    disk.leave(0)
    code, _, err = verb(*words)
    assert code == 70, err
    assert "make room" in told(err)["remedy"]
    disk.free()
    [name] = Store(tmp_path / "r").attempts()
    code, out, err = verb("rerun", name, "--results", tmp_path / "r", "--json")
    assert code == 0, err
    assert json.loads(out)["verdict"] == "PASS"
