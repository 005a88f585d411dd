"""One request to a reward server, what may come of it, and how many are under way."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from functools import cache
from threading import Condition
from typing import Any
from urllib.parse import urlsplit

from overton.address import is_loopback
from overton.errors import RunError

AT_ONCE = 4
_AGAIN = {408, 429, 500, 502, 503, 504}
_SLOW = {503, 504}
_HINTS = {
    401: "; `token_env` names the environment variable that holds it",
    404: "; the server's address ends with its port, as in http://localhost:8311",
}


class TooLarge(RunError):
    """The server takes no request, or no group, of this size."""

    def __init__(self, url: str, detail: str) -> None:
        super().__init__(f"{url}: refused with 413: {detail}")
        self.detail = detail


class Again(RunError):
    """No reply this time; another try may have one.

    Attributes:
        slow: whether fewer answers at a time may help: the time was up, or the server says so.
        wait: seconds that the server asks for.
    """

    def __init__(self, reason: str, slow: bool, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.slow = slow
        self.wait = wait


class Pace:
    """Lets so many requests at a time through.

    Attributes:
        most: that many.
        replies: how many have had a reply.
    """

    def __init__(self) -> None:
        self.most = AT_ONCE
        self.replies = 0
        self._now = 0
        self._free = Condition()

    def __enter__(self) -> None:
        with self._free:
            self._free.wait_for(lambda: self._now < self.most)
            self._now += 1

    def __exit__(self, error: object, *_: object) -> None:
        with self._free:
            self._now -= 1
            self.replies += error is None
            self._free.notify_all()

    def slower(self) -> None:
        """Half as many from now on."""
        with self._free:
            self.most = max(1, self.most // 2)


def post(url: str, data: bytes, token: str, timeout: float) -> Any:
    """The server's reply, read as JSON.

    Args:
        url: of the route.
        data: the body, JSON.
        token: ``""`` sends none.
        timeout: seconds.

    Raises:
        TooLarge: it is too much for the server.
        Again: another try may go better.
        RunError: the server refuses, sends elsewhere (the token would go there too), or replies with no JSON.
    """
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        # A proxy has no way to this machine, and is to see neither the texts nor the token.
        with _opener(is_loopback(url)).open(urllib.request.Request(url, data, headers), timeout=timeout) as reply:
            return json.load(reply)
    except urllib.error.HTTPError as error:
        reason = _detail(error)
        home = url.rpartition("/")[0]
        if error.code == 413:
            raise TooLarge(home, reason) from None
        if error.code in _AGAIN:
            raise Again(reason, error.code in _SLOW, _seconds(error.headers.get("Retry-After"))) from None
        if 300 <= error.code < 400:
            reason += f"; it sends to {error.headers.get('Location')}, and another address is not followed"
        raise RunError(f"{home}: refused with {error.code}: {reason}{_HINTS.get(error.code, '')}") from None
    except (OSError, http.client.HTTPException) as error:
        cause = getattr(error, "reason", None) or error
        reason = str(cause) or type(cause).__name__
        if type(cause) in (ConnectionResetError, BrokenPipeError):  # so ends a body that is refused half-way
            reason += f"; the body has {len(data):,} bytes, maybe more than the server takes (--max-body)"
        raise Again(reason, isinstance(cause, TimeoutError)) from None
    except ValueError:
        raise RunError(f"{url}: the reply is not that of an overton reward server") from None


def proxy_of(url: str) -> str:
    """Host and port of the proxy that urllib takes to an address, without its password; ``""`` for none."""
    parts = urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    if not proxy or is_loopback(url) or urllib.request.proxy_bypass(parts.netloc):
        return ""
    return proxy.rpartition("@")[2].rpartition("//")[2].rstrip("/")


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: urllib would take the token along, to any host and without encryption."""

    def redirect_request(self, *_: Any) -> None:
        return None


@cache
def _opener(direct: bool) -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Stay, *([urllib.request.ProxyHandler({})] if direct else []))


def _detail(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(10_000))["detail"])
    except (ValueError, KeyError, TypeError, OSError):
        return str(error.reason)


def _seconds(header: str | None) -> float:
    try:
        return float(header or 0)
    except ValueError:
        return 0.0
