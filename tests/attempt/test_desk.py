from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from handmade import START, Life, data_of, desk_at, kinds, set_head

from harness.attempt import clock
from harness.attempt.attempt import HandedIn
from harness.attempt.desk import EXECUTING, PULSE, Desk, head_of, open_desk
from harness.attempt.ledger import FILE, NOTHING
from harness.errors import RecordError, ReproofError, UsageError
from harness.record.files import write_slip

A, B = "a" * 40, "b" * 40


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return desk_at(tmp_path / "attempt")


def submitted(desk: Desk, number: int = 1) -> None:
    """What a submission leaves, without Git."""
    last = desk.events()[-1]
    found = desk.account()
    handed = HandedIn(
        commit=A, tree=B, files=1, bytes=1, history=[], at=datetime.now(UTC), ended="submitted", note="",
        used={"working": 0.0, "cpu": 0.0}, declared={}, exact=True, credits=found.credits(), late=0.0, saved=False,
        ledger=(last.number, last.digest),
    )  # fmt: skip
    write_slip(desk.folder / "submissions" / f"{number:03}" / "submission.json", handed)
    desk.note("submitted", commit=A, tree=B)


# --- wrong moments ------------------------------------------------------------------------------------------------


def begun(desk: Desk) -> None:
    desk.start_clock()


def begun_and_paused(desk: Desk) -> None:
    desk.start_clock()
    desk.pause_clock("lunch")


def handed_in(desk: Desk) -> None:
    desk.start_clock()
    submitted(desk)


def withdrawn(desk: Desk) -> None:
    desk.note("withdrawn", reason="x")


def spent(desk: Desk) -> None:
    desk.note("noted", note="long ago", working=10_000.0)


def nothing(desk: Desk) -> None:
    pass


Verb = Callable[[Desk], object]
VERBS: dict[str, Verb] = {
    "start": lambda desk: desk.start_clock(),
    "pause": lambda desk: desk.pause_clock("tea"),
    "note": lambda desk: desk.declare("read", {}),
    "hand over": lambda desk: desk.hand_over("grace"),
}
WRONG: list[tuple[Verb, Verb, str]] = [
    (begun, VERBS["start"], "runs already.*since 20.*\n.*clock pause"),
    (nothing, VERBS["pause"], "does not run: got not started yet\n.*clock start"),
    (begun_and_paused, VERBS["pause"], "does not run: got paused"),
    (handed_in, VERBS["pause"], "does not run: got submitted"),
    (begun, lambda desk: desk.pause_clock("  \n"), "a pause has a reason\n.*for example"),
    (nothing, lambda desk: desk.declare(" ", {}), "a note says something\n.*for example"),
    (nothing, lambda desk: desk.hand_over("ada"), "expected a name other than ada"),
    (nothing, lambda desk: desk.hand_over(""), "expected a name other than ada"),
    *((withdrawn, verb, "was withdrawn\n.*reproof start lean --as NAME") for verb in VERBS.values()),
    *((spent, verb, "is over: got the working time is used up\n.*reproof report") for verb in VERBS.values()),
]


@pytest.mark.parametrize(("before", "verb", "says"), WRONG)
def test_a_wrong_moment_is_told_and_changes_nothing(desk: Desk, before: Verb, verb: Verb, says: str) -> None:
    before(desk)
    ledger = (desk.folder / FILE).read_bytes()
    with pytest.raises(UsageError, match=f"(?s){says}"):
        verb(desk)
    assert (desk.folder / FILE).read_bytes() == ledger


def test_the_clock_goes_on_and_off(desk: Desk) -> None:
    assert desk.account().state == "ready"
    assert desk.start_clock().state == "running"
    assert desk.pulse() is not None
    assert desk.pause_clock("lunch").state == "paused"
    assert desk.start_clock().state == "running"
    submitted(desk)
    assert desk.account().state == "submitted"
    assert desk.start_clock().state == "running"
    assert kinds(desk) == ["started", "resumed", "paused", "resumed", "submitted", "resumed"]
    assert data_of(desk, "paused") == [{"reason": "lunch"}]


def test_a_name_is_not_made_another_by_a_space(desk: Desk) -> None:
    # Once: `hand_over` compares " ada " with "ada" as they are; the credits are then split between two adas.
    with pytest.raises(UsageError):
        desk.hand_over(" ada ")


def test_a_hand_over_pauses_and_credits(desk: Desk) -> None:
    desk.start_clock()
    set_head(desk.workspace, A)
    found = desk.hand_over("grace")
    assert (found.state, found.holder) == ("paused", "grace")
    assert kinds(desk)[-2:] == ["committed", "handed over"]
    assert found.credits()["ada"]["commits"] == 1
    assert desk.start_clock().stretches[-1].who == "grace"


