"""What language models are asked while data are prepared, and how their replies are read.

A reply that is missing or cannot be read is ``None``: whoever asked leaves that situation as it was and counts it. Of a
reply that was cut off, what is not finished is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from overton.data.rows import TEMPLATE, view_of
from overton.errors import DataError
from overton.folders import shown_model
from overton.types import Perspective

if TYPE_CHECKING:
    from overton.llm import LanguageModel, Reply, Request

_THINKING = re.compile(r"^.*</think>", re.DOTALL)
# Small models write "A: No" or "**Answer:** no", though "B:" after it would be a word on each text.
_VERDICT = re.compile(
    r"\W*(?:(?:(?:the\s+|final\s+)*answer(?:\s+is\b)?|a)\W*:\W*|the\s+answer\s+is\W+)?(yes|no)\b(?!\W+b\W*:)",
    re.IGNORECASE,
)
_MARKER = re.compile(r"^\s*(?:[-*•]+|\(?\d{1,2}[.):])\s*")
_ECHO = re.compile(r"^NAME:\s*(?=[^:]+:)", re.IGNORECASE)
_NO_LABELS = ("name", "sentence", "note")  # places of the prompt's own line, and remarks on the list
_OPENER = re.compile(r"^(?:in|from) the perspective of\s+", re.IGNORECASE)

_SAME = """Situation: {situation}

A: {a}
B: {b}

Do A and B state the same perspective on the situation, perhaps in other words? Two that judge the situation \
differently, or for different reasons, are not the same. Answer with one word: yes or no."""

_MORE = """Situation: {situation}

Perspectives that are known:
{known}

Name {count} more perspectives that reasonable people may hold on the situation, each unlike all of the above and \
unlike the others. A perspective is a human value, right or duty, and one sentence that says what it holds here. \
Write one a line, and nothing else:
NAME: SENTENCE"""

_SUMMARY = """Situation: {situation}

Perspectives:
{known}

Write one paragraph of at most {words} words that weighs these perspectives against each other. Speak to every one \
of them and call each by its name. Write plain text without a list, a heading or a verdict of your own."""


def same_perspective(llm: LanguageModel, asked: Sequence[tuple[str, str, str]]) -> list[bool | None]:
    """Whether two texts state the same perspective.

    Args:
        llm: who is asked, once for each.
        asked: (situation, one text, the other) each.
    """
    questions = [_request(_SAME.format(situation=s, a=a, b=b), 16) for s, a, b in asked]
    return [_verdict(reply.text) for reply in _replies(llm, questions, "same perspective?")]


def more_perspectives(
    llm: LanguageModel,
    asked: Sequence[tuple[str, Sequence[Perspective], int]],
    seed: int,
) -> list[list[Perspective] | None]:
    """New perspectives, with the model's name as their provenance; lines that cannot be read are left out.

    Args:
        llm: who is asked, once for each.
        asked: (situation, its perspectives, how many more) each.
        seed: of sampling.
    """
    questions = [
        _request(_MORE.format(situation=s, known=_listed(known), count=count), 80 * count + 64, 0.7, seed)
        for s, known, count in asked
    ]
    replies = _replies(llm, questions, "new perspectives")
    return [None if reply.text is None else _read_lines(reply, shown_model(llm.name)) for reply in replies]


def summaries(llm: LanguageModel, asked: Sequence[tuple[str, Sequence[Perspective]]], seed: int) -> list[str | None]:
    """A paragraph that speaks to all perspectives, at temperature 0.1; ``None`` also where it breaks the template or is
    not finished: an answer to learn from has to end.

    Args:
        llm: who is asked, once for each.
        asked: (situation, its perspectives) each.
        seed: of sampling.
    """
    questions = [
        _request(_SUMMARY.format(situation=s, known=_listed(known), words=100), 256, 0.1, seed) for s, known in asked
    ]
    found = []
    for reply in _replies(llm, questions, "summaries"):
        plain = " ".join((reply.text or "").split())
        found.append(None if not plain or reply.reason or TEMPLATE.search(plain) else plain)
    return found


def _request(question: str, max_tokens: int, temperature: float = 0.0, seed: int | None = None) -> Request:
    from overton.llm import Request

    return Request((("user", question),), max_tokens, temperature, seed)


def _replies(llm: LanguageModel, questions: Sequence[Request], description: str) -> list[Reply]:
    """Replies without their thoughts; beside a text, ``reason`` says that it is not finished."""
    if not questions:
        return []
    replies = llm.complete(questions, description)
    return [r if r.text is None else replace(r, text=_THINKING.sub("", r.text)) for r in replies]


def _verdict(text: str | None) -> bool | None:
    match = _VERDICT.match(text or "")
    return match.group(1).lower() == "yes" if match else None


def _listed(perspectives: Sequence[Perspective]) -> str:
    return "\n".join(f"{p.label}: {p.explanation}" for p in perspectives)


def _read_lines(reply: Reply, author: str) -> list[Perspective]:
    lines = (reply.text or "").splitlines()
    found = []
    for line in lines[:-1] if reply.reason else lines:
        plain = _OPENER.sub("", _MARKER.sub("", line)).replace("**", "")
        label, colon, explanation = _ECHO.sub("", plain).partition(":")
        if not colon or label.strip().casefold() in _NO_LABELS:
            continue
        try:
            found.append(view_of(label, explanation, None, None, "reply", author))
        except DataError:
            continue
    return found
