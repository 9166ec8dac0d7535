"""Where programs of agents are found, what is said where one is missing, and how one is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.attempt import participant
from harness.attempt.installed import Installation, find, folder_of, install_commands, reached
from harness.attempt.participant import Endpoint, Launch, open_agent
from harness.attempt.quarters import HOME
from harness.config import compose
from harness.errors import ConfigError, PaperError, UsageError
from harness.handing_out import hand_out
from harness.paper.load import Paper
from harness.report.agents import listed

NODE = Installation(registry="npm", package="@made/up", version="1.2.3", program="up")
PYTHON = Installation(registry="pip", package="made-up", version="1.2.3", program="up", also=("more",))
REAL = ("aider", "claude", "codex", "gemini", "mini", "opencode")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPROOF_AGENTS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def lay_node(folder: Path, version: str = "1.2.3", package: str = "@made/up", program: str = "up") -> Path:
    """What npm leaves: the package with its note, and a link to its program."""
    own = folder / "node_modules" / package
    own.mkdir(parents=True)
    (own / "package.json").write_text(json.dumps({"version": version}))
    (own / "up.js").write_text("#!/usr/bin/env node\n")
    (folder / "node_modules/.bin").mkdir()
    (folder / "node_modules/.bin" / program).symlink_to(f"../{package}/up.js")
    return own / "up.js"


def lay_python(folder: Path, version: str = "1.2.3", package: str = "made_up", program: str = "up") -> Path:
    """What pip leaves in an environment whose Python lies elsewhere."""
    (folder / f"lib/python3.11/site-packages/{package}-{version}.dist-info").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin/python3").symlink_to(Path(sys.executable).resolve())
    (folder / "bin" / program).write_text(f"#!{folder}/bin/python3\n")
    return folder / "bin" / program


def test_a_program_is_found_with_its_interpreter(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = tmp_path / "elsewhere/bin/node"
    node.parent.mkdir(parents=True)
    node.write_text("#!/bin/sh\n")
    node.chmod(0o755)
    monkeypatch.setenv("PATH", f"{node.parent}:{os.environ['PATH']}")
    script = lay_node(cache / "up-1.2.3")
    found = find(NODE, {"arguments": ["--fast"], "environment": {"A": "2"}})
    assert found.version == "1.2.3"
    assert found.launch("do", last=("it",), environment={"A": "1", "B": "1"}) == Launch(
        words=(str(node), str(script), "do", "--fast", "it"),
        environment={"A": "2", "B": "1"},
        programs=(cache / "up-1.2.3", node),
    )


def test_a_node_of_the_system_needs_no_mount(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay_node(cache / "up-1.2.3")
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/env")
    assert find(NODE, {}).programs == (cache / "up-1.2.3",)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UsageError, match=r"install Node\.js"):
        find(NODE, {})


def test_a_virtual_environment_is_shown_with_the_python_it_is_of(cache: Path) -> None:
    program = lay_python(cache / "up-1.2.3")
    found = find(PYTHON, {})
    assert found.words == (str(program),)
    shown = set(found.programs)
    real = Path(sys.executable).resolve()
    assert cache / "up-1.2.3" in shown
    assert real.is_relative_to("/usr") or {real, real.parent.parent / "lib"} <= shown
    assert not any(Path.home().is_relative_to(path) for path in shown)


def test_what_is_missing_is_told_with_the_command_that_installs_it(cache: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find(NODE, {})
    assert caught.value.remedy == f"install it with: npm install --prefix {cache}/up-1.2.3 @made/up@1.2.3"
    with pytest.raises(UsageError) as caught:
        find(PYTHON, {"version": "2.0"})
    folder = cache / "up-2.0"
    told = f"install it with: python3 -m venv {folder} && {folder}/bin/pip install made-up==2.0 more"
    assert caught.value.remedy == told


@pytest.mark.parametrize("lay", [lay_node, lay_python])
def test_another_version_is_not_taken_for_the_one_that_is_asked_for(cache: Path, lay: Callable[..., Path]) -> None:
    installation = NODE if lay is lay_node else PYTHON
    lay(cache / "up-1.2.3", "1.2.4")
    with pytest.raises(UsageError, match=r"got 1\.2\.4"):
        find(installation, {})
    assert find(installation, {"installation": cache / "up-1.2.3"}).version == "1.2.4"
    with pytest.raises(UsageError, match=r"got 1\.2\.4"):
        find(installation, {"installation": cache / "up-1.2.3", "version": "1.2.3"})


@pytest.mark.parametrize("note", ["", "[]", "{}", "not json"])
def test_a_half_installed_program_is_missing(cache: Path, note: str) -> None:
    lay_node(cache / "up-1.2.3")
    (cache / "up-1.2.3/node_modules/@made/up/package.json").write_text(note)
    with pytest.raises(UsageError, match="not installed"):
        find(NODE, {})


@pytest.mark.parametrize("options", [{"modell": "x"}, {"arguments": "--fast"}, {"environment": {"A": 1}}])
def test_options_that_do_not_fit_are_answered(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"participant.{next(iter(options))}"):
        find(NODE, options)


def test_the_cache_lies_where_caches_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REPROOF_AGENTS_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert folder_of(NODE) == Path.home() / ".cache/reproof/agents/up-1.2.3"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder_of(NODE, "2") == tmp_path / "reproof/agents/up-2"
    assert install_commands(NODE, "2", tmp_path)[0][:3] == ["npm", "install", "--prefix"]


def test_an_attempt_without_a_model_is_told_so() -> None:
    with pytest.raises(ConfigError, match=r"models=openai participant\.model"):
        reached(None)


def test_adapters_are_listed_with_what_is_installed(cache: Path, tmp_path: Path) -> None:
    lay_node(cache / "codex-0.169.0", "0.169.0", "@openai/codex", "codex")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/broken.py").write_text("import nothing_of_that_name\n")
    rows = {row["name"]: row for row in listed(tmp_path / "own")}
    assert {name for name, row in rows.items() if row["package"]} == set(REAL)
    assert rows["codex"]["installed"] == "0.169.0"
    assert rows["mini"]["installed"] is None
    assert rows["mini"]["install"].endswith("/bin/pip install mini-swe-agent==2.4.6 mcp")
    assert "nothing_of_that_name" in rows["broken"]["problem"]
    assert rows["reference"]["about"] == "The participant that hands in the paper's own reference."


def test_the_verb_lists_them(cli: Callable[..., subprocess.CompletedProcess[str]], cache: Path) -> None:
    shown = cli("agents", REPROOF_AGENTS_CACHE=str(cache))
    assert shown.returncode == 0, shown.stderr
    assert f"npm install --prefix {cache}/gemini-" in shown.stdout
    rows = json.loads(cli("agents", "--json").stdout)
    assert set(REAL) < {row["name"] for row in rows}


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A package that offers the adapters `starter` and `wrong` as entry points."""
    (tmp_path / "offered.py").write_text("def work(assignment):\n    return 'offered'\n")
    monkeypatch.syspath_prepend(tmp_path)
    points = [EntryPoint("starter", "offered", "reproof.agents"), EntryPoint("wrong", "not_there", "reproof.agents")]
    monkeypatch.setattr(participant, "entry_points", lambda group: points if group == "reproof.agents" else [])
    yield tmp_path
    sys.modules.pop("offered", None)


