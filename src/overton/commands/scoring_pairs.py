"""Answers that have found their situation, scored by all that judges them: for ``overton score`` and ``compare``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from overton.commands.scoring_similarity import (
    Row,
    answers_note,
    choose_threshold,
    item_of,
    language_note,
    similarity_rows,
)
from overton.errors import DataError, OvertonError
from overton.evaluation.oracle import METRICS as ORACLE
from overton.types import Answer, Situation

if TYPE_CHECKING:
    from overton.evaluation.independence import Part
    from overton.evaluation.nli import NliModel

FORM = ("perspectives", "words", "valid_tags", "distinct_1", "distinct_2", "self_bleu")
NO_REFERENCE = "no reference for it"  # the reason of an answer to another question
SPENT = ("tokens", "seconds", "calls", "cost")  # known where the answers say so
NLI = (
    *("nli_mean", "nli_accuracy", "nli_reverse_mean", "nli_reverse_accuracy"),
    *("nli_coverage", "nli_precision", "nli_uniqueness", "nli_f1"),
    *("nli_absolute_coverage", "nli_coverage_at_references"),
)
PUBLISHED = ("published_nli", "published_accuracy")
_WORLD_KEYS = {"kind", "actor", "affected", "thing", "act"}
_WORLD_NOTE = (
    "the questions are the bundled world's: read the known truth. Its dev and test references are in wordings of their "
    "own, which the threshold of a run's estimator need not fit; similarity may then be near 0 for good answers"
)


@dataclass(frozen=True, slots=True)
class Evaluators:
    """What judges answers beside form; see :func:`~overton.commands.scoring.score_files`.

    Attributes:
        estimator: encoder, ``None`` = the untuned base.
        threshold: cosine of a match, ``None`` = the calibrated one.
        nli_model: three-class CrossEncoder, ``None`` = none.
        data_set: whose threshold counts, ``""`` = of all.
        cache_file: where vectors are kept, ``None`` = nowhere.
        keep_labels: leave "In the perspective of LABEL," in the texts that the encoder reads.
        published: also the NLI figures of the published evaluation code (:mod:`overton.evaluation.published`).
    """

    estimator: str | None = None
    threshold: float | None = None
    nli_model: str | None = None
    data_set: str = ""
    cache_file: Path | None = None
    keep_labels: bool = False
    published: bool = False


def score_pairs(
    answers: Sequence[Answer],
    pairs: Sequence[tuple[int, Situation]],
    evaluators: Evaluators,
    notes: list[str],
    sentences: Sequence[Sequence[str] | None] | None = None,
) -> tuple[list[Row], Row]:
    """Score answers that have found their situation.

    Args:
        answers: all of them.
        pairs: (index of the answer, its situation).
        evaluators: what judges them beside form.
        notes: gets a line for what the reader should know.
        sentences: of each answer, for files that hold sentences instead of texts.

    Returns:
        One row an answer, in their order; and the threshold (``{}`` without an encoder).

    Raises:
        ModelError: a model that was asked for cannot be had.
    """
    from overton.estimator.open import open_estimator
    from overton.evaluation.form import form_row
    from overton.evaluation.published import published_sentences

    if evaluators.published and evaluators.nli_model is None:
        raise DataError("the published figures are of an NLI model; name it with --nli-model, or leave --published out")
    if evaluators.published:
        published_sentences("")  # says what is missing before models are loaded
    nli = None if evaluators.nli_model is None else _load_nli(evaluators.nli_model)
    rows = [_empty_row(answer) for answer in answers]
    for index, situation in pairs:
        form = form_row(answers[index], situation)
        spent = [name for name in SPENT if form[name] is not None]
        rows[index] |= {"id": situation.id, "reason": "", **{name: form[name] for name in (*FORM, *spent)}}
    used: Row = {}
    try:
        encoder, shown = open_estimator(
            evaluators.estimator, data_set=evaluators.data_set, cache_file=evaluators.cache_file
        )
    except OvertonError as error:
        if evaluators.estimator is not None or evaluators.data_set or evaluators.cache_file is not None:
            raise
        notes.append(f"no similarity scores: {error}")
    else:
        if evaluators.keep_labels:
            encoder.preprocessing = replace(encoder.preprocessing, strip_label=False)
        used = choose_threshold(encoder, shown, evaluators.threshold, notes, evaluators.keep_labels)
        items = [
            item_of(answers[i], s, sentences[i] if sentences else None, keep_labels=evaluators.keep_labels)
            for i, s in pairs
        ]
        notes += language_note(encoder, shown, items)
        notes += answers_note(encoder, [answers[i].system for i, _ in pairs], items)
        for (index, _), row in zip(pairs, similarity_rows(encoder, items, used["value"]), strict=True):
            rows[index] |= row
            if not row["units"]:
                _add_reason(rows[index], "no perspective stated: precision and uniqueness have no value")
    _add_oracle(rows, answers, pairs)
    if used and any(row.get("oracle_coverage") is not None for row in rows):
        notes.append(_WORLD_NOTE)
    if nli is not None:
        _add_entailment(rows, answers, pairs, nli)
        if evaluators.published:
            _add_published(rows, answers, pairs, nli)
    return rows, used


def shared_with_training(trained: Sequence[Part], evaluators: Evaluators, threshold: Row) -> list[str]:
    """Models that scored answers and had a part in training what wrote them.

    Args:
        trained: of :func:`overton.evaluation.independence.parts_around`.
        evaluators: what scored.
        threshold: of :func:`score_pairs`; ``{}`` says that no encoder did.
    """
    from overton.estimator.open import DEFAULT_BASE
    from overton.evaluation.independence import Part, encoder_part, hashes_of, shared_models

    parts = list(trained)
    if threshold:
        parts.append(encoder_part(evaluators.estimator or DEFAULT_BASE))
    if evaluators.nli_model is not None:
        name = evaluators.nli_model
        parts.append(Part("NLI model", name, hashes_of({}, Path(name).expanduser())))
    return shared_models(parts)


def _load_nli(name: str) -> NliModel:
    from overton.evaluation.nli import load_nli
    from overton.hub import prefer_cache

    folder = Path(name).expanduser() / "evaluation" / "nli_model"
    known = folder if folder.is_dir() else name
    prefer_cache([str(known)])
    return load_nli(known, offline=Path(known).exists())


def _add_oracle(rows: list[Row], answers: Sequence[Answer], pairs: Sequence[tuple[int, Situation]]) -> None:
    from overton.evaluation.oracle import oracle_row

    for index, situation in pairs:
        if not situation.metadata.keys() >= _WORLD_KEYS:
            continue
        try:
            verdict = oracle_row(answers[index], situation)
        except DataError as error:
            rows[index] |= dict.fromkeys(ORACLE)
            _add_reason(rows[index], f"oracle: {error}")
            continue
        rows[index] |= {name: verdict[name.removeprefix("oracle_")] for name in ORACLE}
        rows[index] |= {"missed": verdict["missed"]}


def _add_entailment(
    rows: list[Row], answers: Sequence[Answer], pairs: Sequence[tuple[int, Situation]], model: NliModel
) -> None:
    from overton.evaluation.nli import count_pairs, nli_rows
    from overton.progress import progress

    situations = {s.id: s for _, s in pairs}
    with progress() as bar:
        by_system: dict[str, list[tuple[int, Answer]]] = {}
        for index, situation in pairs:
            joined = replace(answers[index], id=situation.id)
            by_system.setdefault(joined.system, []).append((index, joined))
        for members in by_system.values():
            own = [answer for _, answer in members]
            task = bar.add_task("entailment", total=count_pairs(own, situations))
            found = nli_rows(model, own, situations, advance=lambda n, task=task: bar.advance(task, n))  # type: ignore[misc]
            for (index, _), row in zip(members, found, strict=True):
                rows[index] |= {metric: row[metric if metric in row else metric.removeprefix("nli_")] for metric in NLI}
                if row["reason"]:
                    _add_reason(rows[index], f"entailment: {row['reason']}")


def _add_published(
    rows: list[Row], answers: Sequence[Answer], pairs: Sequence[tuple[int, Situation]], model: NliModel
) -> None:
    from overton.evaluation.published import published_rows
    from overton.progress import progress

    situations = {s.id: s for _, s in pairs}
    asked = [replace(answers[index], id=situation.id) for index, situation in pairs]
    with progress() as bar:
        task = bar.add_task("entailment, as published", total=None)
        found = published_rows(model, asked, situations, advance=lambda n: bar.advance(task, n))
    for (index, _), row in zip(pairs, found, strict=True):
        rows[index] |= {metric: row[metric] for metric in PUBLISHED}


def _empty_row(answer: Answer) -> Row:
    return {"id": answer.id, "system": answer.system, "reason": NO_REFERENCE}


def _add_reason(row: Row, reason: str) -> None:
    row["reason"] = f"{row['reason']}; {reason}" if row["reason"] else reason
