"""The client of the reward server: the same scores as here, tries again what is worth it, one message otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from adapter_material import GOOD as WHOLE
from adapter_material import HALF, SITUATION

from overton.errors import RecipeError, RunError
from overton.integrations import remote
from overton.integrations.remote import RemoteReward
from overton.integrations.trl import TrlReward
from overton.rewards import load_reward
from overton.testing import tiny_encoder
from overton.types import Group, Perspective, Segment

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


@contextmanager
def replies(*scripted: tuple[int, Any, dict[str, str]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A real HTTP server that answers each request with the next reply, the last one for ever."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, reply, headers = scripted[min(len(seen), len(scripted) - 1)]
            seen.append({"body": json.loads(body), "token": self.headers.get("Authorization"), "path": self.path})
            text = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(text))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


SPAN = {"start": 2, "end": 6, "credit": 1.0, "label": "Care"}


def row(value: float | None, reason: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {
        "value": value,
        "reason": reason,
        "terms": {"coverage": 1.0},
        "repeated": [],
        "clusters": [],
    }
    match = {"reference": 0, "segment": 0, "cosine": 0.9, "probability": None}
    return found | {"matches": [match], "spans": [SPAN], "scored_together": 1}


GOOD: tuple[int, Any, dict[str, str]] = (200, {"groups": [[row(0.5), row(None, "no text")]]}, {})
ASKED = Group("May I?", (Perspective("Care", "it hurts"),), ("abcdefgh", "ijklmnop"), (True, False))


def test_a_reply_becomes_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "secret")
    with replies(GOOD) as (url, seen):
        first, second = RemoteReward(url + "/", "A_TOKEN").score([ASKED])[0]
    assert (first.value, first.terms, first.credits) == (0.5, {"coverage": 1.0}, (1.0,))
    assert first.segments == (Segment("Care", "cdef", 2, 6),) and first.matches[0].cosine == 0.9
    assert (second.value, second.reason) == (None, "no text")
    assert seen[0]["token"] == "Bearer secret" and seen[0]["path"] == "/score"
    assert seen[0]["body"]["groups"] == [
        {
            "prompt": "May I?",
            "references": [{"label": "Care", "explanation": "it hurts"}],
            "answers": ["abcdefgh", "ijklmnop"],
            "finished": [True, False],
        }
    ]


def test_a_full_queue_and_a_worker_that_restarts_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waits.append)
    busy = (429, {"code": "queue_full", "detail": "the queue is full"}, {"Retry-After": "3"})
    with replies(busy, (503, {"detail": "starting"}, {}), GOOD) as (url, seen):
        assert RemoteReward(url).score([ASKED])[0][0].value == 0.5
    assert len(seen) == 3 and waits == [3.0, 6.0]


def test_what_cannot_succeed_is_refused_at_once_with_the_servers_words() -> None:
    with replies((401, {"detail": "the token is missing"}, {})) as (url, seen):
        with pytest.raises(RunError, match="refused with 401: the token is missing"):
            RemoteReward(url).score([ASKED])
        assert len(seen) == 1
    with replies((200, b"<html>", {})) as (url, _), pytest.raises(RunError, match="not that of an overton"):
        RemoteReward(url).check()
    with replies((200, {"groups": []}, {})) as (url, _):
        RemoteReward(url).check()
        with pytest.raises(RunError, match="0 groups came back for 1"):
            RemoteReward(url).score([ASKED])
    older = row(0.5) | {"spans": [{key: SPAN[key] for key in ("start", "end", "credit")}]}
    for rows in ([older, older], [row(0.5)]):
        with replies((200, {"groups": [rows]}, {})) as (url, _), pytest.raises(RunError, match="same version there"):
            RemoteReward(url).score([ASKED])


def test_a_server_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waits.append)
    with pytest.raises(RunError, match=r"no scores after 4 tries .*overton serve reward"):
        RemoteReward("http://127.0.0.1:9", retries=3).score([ASKED])
    assert waits == [0.5, 1.0, 2.0]


def test_addresses_and_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_TOKEN", raising=False)
    with pytest.raises(RecipeError, match="NO_TOKEN is not set"):
        RemoteReward("http://localhost:1", "NO_TOKEN")
    for url in ("http://elsewhere:8311", "localhost:8311", "https://user:word@host"):
        with pytest.raises(RecipeError, match="placement"):
            RemoteReward(url)


def test_groups_are_sent_in_parts_and_never_torn() -> None:
    groups = [Group("q", (), ("a",) * 100), Group("q", (), ("b",) * 300), *[Group("q", (), ("c",) * 60)] * 5]
    parts = [[len(group.answers) for group in part] for part in remote._parts(groups)]
    assert parts == [[100], [300], [60] * 4, [60]]
    assert list(remote._parts([])) == []
    long = [Group("q", (), ("x" * 1_500_000,))] * 2
    assert len(list(remote._parts(long))) == 2


@pytest.mark.slow
def test_a_real_server_scores_as_the_reward_does_here(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="the server is the extra `serve`")
    from serving.process import ServerProcess

    source = str(tiny_encoder(tmp_path / "model"))
    server = ServerProcess(tmp_path / "log", source, "--set", "threshold=0.9", environment={"OMP_NUM_THREADS": "1"})
    try:
        server.start()
        client = RemoteReward(server.url)
        here = load_reward(source, threshold=0.9)
        groups = [Group(SITUATION.text, SITUATION.perspectives, (WHOLE, HALF, "")), ASKED]
        for ours, theirs in zip(here.score(groups), client.score(groups), strict=True):
            assert [s.value for s in ours] == pytest.approx([s.value for s in theirs])
            assert [s.credits for s in ours] == [s.credits for s in theirs]
            assert [[(x.start, x.end, x.label) for x in s.segments] for s in ours] == [
                [(x.start, x.end, x.label) for x in s.segments] for s in theirs
            ]
        assert all(x.label for x in client.score(groups)[0][0].segments)  # it opens a decision of the credit
        client.check()
        columns = {"references": [[{"label": "Care", "explanation": "it hurts"}]] * 2, "situation": ["May I?"] * 2}
        values = TrlReward(client)(["May I?"] * 2, list(ASKED.answers), **columns)
        finished = Group(ASKED.prompt, ASKED.references, ASKED.answers)
        assert values == pytest.approx([s.value for s in here.score([finished])[0]])
    finally:
        server.end()
