"""One question to one model: ``overton ask``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overton.errors import DataError, ModelError, OvertonError
from overton.jsonio import read_json
from overton.segment import layout, segment
from overton.types import Answer, Perspective
from overton.weights import holds_model

MAX_WORDS = 10_000
# What a model writes may hold terminal escapes. Joiners stay: letters of Persian and many an emoji need them.
_DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNPRINTABLE = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff{_DIRECTIONS}]")


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer, taken apart.

    Attributes:
        question: as it was asked.
        model: folder or hub name that answered.
        answer: the whole text, with its token count and whether it ended by itself.
        perspectives: what the text states, in order.
        summary: text of the summary, ``""`` when there is none.
        valid_tags: whether the answer keeps to the template.
    """

    question: str
    model: str
    answer: Answer
    perspectives: tuple[Perspective, ...]
    summary: str
    valid_tags: bool


def ask_model(
    question: str,
    model: str,
    *,
    template: str | None = None,
    temperature: float = 0.7,
    top_p: float = 0.9,
    max_new_tokens: int = 256,
    seed: int = 0,
) -> Reply:
    """Put one question to a model.

    Args:
        question: any text.
        model: run directory, folder of a saved model, or hub name.
        template: text around the question with ``{situation}`` in it; ``None`` takes the one that the run was
            trained with, or the bare question.
        temperature: 0 is greedy decoding.
        top_p: nucleus of sampling.
        max_new_tokens: tokens of the answer; less when the model has no room for so many.
        seed: of sampling.

    Raises:
        OvertonError: the question is empty or too long for the model, question or template hold surrogates that stand
            for no character, or the template has no ``{situation}``.
        ModelError: no model there, or it cannot be read.
    """
    question = question.strip()
    if not question:
        raise OvertonError("the question is empty")
    if len(question.split()) > MAX_WORDS:
        raise OvertonError(f"the question has {len(question.split()):,} words, at most {MAX_WORDS:,} are read")
    source = find_model(model)
    template = (run_template(source) or "{situation}") if template is None else template
    if "{situation}" not in template:
        raise OvertonError(f"--template {template!r}: {{situation}} is missing; it stands for the question")
    for name, text in (("the question", question), ("--template", template)):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:  # bytes of another encoding come in from a shell as surrogates
            where = f"at character {error.start + 1}"
            raise OvertonError(f"{name} is not text in UTF-8 {where}; convert it, for example with iconv") from None
    answer = _generate(question, source, template, temperature, top_p, max_new_tokens, seed)
    found = layout(answer.answer)
    perspectives = tuple(Perspective(s.label, s.explanation) for s in segment(answer.answer))
    return Reply(question, str(source), answer, perspectives, found.summary, found.valid)


def find_model(name: str) -> Path | str:
    """The model that a name means: a model folder, the best model of a run directory, or a hub name.

    Raises:
        ModelError: a folder without a model, or a path that does not exist.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        for part in (".", "model", "training/grpo/model", "training/sft/model"):
            if holds_model(folder / part):
                return folder / part
        raise ModelError(
            f"{name}: holds no model (config.json, adapter_config.json) and no run with a trained one "
            "(training/grpo/model). Finish the run with `overton run RECIPE`, or give another folder."
        )
    if folder.exists():
        raise ModelError(f"{name}: is a file; a run directory, a model folder or a hub name is wanted")
    if folder.is_absolute() or name.startswith((".", "~", "runs/")) or name.count("/") > 1:
        raise ModelError(f"{name}: no such folder")
    return name


def run_template(source: Path | str) -> str | None:
    """``policy.prompt_template`` that a model of a run was trained with; ``None`` when it belongs to no run."""
    if isinstance(source, str):
        return None
    record = source.resolve().parent / "made_from.json"
    if record.is_file():  # the run's recipe is that of the last command
        try:
            return str(read_json(record)["policy"]["prompt_template"])
        except (DataError, KeyError, TypeError):
            pass
    for parent in source.resolve().parents[:4]:
        stored = parent / "recipe.yaml"
        if stored.is_file():
            import yaml

            try:
                # Only this key: a run of an older version may have others under names of their time.
                return str(yaml.safe_load(stored.read_text(encoding="utf-8"))["policy"]["prompt_template"])
            except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
                return None
    return None


def _generate(
    question: str,
    source: Path | str,
    template: str,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    seed: int,
) -> Answer:
    from overton.generation.sample import sample_answers
    from overton.hub import prefer_cache
    from overton.prompting import prompt_ids
    from overton.training.policy import load_policy
    from overton.types import Situation
    from overton.weights import ready_to_generate

    prefer_cache([str(source)])
    model, tokenizer = load_policy(source)
    model = ready_to_generate(model)
    used = len(prompt_ids(question, template, tokenizer))
    room = (getattr(model.config, "max_position_embeddings", None) or used + max_new_tokens) - used
    if room < 1:
        raise OvertonError(
            f"the question takes {used:,} tokens with its template; this model reads at most "
            f"{used + room:,}, answer included. Shorten it, or ask a model with a longer context"
        )
    answers = sample_answers(
        model,
        tokenizer,
        [Situation("question", question, ())],
        template=template,
        temperature=temperature,
        top_p=top_p,
        max_new_tokens=min(max_new_tokens, room),
        seed=seed,
    )
    return answers[0]


def to_json(reply: Reply) -> dict[str, Any]:
    """The reply as one JSON object."""
    return {
        "question": reply.question,
        "model": reply.model,
        "perspectives": [{"label": p.label, "explanation": p.explanation} for p in reply.perspectives],
        "summary": reply.summary,
        "valid_tags": reply.valid_tags,
        "finished": reply.answer.finished,
        "tokens": reply.answer.tokens,
        "seconds": reply.answer.seconds,
        "answer": reply.answer.answer,
    }


def to_text(reply: Reply) -> str:
    """The reply for a terminal: numbered perspectives, then the summary.

    Control characters and those that change the direction of writing are dropped; a tab becomes a space.
    """
    lines = [
        f"{number}. {p.label + ': ' if p.label else ''}{p.explanation}"
        for number, p in enumerate(reply.perspectives, 1)
    ]
    if reply.summary:
        lines += ["", f"Summary: {reply.summary}"]
    if not lines:
        why = f": {reply.answer.reason}" if reply.answer.reason else ""
        lines = ["The model stated no perspective. Its whole answer:", reply.answer.answer or f"(empty{why})"]
    if not reply.answer.finished:
        lines += ["", "(cut off at the token limit; raise --max-new-tokens)"]
    return _UNPRINTABLE.sub("", "\n".join(lines).replace("\t", " "))
