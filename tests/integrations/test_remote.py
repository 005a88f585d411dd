"""The client of the reward server: the same scores as here, tries again what is worth it, one message otherwise."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from adapter_material import GOOD as WHOLE
from adapter_material import HALF, SITUATION, reward

from overton.errors import DataError, RecipeError, RunError
from overton.integrations import remote
from overton.integrations.remote import RemoteReward
from overton.integrations.trl import TrlReward
from overton.rewards import load_reward
from overton.testing import tiny_encoder
from overton.types import Group, Perspective, Segment

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))


Reply = tuple[int, Any, dict[str, str]]


@contextmanager
def server(reply_to: Callable[[BaseHTTPRequestHandler, bytes], Reply]) -> Iterator[str]:
    """A real HTTP server: request and body -> status, reply and headers."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, reply, headers = reply_to(self, self.rfile.read(int(self.headers["Content-Length"])))
            text = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(text)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=found.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{found.server_port}"
    finally:
        found.shutdown()
        found.server_close()


@contextmanager
def replies(*scripted: Reply) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server that answers each request with the next reply, the last one for ever."""
    seen: list[dict[str, Any]] = []

    def reply_to(request: BaseHTTPRequestHandler, body: bytes) -> Reply:
        seen.append({"body": json.loads(body), "token": request.headers.get("Authorization"), "path": request.path})
        return scripted[min(len(seen), len(scripted)) - 1]

    with server(reply_to) as url:
        yield url, seen


@contextmanager
def scoring(takes: Callable[[bytes], str] = lambda body: "") -> Iterator[tuple[str, list[bytes]]]:
    """A server that scores an answer by its length, or refuses a body for its size with these words."""
    seen: list[bytes] = []

    def reply_to(_: BaseHTTPRequestHandler, body: bytes) -> Reply:
        seen.append(body)
        if detail := takes(body):
            return 413, {"code": "too_large", "detail": detail}, {}
        groups = json.loads(body)["groups"]
        return 200, {"groups": [[row(float(len(a or ""))) | {"spans": []} for a in g["answers"]] for g in groups]}, {}

    with server(reply_to) as url:
        yield url, seen


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


GOOD: Reply = (200, {"groups": [[row(0.5), row(None, "no text")]]}, {})
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


def test_references_may_be_texts_as_for_the_reward_itself() -> None:
    with replies(GOOD) as (url, seen):
        said = ("In the perspective of Care, it hurts",)
        RemoteReward(url).score([Group(ASKED.prompt, said, ASKED.answers)])  # type: ignore[arg-type]
    assert seen[0]["body"]["groups"][0]["references"] == [{"label": "Care", "explanation": "it hurts"}]
    with pytest.raises(DataError, match="takes a list of groups"):
        RemoteReward("http://127.0.0.1:9").score(ASKED)  # type: ignore[arg-type]


def test_a_full_queue_and_a_worker_that_restarts_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waits.append)
    busy = (429, {"code": "queue_full", "detail": "the queue is full"}, {"Retry-After": "3"})
    cut = (200, b'{"groups"', {"Content-Length": "100"})  # the server ends while it replies
    with replies(busy, (503, {"detail": "starting"}, {}), cut, GOOD) as (url, seen):
        assert RemoteReward(url).score([ASKED])[0][0].value == 0.5
    assert len(seen) == 4 and waits == [3.0, 6.0, 12.0]


def test_what_cannot_succeed_is_refused_at_once_with_the_servers_words() -> None:
    with replies((401, {"detail": "the token is missing"}, {})) as (url, seen):
        with pytest.raises(RunError, match="refused with 401: the token is missing; `token_env` names"):
            RemoteReward(url).score([ASKED])
        assert len(seen) == 1
    with replies((404, {"detail": "Not Found"}, {})) as (url, _), pytest.raises(RunError, match="ends with its port"):
        RemoteReward(url + "/score").score([ASKED])
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


def test_a_server_that_fails_on_every_answer_is_broken() -> None:
    failed = row(None, "scoring failed with AcceleratorError")
    said = pytest.raises(RunError, match=r"not one of 2 answers has a score .*AcceleratorError")
    with replies((200, {"groups": [[failed, failed]]}, {})) as (url, _), said:
        RemoteReward(url).score([ASKED])
    with replies((200, {"groups": [[failed, row(0.5)]]}, {})) as (url, _):
        assert [score.value for score in RemoteReward(url).score([ASKED])[0]] == [None, 0.5]


def test_a_server_whose_reward_changes_is_noticed() -> None:
    first, second = ((200, {**GOOD[1], "reward": name}, {}) for name in ("one", "two"))
    with replies(first, first, second) as (url, _):
        client = RemoteReward(url)
        client.score([ASKED])
        client.score([ASKED])
        assert client.identity == "one"
        with pytest.raises(RunError, match=r"another one than before \(now two, before one\)"):
            client.score([ASKED])


def test_a_server_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(remote.time, "sleep", waits.append)
    with pytest.raises(RunError, match=r"no scores after 4 tries .*overton serve reward"):
        RemoteReward("http://127.0.0.1:9", retries=3).score([ASKED])
    assert waits == [0.5, 1.0, 2.0]


def test_a_token_is_read_as_the_server_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TOKEN", " 0123456789abcdef\n")
    with replies((200, {"groups": []}, {})) as (url, seen):
        RemoteReward(url, "MY_TOKEN").check()
    assert seen[0]["token"] == "Bearer 0123456789abcdef"
    for token, said in ((" \n", "is not set"), ("two\nlines", "printable ASCII"), ("tokén", "printable ASCII")):
        monkeypatch.setenv("MY_TOKEN", token)
        with pytest.raises(RecipeError, match=said):
            RemoteReward("http://localhost:8311", "MY_TOKEN")


def test_addresses_and_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_TOKEN", raising=False)
    with pytest.raises(RecipeError, match="NO_TOKEN is not set"):
        RemoteReward("http://localhost:1", "NO_TOKEN")
    for url in ("http://elsewhere:8311", "localhost:8311", "https://user:word@host"):
        with pytest.raises(RecipeError, match="the reward server's address"):
            RemoteReward(url)
    with pytest.raises(RecipeError, match=r"https://host or http://localhost:8311$"):
        RemoteReward("localhost:8311")


CARE = (Perspective("Care", "it hurts"),)


def counts(seen: list[bytes]) -> list[list[int]]:
    """Answers of each group of each request; the requests come in any order."""
    return sorted([len(group["answers"]) for group in json.loads(body)["groups"]] for body in seen)


def test_groups_are_sent_in_parts_and_never_torn() -> None:
    groups = [Group("q", CARE, ("a" * n,) * n) for n in (100, 300, 60, 60, 60, 60, 60)]
    with scoring() as (url, seen):
        found = RemoteReward(url).score(groups)
        assert [[s.value for s in scores] for scores in found] == [[float(len(a)) for a in g.answers] for g in groups]
        assert counts(seen) == [[60], [60] * 4, [100], [300]]
        seen.clear()
        assert RemoteReward(url).score([]) == [] and not seen


@pytest.mark.parametrize(
    "group",
    [
        Group("q", CARE, ("\u65e5" * 20_000,) * 8),  # three bytes a character, and six as an escape
        Group("p " * 200_000, CARE, ("x",)),
        Group("q", (Perspective("Care", "it hurts " * 5_000),) * 10, ("x",)),
    ],
)
def test_a_request_is_far_below_the_servers_limit_whatever_makes_it_long(group: Group) -> None:
    from overton.serving.settings import ServeSettings

    with scoring() as (url, seen):
        found = RemoteReward(url).score([group] * 32)
        assert [[s.value for s in scores] for scores in found] == [[float(len(a)) for a in group.answers]] * 32
    assert 1 < len(seen) < 32 and max(map(len, seen)) < ServeSettings().max_body / 4


def test_half_a_character_goes_as_the_reward_reads_it() -> None:
    with scoring() as (url, seen):
        RemoteReward(url).score([Group("q\ud83d", CARE, ("x\ud83d\ude00",))])
    (group,) = json.loads(seen[0])["groups"]
    assert (group["prompt"], group["answers"]) == ("q\ufffd", ["x\ufffd\ufffd"])  # as long as before


def test_what_no_reward_can_score_costs_itself_alone_and_has_the_rewards_reason() -> None:
    groups = [
        Group("q", (Perspective("a", " "),), ("x",)),
        Group("q", (), ("x",)),
        Group("q", CARE, ()),
        Group("q", CARE, (np.int64(3), "xy", None, float("nan")), (np.bool_(True),) * 4),  # type: ignore[arg-type]
    ]
    with scoring() as (url, seen):
        found = RemoteReward(url).score(groups)
    here = reward().score(groups)
    assert [[s.reason for s in scores if s.value is None] for scores in found] == [
        [s.reason for s in scores if s.value is None] for scores in here
    ]
    assert [[s.value is None for s in scores] for scores in found] == [[True], [True], [], [True, False, True, True]]
    assert counts(seen) == [[4]]


def test_a_group_that_the_server_holds_too_large_costs_itself_alone() -> None:
    def takes(body: bytes) -> str:
        groups = json.loads(body)["groups"]
        if len(groups) > 5:
            return "6 answers in one request, and at most 5 are taken"
        bad = [i for i, group in enumerate(groups) if group["prompt"] == "long"]
        return f"groups[{bad[0]}].prompt: 60000 characters" if bad else ""

    with scoring(takes) as (url, _):
        found = RemoteReward(url).score([Group("long" if i == 3 else "q", CARE, ("x", "yy")) for i in range(9)])
    assert [[s.value for s in scores] for scores in found] == [[1.0, 2.0]] * 3 + [[None, None]] + [[1.0, 2.0]] * 5
    assert found[3][1].reason == "prompt: 60000 characters"
    with scoring(lambda body: "2 answers in one request, and at most 1 are taken") as (url, seen):
        with pytest.raises(RunError, match="refused with 413: 2 answers in one request"):
            RemoteReward(url).score([Group("q", CARE, ("x", "y"))])
        assert len(seen) == 1


def test_a_connection_that_ends_in_a_long_body_says_how_long_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote.time, "sleep", lambda seconds: None)

    def refuse(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.recv(100)
            connection.close()  # the rest is unread, so the client's connection is reset

    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=refuse, args=(listener,), daemon=True).start()
        client = RemoteReward(f"http://127.0.0.1:{listener.getsockname()[1]}", retries=1)
        with pytest.raises(RunError, match=r"after 2 tries .*body has 20,000,\d\d\d bytes.*--max-body"):
            client.score([Group("q", CARE, ("x" * 20_000_000,))])


def test_a_server_on_this_machine_is_asked_without_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_TOKEN", "secret")
    with replies((403, {"detail": "the proxy knows no such host"}, {})) as (proxy, taken), replies(GOOD) as (url, _):
        use_proxy(monkeypatch, proxy)
        for address in (url, url.replace("127.0.0.1", "localhost")):
            assert RemoteReward(address, "A_TOKEN").score([ASKED])[0][0].value == 0.5
    assert not taken


def test_an_error_names_the_proxy_of_another_machine_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    with replies(GOOD) as (proxy, _):  # it refuses CONNECT
        use_proxy(monkeypatch, proxy.replace("//", "//user:hidden@"))
        with pytest.raises(RunError) as error:
            RemoteReward("https://scorer.invalid").check()
    assert f"the proxy {proxy.removeprefix('http://')}" in str(error.value) and "hidden" not in str(error.value)
    monkeypatch.setenv("NO_PROXY", "scorer.invalid")
    with pytest.raises(RunError) as error:
        RemoteReward("https://scorer.invalid").check()
    assert "proxy" not in str(error.value)


def use_proxy(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Make it the proxy for every address."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name.lower(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.setenv("HTTPS_PROXY", proxy)


@pytest.mark.slow
def test_a_real_server_scores_as_the_reward_does_here(tmp_path: Path) -> None:
    pytest.importorskip("fastapi", reason="the server is the extra `serve`")
    from serving.process import ServerProcess

    source = str(tiny_encoder(tmp_path / "model"))
    process = ServerProcess(tmp_path / "log", source, "--set", "threshold=0.9", environment={"OMP_NUM_THREADS": "1"})
    try:
        process.start()
        client = RemoteReward(process.url)
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
        process.end()
