"""Jobs of Harbor's made by hand: honest ones are rerun and scored, once; hostile ones harm nobody."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from filelock import FileLock
from guests import MadeTrial, finish

from harness.attempt.submission import DEFAULT_LIMITS
from harness.cli.main import reproof
from harness.errors import UsageError
from harness.exchange import taking
from harness.exchange.harbor_job import BUNDLES, TRAJECTORY, Trial, Unreadable, bundle_of, read_job, trajectory_of
from harness.exchange.taking import REPORTED, REPORTED_TRAJECTORY, Taken, Taker
from harness.record.files import Store
from harness.road import Road, resume
from harness.scoring.score import Score
from harness.trajectory.keep import trajectory_of as trajectory_here


def silent(*nothing: object) -> None:
    """Tell nobody."""


def take(tmp_path: Path, **more: Any) -> list[Taken]:
    overrides = ("tracking=none", f"results={tmp_path / 'results'}")
    taker = Taker(**{"finish": finish, "tell": silent, "progress": silent, "overrides": overrides, **more})
    return list(taker.take(tmp_path / "jobs" / "monday"))


def only(tmp_path: Path) -> Trial | Unreadable:
    (found,) = read_job(tmp_path / "jobs" / "monday")
    return found


@pytest.mark.usefixtures("papers")
def test_an_honest_job_is_rerun_and_scored_and_counts_once(trial: MadeTrial, solved: bytes, tmp_path: Path) -> None:
    folder = trial("lean__one", solved, verifier_result={"rewards": {"reward": 0.25}})
    (folder / "agent").mkdir()
    steps = [{"step_id": 1, "source": "agent", "message": "I look <b>around</b>", "timestamp": "2026-11-23T07:00:01Z"}]
    told = {
        "schema_version": "ATIF-v1.5",
        "session_id": "s",
        "agent": {"name": "solver", "version": "3"},
        "steps": steps,
    }
    (folder / TRAJECTORY).write_text(json.dumps(told))
    trial("lean__two", b"", exception_info={"exception_type": "AgentTimeoutError"})
    first, second = take(tmp_path)
    assert (first.state, first.verdict, first.value, first.reported) == ("scored", "PASS", pytest.approx(1.0), 0.25)
    assert (second.state, second.verdict, second.fault, second.reported) == ("scored", "FAIL", "budget", 1.0)
    road = resume(str(first.attempt), tmp_path / "results", tell=silent)
    handed = road.submission()
    assert handed.declared == {"working": 120.0, "cpu": 0.0, "env_steps": 0.0, "tokens": 1050.0, "dollars": 0.5}
    assert road.attempt.participant.name == "solver p/m-1"
    reported = json.loads((road.folder / REPORTED).read_text())
    assert (reported["reward"], reported["tokens"], reported["version"]) == (0.25, 1050, "3")
    assert json.loads((road.folder / REPORTED_TRAJECTORY).read_text()) == told
    heard = trajectory_here(road.desk)
    assert heard is not None
    assert heard.notes is not None
    assert heard.notes.startswith("As the agent reports it")
    assert heard.steps[0].message == "I look <b>around</b>"
    other = resume(str(second.attempt), tmp_path / "results", tell=silent).submission()
    assert (other.fault, other.history) == ("budget", [])
    again = take(tmp_path)
    assert [one.state for one in again] == ["known", "known"]
    assert [one.attempt for one in again] == [first.attempt, second.attempt]
    assert len(Store(tmp_path / "results").attempts()) == 2


@pytest.mark.usefixtures("papers")
def test_an_interrupted_import_goes_on(
    trial: MadeTrial, solved: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial("lean__one", solved)

    def interrupt(road: Road) -> Score:
        raise KeyboardInterrupt

    def broken(*words: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(taking, "_bring", broken)
        with pytest.raises(KeyboardInterrupt):
            take(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        take(tmp_path, finish=interrupt)
    (found,) = take(tmp_path)
    assert (found.state, found.verdict) == ("scored", "PASS")
    assert Store(tmp_path / "results").attempts() == [found.attempt]


@pytest.mark.usefixtures("papers")
def test_what_cannot_be_taken_in_says_why_and_leaves_the_others_alone(trial: MadeTrial, tmp_path: Path) -> None:
    trial("a_garbage", b"no bundle at all")
    trial("b_nothing", None)
    trial("c_unknown", b"", task_name="reproof/../../etc\x1b[2J")
    trial("d_never", None, agent_execution=None, exception_info={"exception_type": "EnvironmentStartTimeoutError"})
    (trial("e_broken") / "result.json").write_text("{")
    found = take(tmp_path)
    assert [one.state for one in found] == ["refused", "skipped", "skipped", "skipped", "skipped"]
    assert [one.fault for one in found] == ["none", "none", "none", "harness", "harness"]
    assert "cannot be taken in" in found[0].why
    assert "no commits" in found[1].why
    assert "\x1b" not in found[2].why
    assert "never worked (EnvironmentStartTimeoutError)" in found[3].why
    assert len(Store(tmp_path / "results").attempts()) == 1  # the garbage: begun, with nothing handed in
    assert take(tmp_path)[0].state == "refused"
    assert len(Store(tmp_path / "results").attempts()) == 1


HOSTILE: dict[str, dict[str, Any]] = {
    "no number": {"verifier_result": {"rewards": {"reward": "1"}}},
    "too many tokens": {"agent_result": {"n_input_tokens": 10**18}},
    "fewer than no tokens": {"agent_result": {"n_input_tokens": -5}},
    "half a token": {"agent_result": {"n_output_tokens": 0.5}},
    "negative dollars": {"agent_result": {"cost_usd": -1.0}},
    "a name without end": {"trial_name": "x" * 100_000},
    "a path for an id": {"id": "../../../../etc/passwd-12345678901"},
    "rewards without end": {"verifier_result": {"rewards": {f"k{i}": 1.0 for i in range(2000)}}},
    "a list for a trial": {"agent_info": []},
}


@pytest.mark.parametrize("more", HOSTILE.values(), ids=list(HOSTILE))
def test_a_result_that_is_out_of_range_is_not_read(more: dict[str, Any], trial: MadeTrial, tmp_path: Path) -> None:
    trial(**({"name": "lean__x"} | {"bundle": b""}), **more)
    assert isinstance(only(tmp_path), Unreadable)


@pytest.mark.parametrize(
    "text",
    [
        '{"verifier_result": {"rewards": {"reward": NaN}}}',
        '{"verifier_result": {"rewards": {"reward": 1e999}}}',
        "[" * 200_000,
        '{"a":' * 100_000,
        "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
        "",
        "null",
    ],
    ids=["nan", "infinity", "deep list", "deep object", "no utf-8", "empty", "null"],
)
def test_a_result_that_is_no_json_of_ours_is_not_read(text: str, trial: MadeTrial, tmp_path: Path) -> None:
    path = trial() / "result.json"
    told = json.loads(path.read_text())
    merged = text if not text.startswith('{"verifier') else json.dumps(told)[:-1] + "," + text[1:]
    path.write_bytes(merged.encode("latin-1"))
    assert isinstance(only(tmp_path), Unreadable)


def test_links_pipes_and_huge_files_are_not_followed_opened_or_read(trial: MadeTrial, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"# v2 git bundle\n")
    linked = trial("a_link", None)
    (linked / BUNDLES[0]).parent.mkdir(parents=True)
    (linked / BUNDLES[0]).symlink_to(secret)
    above = trial("b_above", None)
    (tmp_path / "outside" / "logs" / "artifacts").mkdir(parents=True)
    (tmp_path / "outside" / "logs" / "artifacts" / "submission.bundle").write_bytes(b"x")
    (above / "artifacts").symlink_to(tmp_path / "outside")
    piped = trial("c_pipe", None)
    (piped / BUNDLES[0]).parent.mkdir(parents=True)
    os.mkfifo(piped / BUNDLES[0])
    (piped / "agent").mkdir()
    os.mkfifo(piped / TRAJECTORY)
    huge = trial("d_huge")
    os.truncate(huge / BUNDLES[0], DEFAULT_LIMITS.bundle + 1)
    result = trial("e_result") / "result.json"
    result.unlink()
    result.symlink_to(secret)
    (tmp_path / "jobs" / "monday" / "f_trial").symlink_to(huge)
    began = time.monotonic()
    found = list(read_job(tmp_path / "jobs" / "monday"))
    assert [type(one) for one in found] == [Trial] * 4 + [Unreadable]
    for one in found[:4]:
        assert isinstance(one, Trial)
        with pytest.raises((OSError, ValueError)):
            bundle_of(one)
        assert trajectory_of(one) is None
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("text", ["[]", "{", '{"a": NaN}', "[" * 100_000], ids=["list", "half", "nan", "deep"])
def test_a_trajectory_that_is_no_object_is_not_kept(text: str, trial: MadeTrial, tmp_path: Path) -> None:
    (trial() / "agent").mkdir()
    (tmp_path / "jobs" / "monday" / "lean__abc" / TRAJECTORY).write_text(text)
    found = only(tmp_path)
    assert isinstance(found, Trial)
    assert trajectory_of(found) is None


FAULTS = [
    (None, "none"),
    ("AgentTimeoutError", "budget"),
    ("ApiUsageLimitError", "budget"),
    ("ApiRateLimitError", "model"),
    ("AgentAuthenticationError", "model"),
    ("NonZeroAgentExitCodeError", "submission"),
    ("AgentSetupTimeoutError", "harness"),
    ("VerifierTimeoutError", "none"),
    ("RewardFileNotFoundError", "none"),
    ("SomethingNobodyKnows", "submission"),
]


@pytest.mark.parametrize(("exception", "fault"), FAULTS)
def test_whose_fault_an_end_was(exception: str | None, fault: str, trial: MadeTrial, tmp_path: Path) -> None:
    trial(exception_info={"exception_type": exception} if exception else None)
    found = only(tmp_path)
    assert isinstance(found, Trial)
    assert found.fault == fault


def test_a_folder_without_trials_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        list(read_job(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="no trials"):
        list(read_job(tmp_path))


@pytest.mark.usefixtures("papers")
def test_two_imports_at_once_are_refused(trial: MadeTrial, tmp_path: Path) -> None:
    trial()
    with FileLock(Store(tmp_path / "results").lock("import-harbor")), pytest.raises(UsageError, match="at this moment"):
        take(tmp_path)


@pytest.mark.usefixtures("papers")
def test_the_verb_prints_what_became_of_each_trial(
    trial: MadeTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trial("lean__bad", b"no bundle")
    words = ["import", "harbor", "jobs/monday", "tracking=none"]
    done = CliRunner().invoke(reproof, [*words, "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)
    assert (found["trial"], found["state"], found["reported"]) == ("lean__bad", "refused", 1.0)
    assert "lean__bad" in CliRunner().invoke(reproof, words).stdout
