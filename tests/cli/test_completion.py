"""What shells offer after `reproof`, asked through the scripts that it prints, in the shells themselves."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import harness
from harness.attempt.attempt import attempt_name
from harness.cli.completion import SETTINGS
from harness.cli.shells import rejoined, script
from harness.cli.start import VERBS
from harness.config import Settings
from harness.record.files import Store

Cli = Callable[..., subprocess.CompletedProcess[str]]
Ask = Callable[..., list[str]]
ATTEMPTS = ["20261122-101500-tree_search-reference-a1b2", "20261123-090000-tiny-solver-3-00ff"]
HOSTILE = [
    "20261122-101500-$(touch pwned)-x-a1b2",
    "20261122-101500-`touch pwned`-x-a1b2",
    "20261122-101500-tiny-x-a1b2\ntouch pwned",
    "20261122-101500-tiny-x;y-a1b2",
    "20261122-101500-tiny-\x1b[31m-a1b2",
    "--help",
    "notes",
]
KEYS = [
    "agents_path=", "budget=", "condition=", "engine=", "models=", "paper=", "participant=", "private_path=",
    "results=", "sandbox=", "slots=", "tracking=", "workspace=",
]  # fmt: skip
OURS = [path.parent.name for path in (Path(harness.__file__).parent.parent / "papers").glob("*/paper.yaml")]
PARTICIPANTS = [
    "aider", "alternative", "claude", "codex", "command", "gemini", "guest", "hard_coder", "human", "mini", "mutation",
    "opencode", "reference", "replay", "starter",
]  # fmt: skip
needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
needs_fish = pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")

ASK_BASH = """\
source "$0"
compopt() { echo "compopt $*"; }
COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_reproof_completion reproof "${COMP_WORDS[COMP_CWORD]}"
[ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with `bin/reproof`, and with attempts in `results` and `elsewhere`."""
    program = tmp_path / "bin" / "reproof"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from harness.cli.start import main; main()' \"$@\"\n")
    program.chmod(0o755)
    for name in (*ATTEMPTS, *HOSTILE):
        folder = tmp_path / "results" / "attempts" / name
        folder.mkdir(parents=True)
        (folder / "attempt.json").write_text("{}")
    (tmp_path / "results" / "attempts" / "20261124-101500-tiny-unfinished-a1b2").mkdir()
    (tmp_path / "elsewhere" / "attempts" / ATTEMPTS[1]).mkdir(parents=True)
    (tmp_path / "elsewhere" / "attempts" / ATTEMPTS[1] / "attempt.json").write_text("{}")
    return tmp_path


@pytest.fixture
def shell_environment(environment: dict[str, str], place: Path) -> dict[str, str]:
    path = f"{place / 'bin'}{os.pathsep}{environment['PATH']}"
    return {**environment, "PATH": path, "HOME": str(place), "TERM": "xterm", "INPUTRC": "/dev/null"}


@pytest.fixture
def bash(place: Path, shell_environment: dict[str, str]) -> Ask:
    """What bash's function leaves in COMPREPLY, for words as bash breaks them."""
    (place / "script").write_text(script("bash"))

    def ask(*words: str, **more: str) -> list[str]:
        command = ["bash", "--norc", "-c", ASK_BASH, str(place / "script"), "reproof", *words]
        done = subprocess.run(command, cwd=place, env={**shell_environment, **more}, capture_output=True, text=True)
        assert done.stderr == ""
        return done.stdout.splitlines()

    return ask


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pa", ["papers", "paper", "pack"]),
        ("paper ''", ["new", "schema", "show", "sync", "validate"]),
        ("paper validate tree", ["tree_search"]),
        ("paper sync ti", ["tiny"]),
        ("paper show --js", ["--json"]),
        ("paper show ./pa", ["compopt -o dirnames"]),
        ("paper show tiny ''", []),
        ("paper schema ''", []),
        ("nope ''", []),
        ("''x", []),
        ("--ver", ["--version"]),
        ("report ''", ATTEMPTS[::-1]),
        ("rescore --json 20261122", ATTEMPTS[:1]),
        ("rerun --results elsewhere ''", ATTEMPTS[1:]),
        ("score --results = elsewhere ''", ATTEMPTS[1:]),
        ("track --results nowhere ''", []),
        ("doctor --sandbox b", ["bubblewrap"]),
        ("doctor --sandbox = b", ["bubblewrap"]),
        ("demo --results ''", ["compopt -o default"]),
        ("completion ''", ["bash", "zsh", "fish"]),
        ("attempt ''", KEYS),
        ("attempt par", ["compopt -o nospace", "participant="]),
        ("attempt paper =", sorted(["lean", "tiny", *OURS])),
        ("attempt paper = tr", ["tree_search"]),
        ("attempt paper = tiny participant = st", ["starter"]),
        ("attempt paper = tiny participant =", PARTICIPANTS),
        ("attempt paper = tiny,le", ["tiny,lean"]),
        ("attempt paper = ./pa", ["compopt -o dirnames"]),
        ("attempt slots = c", ["curtailed"]),
        ("attempt results = x", ["compopt -o dirnames"]),
        ("attempt paper = tiny --", ["--anew", "--json", "--help"]),
        ("attempt nothing = x", []),
    ],
)
def test_bash_is_offered(bash: Ask, line: str, offered: list[str]) -> None:
    assert bash(*(word.strip("'") for word in line.split())) == offered


