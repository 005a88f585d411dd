"""Figures of answers: by the judge that shares nothing with the reward, by the reward's encoder, by form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overton.evaluation import score_answers
from overton.evaluation.coverage import score_coverage, split_sentences
from overton.rewards import OvertonReward
from overton.types import Answer, Group, Situation
from realtext.matcher import Matcher

METRICS = {
    "coverage": "coverage, judge",
    "precision": "precision, judge",
    "uniqueness": "uniqueness, judge",
    "f1": "F1, judge",
    "reward_coverage": "coverage, reward's encoder",
    "reward_precision": "precision, reward's encoder",
    "nli_coverage": "coverage, NLI",
    "sentences": "sentences",
    "tokens": "tokens",
    "valid_tags": "valid tags",
    "finished": "finished",
}


def judged(
    answers: Sequence[Answer], questions: Sequence[Situation], matcher: Matcher, reward: OvertonReward, nli: Any
) -> dict[str, dict[str, float | None]]:
    """Metric -> question -> value."""
    found: dict[str, dict[str, float | None]] = {name: {} for name in METRICS}
    summary = score_answers(answers, questions, nli=nli)
    (rows,) = summary["rows"].values()
    form = {row["id"]: row for row in rows["form"]}
    entailed = {row["id"]: row for row in rows.get("nli", [])}
    groups = [Group(q.text, q.perspectives, (a.answer,)) for q, a in zip(questions, answers, strict=True)]
    for question, answer, scores in zip(questions, answers, reward.score(groups), strict=True):
        said = [sentence.text for sentence in split_sentences(answer.answer)]
        stated = matcher.probabilities([p.explanation for p in question.perspectives], said)
        score = score_coverage(stated, matcher.probabilities(said, said), matcher.threshold)
        terms = scores[0].terms
        row = {
            "coverage": score.coverage,
            "precision": score.precision,
            "uniqueness": score.uniqueness,
            "f1": score.f1,
            "reward_coverage": terms.get("coverage"),
            "reward_precision": terms.get("precision"),
            "nli_coverage": entailed[question.id].get("nli_coverage") if question.id in entailed else None,
            "sentences": float(len(said)),
            "tokens": float(answer.tokens or 0),
            "valid_tags": float(form[question.id]["valid_tags"]),
            "finished": float(answer.finished),
        }
        for name, value in row.items():
            found[name][question.id] = value
    return found


def mean_known(values: Sequence[float | None]) -> float | None:
    """The mean of what is known; ``None`` where nothing is."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
