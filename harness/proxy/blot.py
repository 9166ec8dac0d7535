"""The provider's key taken out of what the provider says: some repeat it in an error, a proxy of theirs in anything."""

from __future__ import annotations

import re
from urllib.parse import quote

from harness.errors import masked

INSTEAD = b"***"
LEAST = 16
"""Characters of a key that cannot be met by chance. Servers at hand are content with `none` or `EMPTY`, which a model
may say."""


def forms(key: str) -> tuple[str, ...]:
    """How a key may be written: plainly, in an address, and as some write JSON."""
    return tuple(dict.fromkeys((key, quote(key, safe=""), quote(key), key.replace("/", "\\/"))))


def blotted(text: str, key: str | None) -> str:
    """A text without the key, however short it is, and without the password of an address."""
    for form in forms(key) if key else ():
        text = text.replace(form, INSTEAD.decode())
    return masked(text)


class Blot:
    """Takes the key out of bytes that come in pieces; what may be its beginning is kept back until the next one."""

    def __init__(self, key: str | None) -> None:
        """Prepare for a key; without one, or with one that is too short to be a secret, nothing is taken out."""
        self._forms = [form.encode() for form in forms(key)] if key and len(key) >= LEAST else []
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))
        self._longest = max(map(len, self._forms), default=0)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What may be passed on now."""
        if not self._forms:
            return chunk
        data, done, passed = self._held + chunk, 0, []
        for match in self._pattern.finditer(data):
            passed += [data[done : match.start()], INSTEAD]
            done = match.end()
        keep = self._begun(data[done:])
        self._held = data[len(data) - keep :]
        return b"".join((*passed, data[done : len(data) - keep]))

    def end(self) -> bytes:
        """What was kept back, and was not the key."""
        held, self._held = self._held, b""
        return held

    def whole(self, data: bytes) -> bytes:
        """Bytes that come at once."""
        return self.feed(data) + self.end()

    def _begun(self, data: bytes) -> int:
        """Bytes at the end that may be the beginning of the key."""
        for size in range(min(self._longest - 1, len(data)), 0, -1):
            if any(form.startswith(data[-size:]) for form in self._forms):
                return size
        return 0