def test_who_takes_an_attempt_back_holds_it(desk: Desk) -> None:
    # Once: the holder was whoever had come last for the first time.
    desk.hand_over("grace")
    assert desk.hand_over("ada").holder == "ada"
    with pytest.raises(UsageError, match="a name other than ada"):
        desk.hand_over("ada")
    assert desk.account().people == ("ada", "grace")


def test_a_command_that_was_lost_before_a_hand_over_is_theirs_who_ran_it(desk: Desk) -> None:
    # Once: hand_over does not recover first, so what ada's killed command used is credited to grace.
    desk.start_clock()
    lost(desk, cpu=5.0)
    desk.hand_over("grace")
    assert desk.start_clock().credits()["ada"]["cpu"] == 5.0


# --- after the machine went down ----------------------------------------------------------------------------------


@pytest.fixture
def crashed(tmp_path: Path) -> Desk:
    """Ada's clock ran for 100 s, its keeper's last note at the 95th, when the machine went down."""
    life = Life().event("resumed").works(95).beats().works(5)
    return desk_at(tmp_path / "attempt", life, wall=1e9)


def test_after_a_crash_the_clock_stands_and_goes_on_when_it_is_started(crashed: Desk) -> None:
    found = crashed.account()
    assert (found.state, found.used("working")) == ("interrupted", 95)
    assert found.unrecorded > 0
    found = crashed.start_clock()
    assert found.state == "running"
    assert found.used("working") == pytest.approx(95, abs=2)
    assert found.stretches[0].seconds == 95
    [paused] = data_of(crashed, "paused")
    assert (paused["reason"], paused["last_sign"]["awake"]) == ("the machine went down", 195)


def test_after_a_crash_a_pause_closes_the_stretch(crashed: Desk) -> None:
    found = crashed.pause_clock("so it was")
    assert (found.state, found.used("working"), found.unrecorded) == ("paused", 95, 0)
    assert crashed.start_clock().used("working") == pytest.approx(95, abs=2)


MEANWHILE: dict[str, Verb] = {
    "note": lambda desk: desk.declare("what I did", {"working": 5.0}),
    "witness": lambda desk: (set_head(desk.workspace, A), desk.witness()),
    "submit": lambda desk: submitted(desk),
    "hand over": lambda desk: desk.hand_over("grace"),
}


@pytest.mark.parametrize("verb", MEANWHILE)
def test_after_a_crash_no_verb_takes_recorded_seconds_away(crashed: Desk, verb: str) -> None:
    # Once: the last sign is kept only by the `paused` event of start_clock, and is not looked at if any event lies
    # between the crash and it; where another verb closes the stretch it is never kept, and the next beat replaces it.
    MEANWHILE[verb](crashed)
    before = crashed.account().used("working")
    assert before == pytest.approx(100 if verb == "note" else 95, abs=2)
    assert crashed.start_clock().used("working") == pytest.approx(before, abs=2)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "1", '{"time": 1}', "\0" * 100,
        '{"time": "2026-01-05T09:00:00+00:00", "boot": "boot-0", "awake": "late", "up": 1}',
        '{"time": "2026-01-05T09:00:00+00:00", "boot": "boot-0", "awake": null, "up": 1}',
        '{"time": 5, "boot": ["boot-0"], "awake": 1, "up": 1}',
    ],
)  # fmt: skip
def test_a_damaged_pulse_is_none(crashed: Desk, text: str) -> None:
    # Once: a pulse with values of other types is believed, and comparing them is a TypeError in every verb.
    (crashed.folder / PULSE).write_text(text)
    found = crashed.account()
    assert (found.state, found.used("working")) == ("interrupted", 0)
    assert crashed.start_clock().state == "running"


def test_a_pulse_that_is_no_text_is_none(crashed: Desk) -> None:
    (crashed.folder / PULSE).write_bytes(b"\xff\xfe{")
    assert crashed.account().used("working") == 0
    (crashed.folder / PULSE).unlink()
    (crashed.folder / PULSE).mkdir()
    assert crashed.account().used("working") == 0


# --- commands that were lost --------------------------------------------------------------------------------------


def lost(desk: Desk, **facts: Any) -> Path:
    """The note of a command whose watcher was killed."""
    path = desk.folder / EXECUTING / "0123456789abcdef.json"
    path.parent.mkdir(exist_ok=True)
    text = json.dumps({"job": path.stem, "command": "python train.py", "cpu": 7.5, "wall": 9.0, "exact": True, **facts})
    path.write_text(text)
    return path


def test_a_lost_command_is_counted_at_once_and_written_down_once(desk: Desk) -> None:
    path = lost(desk)
    assert desk.account().used("cpu") == 7.5
    desk.recover()
    desk.recover()
    assert not path.exists()
    [event] = data_of(desk, "executed")
    assert (event["cpu"], event["command"], event["ended"]) == (7.5, "python train.py", "lost")
    assert desk.account().used("cpu") == 7.5


