"""What one run is served: its environments, their budgets, and the secret that decides their luck."""

from __future__ import annotations

from typing import Any

from harness.record.files import Slip

CLOSING = "closing.json"
"""In the folder of the server's files: its last word."""


class Served(Slip, frozen=True):
    """One environment of an offer."""

    make: str
    """A Gymnasium id, or the path of a Python file, a colon, and a class in it."""
    keywords: dict[str, Any]
    """What the constructor is given."""
    steps: int
    """Of the training stream."""
    evaluation_steps: int
    """Of the evaluation stream."""
    max_episode_steps: int | None


class Offer(Slip, frozen=True):
    """What the server of one run is started with."""

    environments: dict[str, Served]
    secret: str
    log: str
    """The folder of the server's files."""
    most: int | None = None
    """Steps of all streams together that are left of an attempt's budget; None: only the streams' own limits hold."""


class Used(Slip, frozen=True):
    """What a run used of one environment."""

    training: int
    """Steps."""
    evaluation: int
    """Steps."""
    exhausted: bool
    """Whether a step was refused because its stream's budget was spent."""


class Closing(Slip, frozen=True):
    """What the server says when it ends."""

    used: dict[str, Used]
    misbehaved: list[str]
    """What the client did against the protocol, a sentence each; the first few."""
    fault: str | None
    """What failed on our side, if anything did."""
