"""Which fields of a request are let through."""

from __future__ import annotations

from typing import Any

from harness.proxy.exchange import Format


def cleaned(format: Format, body: dict[str, Any]) -> dict[str, Any]:
    """A body with what may be sent on."""
    return dict(body)
