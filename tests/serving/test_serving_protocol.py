"""Connections of clients that do not go on, at a real server in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from serving_material import in_loop

from overton.serving import protocol

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
async def connected(
    monkeypatch: pytest.MonkeyPatch, wait: float = 0.2
) -> AsyncIterator[tuple[asyncio.StreamReader, Any]]:
    """A connection to a server that waits for so many seconds."""
    monkeypatch.setattr(protocol, "KEEP_ALIVE", wait)
    config = uvicorn.Config(app, port=0, http=protocol.PatientProtocol, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    reader, writer = await asyncio.open_connection(*server.servers[0].sockets[0].getsockname()[:2])
    yield reader, writer
    writer.close()
    server.should_exit = True
    await task


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
