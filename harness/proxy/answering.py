"""Answers an agent's requests: checks, reserves, sends on, passes the answer through, charges, keeps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from harness.proxy import asking
from harness.proxy.access import Access
from harness.proxy.account import Account
from harness.proxy.asking import Asked, Endpoint
from harness.proxy.bound import Bounds
from harness.proxy.course import Course
from harness.proxy.elements import Elements
from harness.proxy.exchange import Format, Journal
from harness.proxy.purse import Purse
from harness.proxy.refusal import Refused
from harness.proxy.stream import Telling, WithoutUsage
from harness.proxy.upstream import MOST_BYTES, Answer, Gone, Upstream
from harness.proxy.usage import reckoned

_AT_ONCE = 16
"""Requests that are read and answered at the same time; the others wait."""
_HEAVY, _HEAVY_AT_ONCE = 4 << 20, 2
"""Bytes of a body that is large, and how many such are held at the same time, so that memory is bounded."""
_READ_WITHIN = 60.0
"""Seconds in which a body must have come."""
_DRAIN = 60.0
"""Seconds for which a stream is read on after the agent has left, to learn what it cost."""
_MOST_REFUSED = 1000
"""Refusals that are kept one by one."""
_SHOWN = 64 << 10
"""Bytes of a refused request that are kept."""
_PASSED = ("Content-Type", "Retry-After", "request-id", "x-request-id")


class Server:
    """Answers an agent's requests."""

    def __init__(self, access: Access, journal: Journal, account: Account, session: aiohttp.ClientSession) -> None:
        """Begin with a budget that nothing was taken from."""
        self._access, self._journal, self._account = access, journal, account
        self._upstream = Upstream(access, session, account.wait)
        self._bounds, self._elements = Bounds(), Elements()
        self._purse = Purse(tokens=access.tokens, dollars=access.dollars)
        self._gate, self._heavy = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_HEAVY_AT_ONCE)
        self._count = journal.count
        self._running: set[asyncio.Task[Any]] = set()

    async def stop(self, within: float) -> None:
        """End what is under way; it is charged and kept.

        Args:
            within: seconds for it.
        """
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running, timeout=within)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        if (request.method, request.path) in (("GET", "/v1/models"), ("GET", "/v1beta/models")):
            return _models(self._access)
        if (request.method, request.path) == ("HEAD", "/"):  # some clients look first whether anybody is there
            return web.Response()
        task = asyncio.current_task()
        assert task is not None
        async with self._gate, contextlib.AsyncExitStack() as held:
            self._running.add(task)
            course = Course(self._count, _spoken(request.path, self._access))
            self._count += 1
            try:
                return await self._go(course, request, held)
            except Refused as refused:
                return self._refuse(course, refused)
            except Gone as gone:
                course.ended, course.said = "cut", "the agent left, or the attempt ended, while the provider was busy"
                course.free, course.waited = True, gone.waited
                return web.Response(status=499)
            except asyncio.CancelledError:
                course.ended, course.said = "cut", "the attempt ended"
                raise
            finally:
                self._running.discard(task)
                await asyncio.shield(self._keep(course))

    async def _go(
        self, course: Course, request: web.BaseRequest, held: contextlib.AsyncExitStack
    ) -> web.StreamResponse:
        to = asking.endpoint(request.method, request.path)
        course.format = to.format
        if to.format not in asking.FORMATS[self._access.format]:
            raise Refused(f"{request.path} is not let through: no such provider is behind it", reason="unknown")
        body = await _body(request, lambda: held.enter_async_context(self._heavy))
        if to.counts:
            course.counted = True
            return _counted(to, body)
        course.body = body
        self._still_open()
        asked = asking.read(body, to, self._access, elements=self._elements)
        course.asked, course.request, course.model = asked, asked.original, asked.model
        course.body = b""
        await self._reserve(course, asked)
        course.sent = True
        try:
            answer = await self._upstream.send(asked, headers=request.headers, gone=lambda: _left(request))
        except (TimeoutError, aiohttp.ClientError) as error:
            return self._broke(course, self._upstream.bare(str(error)))
        try:
            return await self._answer(course, request, answer)
        finally:
            answer.response.close()

    def _still_open(self) -> None:
        if self._account.spent.final is not None:
            over = self._account.spent.fault == "budget"
            raise Refused(self._account.spent.final, reason="budget" if over else "away")
        if self._journal.full:
            raise Refused(f"the journal is full: {self._access.journal} bytes", reason="away")

    async def _reserve(self, course: Course, asked: Asked) -> None:
        if not self._purse.limited:
            return
        course.bound = self._bounds.of(asked)
        course.reserved = await self._purse.reserve(
            course.number, input=course.bound.most, output=asked.output, price=self._account.price(asked.model)
        )
        self._still_open()
        if asked.output is None or asked.output > course.reserved.output:
            asked.limit(course.reserved.output)

    async def _answer(self, course: Course, request: web.BaseRequest, answer: Answer) -> web.StreamResponse:
        course.waited, course.status = answer.waited, answer.status
        theirs = answer.response.headers
        headers = {name: self._upstream.bare(theirs[name]) for name in _PASSED if name in theirs}
        if answer.error is not None:
            course.ended, course.free = "failed", True
            course.answer = asking.lenient(answer.error) or None
            course.said = f"the provider answered {answer.status}"
            return web.Response(status=answer.status, body=answer.error, headers=headers)
        asked = course.asked
        assert asked is not None
        if asked.streams and answer.response.content_type == "text/event-stream":
            return await self._stream(course, request, answer, headers)
        return await self._whole(course, answer, headers)

    async def _whole(self, course: Course, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
        body = bytearray()
        try:
            async for chunk in answer.response.content.iter_any():
                body += chunk
                if len(body) > MOST_BYTES:
                    return self._broke(course, f"the answer is longer than {MOST_BYTES} bytes")
        except (aiohttp.ClientError, TimeoutError) as error:
            return self._broke(course, f"the answer broke off: {type(error).__name__}")
        course.received, course.ended = len(body), "done"
        said = self._upstream.blot().whole(bytes(body))
        course.answer = asking.lenient(said) or None
        return web.Response(status=answer.status, body=said, headers=headers)

    async def _stream(
        self, course: Course, request: web.BaseRequest, answer: Answer, headers: dict[str, str]
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        telling = Telling(course.format)
        course.ended, course.said = "cut", "the stream broke off"
        try:
            async with asyncio.timeout(None) as limit:
                await self._relay(course, response, answer, telling, limit)
            course.ended, course.said = "done", ""
        except TimeoutError:
            course.left, course.said = True, "the agent left, and the provider did not come to an end"
        except (aiohttp.ClientError, ValueError) as error:
            course.said = f"the stream broke off: {type(error).__name__}"
        finally:
            course.answer = telling.answer
            course.partial = not telling.ended
        if telling.failed is not None:
            course.ended, course.said = "failed", self._upstream.bare(str(telling.failed))[:500]
        if course.ended == "cut" and request.transport is not None:
            request.transport.abort()  # an agent must see that this was not the end
        return response

    async def _relay(
        self, course: Course, response: web.StreamResponse, answer: Answer, telling: Telling, limit: asyncio.Timeout
    ) -> None:
        asked, listening, blot = course.asked, True, self._upstream.blot()
        strip = WithoutUsage() if asked is not None and asked.strip else None
        async for piece in answer.response.content.iter_any():
            chunk = blot.feed(piece)
            if listening:
                try:
                    await response.write(chunk if strip is None else strip.feed(chunk))
                except ConnectionError:
                    listening = False
                    limit.reschedule(asyncio.get_running_loop().time() + _DRAIN)
            course.received += len(piece)
            if course.received > MOST_BYTES:
                raise ValueError("too long")
            telling.feed(chunk)
        last = blot.end()
        telling.feed(last)
        if listening and (rest := last if strip is None else strip.feed(last) + strip.end()):
            await response.write(rest)

    def _broke(self, course: Course, why: str) -> web.StreamResponse:
        """Nothing came that could be passed on, though the provider may have worked."""
        course.ended, course.said, course.status = "cut", why, 502
        refused = Refused(f"the provider's answer did not come: {why}", reason="broken")
        return web.Response(status=502, body=refused.body(course.format), content_type="application/json")

    def _refuse(self, course: Course, refused: Refused) -> web.StreamResponse:
        course.said, course.status, course.free = refused.said, refused.status(course.format), True
        course.ended = "failed" if course.sent else "refused"
        if len(course.body) <= _SHOWN:
            course.request = course.request or asking.lenient(course.body)
        if refused.reason == "budget":
            self._account.finish(refused.said, "budget")
        if refused.reason == "away":
            self._account.finish(refused.said, "model" if course.sent else "submission")
        body = refused.body(course.format)
        return web.Response(status=course.status, body=body, content_type="application/json")

    async def _keep(self, course: Course) -> None:
        """Charge for an exchange, and keep it."""
        if course.counted:
            return
        exchange = course.exchange(self._account.price(course.model))
        if course.bound is not None and not exchange.estimated and exchange.tokens.input:
            self._bounds.learn(course.bound, exchange.tokens.input)
        if course.reserved is not None:
            await self._purse.settle(course.number, tokens=exchange.tokens, dollars=exchange.dollars)
        self._account.add(exchange, sent=course.sent)
        if course.sent or self._account.spent.refused <= _MOST_REFUSED:
            self._journal.write(exchange)


def _spoken(path: str, access: Access) -> Format:
    """The format in which to say that there is no such path."""
    known = asking.FORMATS[access.format]
    if path.startswith("/v1beta"):
        return "generate"
    return "messages" if path.startswith("/v1/messages") else known[0]


def _left(request: web.BaseRequest) -> bool:
    return request.transport is None or request.transport.is_closing()


async def _body(request: web.BaseRequest, heavy: Callable[[], Awaitable[None]]) -> bytes:
    """A request's body.

    Args:
        request: whose.
        heavy: is asked once for room, if it is large.

    Raises:
        Refused: It is too long, packed, or does not come.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused("a packed body is not let through; leave Content-Encoding out")
    body = bytearray()
    try:
        async with asyncio.timeout(_READ_WITHIN):
            async for chunk in request.content.iter_any():
                if len(body) <= _HEAVY < len(body) + len(chunk):
                    await heavy()
                body += chunk
                if len(body) > asking.MOST_BYTES:
                    raise Refused(f"the body is longer than {asking.MOST_BYTES} bytes")
    except TimeoutError:
        raise Refused(f"the body did not come within {_READ_WITHIN:.0f} seconds") from None
    return bytes(body)


def _models(access: Access) -> web.StreamResponse:
    """The names that may be asked for, in the provider's shape."""
    names = access.models
    if access.format == "gemini":
        shown: dict[str, Any] = {"models": [{"name": f"models/{name}"} for name in names]}
    elif access.format == "anthropic":
        listed = [{"type": "model", "id": name, "display_name": name} for name in names]
        shown = {"data": listed, "has_more": False}
    else:
        shown = {"object": "list", "data": [{"id": n, "object": "model", "owned_by": "reproof"} for n in names]}
    return web.Response(body=msgspec.json.encode(shown), content_type="application/json")


def _counted(to: Endpoint, body: bytes) -> web.StreamResponse:
    """How many tokens a request would have: reckoned here, so that no other endpoint is needed."""
    count = reckoned(len(body), 0).input
    shown = {"totalTokens": count} if to.format == "generate" else {"input_tokens": count}
    return web.Response(body=msgspec.json.encode(shown), content_type="application/json")