def test_a_lost_command_whose_recovery_was_cut_off_counts_once(desk: Desk) -> None:
    path = lost(desk)
    text = path.read_text()
    desk.recover()
    path.write_text(text)
    assert desk.account().used("cpu") == 7.5
    desk.recover()
    assert desk.account().used("cpu") == 7.5


def test_starting_the_clock_recovers(desk: Desk) -> None:
    lost(desk)
    desk.start_clock()
    assert kinds(desk) == ["started", "executed", "resumed"]


def test_a_command_that_is_watched_is_left_alone(desk: Desk) -> None:
    import fcntl

    path = lost(desk)
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        desk.recover()
    assert path.exists()
    assert data_of(desk, "executed") == []


@pytest.mark.parametrize("text", ["", "{", "[]", "7", '"x"', '{"cpu": "many", "job": "x"}', '{"cpu": [1], "job": "x"}'])
def test_a_damaged_note_of_a_command_ends_no_verb(desk: Desk, text: str) -> None:
    # Once: what is JSON but no object, or an object with other types, is an AttributeError, ValueError or TypeError.
    lost(desk).write_text(text)
    assert desk.account().used("cpu") == 0
    assert desk.start_clock().state == "running"
    assert desk.account().used("cpu") == 0


def test_a_submission_whose_event_was_lost_is_written_down(desk: Desk) -> None:
    desk.start_clock()
    submitted(desk)
    path = desk.folder / FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert desk.account().state == "running"
    desk.recover()
    assert (desk.account().state, desk.account().submissions) == ("submitted", 1)
    desk.recover()
    assert kinds(desk).count("submitted") == 1


# --- what the ledger is held against ------------------------------------------------------------------------------


def forge(desk: Desk, change: Callable[[int, dict[str, Any]], None]) -> None:
    """Change the ledger and make the chain whole again, as somebody would who can read our code."""
    import hashlib

    path, previous, lines = desk.folder / FILE, NOTHING, []
    for number, line in enumerate(path.read_bytes().splitlines()):
        event = json.loads(line)
        change(number, event)
        event["previous"] = previous
        lines.append(json.dumps(event, separators=(",", ":"), ensure_ascii=False).encode())
        previous = hashlib.sha256(lines[-1]).hexdigest()
    path.write_bytes(b"".join(line + b"\n" for line in lines))


def test_the_first_event_is_anchored_by_the_attempt(desk: Desk) -> None:
    desk.start_clock()
    desk.events()
    forge(desk, lambda number, event: event["data"].update(name="eve") if number == 0 else None)
    with pytest.raises(RecordError, match="not the one that was noted"):
        desk.events()


def test_hours_before_a_submission_cannot_be_changed_afterwards(desk: Desk) -> None:
    desk.start_clock()
    desk.pause_clock("lunch")
    submitted(desk)
    desk.start_clock()
    desk.events()

    def shorten(number: int, event: dict[str, Any]) -> None:
        if event["kind"] == "paused":
            event["awake"] -= 0.001

    forge(desk, shorten)
    with pytest.raises(RecordError, match="not the one that was noted"):
        desk.account()


def test_what_follows_the_last_anchor_is_chained_only(desk: Desk) -> None:
    desk.declare("one", {})
    desk.declare("two", {})
    forge(desk, lambda number, event: event["data"].update(note="three") if number == 2 else None)
    assert data_of(desk, "noted")[-1] == {"note": "three"}


def test_a_ledger_cut_before_an_anchor_is_found(desk: Desk) -> None:
    desk.start_clock()
    submitted(desk)
    path = desk.folder / FILE
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])
    with pytest.raises(RecordError, match="not the one that was noted"):
        desk.events()


def test_an_attempt_with_another_anchor_is_not_this_ledgers(desk: Desk) -> None:
    write_slip(desk.folder / "attempt.json", msgspec.structs.replace(desk.attempt, anchor="0" * 64))
    with pytest.raises(RecordError, match="not the one that was noted"):
        Desk(folder=desk.folder).account()


