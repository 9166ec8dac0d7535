"""Opening a clean room by its name."""

from __future__ import annotations

from dataclasses import replace

from harness.cleanroom.sandbox import Sandbox, SandboxSettings
from harness.errors import unknown
from harness.folders import private_folders

BACKENDS = ("bubblewrap", "process")


def open_sandbox(settings: SandboxSettings | None = None) -> Sandbox:
    """The clean room that the settings name; nothing is started before it is used.

    The private folders of all papers in reach are hidden from every job in it, whoever starts the job.

    Raises:
        UsageError: no backend of that name.
    """
    settings = settings or SandboxSettings()
    if settings.backend == "bubblewrap":
        from harness.cleanroom.bubblewrap import Bubblewrap

        return Bubblewrap(replace(settings, hidden=(*private_folders(), *settings.hidden)))
    if settings.backend == "process":
        from harness.cleanroom.process import Process

        return Process(settings)
    raise unknown("sandbox", settings.backend, BACKENDS, where="sandbox.backend")
