"""An agent's quarters: the sandbox it lives in for an attempt, with a home, a broker and perhaps a model."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from harness.attempt import inside
from harness.attempt.desk import Desk
from harness.attempt.work import WORKSPACE
from harness.cleanroom.sandbox import Mount
from harness.errors import ConfigError
from harness.scratch import scratch

HOME = "/reproof/home"
"""The agent's own folder, kept beside the attempt afterwards and shown to nobody else."""
TOOLS, LINES = "/reproof/bin", "/reproof/lines"
"""Our programs, first on PATH; the sockets of broker and proxy."""
PORT = 8080
"""On the sandbox's own loopback, where a model is reached."""
BROKER, MODEL = "broker.sock", "model.sock"
KEPT = "home"
"""The home's name in the attempt's folder."""
REPORTED = "reported"
"""Stem of the file in the attempt's folder that keeps what an agent says of itself."""
_LARGEST = 64 << 20
"""Bytes of it that are kept."""
_ENDINGS = (".json", ".jsonl", ".txt", ".md", ".log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """How a language model is reached from inside."""

    base: str
    """The URL before a format's own path, without a slash at its end."""
    key: str
    """A word that is worth nothing outside."""
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How an agent's program is started without anybody at its terminal."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Laid into its home before the start: text by relative path."""
    programs: tuple[Path, ...] = ()
    """Shown to it read-only under the same paths: its installation, which is executables and libraries."""
    trajectory: str | None = None
    """Path beneath its home of what it writes about itself; it is kept, and trusted by nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarters:
    """The folders of an agent's quarters, on this machine."""

    home: Path
    tools: Path
    lines: Path
    """Short enough a path for sockets."""

    def mounts(self, launch: Launch, quota: int) -> list[Mount]:
        """What is shown beside the workspace and the installed programs; `quota` in bytes, of the home."""
        own = [
            Mount(source=self.tools, target=TOOLS),
            Mount(source=self.lines, target=LINES),
            Mount(source=self.home, target=HOME, writable=True, quota=quota),
        ]
        return [*(Mount(source=path, target=str(path)) for path in _shown(launch.programs)), *own]


@contextlib.contextmanager
def quarters(desk: Desk, launch: Launch) -> Iterator[Quarters]:
    """Make an agent's quarters; its home stays, the rest is gone afterwards.

    Raises:
        ConfigError: A program's folder holds what an agent must not see, or a file would be laid outside its home.
    """
    _see_to(launch.programs, desk)
    home = desk.folder / KEPT
    home.mkdir(mode=0o700, exist_ok=True)
    for name, text in launch.files.items():
        _lay(home, name, text)
    # the path of a socket has to be short, and an attempt's folder may lie deep
    with scratch(within=_short()) as made:
        tools, lines = made / "bin", made / "lines"
        tools.mkdir()
        lines.mkdir(mode=0o700)
        _client(tools / "reproof")
        yield Quarters(home=home, tools=tools, lines=lines)


def _short() -> Path | None:
    return None if len(tempfile.gettempdir()) < 40 else Path("/tmp")


def _client(file: Path) -> None:
    """The command `reproof` for the inside, run by our own Python whatever PATH says."""
    file.write_text(f"#!{sys.executable} -IS\n{Path(inside.__file__).read_text(encoding='utf-8')}", encoding="utf-8")
    file.chmod(0o755)


def surroundings(launch: Launch, endpoint: Endpoint | None) -> dict[str, str]:
    """The variables of an agent's program, its own last."""
    return {
        "HOME": HOME,
        "PATH": f"{TOOLS}:{Path(sys.prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin",
        inside.SOCKET: f"{LINES}/{BROKER}",
        **(asking(endpoint) if endpoint else {}),
        **launch.environment,
    }


def asking(endpoint: Endpoint) -> dict[str, str]:
    """The variables by which the clients of the known providers find a model."""
    return {
        "REPROOF_MODEL": endpoint.model,
        "OPENAI_BASE_URL": f"{endpoint.base}/v1",
        "OPENAI_API_BASE": f"{endpoint.base}/v1",
        "OPENAI_API_KEY": endpoint.key,
        "ANTHROPIC_BASE_URL": endpoint.base,
        "ANTHROPIC_API_KEY": endpoint.key,
        "GOOGLE_GEMINI_BASE_URL": endpoint.base,
        "GEMINI_API_KEY": endpoint.key,
    }


def _shown(programs: Sequence[Path]) -> list[Path]:
    """Absolute, once each, without those that lie in what every sandbox shows."""
    paths = dict.fromkeys(path.absolute() for path in programs)
    return [path for path in paths if not path.is_relative_to("/usr")]


def _see_to(programs: Sequence[Path], desk: Desk) -> None:
    """See that nothing private lies in what is shown to an agent.

    Raises:
        ConfigError: It does, or there is nothing.
    """
    store = desk.folder.parents[1].resolve()
    for path in programs:
        real = path.resolve()
        if not real.exists():
            message = "there is nothing to be shown to the program"
            raise ConfigError(message, where=path, remedy="name a folder that exists")
        held = [own for own in (store, desk.workspace.resolve()) if own.is_relative_to(real)]
        if held or real.is_relative_to(store):
            remedy = "name a folder beside them, or keep the records elsewhere: results=FOLDER"
            raise ConfigError("this folder holds the records of attempts", where=path, remedy=remedy)
        if Path.home().resolve().is_relative_to(real):
            remedy = "name the folder of the program alone"
            raise ConfigError("this folder holds somebody's home", where=path, remedy=remedy)


def _lay(home: Path, name: str, text: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ConfigError("a file of a launch lies in the agent's home", where=name, expected="a relative path")
    (home / path).parent.mkdir(parents=True, exist_ok=True)
    (home / path).write_text(text, encoding="utf-8")


def keep_reported(home: Path, name: str, folder: Path) -> Path | None:
    """Copy what an agent wrote about itself beside the attempt; None where it left no plain file there.

    Args:
        home: Its home, in which any name may be a link by now.
        name: The file's path beneath it.
        folder: The attempt's.
    """
    data = read_inside(home, name, most=_LARGEST)
    if data is None:
        return None
    ending = PurePosixPath(name).suffix
    kept = folder / f"{REPORTED}{ending if ending in _ENDINGS else '.txt'}"
    kept.write_bytes(data)
    kept.chmod(0o600)
    return kept


def read_inside(folder: Path, name: str, *, most: int) -> bytes | None:
    """A plain file's first bytes, no link on the way to it followed; None where there is no such file."""
    parts = PurePosixPath(name).parts
    with contextlib.ExitStack() as stack:
        try:
            here = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, here)
            for part in parts[:-1]:
                here = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
                stack.callback(os.close, here)
            file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
        except (OSError, IndexError):
            return None
        stack.callback(os.close, file)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        with os.fdopen(file, "rb", closefd=False) as stream:
            return stream.read(most)


TEN_MINUTES, SIGN = 600.0, "TEN_MINUTES_LEFT"
"""Seconds before the end at which a file of that name appears in the workspace."""


def ignore_sign(workspace: Path) -> None:
    """Have Git pass over the sign; the workspace is still as we have laid it."""
    exclude = workspace / ".git" / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    with exclude.open("a", encoding="utf-8") as file:
        file.write(f"/{SIGN}\n")


def give_sign(workspace: Path) -> None:
    """Lay the sign into the workspace, unless something has its name."""
    with contextlib.suppress(OSError):
        folder = os.open(workspace, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(SIGN, flags, 0o644, dir_fd=folder)
            os.write(file, b"Ten minutes are left. Commit what you have: `reproof status` says when the time ends.\n")
            os.close(file)
        finally:
            os.close(folder)


def take_sign(workspace: Path) -> None:
    """Remove the sign, so that no submission holds it."""
    with contextlib.suppress(OSError):
        (workspace / SIGN).unlink()


BRIEF_SENTENCE = (
    "You are reproducing a research paper in this Git repository. Read TASK.md and BRIEF.md first: they say what is "
    "claimed, how every number is measured, and the contract your code has to keep. Work until as many claims as "
    "possible are reproduced. Your clock runs already and nobody can pause it; `reproof status` says what is left of "
    "the time and of the budget, the environment variable REPROOF_DEADLINE when the time ends (seconds since 1970), "
    f"and ten minutes before that a file {SIGN} appears here. `reproof check` rehearses the rerun and shows what would "
    "be measured; `reproof exec -- COMMAND` runs a command beside the paper's environments. There is no network. "
    "Nobody can answer questions: decide for yourself. Commit often with Git, for your last commit is what counts, and "
    "your score over time is taken from the history; end when you are done."
)


def told(workspace: str = WORKSPACE) -> str:
    """The sentence that tells an agent what to do."""
    return f"{BRIEF_SENTENCE} The repository is {workspace}."
