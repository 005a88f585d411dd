"""The Batch API form: all calls written to a file, and the replies read back from the file of results.

The format is OpenAI's (https://platform.openai.com/docs/guides/batch): one JSON object a line, with ``custom_id``,
``method``, ``url`` and ``body`` in the request, and ``custom_id``, ``response`` and ``error`` in the result, in any
order. The id is the cache's key, so a result finds its request by what was asked, whatever was asked beside it.
Replies are kept in the cache of the calls that are made one by one, so neither form asks what the other brought.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.jsonio import read_jsonl, write_jsonl
from overton.llm.cache import ReplyCache, cache_key
from overton.llm.completion import Failure, error_text, read_answer
from overton.llm.endpoint import declines, request_body
from overton.llm.front import clean
from overton.llm.types import Reply, Request
from overton.progress import say
from overton.sections_model import LlmSection

URL = "/v1/chat/completions"
# That one file may hold, by the openai package's batch_create_params, which says 200 MB.
MOST_REQUESTS, MOST_BYTES = 50_000, 200_000_000
_NOTHING = "no reason given"


class BatchWriter:
    """A language model that answers nothing and writes down what it is asked and has no reply to yet.

    Args:
        section: the model and the settings of its calls.
        path: file of the requests. Beyond 50,000 or 200 MB, and when more is asked later, files follow:
            ``NAME-2.jsonl`` and on.
            A name that another model's requests or a file of the user's has is passed over; this model's files of an
            earlier call are replaced or removed, so that the folder holds what is left to ask and nothing twice.
        cache: of the replies; what it holds is not written.
    """

    def __init__(self, section: LlmSection, path: Path, cache: ReplyCache) -> None:
        self.name = section.model
        self._section = section
        self._path = path
        self._cache = cache
        self._number = 0
        self._old = request_files(path, section.extra.get("model", section.model))

    def complete(self, requests: Sequence[Request], description: str = "") -> list[Reply]:
        """Write the requests that the cache does not answer, equal ones once; no reply has a text."""
        keys = {cache_key(self.name, request, self._section.extra): request for request in requests}
        asked = {key: request for key, request in keys.items() if self._cache.get(key) is None}
        if known := len(keys) - len(asked):
            rest = "" if asked else "; nothing is left to ask"
            say(f"{self.name}: {known:,} replies are in the cache{rest}")
        for lines in _files(self._lines(asked)):
            path = self._next()
            count = write_jsonl(path, lines)
            say(f"{path}: {count:,} requests to {self.name}")
            self._old.discard(path)
        while self._old:  # only now, since an error above should not cost what an earlier call wrote
            self._old.pop().unlink(missing_ok=True)
        return [Reply(None, "written for the Batch API")] * len(requests)

    def _next(self) -> Path:
        """The next file: one that is not there, or this model's of an earlier call."""
        while True:
            self._number += 1
            path = self._path if self._number == 1 else self._path.with_stem(f"{self._path.stem}-{self._number}")
            if path in self._old or not os.path.lexists(path):
                return path

    def _lines(self, asked: dict[str, Request]) -> Iterator[dict[str, Any]]:
        for key, request in asked.items():
            yield {"custom_id": key, "method": "POST", "url": URL, "body": request_body(self._section, request)}


def _files(lines: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """The lines of each file, in order."""
    held: list[dict[str, Any]] = []
    size = 0
    for line in lines:
        own = len(json.dumps(line, ensure_ascii=False).encode()) + 1  # as it is written
        if held and (len(held) == MOST_REQUESTS or size + own > MOST_BYTES):
            yield held
            held, size = [], 0
        held.append(line)
        size += own
    if held:
        yield held


def request_files(path: Path, model: str | None) -> set[Path]:
    """A model's files of requests under a name, as :class:`BatchWriter` numbers them.

    What they hold decides, since another model may be called ``NAME-2``, and the folder may hold the user's own files.
    """
    name = re.compile(rf"{re.escape(path.stem)}(?:-[0-9]+)?{re.escape(path.suffix)}")
    there = path.parent.iterdir() if path.parent.is_dir() else ()
    return {file for file in there if name.fullmatch(file.name) and file.is_file() and _is_of(file, model)}


def _is_of(file: Path, model: str | None) -> bool:
    try:
        with open(file, encoding="utf-8") as lines:
            row = json.loads(next(lines, ""))
    except (OSError, ValueError, RecursionError):
        return False
    if not isinstance(row, dict) or set(row) != {"custom_id", "method", "url", "body"} or row["url"] != URL:
        return False
    return isinstance(row["body"], dict) and row["body"].get("model") == model


class BatchResults:
    """A language model whose replies come from the cache or else from files of results.

    Args:
        section: as the requests were written with.
        replies: of :func:`read_results`.
        cache: of the replies; those of the results that have a text are stored there.
    """

    def __init__(self, section: LlmSection, replies: dict[str, Reply], cache: ReplyCache) -> None:
        self.name = section.model
        self._extra = section.extra
        self._replies = replies
        self._cache = cache

    def complete(self, requests: Sequence[Request], description: str = "") -> list[Reply]:
        """One reply a request, in their order; without a text where neither has one."""
        return [self._reply(cache_key(self.name, request, self._extra), request) for request in requests]

    def _reply(self, key: str, request: Request) -> Reply:
        if (known := self._cache.get(key)) is not None:
            return known
        reply = self._replies.get(key, Reply(None, "the results of the batch do not hold it"))
        if reply.text is not None:
            self._cache.put(key, self.name, request, reply)
        return reply


def read_results(paths: Sequence[Path]) -> dict[str, Reply]:
    """Replies by ``custom_id``, from files of results or of errors; a reply with a text goes before one without.

    Raises:
        DataError: a file is missing or empty, a line is not a JSON object, or no row is a result.
    """
    found: dict[str, Reply] = {}
    for path in paths:
        rows = read_jsonl(path)
        _check_results(rows, path)
        for row in rows:
            key, reply = str(row.get("custom_id")), clean(_reply(row))
            if key not in found or found[key].text is None:
                found[key] = reply
    return found


def _check_results(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One odd row costs its own reply; a file without any result is another file than was meant."""
    if any("custom_id" in row and ("response" in row or "error" in row) for row in rows):
        return
    if "custom_id" in rows[0] and "body" in rows[0]:
        raise DataError(f"{path}: holds calls and no results; upload it, and give the files that the provider makes")
    raise DataError(
        f"{path}: holds no results of the Batch API, whose rows have `custom_id` and `response` or `error`; found: "
        f"{', '.join(rows[0]) or 'nothing'}"
    )


def _reply(row: dict[str, Any]) -> Reply:
    response, error = row.get("response"), row.get("error")
    if not isinstance(response, dict):
        return Reply(None, f"the batch reports an error: {error_text(error) or _NOTHING}")
    body = response.get("body")
    if (status := response.get("status_code")) != 200:
        said = error_text(body.get("error") if isinstance(body, dict) else body) or _NOTHING
        return Reply(None, f"HTTP {status}: {said}", declined=declines(status, json.dumps(body)))
    try:
        return read_answer(json.dumps(body))
    except Failure as failure:
        return Reply(None, str(failure))
