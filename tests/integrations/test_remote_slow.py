"""The client of the reward server when the server is slow, or sends the client elsewhere."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from threading import Lock
from typing import Any

import pytest
from test_remote import ASKED, CARE, GOOD, Reply, replies, row, server

from overton.errors import RunError
from overton.integrations import remote
from overton.integrations.remote import RemoteReward
from overton.types import Group


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_LONGEST_WAIT", 0.0)


class Limited:
    """A server that scores at most so many answers a request in time, and so many requests at a time.

    Attributes:
        at_once: requests under way when each one came.
        sizes: answers of each.
    """

    def __init__(self, most: int, how: str, sluggish: float = 0.0) -> None:
        self.most, self.how, self.sluggish = most, how, sluggish
        self.sizes: list[int] = []
        self.at_once: list[int] = []
        self._now = 0
        self._lock = Lock()

    def __call__(self, _: BaseHTTPRequestHandler, body: bytes) -> Reply:
        groups = json.loads(body)["groups"]
        count = sum(len(group["answers"]) for group in groups)
        with self._lock:
            self._now += 1
            self.sizes.append(count)
            self.at_once.append(self._now)
        time.sleep(self.sluggish)
        with self._lock:
            self._now -= 1
        if count > self.most:
            if self.how == "503":
                return 503, {"detail": "not scored within 170 s; send fewer answers at a time"}, {}
            time.sleep(0.5)
        return 200, {"groups": [[row(1.0) | {"spans": []} for _ in g["answers"]] for g in groups]}, {}


@pytest.mark.parametrize("how", ["503", "timeout"])
def test_a_slow_server_is_asked_for_less_and_finishes(how: str) -> None:
    limited = Limited(20, how)
    groups = [Group("q", CARE, ("x",) * 10)] * 14
    with server(limited) as url:
        client = RemoteReward(url, timeout=0.25 if how == "timeout" else 30.0, retries=8)
        assert [len(scores) for scores in client.score(groups)] == [10] * 14
        first = len(limited.sizes)
        client.score(groups)
    assert max(limited.sizes[:first]) == 140 and max(limited.sizes[first:]) <= 32  # it remembers


def test_a_slow_server_is_asked_fewer_things_at_a_time() -> None:
    limited = Limited(32, "503", sluggish=0.02)
    groups = [Group("q", CARE, ("x",) * 64)] * 2 + [Group("q", CARE, ("x",) * 32)] * 30
    with server(limited) as url, pytest.raises(RunError, match="send fewer answers"):
        RemoteReward(url, retries=3).score(groups)  # two groups are too large for it
    assert limited.at_once[-1] == 1


def test_a_try_does_not_count_while_other_parts_have_replies() -> None:
    calls: dict[int, int] = {}
    lock = Lock()

    def reply_to(_: BaseHTTPRequestHandler, body: bytes) -> Reply:
        groups = json.loads(body)["groups"]
        with lock:
            key = len(groups[0]["answers"])
            calls[key] = calls.get(key, 0) + 1
            bad = key == 300 and len(calls) < 6  # refused as long as others are under way
        if bad:
            time.sleep(0.05)
            return 502, {"detail": "busy"}, {}
        time.sleep(0.02)
        return 200, {"groups": [[row(1.0) | {"spans": []} for _ in g["answers"]] for g in groups]}, {}

    groups = [Group("q", CARE, ("x",) * n) for n in (300, 301, 302, 303, 304, 305, 306)]
    with server(reply_to) as url:
        assert len(RemoteReward(url, retries=0).score(groups)) == 7
    with replies((502, {"detail": "busy"}, {})) as (url, seen), pytest.raises(RunError, match="after 3 tries"):
        RemoteReward(url, retries=2).score([ASKED])
    assert len(seen) == 3


def test_no_redirect_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "0123456789abcdef")
    with replies(GOOD) as (elsewhere, taken):
        for code in (301, 302, 303, 307, 308):
            moved: Any = (code, {}, {"Location": f"{elsewhere}/score"})
            with replies(moved) as (url, seen), pytest.raises(RunError, match=f"refused with {code}: .*{elsewhere}"):
                RemoteReward(url, "A_TOKEN").score([ASKED])
            assert len(seen) == 1
        assert not taken
