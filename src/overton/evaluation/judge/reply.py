"""What a judge may reply, as a JSON schema and as the strict reader of it. Anything else is no score."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Grade = Annotated[int, Field(ge=1, le=5)]
# From a line's end to a line's end: a page of empty lines is tried once, not once for each of them.
_FENCE = re.compile(r"```(?:json)?[^\S\n]*+\n(.*)\n[^\S\n]*+```", re.DOTALL)
_THINKING = re.compile(r"^.*</think>", re.DOTALL)


class Unreadable(ValueError):
    """A reply that is not what was asked for. The message is the reason, without the reply: reasons are counted."""


class _Reply(BaseModel):
    # Strict: neither "4" nor 4.0 nor true is a number from 1 to 5.
    model_config = ConfigDict(extra="forbid", strict=True)


class Aspect(_Reply):
    reason: str
    score: Grade


class Scores(_Reply):
    helpfulness: Aspect
    clarity: Aspect
    factuality: Aspect
    depth: Aspect
    engagement: Aspect


class Comparison(_Reply):
    reason: str
    winner: Literal["1", "2", "tie"]


class Rating(_Reply):
    reason: str
    rating: Grade


R = TypeVar("R", bound=_Reply)


def read_reply(text: str, shape: type[R]) -> R:
    """The reply's one JSON object.

    Thoughts before ``</think>`` and a code fence around the whole are taken off; nothing is looked for in other text.

    Args:
        text: what the judge wrote.
        shape: the wanted object.

    Raises:
        Unreadable: the reply is anything but one object of this shape; a key that occurs twice counts as that.
    """
    plain = text.strip()
    if not plain.startswith("{"):
        plain = _THINKING.sub("", plain).strip()
    if fenced := _FENCE.fullmatch(plain):
        plain = fenced[1].strip()
    try:
        value = json.loads(plain, object_pairs_hook=_once, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        raise Unreadable(f"the reply is not one JSON object: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"the reply is not one JSON object: {error}") from None
    try:
        return shape.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "extra_forbidden":
            raise Unreadable("the reply has another shape: a key that was not asked for") from None
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise Unreadable(f"the reply has another shape: {where}: {first['msg']}") from None


def read_number(text: str) -> int:
    """A reply that is one whole number from 1 to 5, for prompts that ask for just that.

    Raises:
        Unreadable: it is anything else.
    """
    plain = text.strip() if "</think>" not in text else _THINKING.sub("", text).strip()
    if plain not in ("1", "2", "3", "4", "5"):
        raise Unreadable("the reply is not one number from 1 to 5")
    return int(plain)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key occurs twice")
    return found


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is no value")
