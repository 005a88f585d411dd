"""Scores of answers by an encoder: what ``overton score`` and ``overton compare`` share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from overton.english import OTHER_LANGUAGES, may_be_english
from overton.thoughts import THOUGHT_CLOSE
from overton.types import Answer, Situation

if TYPE_CHECKING:
    from overton.estimator import SimilarityEstimator

Row = dict[str, Any]
SIMILARITY = (
    "coverage",
    "precision",
    "uniqueness",
    "f1",
    "absolute_coverage",
    "coverage_at_references",
    "vendi",
)
_LETTERS = 3  # a sentence with fewer is the number of a list, or what is left of a tag
_CHUNK = 20_000  # texts whose vectors are held together


@dataclass(frozen=True, slots=True)
class Item:
    """One answer to be scored.

    Attributes:
        situation: with its references; without any, only uniqueness and Vendi score have a value.
        units: what counts as one perspective each, in the order of the answer.
    """

    situation: Situation
    units: tuple[str, ...]


def item_of(
    answer: Answer, situation: Situation, sentences: Sequence[str] | None = None, *, keep_labels: bool = False
) -> Item:
    """Cut an answer into the texts that are compared.

    Args:
        answer: what a model wrote.
        situation: the one it belongs to.
        sentences: of the answer where a file holds those instead of the text; each is a unit of its own, without
            what stands before the end of a thought; those with fewer than three letters (numbers of lists) are dropped.
        keep_labels: leave "In the perspective of LABEL," in front of units and references.
    """
    from overton.segment import segment, strip_label

    if sentences is None:
        found = segment(answer.answer)
        texts = [answer.answer[s.start : s.end] if keep_labels else s.explanation or s.label for s in found]
    else:
        said = [re.split(THOUGHT_CLOSE, s, flags=re.IGNORECASE)[-1].strip() for s in sentences]
        said = [s for s in said if sum(c.isalpha() for c in s) >= _LETTERS]
        texts = said if keep_labels else [strip_label(s) for s in said]
    if keep_labels:
        labelled = tuple(
            replace(p, explanation=f"In the perspective of {p.label}, {p.explanation}") if p.label else p
            for p in situation.perspectives
        )
        situation = replace(situation, perspectives=labelled)
    return Item(situation, tuple(texts))


def choose_threshold(
    encoder: SimilarityEstimator, shown: str, threshold: float | None, notes: list[str], keep_labels: bool = False
) -> Row:
    """The cosine of a match: ``estimator``, ``value``, ``calibrated``, ``low``, ``high``.

    Args:
        encoder: the encoder.
        shown: its name for people.
        threshold: what was asked for; ``None`` takes the calibrated one, or 0.70 where there is none.
        notes: gets a line when the threshold was not measured for what is done with it.
        keep_labels: whether labels stay in the texts; thresholds are measured without.
    """
    from overton.estimator.calibration import UNCALIBRATED_THRESHOLD

    calibration = encoder.calibration
    if threshold is None:
        threshold = UNCALIBRATED_THRESHOLD if calibration is None else calibration.threshold
    used: Row = {"estimator": shown, "value": threshold, "calibrated": False, "low": None, "high": None}
    if calibration is not None and threshold == calibration.threshold and not keep_labels:
        return used | {"calibrated": True, "low": calibration.low, "high": calibration.high}
    why = "was measured without labels" if keep_labels else "is not calibrated"
    notes.append(
        f"the threshold {threshold:g} of {shown} {why}: compare systems with it, but do not "
        "read the similarity scores as shares of a truth. The estimator of a run has a measured one: "
        "--estimator RUN"
    )
    return used


def language_note(encoder: SimilarityEstimator, shown: str, items: Sequence[Item]) -> list[str]:
    """A line where a calibration on English texts is used on others, else none.

    Args:
        encoder: the encoder.
        shown: its name for people.
        items: all that it compares.
    """
    from overton.estimator.shipped import is_shipped

    if not is_shipped(encoder.calibration):
        return []
    texts: dict[str, list[str]] = {}
    for item in items:
        references = [p.explanation for p in item.situation.perspectives]
        texts.setdefault(item.situation.id, []).extend(references or item.units)
    foreign = sum(not may_be_english(" ".join(own)) for own in texts.values())
    if not foreign:
        return []
    return [
        f"{foreign} of {len(texts)} questions are not in English, but the threshold of {shown} was measured on English "
        f"texts: {OTHER_LANGUAGES}. Do not go by these similarity scores; train an estimator on labels in that "
        "language (docs/estimator.md) and give it with --estimator"
    ]


def answers_note(encoder: SimilarityEstimator, systems: Sequence[str], items: Sequence[Item]) -> list[str]:
    """A line where answers are in another language than their English references, else none.

    Args:
        encoder: the encoder; only of the calibrated English bases is it known that they read nothing else.
        systems: whose answer each item is; ``""`` = one without a name.
        items: all that it compares.
    """
    from overton.estimator.shipped import is_shipped

    if not is_shipped(encoder.calibration):
        return []
    foreign: Counter[str] = Counter()
    for system, item in zip(systems, items, strict=True):
        references = " ".join(p.explanation for p in item.situation.perspectives)
        if references and not may_be_english(" ".join(item.units)) and may_be_english(references):
            foreign[system] += 1
    if not foreign:
        return []
    names = ", ".join(f"{name} {n}" for name, n in foreign.items() if name)
    whose = f" ({names})" if names else ""
    return [
        f"{foreign.total()} answers are not in English, but their references are{whose}: the encoder reads English "
        "alone, so their coverage and precision say nothing of what they state"
    ]


def similarity_rows(encoder: SimilarityEstimator, items: Sequence[Item], threshold: float) -> list[Row]:
    """Scores of each item, in order; see :func:`similarity_row`."""
    rows: list[Row] = []
    chunks = list(_chunks(items))
    for number, chunk in enumerate(chunks, 1):
        texts, contexts = [], []
        for item in chunk:
            own = [*(p.explanation for p in item.situation.perspectives), *item.units]
            texts += own
            contexts += [item.situation.text] * len(own)
        part = f"encoding, part {number} of {len(chunks)}" if len(chunks) > 1 else "encoding"
        vectors = encoder.encode(texts, contexts, description=part)
        start = 0
        for item in chunk:
            middle = start + len(item.situation.perspectives)
            stop = middle + len(item.units)
            rows.append(similarity_row(vectors[start:middle], vectors[middle:stop], threshold))
            start = stop
    return rows


def similarity_row(references: Any, units: Any, threshold: float) -> Row:
    """Counts for one answer.

    Args:
        references: (r, d) unit rows.
        units: (u, d) unit rows, in the order of the answer.
        threshold: cosine of a match (inclusive).

    Returns:
        ``units``; ``coverage`` (references matched one-to-one / references), ``precision`` (units that match any
        reference / units), ``uniqueness`` (clusters of alike units / units), ``f1``, ``absolute_coverage`` (1 when
        all references are matched), ``vendi``, ``coverage_curve``, ``coverage_at_references`` and ``matches``. What
        has no meaning without units or references is ``None``.
    """
    from overton.evaluation.diversity import coverage_by_k, matched_by_k, vendi_score
    from overton.matching import clusters, optimal_matching

    found: Row = {"units": len(units), "precision": None, "uniqueness": None, "vendi": None}
    if len(units):
        found["uniqueness"] = len(set(clusters(units @ units.T, threshold))) / len(units)
        found["vendi"] = vendi_score(units)
    if not len(references):
        return found | dict.fromkeys(("coverage", "f1", "absolute_coverage", "coverage_at_references"))
    cosines = references @ units.T
    matches = optimal_matching(cosines, threshold)
    coverage = len(matches) / len(references)
    if len(units):
        found["precision"] = float((cosines >= threshold).any(axis=0).mean())
    return found | {
        "coverage": coverage,
        "f1": 2 * coverage * found["precision"] / (coverage + found["precision"]) if matches else 0.0,
        "absolute_coverage": int(len(matches) == len(references)),
        **coverage_by_k(matched_by_k(cosines, threshold), len(references)),
        "matches": [[r, s, round(float(cosines[r, s]), 4)] for r, s in matches],
    }


def _chunks(items: Sequence[Item]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += len(item.situation.perspectives) + len(item.units)
        if size >= _CHUNK:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
