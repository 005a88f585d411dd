"""Answers for fine-tuning, from situations that people wrote, and the summaries at their end."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from overton.data.card import NO_REPLY
from overton.data.judge import summaries
from overton.data.rows import TableRow
from overton.segment import format_answer, keywords
from overton.segment.masking import WORD
from overton.types import Situation

if TYPE_CHECKING:
    from overton.llm import LanguageModel

_SUMMARIES = (
    "Overall, {labels} all bear on this question.",
    "In short, this question touches on {labels}.",
    "Taken together, {labels} all matter here.",
)
_CLAUSE_WORDS = 16
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_CLAUSE_END = re.compile(r"(?:,|;|:| because| since| which| so that)\s")


def table_sft(
    rows: Sequence[TableRow],
    seed: int,
    kind: Literal["labels", "extractive", "llm"] = "labels",
    llm: LanguageModel | None = None,
    tally: Counter[str] | None = None,
) -> list[dict[str, str]]:
    """Answers for fine-tuning: the table's own where they are in the template, else built from references.

    Args:
        rows: situations.
        seed: decides what is drawn.
        kind: of the summary: names the labels, is made of the explanations, or is written by a language model; where
            that gives none, it is made of the explanations.
        llm: the model; wanted for ``llm``.
        tally: summaries written and missing are counted.
    """
    rng = random.Random(f"{seed}/sft")
    texts = [_labels(row.situation, rng) for row in rows]
    if kind != "labels":
        texts = [extractive_summary(row.situation) for row in rows]
    if kind == "llm":
        assert llm is not None
        open_ = [index for index, row in enumerate(rows) if not row.completion]
        asked = [(rows[i].situation.text, rows[i].situation.perspectives) for i in open_]
        written = dict(zip(open_, summaries(llm, asked, seed), strict=True))
        texts = [written.get(index) or text for index, text in enumerate(texts)]
        if tally is not None:
            missing = sum(text is None for text in written.values())
            tally["summaries written"] += len(written) - missing
            tally[f"summaries made of the explanations, {NO_REPLY}"] += missing
    return [
        {
            "id": row.situation.id,
            "prompt": row.situation.text,
            "completion": row.completion or format_answer(row.situation.perspectives, text),
        }
        for row, text in zip(rows, texts, strict=True)
    ]


def extractive_summary(situation: Situation) -> str:
    """One sentence that names every perspective and what it holds, in its own words."""
    parts = [f"{p.label} holds that {_clause(p.explanation, situation)}" for p in situation.perspectives]
    return f"Taken together, {'; '.join(parts[:-1])}; and {parts[-1]}."


def _clause(explanation: str, situation: Situation) -> str:
    """The explanation's first sentence with a word, cut where a clause ends when it is long, without its capital."""
    sentences = _SENTENCE_END.split(explanation)
    text = next((s.rstrip(".!? ") for s in sentences if WORD.search(s)), explanation)
    words = text.split()
    if len(words) > _CLAUSE_WORDS:
        ends = [m.start() for m in _CLAUSE_END.finditer(text) if 5 <= len(text[: m.start()].split()) <= _CLAUSE_WORDS]
        text = text[: ends[-1]] if ends else " ".join(words[:_CLAUSE_WORDS]) + " ..."
    return _without_capital(text.replace(";", ","), situation)


def _without_capital(text: str, situation: Situation) -> str:
    """Lower case where the first word is no name: a function word, a gerund, or written so elsewhere."""
    first = text.split(maxsplit=1)[0]
    if not first[:1].isupper() or first != first.capitalize() or first == "I":
        return text
    lower = first.lower()
    elsewhere = (word for p in situation.perspectives for word in (*p.explanation.split(), *situation.text.split()))
    if not keywords(first) or lower.endswith("ing") or lower in elsewhere:
        return lower + text[len(first) :]
    return text


def _labels(situation: Situation, rng: random.Random) -> str:
    labels = list(dict.fromkeys(p.label for p in situation.perspectives))
    named = " and ".join(filter(None, [", ".join(labels[:-1]), labels[-1]]))
    return rng.choice(_SUMMARIES if len(labels) > 1 else _SUMMARIES[1:2]).format(labels=named)
