"""The provider: how it is reached, and how long we wait for it when it is busy or away."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import aiohttp
import msgspec

from harness.proxy.access import Access
from harness.proxy.asking import Asked
from harness.proxy.blot import Blot, blotted
from harness.proxy.refusal import Refused

MOST_BYTES = 64 << 20
"""Of an answer."""
_BUSY = frozenset((429, 502, 503, 504, 529))
"""It will be back; everything else from 500 on may be this request's doing."""
_REFUSING = {
    401: "the provider refuses the key",
    402: "the provider wants to be paid",
    403: "the provider refuses access",
    404: "the provider does not know the model or the address",
}
_FIRST, _LONGEST = 0.5, 30.0
"""Seconds between two tries."""
_MOST_AFTER = 300.0
"""Seconds that the provider may tell us to wait at once."""
_SLICE = 0.5
"""Seconds after which a wait is noted, so that whoever keeps the clock sees it."""
_SILENCE = 900.0
"""Seconds in which nothing is heard after a request was sent."""
_SHORT = 4096
"""Tokens; a limit below is not halved."""
_SHOWN = 64 << 10
"""Bytes of an error that are read."""
_QUOTED = 500
"""Characters of an error that are repeated."""
_BETAS = re.compile(
    r"(claude-code|interleaved-thinking|fine-grained-tool-streaming|context-1m|prompt-caching(-scope)?|extended-cache-ttl"
    r"|token-efficient-tools|output-128k|context-management|effort|structured-outputs|redact-thinking"
    r"|max-tokens-3-5-sonnet|tool-examples|adaptive-thinking)-20\d\d-\d\d-\d\d|claude-code-20\d{6}"
)
"""Of Anthropic's, those that change formats and limits alone."""


class Gone(Exception):
    """The agent has left, or the attempt has ended, while nothing was asked of the provider."""

    def __init__(self, waited: float) -> None:
        """Keep the seconds for which it had been busy or away."""
        super().__init__(waited)
        self.waited = waited


@dataclass(frozen=True, slots=True)
class Answer:
    """What the provider answers."""

    response: aiohttp.ClientResponse
    waited: float = 0.0
    """Seconds in which it was busy or away before."""
    error: bytes | None = None
    """The beginning of its body, where it is an error; otherwise the body is unread."""

    @property
    def status(self) -> int:
        """Of HTTP."""
        return self.response.status


