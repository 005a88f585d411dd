"""Asking judges: calls out, verdicts and the transcript back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from overton.evaluation.judge.prompt import Prompt
from overton.evaluation.judge.reply import Unreadable
from overton.llm import LanguageModel, Reply, Request, load_llm
from overton.llm.front import Budget
from overton.sections_evaluation import JudgeModel

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Judge:
    """A language model that judges.

    Attributes:
        name: stands in rows and transcripts.
        llm: who is asked.
        section: the settings of its calls.
    """

    name: str
    llm: LanguageModel
    section: JudgeModel


@dataclass(frozen=True, slots=True)
class Call:
    """One thing to be judged.

    Attributes:
        about: what it is, for the transcript: ``id``, ``system`` and so on.
        texts: what is put into the prompt.
    """

    about: Mapping[str, Any]
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verdict(Generic[T]):
    """What came of one call.

    Attributes:
        value: what the judge said; ``None`` when it could not be had or read.
        reason: why there is none.
        failed: the call failed on its way, so that asked again it may bring a verdict.
        row: the transcript's row: ``judge``, ``prompt`` (its version), what the call is about, ``messages``, ``reply``
            (raw), ``parsed``, ``reason``, ``prompt_tokens``, ``completion_tokens``.
    """

    value: T | None
    reason: str
    failed: bool
    row: dict[str, Any]


def load_judges(models: Mapping[str, JudgeModel], cache: Path, budget: Budget | None = None) -> list[Judge]:
    """The judges of a recipe, over one cache of replies. Of several on this machine one at a time is in memory.

    Args:
        models: ``evaluation.judge.models`` of the recipe.
        cache: folder of the replies; see :func:`overton.llm.load_llm`.
        budget: what all of them together may spend; ``None`` = each what its own section says.
    """
    alone = sum(not section.base_url for section in models.values()) < 2
    return [
        Judge(name, load_llm(section, cache, budget=budget, keep=alone), section) for name, section in models.items()
    ]


def ask(
    judge: Judge,
    prompt: Prompt,
    calls: Sequence[Call],
    read: Callable[[str], T],
    schema: Mapping[str, Any] | None,
    description: str,
) -> list[Verdict[T]]:
    """One verdict a call, in their order.

    An endpoint is told the schema; one that takes none gets the prompt's own words alone.

    Args:
        judge: who is asked.
        prompt: what it is told.
        calls: what is to be judged.
        read: from the reply to the verdict; raises :class:`~overton.evaluation.judge.reply.Unreadable`.
        schema: JSON schema of the reply; ``None`` when the prompt asks for something else.
        description: stands before the progress bar.

    Raises:
        ModelError: the judge cannot be had at all.
    """
    settings = judge.section
    held = schema if settings.base_url else None
    requests = [
        Request(prompt.messages(call.texts), settings.max_tokens, settings.temperature, schema=held) for call in calls
    ]
    replies = judge.llm.complete(requests, f"{judge.name}: {description}")
    return [
        _verdict(judge.name, prompt.version, call, request, reply, read)
        for call, request, reply in zip(calls, requests, replies, strict=True)
    ]


def _verdict(
    judge: str, version: str, call: Call, request: Request, reply: Reply, read: Callable[[str], T]
) -> Verdict[T]:
    value, reason = None, reply.reason
    if reply.text is not None:
        try:
            value, reason = read(reply.text), ""
        except Unreadable as error:
            reason = f"{error}; {reply.reason}" if reply.reason else str(error)
    row = {
        **call.about,
        "judge": judge,
        "prompt": version,
        "messages": [{"role": role, "content": content} for role, content in request.messages],
        "reply": reply.text,
        "parsed": value,
        "reason": reason,
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
    }
    return Verdict(value, reason, reply.text is None and not reply.declined, row)
