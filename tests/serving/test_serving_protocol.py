"""Connections of clients that do not go on, at a real server in this process."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from serving_material import in_loop
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from overton.serving import protocol
from overton.serving.gate import Gate
from overton.serving.metrics import Metrics

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNK = b"1\r\na\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers after a while, at once, or when it has read the body."""
    if scope["path"] == "/slow":
        await asyncio.sleep(1.2)
    while scope["path"] == "/whole" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@asynccontextmanager
async def serving(served: Any) -> AsyncIterator[tuple[str, int]]:
    """A server's address."""
    config = uvicorn.Config(served, port=0, http=protocol.PatientProtocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[:2]
    server.should_exit = True
    await task


@asynccontextmanager
async def connected(
    monkeypatch: pytest.MonkeyPatch, wait: float = 0.2
) -> AsyncIterator[tuple[asyncio.StreamReader, Any]]:
    """A connection to a server that waits for so many seconds."""
    monkeypatch.setattr(protocol, "KEEP_ALIVE", wait)
    async with serving(app) as address:
        reader, writer = await asyncio.open_connection(*address)
        yield reader, writer
        writer.close()


@in_loop
@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTTP/1.1\r\nHost: ", ASK, ASK + b"G", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na"],
)
async def test_a_client_that_does_not_go_on_is_cut_off(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as (reader, writer):
        writer.write(sent)
        try:
            rest = await asyncio.wait_for(reader.read(), timeout=2)  # up to the connection's end
        except ConnectionError:
            rest = b""
        assert rest.count(b"HTTP/1.1 200") <= 1


@in_loop
async def test_a_body_without_end_behind_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch) as (_, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(100):
                writer.write(CHUNK)
                await writer.drain()
                await asyncio.sleep(0.02)


@in_loop
async def test_a_client_that_goes_on_or_waits_is_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses are short beside the wait, so that a busy machine does not stretch one to it."""
    async with connected(monkeypatch, wait=0.5) as (reader, writer):
        for path in (b"/", b"/slow", b"/", b"/", b"/"):
            await asyncio.sleep(0.1)
            writer.write(ASK.replace(b"/", path, 1))
            assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")


@in_loop
async def test_a_long_upload_and_requests_behind_each_other_are_not_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connected(monkeypatch, wait=0.5) as (reader, writer):
        writer.write(b"POST /whole HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n")
        for _ in range(7):
            await asyncio.sleep(0.2)
            writer.write(b"a")
        writer.write(ASK.replace(b"/", b"/slow", 1) + ASK)
        for _ in range(3):
            assert (await reader.readuntil(b"\r\n\r\nok")).startswith(b"HTTP/1.1 200")


@in_loop
@pytest.mark.parametrize(("token", "status"), [(None, 413), ("0123456789abcdef", 401)])
@pytest.mark.parametrize("says_size", [True, False])
async def test_a_client_that_sends_all_first_reads_why_it_is_refused(
    token: str | None, status: int, says_size: bool
) -> None:
    size = 8 * 2**20  # more than the buffers of a connection hold

    def post(address: tuple[str, int]) -> int:
        body: Any = b"x" * size if says_size else iter([b"x" * 2**16] * (size // 2**16))
        request = urllib.request.Request("http://{}:{}/".format(*address), body)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=30)
        with refused.value as reply:
            return reply.code

    gate = Gate(_reading, token, size // 2, Metrics(), {"/"}, asyncio.Event())
    async with serving(gate) as address:
        assert await asyncio.to_thread(post, address) == status


@in_loop
@pytest.mark.parametrize("sent", [b"\r\n" + b"x" * 5000, b"Expect: 100-continue\r\n\r\n"])
async def test_a_refused_body_is_not_read_without_end_or_asked_for(sent: bytes) -> None:
    gate = Gate(_reading, "0123456789abcdef", 1000, Metrics(), {"/"}, asyncio.Event())
    async with serving(gate) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n" + sent)
        assert (await asyncio.wait_for(reader.readline(), timeout=30)).startswith(b"HTTP/1.1 401")
        writer.close()


async def _reading(scope: Any, receive: Any, send: Any) -> None:
    """Reads a body, and says as FastAPI does why it was refused."""
    try:
        while (await receive()).get("more_body"):
            pass
    except HTTPException as refusal:
        await JSONResponse({}, refusal.status_code)(scope, receive, send)
