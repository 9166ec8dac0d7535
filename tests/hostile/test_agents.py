"""Agents that cheat, sabotage or never stop: from their sandbox to the submission, and what the ledger says of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from handmade import data_of, kinds
from watching import alive

from harness.attempt.attempt import HandedIn
from harness.attempt.participant import Outcome
from harness.attempt.submission import kept_files
from harness.errors import SubmissionError
from harness.handing_in import hand_in
from harness.handing_out import work
from harness.road import Road

Begin = Callable[..., Road]
Hire = Callable[..., tuple[Road, Outcome]]
COMMIT = "git add -A && git -c user.name=a -c user.email=a@b.c commit -q -m work"


@pytest.fixture
def hire(begin: Begin, tmp_path: Path) -> Hire:
    """Let a program work on the lean paper, within figures of its budget."""

    def hired(script: str, **figures: float) -> tuple[Road, Outcome]:
        options = {"run": ["sh", "-c", script]}
        road = begin(adapter="command", options=options, results=tmp_path / "results", **figures)
        return road, work(road, options)

    return hired


def files_of(road: Road, handed: HandedIn) -> dict[str, bytes]:
    return {name: file.data for name, file in kept_files(handed.tree, road.store.root).items()}


def refusal(road: Road, outcome: Outcome) -> str:
    """Hand in, and see that it is refused in the error and in the ledger, and that nothing is kept as a submission."""
    with pytest.raises(SubmissionError) as caught:
        hand_in(road, outcome)
    assert data_of(road.desk, "submitted")[-1]["refused"] == str(caught.value)
    assert road.desk.submissions == []
    return str(caught.value)


def test_who_ignores_its_deadline_is_ended_and_what_it_committed_counts(hire: Hire) -> None:
    token = f"agent-{uuid.uuid4().hex}"
    script = f"echo '# mine' >>reproduction/work.py; {COMMIT}; echo later >later.py; trap '' TERM INT HUP; "
    script += f"setsid sh -c 'trap \"\" TERM; while :; do sleep 1; : {token}; done' & while :; do sleep 1; done"
    begun = time.monotonic()
    road, outcome = hire(script, working=2.5, wall=2.5)
    assert time.monotonic() - begun < 30
    assert outcome.ended == "wall"
    assert "was ended by its wall limit" in outcome.note
    assert alive(token) == []
    assert data_of(road.desk, "executed")[-1]["ended"] == "wall"
    files = files_of(road, hand_in(road, outcome))
    assert b"# mine" in files["reproduction/work.py"]
    assert files["later.py"] == b"later\n"


@pytest.mark.slow
def test_who_burns_more_than_its_cpu_is_ended(hire: Hire) -> None:
    road, outcome = hire("while :; do :; done & while :; do :; done", cpu=1.0)
    assert outcome.ended == "cpu"
    assert road.desk.account().left("cpu") == 0
    assert hand_in(road, outcome).used["cpu"] < 3


def test_nobody_stays_behind_to_change_the_work(hire: Hire) -> None:
    token = f"agent-{uuid.uuid4().hex}"
    late = f"(setsid sh -c 'sleep 0.5; while :; do echo late >>late.py; : {token}; done' >/dev/null 2>&1 &)"
    road, outcome = hire(f"{late}; exit 0")
    assert alive(token) == []
    handed = hand_in(road, outcome)
    time.sleep(0.7)
    assert not (road.workspace / "late.py").exists()
    assert "late.py" not in files_of(road, handed)


def test_who_fills_the_disk_is_ended(hire: Hire) -> None:
    road, outcome = hire("while :; do head -c 1000000 /dev/zero >>big; done", disk=8 << 20)
    assert outcome.ended == "disk"
    assert road.desk.account(disk=True).used("disk") < 1 << 30


def test_who_nests_folders_without_end_is_ended_and_costs_nobody_their_status(hire: Hire) -> None:
    road, outcome = hire("while mkdir d && cd d; do :; done; sleep 2")
    assert outcome.ended == "disk"
    assert road.desk.account(disk=True).used("disk") >= 0
    assert hand_in(road, outcome).files


def test_words_that_steer_are_written_out(hire: Hire) -> None:
    told: list[str] = []
    road, outcome = hire(r"printf '\033[2J\033]0;owned\007\n<script>alert(1)</script>\n'; exit 3")
    assert (outcome.ended, "\x1b" in outcome.note) == ("failed", False)
    hand_in(road, outcome)
    assert not told
    assert "\x1b" not in (road.folder / "ledger.jsonl").read_text()


TRAPS: dict[str, tuple[str, str]] = {
    "no workspace left": ("rm -rf .git * .[a-z]*; exit 0", "there is no commit to submit"),
    "a link in the place of .git": ("mv .git g && ln -s g .git", "it holds a symbolic link"),
    "a repository beside it": ("mv .git g && echo 'gitdir: g' >.git", "a file in the place of a folder"),
    "a pipe for HEAD": ("rm .git/HEAD && mkfifo .git/HEAD", "it holds a named pipe"),
    "a link to the host": ("rm -r .git/objects && ln -s /etc .git/objects", "it holds a symbolic link"),
    "another's objects": ("echo /usr >.git/objects/info/alternates", "a way into another repository"),
    "a history of its own": (f"git checkout -q --orphan own && {COMMIT}", "does not begin at the start commit"),
    "a link that is committed": (f"ln -s /etc/passwd data && {COMMIT}", "it holds a symbolic link"),
    "a repository that is committed": (
        f"git init -q sub && cd sub && touch x && {COMMIT} && cd .. && {COMMIT}",
        "it holds a submodule",
    ),
    "a name that steers": (f"touch \"$(printf 'a\\033[2Jb')\" && {COMMIT}", "control or invisible character"),
    "a name that climbs": (
        "b=$(git hash-object -w /dev/null); t=$(printf '100644 blob %s\\t.GIT\\n' $b | git mktree);"
        " git update-ref HEAD $(git commit-tree -p HEAD -m x $t)",
        "it names a Git folder",
    ),
    "more files than may be": (
        f"mkdir many && cd many && seq 5500 | xargs touch && cd .. && {COMMIT}",
        "the submission has too many files",
    ),
    "objects that are none": (
        "find .git/objects -type f | xargs chmod 644; for f in $(find .git/objects -type f); do echo x >$f; done",
        "there is no commit to submit",
    ),
}  # fmt: skip


LONG = "more files than may be"
CASES = [pytest.param(*case, id=name, marks=[pytest.mark.slow] * (name == LONG)) for name, case in TRAPS.items()]


@pytest.mark.parametrize(("script", "says"), CASES)
def test_a_trap_is_refused_in_words(hire: Hire, script: str, says: str) -> None:
    begun = time.monotonic()
    road, outcome = hire(script)
    assert outcome.ended == "done", outcome.note
    said = refusal(road, outcome)
    assert says in said, said
    assert time.monotonic() - begun < 30
    assert not {"\x1b", "\x07"} & set(said)
    assert kinds(road.desk)[-1] == "submitted"


SPOILS: dict[str, str] = {
    "a lock left behind": "touch .git/refs/heads/main.lock",
    "a lock on the index": "touch .git/index.lock",
    "an index that is none": "echo x >.git/index",
    "hooks everywhere": "mkdir -p .git/hooks; for h in pre-commit post-commit reference-transaction; do"
    " printf '#!/bin/sh\\nexit 1\\n' >.git/hooks/$h; chmod +x .git/hooks/$h; done",
    "another work tree": "git config core.worktree /usr/share",
    "an alias for everything": "git config alias.add '!exit 1'; git config alias.bundle '!exit 1'",
    "a filter that fails": "git config filter.f.clean 'exit 1'; git config filter.f.required true;"
    " echo '* filter=f' >.gitattributes",
    "a half merge": "git checkout -q -b b && echo 1 >x && git add -A && git commit -q -m 1 && git checkout -q main &&"
    " echo 2 >x && git add -A && git commit -q -m 2; git merge -q b; true",
    "a time that never was": "export GIT_AUTHOR_DATE='@9223372036854775807 +0000' GIT_COMMITTER_DATE='@4000000000"
    f" +1400'; echo 1 >x; {COMMIT} || true",
    "replaced commits": f"echo 1 >x; {COMMIT}; git replace --graft HEAD; true",
    "a promise of objects": "git config extensions.partialClone origin; git config remote.origin.promisor true;"
    " git config remote.origin.url 'ext::sh -c \"touch /tmp/x\"'; git config protocol.allow always",
    "everything closed": "chmod -R a-rwx reproduction; true",
}


@pytest.mark.parametrize("script", SPOILS.values(), ids=SPOILS)
def test_what_is_spoilt_costs_at_most_what_was_not_committed(hire: Hire, script: str) -> None:
    """The commit before counts at least, and nothing of it is said wrongly."""
    begun = time.monotonic()
    first = f"echo '# mine' >>reproduction/work.py; {COMMIT}; echo later >later.py; "
    road, outcome = hire(first + script)
    handed = hand_in(road, outcome)
    assert time.monotonic() - begun < 30
    files = files_of(road, handed)
    assert b"# mine" in files["reproduction/work.py"]
    submitted = data_of(road.desk, "submitted")[-1]
    assert submitted["commit"] == handed.commit
    assert "later.py" in files or submitted["not_saved"], submitted
    with suppress(FileNotFoundError):
        (road.workspace / "reproduction").chmod(0o755)


def as_agents_do(road: Road) -> HandedIn:
    """Hand in what somebody has left who is gone."""
    return hand_in(road, Outcome(note="interrupted", ended="interrupted"))


LITTER: dict[str, tuple[str, str]] = {
    "a link": ("ln -s /etc/passwd data", "'data'"),
    "an environment": ("mkdir v && for i in 1 2 3 4 5; do ln -s /usr/bin/python3 v/$i; done", "and 2 more"),
    "a repository": ("git init -q sub && cd sub && touch x && " + COMMIT, "'sub'"),
    "a name that steers": ("touch \"$(printf 'a\\033[2Jb')\"", "x1b"),
    "a file of holes": ("truncate -s 70M holes", "'holes'"),
}  # fmt: skip


LONG = ("a repository", "a file of holes")
CASES = [pytest.param(*case, id=name, marks=pytest.mark.slow if name in LONG else ()) for name, case in LITTER.items()]


@pytest.mark.parametrize(("script", "left_out"), CASES)
def test_what_lies_about_at_the_end_costs_itself_alone(hire: Hire, script: str, left_out: str) -> None:
    road, outcome = hire(f"echo '# mine' >>reproduction/work.py; {COMMIT}; echo later >later.py; {script}")
    assert "cannot" in refusal(road, outcome) or "too large" in data_of(road.desk, "submitted")[-1]["refused"]
    handed = as_agents_do(road)
    files = files_of(road, handed)
    assert files["later.py"] == b"later\n"
    assert b"# mine" in files["reproduction/work.py"]
    assert handed.instead is not None
    assert left_out in handed.instead
    assert "\x1b" not in handed.instead
    assert data_of(road.desk, "submitted")[-1]["instead"] == handed.instead
