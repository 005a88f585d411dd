"""How a model is asked for the spectrum of perspectives: one function a strategy, each for any model.

A strategy asks about all questions of a list side by side, step by step. It returns one reply a question, or ``None``
where the session knows why there is none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from overton.generation.clean import share
from overton.generation.prompts import Prompt
from overton.generation.responses import read_responses
from overton.generation.session import AskedModel, Said, Session
from overton.generation.union import Merger, merge
from overton.segment import CORE_OPEN, OPENER, layout, segment

Replies = list[Said | None]
# After examples a small model goes on with questions of its own.
_NEXT_QUESTION = re.compile(r"(?<=\S)\s*\n[ \t]*Question:")
_STOPS, _CLOSERS = tuple(".!?…。！？।؟"), " \n\"'”’»)*_"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a strategy works with.

    Attributes:
        writer: the model that writes the answer.
        prompts: by name, those of the strategy.
        community: the models that comment first (``modular``).
        samples: answers that are merged (``parallel``).
        sampled: the strategy of each of them.
        union_tokens: longest union; 0 = as long as any answer.
        merger: finds their near-duplicates; ``None`` in a dry run, which merges nothing.
    """

    writer: AskedModel
    prompts: Mapping[str, Prompt]
    community: tuple[AskedModel, ...] = ()
    samples: int = 1
    sampled: str = "implicit"
    union_tokens: int = 0
    merger: Merger | None = None


def single(name: str) -> Callable[[Session, Plan, Sequence[str]], Replies]:
    """One call with one prompt: ``implicit``, ``explicit`` and ``few-shot``."""

    def ask(session: Session, plan: Plan, questions: Sequence[str]) -> Replies:
        return _ask(session, plan.writer, plan.prompts[name], questions, name)

    return ask


def verbalized(session: Session, plan: Plan, questions: Sequence[str]) -> Replies:
    """Several responses with their probabilities in one reply: verbalized sampling.

    Zhang et al. 2025, arXiv 2510.01171, who take JSON like this among other forms; the prompt is this project's own.

    The answer is the list of all responses. A reply that cannot be read is kept as it is.
    """
    prompt = plan.prompts["verbalized"]
    shown = {text for text, _ in read_responses(prompt.fill())}

    def usable(text: str) -> bool:
        found = {said for said, _ in read_responses(text)}
        return bool(found) and found.isdisjoint(shown)

    replies = session.ask(plan.writer, [prompt.fill(question=q) for q in questions], usable=usable, step="verbalized")
    return [
        said and _changed(said, "\n".join(f"- {text}" for text, _ in read_responses(said.text))) for said in replies
    ]


def parallel(session: Session, plan: Plan, questions: Sequence[str]) -> Replies:
    """The union of several samples, within the token budget of one answer; needs nothing but the samples' texts.

    A union's tokens are estimated from the tokens that its samples have for each character.
    """
    samples = [
        _ask(session, plan.writer, plan.prompts[plan.sampled], questions, f"sample {n + 1}", sample=n)
        for n in range(plan.samples)
    ]
    session.broken.clear()  # of the last sample; a union has a form of its own
    if plan.merger is None:
        return samples[0]
    budget = plan.union_tokens or session.settings.max_tokens
    found: Replies = []
    for i, question in enumerate(questions):
        own = [said for said in (replies[i] for replies in samples) if said is not None]
        found.append(None if i in session.failed else _union(own, question, plan.merger, budget))
    return found


def modular(session: Session, plan: Plan, questions: Sequence[str]) -> Replies:
    """Community models comment and the writer answers from their comments: the Overton mode of Modular Pluralism.

    Feng et al. 2024, arXiv 2406.15951. As in their code the community reads the bare question and the writer the
    question with the numbered comments; the prompts are this project's own.
    """
    community = [
        _ask(session, member, plan.prompts["community"], questions, f"community {n + 1}", sample=n)
        for n, member in enumerate(plan.community)
    ]
    comments = []
    for i in range(len(questions)):
        said = [replies[i] for replies in community]
        texts = [comment.text for comment in said if comment is not None and comment.text]
        comments.append("\n\n".join(f"Comment {n}: {text}" for n, text in enumerate(texts, 1)))
    prompt = plan.prompts["modular"]
    prompts = [prompt.fill(question=q, comments=c) if c else None for q, c in zip(questions, comments, strict=True)]
    replies = session.ask(plan.writer, prompts, usable=_format(plan.writer, prompt), step="modular")
    silent = Said("", reason="no community model had a comment")
    return [
        reply if c or i in session.failed else silent
        for i, (reply, c) in enumerate(zip(replies, comments, strict=True))
    ]


