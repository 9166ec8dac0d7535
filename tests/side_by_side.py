"""Command lines that are begun at the same moment."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

MAIN = "from harness.cli.start import main; main()"
_AT_MOST = 500.0


def together(
    lines: Iterable[Iterable[object]], environment: Mapping[str, str], folder: Path
) -> list[subprocess.CompletedProcess[str]]:
    """Command lines of `reproof`, begun at the same moment; how each ended."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", MAIN, *map(str, words)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in lines
    ]
    said = [child.communicate(timeout=_AT_MOST) for child in running]
    return [
        subprocess.CompletedProcess(child.args, child.returncode, *texts)
        for child, texts in zip(running, said, strict=True)
    ]