class Upstream:
    """One provider."""

    def __init__(self, access: Access, session: aiohttp.ClientSession, noted: Callable[[float, float], None]) -> None:
        """Keep the parts.

        Args:
            access: where it is, and the key.
            session: to be asked with.
            noted: is told of each stretch of waiting, from and to, in seconds since 1970.
        """
        self._access, self._session, self._noted = access, session, noted
        self._base = access.upstream.rstrip("/")
        self._key = access.key

    async def send(self, asked: Asked, *, headers: Mapping[str, str], gone: Callable[[], bool]) -> Answer:
        """Send a request until it is answered.

        Args:
            asked: what.
            headers: of the agent's request.
            gone: whether the agent has left.

        Returns:
            An answer that may be passed on.

        Raises:
            Refused: The provider cannot or will not be used any more (`away`).
            Gone: The agent has left.
            OSError, TimeoutError: The provider has answered with nothing.
        """
        data, sent_on = msgspec.json.encode(asked.body), self._headers(asked, headers)
        began = noted = time.time()
        tries = 0
        while True:
            answer, why = await self._try(asked.path, data, sent_on)
            if why is None and answer is not None:
                if _shortened(answer, asked):
                    data = msgspec.json.encode(asked.body)
                    continue
                return replace(answer, waited=noted - began)
            pause = _pause(tries, answer)
            theirs = answer is not None and answer.status not in _BUSY
            patience = self._access.broken if theirs else self._access.busy
            if time.time() + pause - began > patience:
                self._noted(noted, time.time())
                if theirs and answer is not None:
                    return replace(answer, waited=time.time() - began)
                raise Refused(f"the provider has been busy or away for {patience:.0f} seconds: {why}", reason="away")
            try:
                noted = await self._doze(pause, noted, gone)
            except asyncio.CancelledError:
                raise Gone(time.time() - began) from None
            if gone():
                raise Gone(noted - began)
            tries += 1

    async def _try(self, path: str, data: bytes, headers: Mapping[str, str]) -> tuple[Answer | None, str | None]:
        """Send once; the sentence says why it should be sent again."""
        try:
            response = await self._session.post(self._url(path), data=data, headers=headers, allow_redirects=False)
            if response.status < 300:
                return Answer(response), None
            answer = Answer(response, error=self.blot().whole(await _beginning(response)))
        except aiohttp.ClientSSLError as error:
            raise Refused(f"the provider's certificate does not hold: {self.bare(str(error))}", reason="away") from None
        except aiohttp.SocketTimeoutError:
            raise TimeoutError(f"nothing was heard for {_SILENCE:.0f} seconds") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            return None, self.bare(f"{type(error).__name__}: {error}")
        return answer, self._again(answer)

    def _again(self, answer: Answer) -> str | None:
        """Why an error should be asked for again; None: it is for the agent to see.

        Raises:
            Refused: It will not get better.
        """
        status, error = answer.status, answer.error or b""
        if status in _REFUSING or status < 400:
            why = _REFUSING.get(status, "the provider sends us elsewhere")
            said = self.bare(error.decode(errors="replace"))[:_QUOTED]  # cut before, a piece of the key might be left
            raise Refused(f"{why} ({status}): {said}", reason="away")
        if status == 429 and b"insufficient_quota" in error:
            raise Refused("the provider's own account is used up (429, insufficient_quota)", reason="away")
        return f"it answered {status}" if status in _BUSY or status >= 500 else None

    async def _doze(self, pause: float, noted: float, gone: Callable[[], bool]) -> float:
        """Wait, noting how long; returns up to when it was noted."""
        until = time.time() + pause
        while True:
            now = time.time()
            self._noted(noted, now)
            if now >= until or gone():
                return now
            noted = now
            await asyncio.sleep(min(_SLICE, until - now))

    def _url(self, path: str) -> str:
        """Where a path is, beneath an upstream that may name the version itself."""
        version = path.split("/")[1]
        return self._base + (path.removeprefix(f"/{version}") if self._base.endswith(f"/{version}") else path)

    def _headers(self, asked: Asked, theirs: Mapping[str, str]) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "Accept": "text/event-stream" if asked.streams else "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "reproof",
        }
        if asked.format == "messages":
            version = theirs.get("anthropic-version", "")
            headers["anthropic-version"] = version if re.fullmatch(r"20\d\d-\d\d-\d\d", version) else "2023-06-01"
            betas = [each.strip() for each in theirs.get("anthropic-beta", "").split(",")]
            if kept := [each for each in betas if _BETAS.fullmatch(each)]:
                headers["anthropic-beta"] = ",".join(kept)
        if self._key:
            headers |= _authority(self._access.format, self._key)
        return headers

    def bare(self, text: str) -> str:
        """A text without the key and without the password of an address."""
        text = blotted(text, self._key)
        return text.replace(urlsplit(self._base).netloc.rpartition("@")[0] or "\0", "***")

    def blot(self) -> Blot:
        """For one answer."""
        return Blot(self._key)


def _authority(provider: str, key: str) -> dict[str, str]:
    if provider == "anthropic":
        return {"x-api-key": key}
    if provider == "gemini":
        return {"x-goog-api-key": key}
    return {"Authorization": f"Bearer {key}"}


def _pause(tries: int, answer: Answer | None) -> float:
    """Seconds until the next try: as long as we are told, within bounds, else ever longer."""
    told = "" if answer is None else answer.response.headers.get("Retry-After", "")
    if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", told):
        return min(float(told), _MOST_AFTER)
    return float(min(_FIRST * 2 ** min(tries, 16), _LONGEST) * random.uniform(0.75, 1.25))


def _shortened(answer: Answer, asked: Asked) -> bool:
    """Halve a limit that we have set, if the provider finds it too high; says whether to try again."""
    limit = asked.output or 0
    if answer.status != 400 or not asked.limited or limit < _SHORT:
        return False
    if not re.search(rb"max\w*tokens", answer.error or b"", re.IGNORECASE):
        return False
    asked.limit(limit // 2)
    return True


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """The beginning of a body, which is then let go."""
    found = bytearray()
    while len(found) < _SHOWN and (chunk := await response.content.readany()):
        found += chunk
    response.close()
    return bytes(found)


def connected() -> aiohttp.ClientSession:
    """A session that takes nothing from the environment, keeps no cookies and verifies certificates."""
    return aiohttp.ClientSession(
        trust_env=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=60.0),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=30.0, sock_read=_SILENCE),
        skip_auto_headers=("User-Agent",),
        read_bufsize=1 << 18,
    )
