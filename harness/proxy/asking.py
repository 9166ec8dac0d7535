"""What an agent asks for: which endpoint, which model, and a body that is checked and made ready to be sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import msgspec

from harness.proxy.access import Access
from harness.proxy.elements import Element, Elements, parts
from harness.proxy.exchange import CONVERSATION, Format
from harness.proxy.fields import LISTS, cleaned
from harness.proxy.prices import Provider
from harness.proxy.refusal import Refused
from harness.proxy.rules import deep

MOST_BYTES = 32 << 20
"""Of a request's body."""
_MOST_ELEMENTS = 2_000_000
"""Of its JSON, counted by what divides and opens them."""
FORMATS: dict[Provider, tuple[Format, ...]] = {
    "openai": ("chat", "responses"),
    "anthropic": ("messages",),
    "gemini": ("generate",),
    "local": ("chat", "responses"),
}
_LEAST_THOUGHT = 1024
"""Tokens; Anthropic takes no smaller budget."""
_ENDPOINTS: dict[str, Format] = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "responses",
    "/v1/messages": "messages",
}
_GEMINI = re.compile(r"/v1beta/models/([\w.-]{1,128}):(generateContent|streamGenerateContent|countTokens)")
_LIMITS: dict[Format, tuple[tuple[str, ...], ...]] = {
    "chat": (("max_completion_tokens",), ("max_tokens",)),
    "responses": (("max_output_tokens",),),
    "messages": (("max_tokens",),),
    "generate": (("generationConfig", "maxOutputTokens"),),
}
"""Where a request says how long its answer may be; the first is where we say it, the last where a server may be
older."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What a path leads to."""

    format: Format
    model: str | None = None
    """Where the path names it."""
    streams: bool = False
    """Where the path says it."""
    counts: bool = False
    """Only the tokens of the request are asked for."""


@dataclass(slots=True, kw_only=True)
class Asked:
    """A request that may be sent."""

    format: Format
    model: str
    streams: bool
    original: dict[str, Any]
    """The body as the agent sent it, elements of its lists by their text."""
    body: dict[str, Any]
    """The body as it is sent on, elements of its lists by their text."""
    size: int
    """Bytes of it."""
    said: list[Element] = field(default_factory=list)
    """The conversation."""
    strip: bool = False
    """We have asked for a chunk with the usage that the agent has not asked for."""
    limited: bool = False
    """The limit of its answer is ours."""
    old: bool = False
    """Its server may know the older name of that limit alone."""

    @property
    def path(self) -> str:
        """Where it is sent to, beneath the upstream."""
        if self.format == "generate":
            return f"/v1beta/models/{self.model}:" + (
                "streamGenerateContent?alt=sse" if self.streams else "generateContent"
            )
        return next(path for path, format in _ENDPOINTS.items() if format == self.format)

    @property
    def output(self) -> int | None:
        """Tokens that it wants for its answer, at most."""
        wanted = [at for path in _LIMITS[self.format] if (at := _at(self.body, path)) is not None]
        return min(wanted, default=None)

    def limit(self, output: int) -> None:
        """Say how long its answer may be."""
        for path in _LIMITS[self.format]:
            if _at(self.body, path) is not None:
                _put(self.body, path, output)
        if self.output is None:
            _put(self.body, _LIMITS[self.format][-1 if self.old else 0], output)
        self.limited = True
        self._think_less(output)

    def _think_less(self, output: int) -> None:
        """Have Anthropic's thoughts fit into an answer, or it refuses the request."""
        thinking: dict[str, Any] = self.body.get("thinking") or {}
        if self.format == "messages" and (_at(self.body, ("thinking", "budget_tokens")) or 0) >= output:
            enough = output >= 2 * _LEAST_THOUGHT
            self.body["thinking"] = {**thinking, "budget_tokens": output // 2} if enough else {"type": "disabled"}


def endpoint(method: str, path: str) -> Endpoint:
    """What a path leads to.

    Raises:
        Refused: Nowhere, or with that method.
    """
    if method == "POST":
        if path in _ENDPOINTS:
            return Endpoint(_ENDPOINTS[path])
        if path == "/v1/messages/count_tokens":
            return Endpoint("messages", counts=True)
        if match := _GEMINI.fullmatch(path):
            verb = match[2]
            return Endpoint("generate", match[1], streams=verb.startswith("stream"), counts=verb == "countTokens")
    raise Refused(f"{method[:16]} {path[:100]} is not let through; only models can be asked", reason="unknown")


def read(body: bytes, to: Endpoint, access: Access, *, elements: Elements) -> Asked:
    """Check a body, and make it ready to be sent.

    Raises:
        Refused: It is no request that is let through.
    """
    if crowded(body):
        raise Refused(f"the body is too crowded: more than {_MOST_ELEMENTS} elements")
    original, unread = parts(body, LISTS[to.format])
    kept = cleaned(to.format, original)
    lists = {name: elements.read(to.format, name, raw) for name, raw in unread.items()}
    for name, listed in lists.items():
        original[name] = [element.known for element in listed]
        kept[name] = [element.sent for element in listed]
    model = to.model if to.model is not None else kept.get("model")
    if model not in access.models:
        raise Refused(f"the model {str(model)[:100]!r} is not allowed here; allowed: {', '.join(access.models)}")
    streams = to.streams if to.format == "generate" else kept.get("stream") is True
    asked = Asked(
        format=to.format, model=model, streams=streams, original=original, body=kept, size=len(body),
        said=lists.get(CONVERSATION[to.format], []),
    )  # fmt: skip
    if to.format == "chat" and streams:
        _ask_for_usage(asked)
    if to.format == "responses" and access.format == "openai":
        kept["store"] = False  # it would be kept unless we say so
    asked.old = access.format == "local"
    return asked


def crowded(body: bytes) -> bool:
    """Whether a body would take too much memory, parsed."""
    return len(body) > _MOST_ELEMENTS and sum(body.count(sign) for sign in (b",", b"[", b"{")) > _MOST_ELEMENTS


def lenient(body: bytes) -> dict[str, Any]:
    """A body as an object; empty, if it is none that can be kept."""
    if crowded(body):
        return {}
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) and not deep(found) else {}


def _ask_for_usage(asked: Asked) -> None:
    """Have a stream tell its usage at the end, which it does only if asked."""
    options = asked.body.get("stream_options") or {}
    asked.strip = options.get("include_usage") is not True
    asked.body["stream_options"] = {**options, "include_usage": True}


def _at(body: dict[str, Any], path: tuple[str, ...]) -> int | None:
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value if type(value) is int else None


def _put(body: dict[str, Any], path: tuple[str, ...], value: int) -> None:
    *outer, last = path
    for name in outer:
        if body.get(name) is None:  # a null stands for what is not there
            body[name] = {}
        body = body[name]
    body[last] = value
