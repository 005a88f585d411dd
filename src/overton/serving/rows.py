"""Scores as JSON values; a text that breaks something costs its own score and no other."""

from __future__ import annotations

import logging
import math
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from overton.integrations.remote import FAILED
from overton.types import Group, Score

if TYPE_CHECKING:
    from overton.rewards import OvertonReward

Row = dict[str, Any]
log = logging.getLogger(__name__)
_NOT_FINITE = "a part of the score is not a finite number"
_logged: set[str] = set()


def score_groups(reward: OvertonReward, groups: Sequence[Group]) -> list[list[Row]]:
    """Scores as JSON values, one list a group. Never raises for a text: what cannot be scored has a reason."""
    try:
        return [[to_row(score) for score in scores] for scores in reward.score(groups)]
    except Exception as error:
        if len(groups) > 1:
            return [score_groups(reward, [group])[0] for group in groups]
        return [_without_culprits(reward, groups[0], error)] if groups else []


def _without_culprits(reward: OvertonReward, group: Group, error: Exception) -> list[Row]:
    """Scores of a group in which something cannot be processed: the others are scored without it."""
    rows: dict[int, Row] = {}
    for index in range(len(group.answers)):
        try:
            reward.score([_subset(group, [index])])
        except Exception as cause:
            _log_once(cause)
            rows[index] = unscored(_reason(cause))
    fine = [index for index in range(len(group.answers)) if index not in rows]
    if rows and fine:
        try:
            scores = reward.score([_subset(group, fine)])[0]
            rows |= {index: to_row(score) for index, score in zip(fine, scores, strict=True)}
        except Exception as cause:
            error = cause
    if len(rows) < len(group.answers):
        _log_once(error)
    return [rows.get(index) or unscored(_reason(error)) for index in range(len(group.answers))]


def _subset(group: Group, indices: list[int]) -> Group:
    finished = None if group.finished is None else tuple(group.finished[i] for i in indices)
    return Group(group.prompt, group.references, tuple(group.answers[i] for i in indices), finished)


def has_failure(rows: Sequence[Sequence[Row]]) -> bool:
    """Whether an exception, or a number that is not finite, cost an answer its score."""
    return any(row["reason"].startswith((FAILED, _NOT_FINITE)) for own in rows for row in own)


def _reason(error: Exception) -> str:
    return f"{FAILED} {type(error).__name__}"  # its message might hold the text


def _log_once(error: Exception) -> None:
    """Where it was raised; without its message, which might hold the text."""
    places = "".join(traceback.format_tb(error.__traceback__))
    text = f"an answer cannot be scored (said once): {type(error).__name__}\n{places}"
    if text not in _logged and len(_logged) < 100:
        _logged.add(text)
        log.warning("%s", text)


def unscored(reason: str) -> Row:
    """The row of an answer without a score."""
    return to_row(Score(None, reason))


def to_row(score: Score) -> Row:
    """A score as JSON values; one with a number that is not finite counts as not scored."""
    numbers = [score.value or 0.0, *score.terms.values(), *score.credits]
    numbers += [value for match in score.matches for value in (match.cosine, match.probability or 0.0)]
    if not all(math.isfinite(number) for number in numbers):
        score = Score(None, _NOT_FINITE)
    return {
        "value": None if score.value is None else float(score.value),
        "reason": score.reason,
        "terms": {name: float(value) for name, value in score.terms.items()},
        "matches": [
            {
                "reference": int(match.reference),
                "segment": int(match.segment),
                "cosine": float(match.cosine),
                "probability": None if match.probability is None else float(match.probability),
            }
            for match in score.matches
        ],
        "repeated": [int(index) for index in score.repeated],
        "clusters": [[int(index) for index in cluster] for cluster in score.clusters],
        "spans": [
            {"start": s.start, "end": s.end, "credit": float(credit), "label": s.label}
            for s, credit in zip(score.segments, score.credits, strict=True)
        ],
    }
