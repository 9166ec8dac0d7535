"""Processes of the harness's own: they find its packages, and are told of the user's variables what they need."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def child_environment(kept: Iterable[str] | None = None) -> dict[str, str]:
    """The environment variables of a process that runs our modules.

    Args:
        kept: Those of the user's that it is given, if they are set; None: all of them. Keys of models are among them.
    """
    own = {name: os.environ[name] for name in (os.environ if kept is None else kept) if name in os.environ}
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**own, "PYTHONPATH": path}