def self_refine(session: Session, plan: Plan, questions: Sequence[str]) -> Replies:
    """A draft from the bare question, a critique that names missing perspectives, a rewrite.

    After Self-Refine (Madaan et al. 2023, arXiv 2303.17651), with one round.
    """
    drafts = _ask(session, plan.writer, plan.prompts["implicit"], questions, "draft")
    critique = plan.prompts["critique"]
    prompts = [_after(critique, q, draft, draft=draft) for q, draft in zip(questions, drafts, strict=True)]
    critiques = session.ask(plan.writer, prompts, step="critique")
    rewrite = plan.prompts["rewrite"]
    prompts = [
        _after(rewrite, q, said, draft=draft, critique=said)
        for q, draft, said in zip(questions, drafts, critiques, strict=True)
    ]
    final = session.ask(plan.writer, prompts, usable=_format(plan.writer, rewrite), step="rewrite")
    # An empty draft is not criticised, and after an empty critique nothing is rewritten: then the draft is the answer.
    return [
        None if i in session.failed else last or draft
        for i, (draft, last) in enumerate(zip(drafts, final, strict=True))
    ]


STRATEGIES: dict[str, Callable[[Session, Plan, Sequence[str]], Replies]] = {
    "implicit": single("implicit"),
    "explicit": single("explicit"),
    "few-shot": single("few-shot"),
    "verbalized": verbalized,
    "parallel": parallel,
    "modular": modular,
    "self-refine": self_refine,
}


def _ask(
    session: Session, model: AskedModel, prompt: Prompt, questions: Sequence[str], step: str, sample: int = 0
) -> Replies:
    prompts = [prompt.fill(question=question) for question in questions]
    until = _NEXT_QUESTION if "examples" in prompt.given else None
    return session.ask(model, prompts, usable=_format(model, prompt), until=until, sample=sample, step=step)


def _format(model: AskedModel, prompt: Prompt) -> Callable[[str], bool]:
    """What a reply must be: in the template, where the model was trained to it or is shown it; else any text.

    Small models give back lines of the form or of the examples that the prompt shows; those are no answer.
    """
    text = prompt.fill()
    if not model.trained and CORE_OPEN not in text:
        return bool
    shown = {line.strip() for line in text.splitlines() if line.lstrip().startswith(OPENER)}
    return lambda reply: layout(reply).valid and shown.isdisjoint(line.strip() for line in reply.splitlines())


def _after(prompt: Prompt, question: str, last: Said | None, **said: Said | None) -> str | None:
    """The prompt of a further step; ``None`` where the step before brought no text."""
    if last is None or not last.text:
        return None
    return prompt.fill(question=question, **{name: one.text for name, one in said.items() if one})


def _changed(said: Said, text: str) -> Said:
    if not text:
        return said
    tokens = None if said.tokens is None else share(said.tokens, text, said.text)
    return replace(said, text=text, tokens=tokens)


def _union(samples: Sequence[Said], question: str, merger: Merger, max_tokens: int) -> Said:
    texts = [_without_fragment(said) for said in samples]
    length = sum(map(len, texts))
    tokens = [said.tokens for said in samples if said.text]
    known = sum(n for n in tokens if n is not None) if None not in tokens else 0
    rate = known / length if known and length else 0.25  # tokens a character; a quarter is usual in English
    text = merge(texts, question, merger, max_tokens / rate)
    reason = "" if text else "no sample states a perspective"
    return Said(text, "\n\n".join(said.raw for said in samples), bool(text), round(len(text) * rate), reason)


def _without_fragment(said: Said) -> str:
    """A sample without the view in whose midst the token limit cut it off: within a union nothing would show that."""
    views = segment(said.text)
    if said.finished or len(views) < 2 or said.text.rstrip(_CLOSERS).endswith(_STOPS):
        return said.text
    return said.text[: views[-1].start]
