"""Programs of agents: where they are installed, in a folder of their own each, and how they are started from there."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harness.attempt.quarters import Endpoint, Launch
from harness.errors import ConfigError, UsageError

AGENTS_CACHE = "REPROOF_AGENTS_CACHE"
"""Environment variable: the folder that agents are installed into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What an adapter drives: a program of one version, from one registry."""

    registry: Literal["npm", "pip"]
    package: str
    version: str
    """The version that the adapter was tried with; `participant.version` asks for another."""
    program: str
    """Its name in the installation's folder of programs, and in the name of the folder."""
    also: tuple[str, ...] = ()
    """Packages that it needs beside and does not ask for."""


class AgentOptions(BaseModel):
    """What the configuration may say to every adapter of an installed agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str | None = None
    """None: the one that the adapter was tried with."""
    installation: Path | None = None
    """The folder it is installed in; None: the one that `reproof agents` names."""
    arguments: tuple[str, ...] = ()
    """Further words for its command line."""
    environment: dict[str, str] = {}
    """Further variables of its environment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An agent's program on this machine."""

    program: Path
    folder: Path
    version: str
    words: tuple[str, ...]
    """How it is started."""
    programs: tuple[Path, ...]
    """What must be readable for that: its folder, and its interpreter unless that lies beneath /usr."""
    options: AgentOptions

    def launch(
        self,
        *words: str,
        last: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        trajectory: str | None = None,
    ) -> Launch:
        """The program started with these words, those of the configuration and the last ones, in this order."""
        return Launch(
            words=(*self.words, *words, *self.options.arguments, *last),
            environment={**(environment or {}), **self.options.environment},
            files=files or {},
            programs=self.programs,
            trajectory=trajectory,
        )


def agent_options(options: Mapping[str, Any]) -> AgentOptions:
    """What the configuration says to an adapter, typed.

    Raises:
        ConfigError: Something does not fit.
    """
    try:
        return AgentOptions.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        where = f"participant.{'.'.join(map(str, first['loc']))}"
        raise ConfigError("this does not fit", where=where, expected=first["msg"], got=repr(first["input"])) from None


def find(installation: Installation, options: Mapping[str, Any]) -> Installed:
    """The agent's program, of the version that the configuration asks for.

    Raises:
        ConfigError: The configuration does not fit.
        UsageError: It is not installed, or in another version; the remedy is the command that installs it.
    """
    asked = agent_options(options)
    version = asked.version or installation.version
    folder = (asked.installation or folder_of(installation, version)).absolute()
    program = _program(installation, folder)
    found = installed_version(installation, folder) if program.exists() else None
    pinned = asked.installation is None or asked.version is not None
    if found is None or (pinned and found != version):
        raise UsageError(
            f"{installation.program} is not installed",
            where=folder,
            expected=f"{installation.package} {version}",
            got=found or "nothing",
            remedy=f"install it with: {install_line(installation, version, folder)}",
        )
    words, interpreter = _started(program.resolve() if installation.registry == "npm" else program)
    return Installed(
        program=program, folder=folder, version=found, words=words, options=asked,
        programs=tuple(dict.fromkeys((folder, folder.resolve(), *_beside(installation, folder), *interpreter))),
    )  # fmt: skip


def reached(endpoint: Endpoint | None) -> Endpoint:
    """How a model is reached.

    Raises:
        ConfigError: The attempt has none.
    """
    if endpoint is None:
        remedy = "name a provider and a model: models=openai participant.model=NAME"
        raise ConfigError("this agent needs a model", where="participant.model", got="none", remedy=remedy)
    return endpoint


def folder_of(installation: Installation, version: str | None = None) -> Path:
    """The folder that a version is looked for in: `~/.cache/reproof/agents/PROGRAM-VERSION` unless said otherwise."""
    kept = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    root = os.environ.get(AGENTS_CACHE) or f"{kept}/reproof/agents"
    return Path(root).expanduser() / f"{installation.program}-{version or installation.version}"


def install_commands(installation: Installation, version: str, folder: Path) -> list[list[str]]:
    """The commands that install it into a folder, one after the other."""
    if installation.registry == "npm":
        packages = (f"{installation.package}@{version}", *installation.also)
        return [["npm", "install", "--prefix", str(folder), *packages]]
    packages = (f"{installation.package}=={version}", *installation.also)
    return [["python3", "-m", "venv", str(folder)], [str(folder / "bin" / "pip"), "install", *packages]]


def install_line(installation: Installation, version: str | None = None, folder: Path | None = None) -> str:
    """The same as one line for a shell."""
    version = version or installation.version
    commands = install_commands(installation, version, folder or folder_of(installation, version))
    return " && ".join(shlex.join(words) for words in commands)


def installed_version(installation: Installation, folder: Path) -> str | None:
    """The version in a folder, read from the registry's own notes there; None: there is none."""
    if installation.registry == "npm":
        try:
            note = json.loads((folder / "node_modules" / installation.package / "package.json").read_text())
        except (OSError, ValueError):
            return None
        return str(note["version"]) if isinstance(note, dict) and "version" in note else None
    name = installation.package.replace("-", "_")
    found = sorted(folder.glob(f"lib/python3*/site-packages/{name}-*.dist-info"))
    return found[-1].name.removeprefix(f"{name}-").removesuffix(".dist-info") if found else None


def _program(installation: Installation, folder: Path) -> Path:
    return folder / ("node_modules/.bin" if installation.registry == "npm" else "bin") / installation.program


def _started(program: Path) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """How a program is started, with the interpreter that it needs.

    Raises:
        UsageError: It is a script of Node's, and there is no Node.
    """
    with program.open("rb") as file:
        first = file.read(200).partition(b"\n")[0]
    if not (first.startswith(b"#!") and b"node" in first):
        return (str(program),), ()
    node = shutil.which("node")
    if node is None:
        remedy = "install Node.js 20 or later, or put its folder on PATH"
        raise UsageError("this agent needs Node", where=program, expected="`node` on PATH", got="none", remedy=remedy)
    return (node, str(program)), _readable(Path(node))


def _beside(installation: Installation, folder: Path) -> tuple[Path, ...]:
    """The Python that a virtual environment was made from."""
    if installation.registry == "npm":
        return ()
    python = folder / "bin" / "python3"
    return tuple(path for path in _readable(python) if not path.is_relative_to(folder)) if python.is_symlink() else ()


def _readable(program: Path) -> tuple[Path, ...]:
    """An interpreter wherever links lead to it, with the libraries beside it; nothing of what lies beneath /usr."""
    found = [program]
    while found[-1].is_symlink():
        found.append(Path(os.path.normpath(found[-1].parent / found[-1].readlink())))
    found.append(program.resolve().parent.parent / "lib")
    return tuple(path for path in found if path.exists() and not path.is_relative_to("/usr"))
