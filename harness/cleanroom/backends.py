"""Opening a clean room by its name."""

from __future__ import annotations

from harness.cleanroom.sandbox import Sandbox, SandboxSettings
from harness.errors import unknown

BACKENDS = ("bubblewrap", "process")


def open_sandbox(settings: SandboxSettings | None = None) -> Sandbox:
    """The clean room that the settings name; nothing is started before it is used.

    Raises:
        UsageError: no backend of that name.
    """
    settings = settings or SandboxSettings()
    if settings.backend == "bubblewrap":
        from harness.cleanroom.bubblewrap import Bubblewrap

        return Bubblewrap(settings)
    if settings.backend == "process":
        from harness.cleanroom.process import Process

        return Process(settings)
    raise unknown("sandbox", settings.backend, BACKENDS, where="sandbox.backend")
