"""Holds what pip has installed against locked.txt, file by file: `python -m supply.installed REPORT` of `pip --report`.

The README's line pins versions, not hashes, which pip does not take beside an editable installation. CI lets pip write
down what it fetched for that line, and looks here whether those are the files that were locked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from supply.pins import Pin, locked, normal, public


def differences(report: dict[str, Any], pins: Iterable[Pin], *, own: str = "reproof") -> list[str]:
    """One sentence for each package that is not as it was locked.

    Args:
        report: What `pip install --report` writes.
        pins: What was locked.
        own: The package that was installed from a folder.
    """
    known: dict[str, list[Pin]] = {}
    for pin in pins:
        known.setdefault(pin.name, []).append(pin)
    said = []
    for item in report["install"]:
        name, version = normal(item["metadata"]["name"]), public(item["metadata"]["version"])
        fitting = [pin for pin in known.get(name, ()) if pin.version == version]
        if name == own:
            continue
        if not fitting:
            locked_as = ", ".join(pin.version for pin in known.get(name, ())) or "nothing"
            said.append(f"{name} {version} was installed, and {locked_as} is locked")
        elif (digest := _digest(item)) not in frozenset().union(*(pin.hashes for pin in fitting)):
            said.append(f"{name} {version} came from a file that is not locked: SHA-256 {digest}")
    return said


def _digest(item: dict[str, Any]) -> str:
    hashes = item["download_info"].get("archive_info", {}).get("hashes", {})
    return str(hashes.get("sha256", "unknown"))


def main(path: str) -> int:
    """Say what differs; 1 if anything does."""
    report = json.loads(Path(path).read_text(encoding="utf-8"))
    said = differences(report, locked())
    for line in said:
        print(f"not as locked: {line}", file=sys.stderr)
    if not said:
        print(f"{len(report['install']) - 1} packages are the files that were locked")
    return 1 if said else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
