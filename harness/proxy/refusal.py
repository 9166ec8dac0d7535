"""What we answer ourselves when we refuse: an error in the shape of each provider, which its clients do not retry."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from harness.proxy.exchange import Format

Reason = Literal["budget", "request", "unknown", "away", "broken"]
"""The budget is used up; something is not let through; no such endpoint; the provider is away for good; its answer
broke off, and may be asked for again."""
_STATUS: dict[Reason, int] = {"request": 400, "unknown": 404, "broken": 502}
_FINAL: dict[Format, int] = {"chat": 401, "responses": 400, "messages": 403, "generate": 403}
"""After which clients do not ask again: litellm, which mini and aider ask through, tries 403 of chat completions ten
times more, and Codex five times of responses."""
_KINDS: dict[Reason, tuple[str, str | None, str, str]] = {
    "budget": ("insufficient_quota", "insufficient_quota", "billing_error", "PERMISSION_DENIED"),
    "request": ("invalid_request_error", None, "invalid_request_error", "INVALID_ARGUMENT"),
    "unknown": ("invalid_request_error", "not_found", "not_found_error", "NOT_FOUND"),
    "broken": ("server_error", None, "api_error", "UNAVAILABLE"),
    "away": ("server_error", "provider_away", "permission_error", "PERMISSION_DENIED"),
}
"""OpenAI's type and code, Anthropic's type, Google's status."""


class Refused(Exception):
    """A request that is not answered by the model."""

    def __init__(self, said: str, *, reason: Reason = "request") -> None:
        """Say why, in a sentence."""
        super().__init__(said)
        self.said, self.reason = said, reason

    def status(self, format: Format) -> int:
        """Of HTTP."""
        return _FINAL[format] if self.reason in ("budget", "away") else _STATUS[self.reason]

    def body(self, format: Format) -> bytes:
        """The error as that provider would write it."""
        return msgspec.json.encode(_shape(format, self))


def _shape(format: Format, refused: Refused) -> dict[str, Any]:
    kind, code, anthropic, google = _KINDS[refused.reason]
    said = f"Reproof: {refused.said}"
    if format == "messages":
        return {"type": "error", "error": {"type": anthropic, "message": said}}
    if format == "generate":
        return {"error": {"code": refused.status(format), "message": said, "status": google}}
    return {"error": {"message": said, "type": kind, "param": None, "code": code}}
