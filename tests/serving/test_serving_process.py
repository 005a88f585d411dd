"""The real thing: ``overton serve reward`` as a process at a free port, and its worker killed."""

from __future__ import annotations

import re
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from overton.rewards import load_reward
from overton.testing import tiny_encoder
from overton.types import Group, Perspective
from serving.process import ServerProcess

REFERENCES = ["In the perspective of Privacy, a diary is private.", "In the perspective of Safety, danger comes first."]
PARSED = (Perspective("Privacy", "a diary is private."), Perspective("Safety", "danger comes first."))
ANSWERS = [
    "In the perspective of Privacy, a diary is private.",
    "In the perspective of Privacy, a diary is private.\nIn the perspective of Safety, danger comes first.",
    "",
]
PROMPT = "A nurse reads a diary."
TOKEN = "0123456789abcdef"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


class Server(ServerProcess):
    """A server with a worker of one thread."""

    def __init__(self, folder: Path, *options: str, environment: dict[str, str] | None = None) -> None:
        one_thread = {"OMP_NUM_THREADS": "1", **(environment or {})}
        super().__init__(folder / "server.log", *options, "--threads", "1", environment=one_thread)

    def post(self, *answers: str, **given: Any) -> httpx2.Response:
        body = {"groups": [{"prompt": PROMPT, "references": REFERENCES, "answers": answers, **given}]}
        return httpx2.post(f"{self.url}/score", json=body, headers=BEARER, timeout=300)


pytestmark = pytest.mark.slow  # each process loads torch


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("encoder")
    return str(tiny_encoder(folder / "model"))


@pytest.fixture(scope="module")
def server(source: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    found = Server(folder, source, "--set", "threshold=0.9", "--set", "novelty_weight=0.5", "--group-wait", "100")
    try:
        found.start()
        yield found
    finally:
        found.end()


def direct(source: str, *answers: str) -> list[float | None]:
    reward = load_reward(source, threshold=0.9, novelty_weight=0.5)
    return [score.value for score in reward.score([Group(PROMPT, PARSED, answers)])[0]]


def test_scores_are_those_of_the_reward(server: Server, source: str) -> None:
    rows = server.post(*ANSWERS).json()["groups"][0]
    assert [row["value"] for row in rows] == pytest.approx(direct(source, *ANSWERS))
    assert rows[0]["matches"][0]["cosine"] == pytest.approx(1.0, abs=1e-3)
    assert "novelty" in rows[0]["terms"]


def test_siblings_that_come_one_by_one_have_the_scores_of_the_group(server: Server, source: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(lambda answer: server.post(answer, group="g", size=3), ANSWERS))
    rows = [reply.json()["groups"][0][0] for reply in replies]
    assert [row["value"] for row in rows] == pytest.approx(direct(source, *ANSWERS))
    assert {row["scored_together"] for row in rows} == {3}


def test_a_client_that_hangs_up_leaves_its_place(server: Server) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        body = {"groups": [{"prompt": PROMPT, "references": REFERENCES, "answers": ["a"], "group": "h", "size": 2}]}
        httpx2.post(f"{server.url}/score", json=body, timeout=httpx2.Timeout(300, read=0.5))
    while httpx2.get(f"{server.url}/health").json()["held"]:
        time.sleep(0.05)
    with ThreadPoolExecutor(2) as pool:
        replies = list(pool.map(lambda answer: server.post(answer, group="h", size=2), ["a", "b"]))
    assert [reply.status_code for reply in replies] == [200, 200]


def test_a_worker_that_is_killed_costs_no_answer(server: Server, source: str) -> None:
    wanted = {
        text: direct(source, text)[0] for text in (f"In the perspective of Privacy, number {n}." for n in range(40))
    }
    with ThreadPoolExecutor(8) as pool:
        coming = [pool.submit(server.post, text) for text in wanted]
        for _ in range(2):
            worker = server.worker()
            worker.kill()
            worker.wait()
        replies = [one.result() for one in coming]
    assert [reply.status_code for reply in replies] == [200] * len(wanted)
    assert [reply.json()["groups"][0][0]["value"] for reply in replies] == pytest.approx(list(wanted.values()))
    metrics = httpx2.get(f"{server.url}/metrics").text
    assert re.search(r"^overton_worker_deaths_total [1-9]", metrics, re.MULTILINE)


def test_a_server_that_is_killed_leaves_no_worker_behind(server: Server) -> None:
    worker = server.worker()
    server.end()
    worker.wait(timeout=120)
    assert not worker.is_running()


@pytest.fixture(scope="module")
def guarded(source: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another server, for anyone who has the token."""
    options = (source, "--set", "threshold=0.9", "--group-wait", "100", "--host", "0.0.0.0", "--token-env", "MY_TOKEN")
    found = Server(tmp_path_factory.mktemp("guarded"), *options, environment={"MY_TOKEN": TOKEN})
    try:
        found.start()
        found.url = found.url.replace("0.0.0.0", "127.0.0.1")
        yield found
    finally:
        found.end()


def test_a_token_from_the_environment(guarded: Server) -> None:
    assert httpx2.post(f"{guarded.url}/score", json={"groups": []}).status_code == 401
    with_password = guarded.url.replace("//", f"//any:{TOKEN}@")
    for address, headers in ((guarded.url, BEARER), (with_password, {})):
        assert httpx2.post(f"{address}/score", json={"groups": []}, headers=headers).status_code == 200
    assert TOKEN not in guarded.text()


def test_it_stops_gracefully_whatever_is_open(guarded: Server) -> None:
    """A group that waits for its siblings is scored, an upload refused, the worker gone, and nothing a traceback."""
    worker = guarded.worker()
    address = urlsplit(guarded.url)
    opened = socket.create_connection((address.hostname, address.port), timeout=25)  # --drain takes longer
    with ThreadPoolExecutor(1) as pool, opened as upload:
        waiting = pool.submit(guarded.post, "a", group="g", size=8)
        while not httpx2.get(f"{guarded.url}/health").json()["held"]:
            time.sleep(0.05)
        upload.sendall(
            b"POST /score HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 100\r\n"
            b"Expect: 100-continue\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"
        )
        assert b"100" in upload.recv(1000)  # it reads the body
        upload.sendall(b"{")
        guarded.process.send_signal(signal.SIGTERM)
        refused = upload.recv(10_000)
        scored = waiting.result()
        assert guarded.process.wait(timeout=25) == 0
    assert b" 503 " in refused.splitlines()[0] and b"retry-after" in refused.lower()
    assert scored.status_code == 200 and scored.json()["groups"][0][0]["scored_together"] == 1
    assert "Traceback" not in guarded.text() and guarded.text().rstrip().endswith("stopped")
    assert not worker.is_running()