def test_adapters_of_installed_packages_come_before_ours_and_after_folders(offered: Path) -> None:
    assert open_agent("starter").work(None) == "offered"  # type: ignore[arg-type, comparison-overlap]
    with pytest.raises(PaperError, match=r"not_there .*reproof\.agents"):
        open_agent("wrong")
    (offered / "starter.py").write_text("def work(assignment):\n    return 'mine'\n")
    assert open_agent("starter", offered).work(None) == "mine"  # type: ignore[arg-type, comparison-overlap]


@pytest.mark.parametrize(
    ("name", "models", "fitting"),
    [("codex", "anthropic", "models=openai or models=local"), ("claude", "local", "models=anthropic"),
     ("gemini", "openai", "models=gemini"), ("mini", "gemini", "models=openai or models=local")],
)  # fmt: skip
def test_a_provider_that_does_not_speak_an_agent_s_format_is_refused_before_the_start(
    name: str, models: str, fitting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(variable, "key")
    words = [f"participant={name}", "participant.model=m", f"models={models}", f"results={tmp_path / 'results'}"]
    upstream = ["models.upstream=http://127.0.0.1:1"] if models == "local" else []
    [settings] = compose(["paper=tree_search", *words, *upstream])
    with pytest.raises(ConfigError, match=f"{name} needs a model that it can talk to: expected {fitting}"):
        hand_out(settings, tell=len)
    assert not (tmp_path / "results").exists()


def test_a_program_that_is_missing_is_found_missing_before_the_start(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    words = ["participant=codex", "participant.model=m", "models=openai", f"results={tmp_path / 'results'}"]
    [settings] = compose(["paper=tree_search", *words])
    with pytest.raises(UsageError) as caught:
        hand_out(settings, tell=len)
    assert f"install it with: npm install --prefix {cache}/codex-" in str(caught.value)
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", REAL)
def test_an_adapter_launches_its_program_headless(name: str, cache: Path, tiny: Paper) -> None:
    adapter: Any = open_agent(name)
    installation: Installation = adapter.INSTALLATION
    lay = lay_node if installation.registry == "npm" else lay_python
    package = installation.package if installation.registry == "npm" else installation.package.replace("-", "_")
    lay(folder_of(installation), installation.version, package, installation.program)
    endpoint = Endpoint(base="http://127.0.0.1:8080", key="worthless", model="some-model")
    launches: list[Launch] = []
    adapter.work(
        SimpleNamespace(options={}, endpoint=endpoint, brief="Read the brief.", paper=tiny, live=launches.append)
    )
    [launch] = launches
    told = json.dumps([launch.words, dict(launch.environment), dict(launch.files)])
    assert "Read the brief." in launch.words
    assert all(part in told for part in ("http://127.0.0.1:8080", "some-model", "worthless"))
    assert launch.programs[0] == folder_of(installation)
    assert all(not path.startswith("/") for path in launch.files)
    if name in ("mini", "aider"):
        assert f"{HOME}/{launch.trajectory}" in launch.words
