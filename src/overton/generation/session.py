"""Asking for the answers of one system, with what each of them took."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from overton.generation.clean import clean_answer, share
from overton.llm import LanguageModel, Reply, Request
from overton.sections_model import ModelSection

_SAMPLE_STEP = 1000  # between the seeds of two samples, so that their retries do not meet
_SHOWN = 30  # characters of a model's name in a progress bar; beside more, 80 columns cut off the times
REHEARSED = "dry run"  # the reason that llm gives in place of a reply


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for every system.

    Attributes:
        temperature: of sampling.
        top_p: its nucleus.
        max_tokens: of each call.
        seed: of sampling.
        format_retries: further tries when an answer breaks the format asked for; none at temperature 0.
    """

    temperature: float = 0.7
    top_p: float = 0.9
    max_tokens: int = 256
    seed: int = 0
    format_retries: int = 0


@dataclass(frozen=True, slots=True)
class AskedModel:
    """A language model, and what the recipe says of it.

    Attributes:
        llm: answers requests.
        section: its name and prices.
        trained: it was trained to answer a bare question in the template.
    """

    llm: LanguageModel
    section: ModelSection
    trained: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """One reply, cleaned.

    Attributes:
        text: the answer in it; ``""`` when there is none.
        raw: as it came.
        finished: not cut off by the token limit.
        tokens: of ``text``, without those of thoughts and of what was taken off; ``None`` unknown.
        reason: why ``text`` is empty, ``""`` when it is not.
    """

    text: str
    raw: str = ""
    finished: bool = True
    tokens: int | None = None
    reason: str = ""


@dataclass(slots=True)
class Spent:
    """What one answer took, over all calls and models; ``None`` where some call did not say."""

    calls: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    seconds: float | None = 0.0
    cost: float | None = 0.0
    retries: int = 0

    def add(self, reply: Reply, section: ModelSection) -> None:
        """Count one call."""
        read, written, seconds = reply.prompt_tokens, reply.completion_tokens, reply.seconds
        self.calls += 1
        self.prompt_tokens = None if self.prompt_tokens is None or read is None else self.prompt_tokens + read
        self.completion_tokens = (
            None if self.completion_tokens is None or written is None else self.completion_tokens + written
        )
        self.seconds = None if self.seconds is None or seconds is None else self.seconds + seconds
        priced = section.input_price or section.output_price
        if self.cost is None or read is None or written is None or not priced:
            self.cost = None
        else:
            self.cost += (read * section.input_price + written * section.output_price) / 1e6


@dataclass(slots=True)
class Session:
    """Asks about a list of questions, and keeps count by question.

    Attributes:
        settings: of every call.
        count: number of questions.
        spent: what each question took so far.
        failed: question -> why its answer could not be fetched; it is asked nothing more.
        broken: questions of which no try of the last step keeps to the format asked for.
    """

    settings: Settings
    count: int
    spent: list[Spent] = field(init=False)
    failed: dict[int, str] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.spent = [Spent() for _ in range(self.count)]

    @property
    def tries(self) -> int:
        """Calls for one reply at most; at temperature 0 another one would say the same."""
        return 1 + (self.settings.format_retries if self.settings.temperature else 0)

    def ask(
        self,
        model: AskedModel,
        prompts: Sequence[str | None],
        *,
        usable: Callable[[str], bool] = bool,
        until: re.Pattern[str] | None = None,
        sample: int = 0,
        step: str = "",
    ) -> list[Said | None]:
        """Ask one model about all questions side by side.

        Args:
            model: who is asked.
            prompts: one a question, as a user's turn; ``None`` asks nothing.
            usable: whether a cleaned reply keeps to the format asked for; one that does not is asked for again.
            until: where a reply ends, as a stop sequence would end it; what follows is left out.
            sample: number of the sample, which decides its seed.
            step: stands in the progress bar.

        Returns:
            One reply a question. ``None`` where nothing was asked, or where no reply could be fetched, which
            :attr:`failed` tells, of any try. When no try is usable, the last one counts.
        """
        said: list[Said | None] = [None] * self.count
        open_ = [i for i, prompt in enumerate(prompts) if prompt is not None and i not in self.failed]
        for turn in range(self.tries):
            if not open_:
                break
            asked = [self._request(str(prompts[i]), sample, turn) for i in open_]
            again = []
            label = f"{step or 'asking'} ({_shown(model.section.model)})" + f", try {turn + 1}" * bool(turn)
            for i, reply in zip(open_, model.llm.complete(asked, label), strict=True):
                self.spent[i].add(reply, model.section)
                self.spent[i].retries += bool(turn)
                new = _ended(_said(reply), until)
                said[i] = new
                if new is None:  # also of a further try: the one before broke the format, and is not the answer
                    self.failed[i] = reply.reason
                elif reply.reason != REHEARSED and not usable(new.text):
                    again.append(i)
            open_ = again
        self.broken = {*open_}
        return said

    def _request(self, prompt: str, sample: int, turn: int) -> Request:
        own = self.settings
        seed = own.seed + _SAMPLE_STEP * sample + turn
        return Request(
            (("user", prompt),), own.max_tokens, own.temperature, seed, top_p=own.top_p if own.temperature else 1.0
        )


def _ended(said: Said | None, until: re.Pattern[str] | None) -> Said | None:
    match = until.search(said.text) if said and until else None
    if said is None or match is None:
        return said
    text = said.text[: match.start()].rstrip()
    tokens = None if said.tokens is None else share(said.tokens, text, said.text)
    return replace(said, text=text, finished=True, tokens=tokens)


def _shown(name: str) -> str:
    """A model's name or folder, short enough to leave a progress bar its room."""
    return name if len(name) <= _SHOWN else f"...{name[3 - _SHOWN :]}"


def _said(reply: Reply) -> Said | None:
    """The reply, cleaned; ``None`` when it could not be fetched."""
    written = reply.completion_tokens
    if reply.text is None:
        if not reply.declined:
            return None
        return Said("", "", "cut off" not in reply.reason, None if written is None else 0, reply.reason)
    text = clean_answer(reply.text)
    cut = reply.reason.startswith("cut off")
    reason = "" if text else f"nothing but thinking or remains of a template{', cut off' * cut}"
    if written is None:
        own = None
    elif text and reply.thought_tokens:  # some leave the thoughts that they count in the text too
        own = max(1, written - reply.thought_tokens)
    else:
        own = share(written, text, reply.text)
    return Said(text, reply.text, not cut, own, reason)
