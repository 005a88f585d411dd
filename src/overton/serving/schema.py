"""Bodies of requests and replies; the OpenAPI document is made of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SkipValidation, WithJsonSchema

from overton.errors import DataError
from overton.rewards import parse_references
from overton.serving.errors import Invalid, TooLarge
from overton.serving.jobs import Asked
from overton.serving.settings import ServeSettings

# Anything is taken, since what is no text costs one score and not the request.
_Answer = Annotated[Any, WithJsonSchema({"type": "string"})]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Reference(BaseModel):
    """A reference perspective; further keys, such as stance and cluster, are not read."""

    explanation: str = Field(description="What this view holds.")
    label: str | None = Field(None, description="The value, right or duty behind it.")


class Answers(_Strict):
    """Answers to one situation."""

    prompt: str = Field(description="The situation's text; its words are hidden from the comparison.")
    # Every entry of the library reads references in one way, parse_references, and so does this one.
    references: SkipValidation[list[str | Reference] | str] = Field(
        description="Texts ('In the perspective of LABEL, ...' gives the label) or objects with explanation and label; "
        "or such a list as JSON text."
    )
    answers: list[_Answer] = Field(min_length=1, description="The texts to score.")
    finished: list[bool] | None = Field(None, description="Of each answer, false when the token limit ended it.")
    group: str | None = Field(
        None,
        max_length=200,
        description="Name of the group when its other answers come in other requests; unlike any other group's that is "
        "under way.",
    )
    size: int | None = Field(None, ge=1, description="Answers of that group; wanted with its name.")


class ScoreRequest(_Strict):
    """Groups to score."""

    groups: list[Answers]


class Match(BaseModel):
    """A reference covered by a segment."""

    reference: int = Field(description="Index into the references.")
    segment: int = Field(description="Index into the spans.")
    cosine: float
    probability: float | None


class Span(BaseModel):
    """A segment of the answer."""

    start: int = Field(description="Character offset into the answer.")
    end: int = Field(description="Offset of the end, exclusive.")
    credit: float = Field(description="1 for a new match, otherwise the preset's miss_credit.")
    label: str = Field(description="The value, right or duty that it names, empty without one.")


class Scored(BaseModel):
    """The score of one answer."""

    value: float | None = Field(description="The reward; null when it could not be scored, never 0 for that.")
    reason: str = Field(description="Why it could not be scored, otherwise empty.")
    terms: dict[str, float]
    matches: list[Match]
    repeated: list[int] = Field(description="Segments that repeat a perspective of the same answer.")
    clusters: list[list[int]] = Field(description="Segments that say the same.")
    spans: list[Span]
    scored_together: int = Field(description="Answers of its group that it was scored with, itself included.")


class ScoreReply(BaseModel):
    """One list a group, one score an answer, in the order of the request."""

    groups: list[list[Scored]]
    reward: str = Field(description="Hash of the reward's model, threshold, preset and background.")


class OpenRLHFRequest(BaseModel):
    """What OpenRLHF sends: lists of the same length."""

    query: list[Any] = Field(description="Prompt and answer together, with special tokens.")
    prompts: list[Any]
    labels: list[Any] = Field(description="References, alone or as {references, situation}, also as JSON text.")


class OpenRLHFReply(BaseModel):
    """Numbers for one query, lists for several or none; so OpenRLHF wants it."""

    rewards: float | list[float]
    scores: float | list[float] = Field(description="The rewards between 0 and 1.")
    extra_logs: dict[str, float | list[float]] = Field(
        description="The terms; unscored, 1 without a score; scored_together, as for /score."
    )


class Health(BaseModel):
    """How the server is."""

    status: str = Field(description="ready, starting, down or stopped.")
    version: str
    held: int = Field(description="Answers in the server now.")
    reward: str = Field(description="Hash of the reward's model, threshold, preset and background.")


class Problem(BaseModel):
    """Why a request got no scores."""

    code: str
    detail: str


def to_asked(groups: Sequence[Answers], limits: ServeSettings) -> list[Asked]:
    """Groups of a request, checked.

    Raises:
        Invalid: lists that do not fit together, or references that cannot be read.
        TooLarge: more or longer references than are taken.
    """
    return [_one(group, f"groups[{index}]", limits) for index, group in enumerate(groups)]


def _one(given: Answers, where: str, limits: ServeSettings) -> Asked:
    count = len(given.answers)
    if given.finished is not None and len(given.finished) != count:
        raise Invalid(f"{where}.finished: {len(given.finished)} entries for {count} answers; one each is wanted")
    if (given.group is None) != (given.size is None):
        raise Invalid(f"{where}: group and size are wanted together, or neither of them")
    if given.size is not None and not count <= given.size <= limits.max_answers:
        raise Invalid(f"{where}.size: between {count}, the answers here, and {limits.max_answers} is wanted")
    try:
        references = parse_references(given.references, f"{where}.references")
    except DataError as error:
        raise Invalid(str(error)) from None
    except RecursionError:
        raise Invalid(f"{where}.references: the JSON text is nested too deep") from None
    asked = Asked(
        prompt=given.prompt,
        references=references,
        answers=tuple(given.answers),
        finished=None if given.finished is None else tuple(given.finished),
        group=given.group,
        size=given.size or 0,
    )
    check_texts(asked, where, limits)
    return asked


def check_texts(asked: Asked, where: str, limits: ServeSettings) -> None:
    """Refuse a prompt or references that cannot be scored; answers are looked at one by one later.

    Raises:
        TooLarge: there are too many of them, or one is too long.
    """
    count = len(asked.references)
    if count > limits.max_references:
        most = limits.max_references
        raise TooLarge(f"{where}.references: {count}, and at most {most} are taken (--max-references)")
    texts = {f"{where}.references[{i}]": p.label + p.explanation for i, p in enumerate(asked.references)}
    for place, text in {f"{where}.prompt": asked.prompt, **texts}.items():
        if len(text) > limits.max_chars:
            raise TooLarge(f"{place}: {len(text)} characters, and at most {limits.max_chars} are taken (--max-chars)")
