"""A small endpoint on a loopback port that behaves as told."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from overton.llm import LanguageModel, Request

Open = Callable[..., LanguageModel]


def ask(*texts: str, **settings: Any) -> list[Request]:
    """One request a text."""
    return [Request(messages=(("user", text),), **settings) for text in texts]


def completion(text: Any, finish: str = "stop", usage: Any = None) -> dict[str, Any]:
    """A chat completion as an endpoint writes it."""
    message = {"role": "assistant", "content": text}
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3} if usage is None else usage,
    }


def echo(body: dict[str, Any]) -> dict[str, Any]:
    """A completion that says what was asked."""
    return completion("to " + body["messages"][-1]["content"])


@dataclass
class Answer:
    """One answer of the endpoint: a body (text, what becomes JSON, or what makes it from the request), and the rest."""

    body: Any = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0  # seconds


class Endpoint(ThreadingHTTPServer):
    """Gives the answers in turn, the last one for ever; remembers what it was sent."""

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.keys: list[str | None] = []
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server = self.server
        with server.lock:
            answer = server.answers[min(len(server.bodies), len(server.answers) - 1)]
            server.bodies.append(body)
            server.times.append(time.monotonic())
            server.keys.append(self.headers["Authorization"])
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        time.sleep(answer.wait)
        with server.lock:
            server.at_once -= 1
        data = answer.body(body) if callable(answer.body) else answer.body
        encoded = data.encode() if isinstance(data, str) else json.dumps(data).encode()
        try:
            self.send_response(answer.status)
            for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(encoded)))
            self.end_headers()
            self.wfile.write(encoded)
        except OSError:
            pass  # nobody waits any more

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(*answers: Answer) -> Iterator[Endpoint]:
    """An endpoint that runs while the block does."""
    endpoint = Endpoint(*answers)
    thread = threading.Thread(target=endpoint.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.shutdown()
        endpoint.server_close()