def test_bash_is_offered_every_verb(bash: Ask) -> None:
    assert bash("") == list(VERBS)


def test_bash_with_other_word_breaks_is_given_whole_words(bash: Ask, place: Path) -> None:
    (place / "script").write_text(f"COMP_WORDBREAKS=' :'\n{script('bash')}")
    assert bash("attempt", "paper=tr") == ["paper=tree_search"]


def test_own_configs_are_offered_beside_ours(bash: Ask, place: Path) -> None:
    for name in ("mine", "$(touch pwned)"):
        path = place / "configs" / "participant" / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    assert bash("attempt", "participant", "=") == sorted(["mine", *PARTICIPANTS])


def test_hostile_names_are_never_offered(bash: Ask, place: Path) -> None:
    assert bash("report", "2026") == ATTEMPTS[::-1]
    assert bash("report", "n") == []
    assert not (place / "pwned").exists()


@pytest.mark.parametrize("results", ["file", "results/attempts", "\x00"])
def test_a_results_folder_that_is_none_offers_nothing(bash: Ask, place: Path, results: str) -> None:
    (place / "file").write_text("")
    assert bash("report", "--results", results.replace("\x00", "a" * 300), "") == []


def test_names_of_attempts_are_known(place: Path) -> None:
    from harness.cli.completion import _ATTEMPT

    now = datetime.now(UTC)
    for participant in ("reference", "a " * 60, "käse", "🚶", "../x"):
        assert _ATTEMPT.fullmatch(attempt_name("tree_search", participant, now))
    assert {name for name in Store(place / "results").attempts() if _ATTEMPT.fullmatch(name)} == set(ATTEMPTS)


def test_settings_that_are_offered_exist() -> None:
    assert {*SETTINGS, *(key.removesuffix("=") for key in KEYS)} <= set(Settings.model_fields)


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["a", "b"], ["a", "b"]),
        (["paper", "=", "tr"], ["paper=tr"]),
        (["paper", "="], ["paper="]),
        (["paper", "=", ""], ["paper=", ""]),
        (["--uri", "http", "://127.0.0.1", ":", "50"], ["--uri", "http", "://127.0.0.1:50"]),
        (["a", "==", "b", "c"], ["a==b", "c"]),
        (["=", "x"], ["=x"]),
        ([""], [""]),
    ],
)
def test_words_are_put_together_again(words: list[str], whole: list[str]) -> None:
    assert rejoined(words, set("=:")) == whole


def test_verbs_are_completed_without_importing_any(cli: Cli) -> None:
    asked = {"_REPROOF_COMPLETE": "bash_complete", "COMP_WORDS": "reproof p", "COMP_CWORD": "1"}
    done = cli(PYTHONPROFILEIMPORTTIME="1", **asked)
    assert done.stdout == "plain,papers\nplain,paper\nplain,plan\nplain,pack\n"
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    ours = {name for name in imported if name.startswith("harness")}
    typing = {"harness.cli.start", "harness.cli.main", "harness.cli.shells", "harness.errors", "harness.report.text"}
    assert ours == {"harness", "harness.cli", "harness.report", *typing}
    heavy = {"pydantic", "yaml", "numpy", "hydra", "rich", "git"}
    for words in ("reproof attempt paper=", "reproof report 2", "reproof paper show t", "reproof attempt participant="):
        done = cli(PYTHONPROFILEIMPORTTIME="1", **asked | {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))})
        assert not heavy & {line.split("|")[-1].strip() for line in done.stderr.splitlines()}


