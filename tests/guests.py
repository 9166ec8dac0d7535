"""What the tests of the exchange import from each other."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from harness.pipeline import rerun, score
from harness.road import Road
from harness.scoring.score import Score

Cli = Callable[..., subprocess.CompletedProcess[str]]
MadeTrial = Callable[..., Path]


def finish(road: Road) -> Score:
    """From a submission to its score, without what people look at."""
    rerun(road)
    return score(road)
