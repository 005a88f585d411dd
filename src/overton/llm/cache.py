"""Replies on disk, keyed by all that decides them, so that a killed run asks nothing twice.

One JSON line a reply, appended as it comes: this file grows, unlike the others of a run. A line that a kill left
half-written is skipped when it is read, and what is appended next begins a new line.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from overton.llm.types import Reply, Request
from overton.rundir import fingerprint

FILE = "replies.jsonl"


def cache_key(model: str, request: Request, extra: dict[str, Any]) -> str:
    """Hash of the model's name, the messages and every setting of the request."""
    return fingerprint({"model": model, **_asked(request), "extra": extra})


class ReplyCache:
    """The replies of one folder.

    Args:
        folder: holds ``replies.jsonl``; made when the first reply is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._replies: dict[str, Reply] = {}
        self._torn = False
        if self.path.is_file():
            self._read()

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, key: str) -> Reply | None:
        """The stored reply, marked as cached, or ``None``."""
        return self._replies.get(key)

    def put(self, key: str, model: str, request: Request, reply: Reply) -> None:
        """Store a reply that has a text, with what was asked, for people to read."""
        row = {
            "key": key,
            "model": model,
            **_asked(request),
            "text": reply.text,
            "reason": reply.reason,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "thought_tokens": reply.thought_tokens,
            "seconds": reply.seconds,
        }
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "ab") as file:
            file.write(b"\n" + line if self._torn else line)
        self._torn = False
        self._replies[key] = replace(reply, cached=True)

    def _read(self) -> None:
        line = b"\n"
        with open(self.path, "rb") as file:
            for line in file:
                try:
                    row = json.loads(line)
                    key, text = row["key"], row["text"]
                    read, written = row["prompt_tokens"], row["completion_tokens"]
                    thoughts, seconds = row.get("thought_tokens", 0), row.get("seconds")
                    reply = Reply(text, row["reason"], read, written, True, thoughts, seconds=seconds)
                except (ValueError, KeyError, TypeError):
                    continue
                if isinstance(key, str) and isinstance(text, str):
                    self._replies[key] = reply
        self._torn = not line.endswith(b"\n")


def _asked(request: Request) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "messages": [list(message) for message in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "seed": request.seed,
    }
    # Only what is set: replies that were stored before there was such a setting keep their keys.
    if request.schema is not None:
        asked["schema"] = dict(request.schema)
    if request.top_p != 1:
        asked["top_p"] = request.top_p
    return asked