@pytest.mark.parametrize("asked", ["bash", "tcsh_complete", "bash_dance", ""])
def test_a_shell_that_asks_nonsense_gets_no_traceback(cli: Cli, asked: str) -> None:
    done = cli(_REPROOF_COMPLETE=asked)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_printed_in_the_usual_way_too(cli: Cli, shell: str) -> None:
    printed = cli("completion", shell).stdout
    assert printed == script(shell)
    assert cli(_REPROOF_COMPLETE=f"{shell}_source").stdout == printed


def test_an_unknown_shell_is_answered_with_the_known_ones(cli: Cli) -> None:
    done = cli("completion", "fsh")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean fish? Known: bash, fish, zsh" in done.stderr
    assert "bash|zsh|fish" in cli("completion").stderr
    shown = cli("completion", "--help").stdout
    assert shown.count('eval "$(reproof completion') == 2
    assert "reproof completion fish | source" in shown


@needs_fish
@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (
            "reproof pa",
            [
                "pack\tWrite one file from which others can verify an attempt.",
                "paper\tBegin, show, sync and validate a paper; print the schema.",
                "papers\tList the papers.",
            ],
        ),
        ("reproof paper validate tr", ["tree_search"]),
        ("reproof attempt paper=t", ["paper=tiny", "paper=tree_search"]),
        ("reproof attempt paper=tiny participant=st", ["participant=starter"]),
        ("reproof report 2026", ATTEMPTS),
        ("reproof attempt paper=./resu", ["paper=./results/\tDirectory"]),
        ("reproof report --results else", ["elsewhere/"]),
        ("reproof doctor --sandbox=bub", ["--sandbox=bubblewrap"]),
    ],
)
def test_fish_is_offered(place: Path, shell_environment: dict[str, str], line: str, offered: list[str]) -> None:
    command = ["fish", "--no-config", "-c", 'reproof completion fish | source; complete -C "$argv"', line]
    done = subprocess.run(command, cwd=place, env=shell_environment, capture_output=True, text=True)
    assert done.stderr == ""
    assert sorted(done.stdout.splitlines()) == offered


class Terminal:
    """A shell that believes a person is typing."""

    def __init__(self, command: list[str], cwd: Path, env: dict[str, str]) -> None:
        self._us, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        self._shell = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)

    def type(self, keys: str, *, until: str) -> str:
        """Type, and wait for a text; what its group holds."""
        os.write(self._us, keys.encode())
        shown, end = "", time.monotonic() + 30
        while time.monotonic() < end:
            if select.select([self._us], [], [], 0.1)[0]:
                shown += os.read(self._us, 4096).decode(errors="replace")
            if found := re.search(until, shown):
                return found[1]
        raise AssertionError(f"waited for {until!r} in vain: {shown!r}")

    def completed(self, line: str) -> str:
        """The line after Tab and an X, printed in place of being run."""
        return self.type(f'{line}\tX\x01echo "G"OT: "\x05"\r', until=r"GOT: ([^\r\n\x1b]*)\r?\n")

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._us)


TYPED = [
    ("reproof dem", "reproof demo X"),
    ("reproof paper validate tree", "reproof paper validate tree_search X"),
    ("reproof attempt pap", "reproof attempt paper=X"),
    ("reproof attempt paper=tre", "reproof attempt paper=tree_search X"),
    ("reproof attempt paper=tiny participant=st", "reproof attempt paper=tiny participant=starter X"),
    ("reproof attempt paper=./resu", "reproof attempt paper=./results/X"),
    ("reproof attempt --js", "reproof attempt --json X"),
    ("reproof report 20261122", f"reproof report {ATTEMPTS[0]} X"),
    ("reproof report --results else", "reproof report --results elsewhere/X"),
    ("reproof doctor --sandbox=bub", "reproof doctor --sandbox=bubblewrap X"),
    ("bin/reproof dem", "bin/reproof demo X"),
]
SHELLS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'eval "$(reproof completion bash)"'),
    "zsh": (
        ["zsh", "-f", "-i"],
        'bindkey -e; autoload -Uz compinit; compinit -u -D; eval "$(reproof completion zsh)"',
    ),
}


@pytest.fixture(params=["bash", pytest.param("zsh", marks=needs_zsh)])
def terminal(request: pytest.FixtureRequest, place: Path, shell_environment: dict[str, str]) -> Iterator[Terminal]:
    command, setup = SHELLS[request.param]
    shell = Terminal(command, place, shell_environment)
    try:
        shell.type(f'{setup}; echo "RE"ADY\r', until="(READY)\r?\n")
        yield shell
    finally:
        shell.close()


@pytest.mark.slow
def test_tab_completes_the_line(terminal: Terminal) -> None:
    assert {line: terminal.completed(line) for line, _ in TYPED} == dict(TYPED)
