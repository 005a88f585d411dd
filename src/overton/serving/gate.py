"""What a request passes before it is read: the token, the size of its body, the counters."""

from __future__ import annotations

import asyncio
import base64
import hmac
import time
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from overton.serving.errors import Refusal, TooLarge, stops
from overton.serving.metrics import Metrics

OPEN = "/health"  # needs no token: load balancers and service managers have none
BODIES = 32  # bodies of the largest size that are held at one time
READING = 60.0  # seconds for a body to arrive
SPARE = 4  # largest bodies' worth of a refused body that is read, and kept nowhere


class Gate:
    """ASGI middleware.

    Args:
        app: what comes next.
        token: asked for on every route but ``/health``; ``None`` asks nobody.
        max_body: bytes of a body.
        metrics: counts requests.
        routes: paths that are counted by name; all others are "other".
        stopping: set when the server stops, which waits for no body.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        max_body: int,
        metrics: Metrics,
        routes: set[str],
        stopping: asyncio.Event,
    ) -> None:
        self.app = app
        self.token = token
        self.max_body = max_body
        self.metrics = metrics
        self.routes = routes
        self.stopping = stopping
        self.held = 0  # bytes of bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            return
        started, status, own = time.monotonic(), 500, 0
        reading = asyncio.get_running_loop().time() + READING
        whole = False

        async def counted() -> Message:
            nonlocal own, whole
            if whole:
                return await receive()  # waits until the client is gone
            message = await self._read(receive, reading)
            size = len(message.get("body", b""))
            own, self.held = own + size, self.held + size
            whole = not message.get("more_body", False)
            if own > self.max_body:
                if not whole:
                    await self._let_finish(scope, receive, reading)
                raise HTTPException(413, self._too_large())
            if self.held > BODIES * self.max_body:
                raise HTTPException(
                    429, "the server holds as many bodies as it may; try again later", {"Retry-After": "1"}
                )
            return message

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal:
                await self._let_finish(scope, receive, reading)
            await (refusal or self.app)(scope, counted, watched)
        finally:
            self.held -= own
            route = scope["path"] if scope["path"] in self.routes else "other"
            self.metrics.requests.labels(route, str(status)).inc()
            self.metrics.seconds.labels(route).observe(time.monotonic() - started)

    async def _read(self, receive: Receive, until: float) -> Message:
        """What comes next of a body, if it comes by then and before the server stops."""
        coming, stopping = asyncio.ensure_future(receive()), asyncio.ensure_future(self.stopping.wait())
        left = max(0.0, until - asyncio.get_running_loop().time())
        try:
            await asyncio.wait({coming, stopping}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
            if stopping.done():
                refusal = stops()
                raise HTTPException(refusal.status, refusal.detail, after(refusal))
            raise HTTPException(408, f"the body did not arrive within {READING:g} s")
        finally:
            coming.cancel()
            stopping.cancel()

    async def _let_finish(self, scope: Scope, receive: Receive, until: float) -> None:
        """Read the rest of a body that is refused: most clients read no reply before they have sent all, and would see
        their connection reset. Not of a client that asked first, nor of one that sends without end."""
        if "expect" in Headers(scope=scope):
            return
        rest, more = SPARE * self.max_body, True
        while more and rest > 0:
            try:
                message = await self._read(receive, until)
            except HTTPException:  # too slow, or the server stops: it gets its refusal now
                return
            rest -= len(message.get("body", b""))
            more = message.get("more_body", False)

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self.token is not None and scope["path"] != OPEN and not is_authorized(headers, self.token):
            detail = "the token is missing or wrong: Authorization: Bearer TOKEN"
            return problem(401, "unauthorized", detail, {"WWW-Authenticate": "Bearer"})
        with suppress(ValueError):
            if int(headers.get("content-length", "0")) > self.max_body:
                return from_refusal(TooLarge(self._too_large()))
        return None

    def _too_large(self) -> str:
        return f"the body has more than {self.max_body} bytes (--max-body): send fewer answers in one request"


def is_authorized(headers: Headers, token: str) -> bool:
    """Whether a request brings the token, as bearer or as the password of http://user:TOKEN@host.

    OpenRLHF can send no header of its own, but its HTTP client reads a password in the address.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            given = base64.b64decode(given, validate=True).decode().partition(":")[2]
        except ValueError:  # not ASCII, not base64, or not UTF-8
            return False
    elif scheme.lower() != "bearer":
        return False
    return hmac.compare_digest(given.strip().encode(), token.encode())


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error as every route gives it."""
    return JSONResponse({"code": code, "detail": detail}, status, headers)


def from_refusal(refusal: Refusal) -> JSONResponse:
    """A refusal as an error."""
    return problem(refusal.status, refusal.code, refusal.detail, after(refusal))


def after(refusal: Refusal) -> dict[str, str] | None:
    """The header that says when it may go better."""
    return None if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
