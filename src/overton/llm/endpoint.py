"""Any OpenAI-compatible endpoint, through the ``openai`` package's client.

The client does the waiting: after 429 as long as ``Retry-After`` says (where that is more than two minutes, it gives
the call up), after 5xx, timeouts and lost connections longer each time. Here is what it leaves open: answers that are
none, and when to give up.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from overton.address import is_loopback
from overton.errors import MissingDependencyError, ModelError
from overton.llm.completion import SHOWN, Failure, count, read_answer
from overton.llm.prompt import LEAST_ROOM
from overton.llm.types import Reply, Request
from overton.llm.workers import side_by_side
from overton.sections_model import LlmSection

_LONGEST_WAIT = 120  # seconds that the client waits when it is told to
_GIVE_UP = 8  # calls in a row that failed alike, each after the retries it was worth
# In words of providers and servers: a filter held the question back, or it is longer than the model reads.
_ABOUT_THE_QUESTION = re.compile(
    r"content.?(filter|polic|management|moderation)|usage polic|inappropriate content|content exists risk"
    r"|context.?(length|size|window)|maximum model length|(prompt|input) is too long|input tokens? (count|exceed)"
    r"|`inputs` tokens",
    re.IGNORECASE,
)
# Beside a refused key, 403 is also what a router answers whose moderation held the question back.
_MODERATED = re.compile(
    r"\b(inputs?|prompts?|question|content)\b[^.]{0,40}\bflagged|flagged_input|moderation|content.?polic",
    re.IGNORECASE,
)
# What servers say of a call that is longer than the window, where it tells how long the question alone is.
_TOO_LONG = (
    re.compile(r"context length is (?P<window>\d+) tokens.{0,40}?requested (?P<all>\d+) tokens", re.DOTALL),
    re.compile(
        r"context length is (?P<window>\d+) tokens.{0,60}?(?:request has|prompt contains) (?P<read>\d+) input tokens",
        re.DOTALL,
    ),
    re.compile(r"must be <= (?P<window>\d+).{0,20}?(?P<read>\d+) `inputs` tokens", re.DOTALL),
)


class Endpoint:
    """Chat completions over HTTP.

    Args:
        section: ``llm`` of the recipe, with a ``base_url``.

    Raises:
        ModelError: the key's environment variable is not set, or holds what is no key.
        MissingDependencyError: ``openai`` is not installed.
    """

    def __init__(self, section: LlmSection) -> None:
        try:
            import openai
        except ModuleNotFoundError as error:
            raise MissingDependencyError("llm.base_url wants the package openai: pip install 'overton[llm]'") from error
        self._section = section
        self._key = _api_key(section)
        here = is_loopback(section.base_url)
        self._client = openai.OpenAI(
            base_url=section.base_url,
            api_key=self._key or "none",  # the client insists on one
            timeout=section.timeout,
            max_retries=section.retries,
            # A proxy has no way to this machine. A redirect would take the texts to an address that nobody has checked.
            http_client=openai.DefaultHttpxClient(trust_env=not here, follow_redirects=False),
        )
        self._failures = 0
        self._last_kind = ""

    def replies(self, requests: Iterable[tuple[str, Request]]) -> Iterator[tuple[str, Reply]]:
        """See :class:`~overton.llm.types.Backend`.

        Raises:
            ModelError: the endpoint refuses the key, does not know the model, or redirects.
        """
        self._failures = 0
        calls = side_by_side(self._try, requests, self._section.concurrency)
        for (key, _), outcome in calls:
            if isinstance(outcome, Reply):
                self._failures = 0
                yield key, outcome
                continue
            self._failures = self._failures + 1 if outcome.kind == self._last_kind else 1
            self._last_kind = outcome.kind
            yield key, Reply(None, str(outcome))

    def _try(self, item: tuple[str, Request]) -> Reply | Failure:
        if self._failures >= _GIVE_UP:
            return Failure(self._last_kind, f"not asked, after {_GIVE_UP} calls in a row that failed so")
        began = time.perf_counter()
        try:
            reply = read_answer(self._send(item[1]))
            return replace(reply, seconds=round(time.perf_counter() - began, 3))
        except Failure as failure:
            return Reply(None, str(failure), declined=True) if failure.declined else failure

    def _send(self, request: Request) -> str:
        import openai

        body = request_body(self._section, request)
        longest = longest_reply(body) or 0
        try:
            answer = self._client.chat.completions.with_raw_response.create(
                model=body.pop("model"), messages=body.pop("messages"), extra_body=body
            )
            return answer.text
        except openai.APIStatusError as error:
            raise self._refusal(error, longest) from error
        except openai.APITimeoutError as error:
            raise Failure(f"no answer within {self._section.timeout:g} s") from error
        except openai.APIConnectionError as error:
            raise Failure("cannot be reached", self._safe(error.__cause__ or error)) from error
        except Exception as error:  # one odd answer must not cost the others
            raise Failure(type(error).__name__, self._safe(error)) from error

    def _refusal(self, error: Any, longest: int) -> Exception:
        status = error.status_code
        said = self._safe(error).removeprefix(f"Error code: {status}").removeprefix(" - ") or "no reason given"
        if (wait := error.response.headers.get("retry-after", "")).isdecimal() and int(wait) > _LONGEST_WAIT:
            said = f"{said}; it wants to be asked again in {-(-int(wait) // 60)} minutes"
        url, name = self._section.base_url, self._section.api_key_env
        if 300 <= status < 400:
            target = error.response.headers.get("location", "nowhere")[:SHOWN]
            return ModelError(
                f"{url} sends on to {target!r}, and texts go to no other address than the one that is given. If it is "
                "the right one, give it as the endpoint's address (base_url), without /chat/completions at its end"
            )
        declined = declines(status, error.response.text, longest)
        if status in (401, 403) and not declined:
            key = f"the key in {name}" if self._key else "a call without a key (`api_key_env` names its variable)"
            return ModelError(f"{url} refuses {key}: {said}")
        if status == 404:
            return ModelError(
                f"{url} has no model {self._section.model!r}, or is not the right address (most end in /v1): {said}"
            )
        return Failure(f"HTTP {status}", said, declined)

    def _safe(self, error: BaseException) -> str:
        """An error in one line that can be shown: short, and without the key."""
        text = " ".join(str(error).split()) or type(error).__name__
        if self._key:
            text = text.replace(self._key, "***")
        return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def declines(status: int | None, body: str, longest: int = 0) -> bool:
    """Whether an error is about the question itself, so that asking again would hardly help.

    Many errors are HTTP 400, a wrong field and an empty account among them; only what the body says tells them apart.
    A question that fits the window, beside a reply that may be too long for the rest of it, is not to blame.

    Args:
        status: of HTTP.
        body: of the answer.
        longest: tokens that the reply was to have at most; 0 unknown.
    """
    for pattern in _TOO_LONG:
        if found := pattern.search(body):
            sizes = {name: int(value) for name, value in found.groupdict().items()}
            read = sizes["read"] if "read" in sizes else sizes["all"] - longest
            if read + LEAST_ROOM <= sizes["window"]:
                return False
    if status == 403:
        return bool(_MODERATED.search(body))
    return status == 413 or (status in (400, 422) and bool(_ABOUT_THE_QUESTION.search(body)))


def request_body(section: LlmSection, request: Request) -> dict[str, Any]:
    """The body of a chat completion: what is asked, and ``llm.extra`` over it; null leaves a field out."""
    body: dict[str, Any] = {
        "model": section.model,
        "messages": [{"role": role, "content": content} for role, content in request.messages],
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p if request.top_p != 1 else None,  # some models take none
        "seed": request.seed,
    }
    if request.schema is not None:
        name = request.schema.get("title", "reply")
        held = {"name": name, "schema": dict(request.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": held}
    return {name: value for name, value in (body | section.extra).items() if value is not None}


def longest_reply(body: dict[str, Any]) -> int | None:
    """Tokens that the reply to a body of :func:`request_body` has at most, thoughts included; ``None`` = no limit."""
    return count(body.get("max_tokens")) or count(body.get("max_completion_tokens")) or None


def _api_key(section: LlmSection) -> str:
    key = os.environ.get(section.api_key_env, "").strip() if section.api_key_env else ""
    if not key and section.api_key_env and not is_loopback(section.base_url):
        raise ModelError(
            f"the environment variable {section.api_key_env} is not set: export {section.api_key_env}=..., name "
            "another with `api_key_env`, or set that to '' when the endpoint wants no key"
        )
    if not (key.isascii() and key.isprintable()):  # the client's own error would show it
        raise ModelError(
            f"the environment variable {section.api_key_env} holds more than a key: one line of printable ASCII is "
            "wanted, without typographic quotation marks"
        )
    return key
