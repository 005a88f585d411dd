"""A connection that is closed when its client takes too long, whatever it has sent so far."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

# Seconds that an idle connection stays open: longer than clients keep theirs (httpx 5, aiohttp 15), or a request may
# be sent in the moment in which its connection is closed, and is lost.
KEEP_ALIVE = 120


class PatientProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, to clients that go on.

    Uvicorn ends idle connections only after a request, and only until a byte comes: one that sends nothing, half a
    head, or a body without end after its refusal, would hold its place for ever. Here one that began no new request
    for ``KEEP_ALIVE`` seconds, and waits for no answer, is cut off.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to look at it now and then."""
        super().connection_made(transport)
        self._look(before=self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Look no more."""
        super().connection_lost(exc)
        self._timer.cancel()

    def _look(self, before: Any) -> None:
        """``before`` is the last request if it was answered at the last look, ``None`` where there was none."""
        waits = self.cycle is None or self.cycle.response_complete
        if waits and self.cycle is before:
            self.transport.abort()
            return
        self._timer = self.loop.call_later(KEEP_ALIVE, self._look, self.cycle if waits else self)
