"""The pins of locked.txt, as records; as a program it writes constraints.txt from them.

It needs nothing but Python, since it is used where nothing is installed yet.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKED, CONSTRAINTS = ROOT / "locked.txt", ROOT / "constraints.txt"
MORE = ROOT / "supply" / "more_hashes.txt"
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?: ; (?P<marker>.+))?")
_HEAD = """\
# What the README's line installs, to the last package: supply/lock writes it from locked.txt, which has hashes too.
# On x86-64 PyPI's torch brings 4 GB of CUDA that Reproof has no use for. To go without, install this beforehand:
#   .venv/bin/pip install torch==TORCH --index-url https://download.pytorch.org/whl/cpu
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One version of one package."""

    name: str
    version: str
    marker: str | None
    """Where it holds; None: everywhere."""
    hashes: frozenset[str]
    """SHA-256 of the files that may be installed."""

    @property
    def line(self) -> str:
        """As a constraint."""
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def normal(name: str) -> str:
    """A package's name as an index has it.

    >>> normal("Flask_WTF")
    'flask-wtf'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def public(version: str) -> str:
    """A version without what a builder has added: 2.13.0+cpu is 2.13.0."""
    return version.partition("+")[0]


def pins(text: str) -> list[Pin]:
    """What a compiled file of requirements pins.

    Raises:
        ValueError: A line that is no pin, or a pin without a hash.
    """
    found = []
    for entry in re.sub(r"\s*\\\n\s*", " ", text).splitlines():
        words = entry.partition(" --hash=")
        if not entry.strip() or entry.lstrip().startswith("#"):
            continue
        match = _PIN.fullmatch(words[0].strip())
        hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry))
        if match is None or not hashes:
            raise ValueError(f"expected a pin with hashes, got {entry[:200]!r}")
        found.append(Pin(name=normal(match["name"]), version=match["version"], marker=match["marker"], hashes=hashes))
    return found


def locked(path: Path = LOCKED) -> list[Pin]:
    """The pins of a lock."""
    return pins(path.read_text(encoding="utf-8"))


def constraints(found: list[Pin]) -> str:
    """The same without hashes."""
    torch = next(pin.version for pin in found if pin.name == "torch")
    return _HEAD.replace("TORCH", torch) + "".join(f"{pin.line}\n" for pin in found)


def with_more(found: list[Pin], text: str) -> list[Pin]:
    """Pins with the hashes of wheels that lie elsewhere."""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    more: dict[tuple[str, str], set[str]] = {}
    for name, version, digest, *_ in rows:
        more.setdefault((name, version), set()).add(digest)
    return [replace(pin, hashes=pin.hashes | more.get((pin.name, pin.version), set())) for pin in found]


def written(found: list[Pin]) -> str:
    """A lock as pip reads it: `pip install --require-hashes -r locked.txt`."""
    rows = (" \\\n    ".join([pin.line, *(f"--hash=sha256:{each}" for each in sorted(pin.hashes))]) for pin in found)
    return "".join(f"{row}\n" for row in rows)


def main() -> None:
    """Add hashes of wheels that lie elsewhere to locked.txt, and write constraints.txt."""
    found = with_more(locked(), MORE.read_text(encoding="utf-8"))
    LOCKED.write_text(written(found), encoding="utf-8")
    CONSTRAINTS.write_text(constraints(found), encoding="utf-8")


if __name__ == "__main__":
    main()
