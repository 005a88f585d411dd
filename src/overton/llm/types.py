"""What is asked and what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a language model.

    Attributes:
        messages: (role, content) of each turn; roles are ``system``, ``user`` and ``assistant``.
        max_tokens: longest reply, in tokens.
        temperature: of sampling; 0 takes the likeliest token.
        seed: of sampling. Equal requests get one reply, so samples of one question differ in their seeds.
        schema: JSON schema that an endpoint is told to keep to (``response_format``), with ``title`` as its name;
            ``None`` for free text. An endpoint that turns the first such call down (HTTP 400, 422 or 501) is asked
            without it. A model on this machine is not held to it, so say in words what is wanted too.
        top_p: nucleus of sampling; 1 = all tokens.
    """

    messages: tuple[tuple[str, str], ...]
    max_tokens: int = 256
    temperature: float = 0.0
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    top_p: float = 1.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        text: the reply; ``None`` when there is none.
        reason: why there is no text, or ``cut off after N tokens`` beside a text that is not finished.
        prompt_tokens: tokens read, as the model counts them; ``None`` when it did not say.
        completion_tokens: tokens written, the same.
        cached: whether it was on disk already.
        declined: there is no text, and asking again would hardly bring one: the model or its endpoint refused, held the
            text back, wrote nothing, or has no room for the question. What failed on the way is not declined.
        thought_tokens: of ``completion_tokens``, those of thoughts that ``text`` does not hold.
        seconds: from asking to the reply, waiting and trying again included; in a batch its share. ``None`` unknown.
    """

    text: str | None
    reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached: bool = False
    thought_tokens: int = 0
    declined: bool = field(default=False, compare=False)
    seconds: float | None = field(default=None, compare=False)


class LanguageModel(Protocol):
    """Anything that answers requests."""

    name: str

    def complete(self, requests: Sequence[Request], description: str = "") -> list[Reply]:
        """One reply a request, in their order.

        Args:
            requests: what to ask.
            description: stands before the progress bar.

        Raises:
            ModelError: the model cannot be had at all: unknown, unreadable, or the key is refused.
        """
        ...


class Backend(Protocol):
    """What makes replies: an endpoint, or a model on this machine."""

    def replies(self, requests: Iterable[tuple[str, Request]]) -> Iterator[tuple[str, Reply]]:
        """A reply for each request that is drawn, under its key, in any order.

        Requests are drawn when there is room for them, so that whoever gives them can stop.
        """
        ...
