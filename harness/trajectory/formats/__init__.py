"""The four wire formats that agents speak, each taken apart into the same pieces."""

from __future__ import annotations

from harness.proxy.exchange import Format
from harness.trajectory.formats import chat, generate, messages, responses
from harness.trajectory.piece import Reader

READERS: dict[Format, Reader] = {
    "chat": chat,
    "responses": responses,
    "messages": messages,
    "generate": generate,
}
"""By the format's name in the proxy's journal."""
