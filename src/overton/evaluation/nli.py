"""Natural language inference: does a reference entail a sentence of the answer, and the other way round?

Premise = reference explanation, hypothesis = one sentence of the answer. Per reference the highest
P(entailment) over the sentences, per question the mean over the references: ``nli_mean``. Accuracy@t is the
share of questions whose mean is above t (Modular Pluralism, Feng et al. 2024; 0.33 in OP-GRPO, arXiv
2602.20759). ``nli_reverse_mean`` swaps premise and hypothesis: a sentence that says all a reference says, and more,
entails it, but is not entailed by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from overton.evaluation.coverage import (
    ENTAILED,
    Matrix,
    Sentence,
    reference_groups,
    score_coverage,
    split_sentences,
)
from overton.evaluation.diversity import coverage_by_k, stated_by_k
from overton.evaluation.nli_model import (
    MAX_SENTENCES,
    Advance,
    NliModel,
    Pair,
    entailment_index,
    load_nli,
)
from overton.evaluation.nli_screen import screened
from overton.types import Answer, Situation

__all__ = [
    "METRICS",
    "NliModel",
    "count_pairs",
    "entailment_index",
    "load_nli",
    "nli_rows",
    "wanted_pairs",
]

METRICS = (
    *("coverage", "precision", "f1", "uniqueness", "absolute_coverage", "coverage_at_references"),
    *("nli_mean", "nli_accuracy", "nli_reverse_mean", "nli_reverse_accuracy"),
)


def nli_rows(
    model: NliModel,
    answers: Sequence[Answer],
    situations: Mapping[str, Situation],
    threshold: float = 0.33,
    advance: Advance | None = None,
) -> list[dict[str, Any]]:
    """Rows of ``evaluation/SYSTEM.nli.jsonl``: entailment, and the independent evaluator's counts from it.

    Args:
        model: the cross-encoder.
        answers: of one system.
        situations: by id; each answer's must be there.
        threshold: of ``nli_accuracy`` and ``nli_reverse_accuracy``.
        advance: called with the number of pairs done.

    Returns:
        One row an answer. An answer without any sentence states nothing: coverage 0, the rest that has no
        meaning then ``None``. What could not be scored is ``None`` with a ``reason``.
    """
    cut = [split_sentences(a.answer) for a in answers]
    pairs: set[Pair] = set()
    maxima: list[list[Pair]] = []
    for answer, sentences in zip(answers, cut, strict=True):
        if not _why_not(model, situations[answer.id], sentences):
            pairs.update(wanted_pairs(situations[answer.id], sentences))
            maxima += _maxima(situations[answer.id], sentences)
    known = screened(model, pairs, maxima, ENTAILED, advance)
    return [
        _row(model, answer, situations[answer.id], sentences, known, threshold)
        for answer, sentences in zip(answers, cut, strict=True)
    ]


def count_pairs(answers: Sequence[Answer], situations: Mapping[str, Situation]) -> int:
    """How many distinct pairs :func:`nli_rows` asks the model about (an upper bound, for a progress bar)."""
    return len({p for a in answers for p in wanted_pairs(situations[a.id], split_sentences(a.answer)[:MAX_SENTENCES])})


def wanted_pairs(situation: Situation, sentences: Sequence[Sentence]) -> set[Pair]:
    """Every (reference, sentence), both ways round, and every (sentence, other sentence), whose texts differ."""
    texts = {s.text for s in sentences}
    references = {p.explanation for p in situation.perspectives}
    pairs = {(premise, text) for premise in references | texts for text in texts}
    pairs |= {(text, reference) for text in texts for reference in references}
    return {pair for pair in pairs if pair[0] != pair[1]}


def _maxima(situation: Situation, sentences: Sequence[Sentence]) -> list[list[Pair]]:
    """The pairs of each perspective whose highest probability is a figure, one list for each direction."""
    texts = {s.text for s in sentences}
    found = []
    for members in reference_groups(situation.perspectives):
        one_way = [(situation.perspectives[i].explanation, text) for i in members for text in texts]
        found += [one_way, [(text, reference) for reference, text in one_way]]
    return [[pair for pair in group if pair[0] != pair[1]] for group in found]


def _why_not(model: NliModel, situation: Situation, sentences: Sequence[Sentence]) -> str:
    if not situation.perspectives:
        return "the situation has no reference"
    count = len({s.text for s in sentences})
    return f"{count} sentences, at most {model.max_sentences} are read" if count > model.max_sentences else ""


def _row(
    model: NliModel,
    answer: Answer,
    situation: Situation,
    sentences: Sequence[Sentence],
    known: Mapping[Pair, float],
    threshold: float,
) -> dict[str, Any]:
    reason = _why_not(model, situation, sentences)
    if reason:
        return {"id": answer.id, **dict.fromkeys(METRICS), "sentences": len(sentences), "reason": reason}
    texts = [s.text for s in sentences]
    groups = reference_groups(situation.perspectives)
    entailment, reverse = np.zeros((2, len(groups), len(texts)))
    for row, members in enumerate(groups):
        own = [situation.perspectives[i].explanation for i in members]
        entailment[row] = _matrix(own, texts, known).max(axis=0)
        reverse[row] = _matrix(texts, own, known).max(axis=1)
    best, back = entailment.max(axis=1, initial=0.0), reverse.max(axis=1, initial=0.0)
    mean, reverse_mean = float(best.mean()), float(back.mean())
    score = score_coverage(entailment, _matrix(texts, texts, known), ENTAILED)
    stated = entailment >= ENTAILED
    firsts = [int(row.argmax()) if row.any() else None for row in stated]
    found: dict[str, Any] = {
        "id": answer.id,
        "coverage": score.coverage,
        "precision": score.precision,
        "f1": score.f1,
        "uniqueness": score.uniqueness,
        "absolute_coverage": int(score.coverage == 1),
        **coverage_by_k(stated_by_k(firsts, len(texts)), len(groups)),
        "nli_mean": mean,
        "nli_accuracy": int(mean > threshold),
        "nli_reverse_mean": reverse_mean,
        "nli_reverse_accuracy": int(reverse_mean > threshold),
        "sentences": len(sentences),
        "reason": "" if sentences else "the answer holds no sentence",
        "best": [round(float(x), 6) for x in best],
        "reverse_best": [round(float(x), 6) for x in back],
        "covered": list(score.covered),
        "segments": [
            {"start": s.start, "end": s.end, "verdict": verdict}
            for s, verdict in zip(sentences, score.verdicts, strict=True)
        ],
    }
    clusters = [situation.perspectives[members[0]].cluster for members in groups]
    if all(clusters):
        found["missed"] = [c for c, covered in zip(clusters, score.covered, strict=True) if not covered]
    return found


def _matrix(premises: Sequence[str], texts: Sequence[str], known: Mapping[Pair, float]) -> Matrix:
    # A text entails itself: no model is asked.
    values = [[1.0 if a == b else known[a, b] for b in texts] for a in premises]
    return np.array(values, dtype=float).reshape(len(premises), len(texts))