def test_no_desk_where_there_is_no_attempt(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no attempt here"):
        open_desk(tmp_path)


# --- several at once ----------------------------------------------------------------------------------------------


def _start(folder: Path, results: Any) -> None:
    try:
        Desk(folder=folder).start_clock()
        results.put("started")
    except ReproofError as error:
        results.put(error.message)


def test_of_two_that_start_the_clock_at_once_one_does(desk: Desk) -> None:
    context = multiprocessing.get_context("fork")
    results: Any = context.Queue()
    processes = [context.Process(target=_start, args=(desk.folder, results)) for _ in range(4)]
    for process in processes:
        process.start()
    said = sorted(results.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    assert said == ["started"] + ["the clock runs already"] * 3
    assert kinds(desk) == ["started", "resumed"]


# --- the head of the workspace ------------------------------------------------------------------------------------


def test_a_commit_is_noted_when_it_is_new(desk: Desk) -> None:
    assert desk.witness() == START
    assert data_of(desk, "committed") == []
    for head in (A, A, B, B, A):
        set_head(desk.workspace, head)
        assert desk.witness() == head
    assert [data["commit"] for data in data_of(desk, "committed")] == [A, B, A]


def test_a_head_that_nobody_can_read_is_not_noted(desk: Desk) -> None:
    shutil.rmtree(desk.workspace)
    assert desk.witness() is None
    assert kinds(desk) == ["started"]


def git(workspace: Path, head: str | bytes, **refs: str) -> Path:
    folder = workspace / ".git"
    (folder / "refs" / "heads").mkdir(parents=True)
    (folder / "HEAD").write_bytes(head if isinstance(head, bytes) else head.encode())
    for name, value in refs.items():
        (folder / "refs" / "heads" / name).write_text(value)
    return folder


def test_heads_as_git_writes_them(tmp_path: Path) -> None:
    git(tmp_path / "detached", f"{A}\n")
    git(tmp_path / "loose", "ref: refs/heads/main\n", main=f"{A}\n")
    git(tmp_path / "unborn", "ref: refs/heads/main\n")
    packed = git(tmp_path / "packed", "ref: refs/heads/main\n") / "packed-refs"
    packed.write_text(
        f"# pack-refs with: peeled fully-peeled sorted\n{B} refs/heads/xmain\n{A} refs/heads/main\n^{B}\n"
    )
    both = git(tmp_path / "both", "ref: refs/heads/main\n", main=f"{A}\n") / "packed-refs"
    both.write_text(f"{B} refs/heads/main\n")
    deep = git(tmp_path / "deep", "ref: refs/heads/ada/try/1\n") / "refs" / "heads" / "ada" / "try"
    deep.mkdir(parents=True)
    (deep / "1").write_text(f"{A}\n")
    found = {path.name: head_of(path) for path in tmp_path.iterdir()}
    assert found == {"detached": A, "loose": A, "unborn": None, "packed": A, "both": A, "deep": A}


BAD_HEADS: dict[str, str | bytes] = {
    "empty": "",
    "short": "abc\n",
    "capitals": "A" * 40,
    "bytes": b"\xff\xfe\x00" * 20,
    "huge": b"a" * (1 << 21),
    "two lines": f"{A}\n{B}\n",
    "a ref that climbs": "ref: refs/heads/../../../secret\n",
    "a ref outside": "ref: ../../../../etc/passwd\n",
    "a ref elsewhere": "ref: /etc/passwd\n",
    "a tag": "ref: refs/tags/v1\n",
    "a ref with NUL": "ref: refs/heads/ma\0in\n",
    "a long ref": "ref: refs/heads/" + "a" * 5000,
    "a ref with a newline": "ref: refs/heads/main\nref: refs/heads/main\n",
    "escape codes": "ref: refs/heads/\x1b[2J\n",
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_a_hostile_head_names_no_commit(tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_text(f"{A}\n")
    git(tmp_path / "workspace", BAD_HEADS[name], main="nonsense")
    assert head_of(tmp_path / "workspace") is None


def _fifo(path: Path) -> None:
    os.mkfifo(path)


def _link(path: Path) -> None:
    path.with_name("real").write_text(f"{A}\n")
    path.symlink_to("real")


def _folder(path: Path) -> None:
    path.mkdir()


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [_fifo, _link, _folder, _device], ids=["FIFO", "link", "folder", "device"])
@pytest.mark.parametrize("place", ["HEAD", "refs/heads/main", "packed-refs"])
@pytest.mark.timeout(10)
def test_what_is_no_plain_file_is_not_read(tmp_path: Path, make: Callable[[Path], None], place: str) -> None:
    folder = git(tmp_path, "ref: refs/heads/main\n")
    (folder / place).unlink(missing_ok=True)
    make(folder / place)
    assert head_of(tmp_path) is None


@pytest.mark.timeout(10)
@pytest.mark.parametrize("make", [_fifo, _folder, _device, lambda path: path.write_text("gitdir: /nowhere\n")])
def test_a_git_folder_that_is_none(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / ".git")
    assert head_of(tmp_path) is None


def test_the_pulse_is_a_moment_of_this_machine(desk: Desk) -> None:
    desk.beat()
    found = desk.pulse()
    assert found is not None
    assert set(asdict(found)) == {"time", "boot", "awake", "up"}
    assert clock.awake_between(found, clock.now()) < 5
