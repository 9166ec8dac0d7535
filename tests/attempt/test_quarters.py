"""An agent's quarters: what it has there, what it cannot reach, and what is left of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.attempt.participant import Assignment, Launch, Outcome
from harness.attempt.quarters import HOME, Endpoint, give_sign, read_inside, take_sign
from harness.config import BudgetSettings, Settings
from harness.errors import ConfigError
from harness.handing_out import hand_out
from harness.paper.load import Paper

Live = Callable[..., tuple[Assignment, Outcome, str]]


@pytest.fixture
def live(tiny: Paper, tmp_path: Path, settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.setenv("SOME_SECRET", "of-the-harness")

    def run(script: str, *, backend: str = "bubblewrap", **rest: Any) -> tuple[Assignment, Outcome, str]:
        chosen = settings(tiny.folder, tmp_path / "results", "starter", backend=backend)
        road = hand_out(chosen.model_copy(update={"budget": BudgetSettings(name="standard", wall=60.0)}), tell=len)
        road.desk.note("resumed")
        one = Assignment(paper=tiny, bench=road.bench, name="x", options={}, tell=lambda text: None)
        outcome = one.live(Launch(words=("sh", "-c", script), **rest))
        return one, outcome, (road.folder / "agent.log").read_text(errors="replace")

    return run


def test_nothing_but_what_is_meant_is_there(live: Live, tiny: Paper, tmp_path: Path) -> None:
    script = f"""
    env | sort; ls /reproof /reproof/home -a
    cat {tmp_path}/results/attempts/*/attempt.json {tiny.private}/mutations.yaml /etc/passwd {Path.home()}/.bashrc
    ls {tmp_path} /home {Path.home()} /proc/1/root{tmp_path}
    python -c 'import socket; socket.create_connection(("1.1.1.1", 53), 1)' && echo connected
    for file in /reproof/bin/reproof /reproof/lines/x /usr/x /etc/x /reproof/x; do
        echo x >$file && echo wrote $file
    done
    cat /proc/net/dev | grep -c eth
    """
    _, _, said = live(script)
    assert "of-the-harness" not in said
    assert "SOME_SECRET" not in said
    assert "doubled_step" not in said
    assert "start_commit" not in said
    assert "root:x" not in said
    assert "connected" not in said
    assert "wrote" not in said
    assert f"HOME={HOME}\n" in said
    assert "REPROOF_DEADLINE=" in said
    assert "OPENAI_API_KEY" not in said


def test_its_files_are_laid_and_its_report_is_kept(live: Live) -> None:
    script = "cat ~/.config/one.json; mkdir ~/logs; echo '{\"a\": 1}' > ~/logs/run.json"
    one, _, said = live(script, files={".config/one.json": "laid\n"}, trajectory="logs/run.json")
    assert "laid" in said
    assert (one.bench.desk.folder / "reported.json").read_text() == '{"a": 1}\n'


@pytest.mark.parametrize(
    "script",
    [
        "ln -s /etc/passwd ~/run.json",
        "ln -s {private}/mutations.yaml ~/run.json",
        "mkfifo ~/run.json",
        "mkdir ~/run.json",
        "true",
    ],
)
def test_a_report_that_is_no_plain_file_is_not_kept(live: Live, tiny: Paper, script: str) -> None:
    one, _, _ = live(script.format(private=tiny.private), trajectory="run.json")
    assert not list(one.bench.desk.folder.glob("reported.*"))


def test_no_link_on_the_way_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/x").write_text("secret")
    (tmp_path / "home").mkdir()
    (tmp_path / "home/logs").symlink_to(tmp_path / "secret")
    assert read_inside(tmp_path / "home", "logs/x", most=10) is None
    assert read_inside(tmp_path, "secret/x", most=3) == b"sec"
    assert read_inside(tmp_path, "", most=3) is None


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", ""])
def test_no_file_is_laid_outside_its_home(live: Live, name: str) -> None:
    with pytest.raises(ConfigError, match="home"):
        live("true", files={name: "x"})


def test_folders_with_records_or_a_home_are_not_shown(live: Live, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results/tool").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "results")
    for path in (tmp_path, tmp_path / "results", tmp_path / "results/tool", tmp_path / "link"):
        with pytest.raises(ConfigError, match="records of attempts"):
            live("true", programs=(path,))
    monkeypatch.setenv("HOME", str(tmp_path / "somebody"))
    (tmp_path / "somebody/tool").mkdir(parents=True)
    with pytest.raises(ConfigError, match="somebody's home"):
        live("true", programs=(tmp_path / "somebody",))
    with pytest.raises(ConfigError, match="nothing to be shown"):
        live("true", programs=(tmp_path / "absent",))
    _, outcome, _ = live(f"ls {tmp_path}/somebody/tool", programs=(tmp_path / "somebody/tool",))
    assert outcome.ended == "done", outcome.note


def test_a_home_has_a_quota(live: Live) -> None:
    _, outcome, _ = live("head -c 40000000 /dev/zero > ~/much; sleep 5")
    assert (outcome.ended, outcome.fault) == ("disk", "submission")


def test_the_sign_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work/TEN_MINUTES_LEFT").symlink_to(tmp_path / "elsewhere")
    give_sign(tmp_path / "work")
    assert not (tmp_path / "elsewhere").exists()
    take_sign(tmp_path / "work")
    assert not os.path.lexists(tmp_path / "work/TEN_MINUTES_LEFT")


def test_quarters_without_isolation_have_the_same_names(live: Live) -> None:
    _, outcome, said = live("reproof status; cd /reproof/home && echo $HOME", backend="process")
    assert outcome.ended == "done", outcome.note
    assert "working time" in said


def test_an_endpoint_is_told_in_every_clients_words() -> None:
    from harness.attempt.quarters import asking

    told = asking(Endpoint(base="http://127.0.0.1:8080", key="reproof", model="m"))
    assert told["OPENAI_BASE_URL"] == "http://127.0.0.1:8080/v1"
    assert told["ANTHROPIC_BASE_URL"] == told["GOOGLE_GEMINI_BASE_URL"] == "http://127.0.0.1:8080"
