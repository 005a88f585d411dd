"""What an endpoint's chat completion says: the text, and what it took; strict, since servers differ."""

from __future__ import annotations

import json
from typing import Any

from overton.llm.types import Reply

SHOWN = 200  # characters of an error that are worth reading
_CUT_OFF = ("length", "model_length", "max_tokens")  # finish reasons; Mistral's second one is the end of the window
_TEXTS, _THOUGHTS = ("text", "output_text"), ("thinking", "reasoning", "redacted_thinking")  # types of parts


class Failure(Exception):
    """A call that brought no usable answer.

    Attributes:
        kind: failures of one kind in a row mean that the endpoint is down, or nothing like one.
        declined: see :class:`~overton.llm.types.Reply`.
    """

    def __init__(self, kind: str, detail: str = "", declined: bool = False) -> None:
        self.kind = kind
        self.declined = declined
        super().__init__(f"{kind}: {detail}" if detail else kind)


def read_answer(text: str) -> Reply:
    """The reply in an endpoint's answer; strict, since servers differ and some answer with a web page.

    Args:
        text: body of the answer.

    Raises:
        Failure: it is no chat completion, one that the endpoint broke off, or one whose content is not text.
    """
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        raise Failure("the answer is not JSON", repr(text[:60])) from None
    choices = body.get("choices") if isinstance(body, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        raise Failure("the answer holds no reply", repr(text[:60]))
    usage = body.get("usage") if isinstance(body.get("usage"), dict) else {}
    read, written = count(usage.get("prompt_tokens")), count(usage.get("completion_tokens"))
    content, thoughts = _text(message.get("content"))
    beside = message.get("reasoning_content") or message.get("reasoning")
    thoughts = beside if isinstance(beside, str) else thoughts
    refusal, finish = message.get("refusal"), choice.get("finish_reason")
    if isinstance(refusal, str) and refusal and not content:
        return Reply(None, f"refused: {refusal[:SHOWN]}", read, written, declined=True)
    if finish == "content_filter":
        return Reply(None, "held back by the endpoint's content filter", read, written, declined=True)
    if finish == "error":
        raise Failure("the endpoint broke the reply off (finish_reason error)", error_text(choice.get("error")))
    reason = ("cut off" if written is None else f"cut off after {written} tokens") if finish in _CUT_OFF else ""
    return Reply(content, reason, read, written, thought_tokens=_thought_tokens(usage, content, thoughts))


def _text(content: Any) -> tuple[str, str]:
    """Text and thoughts of a message's content: a string, nothing, or a list of parts."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if not isinstance(content, list):
        raise Failure("the reply's content is neither text nor a list of parts", type(content).__name__)
    texts: list[str] = []
    thoughts: list[str] = []
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else type(part).__name__
        if kind not in _TEXTS + _THOUGHTS:
            raise Failure("the reply's content holds a part that is not text", repr(kind)[:SHOWN])
        said = part.get("text") or part.get("thinking")
        if isinstance(said, list):  # Mistral's thoughts are parts again
            said = "".join(str(one.get("text", "")) for one in said if isinstance(one, dict))
        if isinstance(said, str):
            (texts if kind in _TEXTS else thoughts).append(said)
    return "".join(texts), "".join(thoughts)


def _thought_tokens(usage: dict[str, Any], text: str, thoughts: str) -> int:
    """Tokens of thoughts that the completion's tokens hold and the text does not: as counted, else by characters."""
    written = count(usage.get("completion_tokens")) or 0
    details = usage.get("completion_tokens_details")
    counted = count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    if counted:
        # Some count thoughts beside the completion's tokens, as the total tells.
        beside = usage.get("total_tokens") == (count(usage.get("prompt_tokens")) or 0) + written + counted
        return 0 if beside or counted > written or (counted == written and text) else counted
    return round(written * len(thoughts) / (len(thoughts) + len(text))) if thoughts else 0


def error_text(error: Any) -> str:
    """What an endpoint's ``error`` says, on one line; ``""`` where it says nothing."""
    text = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(text or "").split())[:SHOWN]


def count(value: Any) -> int | None:
    """A number of tokens, or ``None`` where the value is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
