"""``overton score``: any file of answers against reference perspectives. No run, no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from overton.errors import DataError, OvertonError
from overton.notes import fewer_note
from overton.scoring_similarity import SIMILARITY, Row, choose_threshold, item_of, similarity_rows
from overton.types import Answer, Situation

if TYPE_CHECKING:
    from overton.evaluation.independence import Part
    from overton.evaluation.nli import NliModel

FORM = ("perspectives", "words", "valid_tags", "distinct_1", "distinct_2", "self_bleu")
SPENT = ("tokens", "seconds", "calls", "cost")  # known where the answers say so
ORACLE = (
    "oracle_coverage",
    "oracle_precision",
    "oracle_uniqueness",
    "oracle_f1",
    "oracle_absolute_coverage",
    "oracle_coverage_at_references",
)
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
    """What judges answers beside form; see :func:`score_files`.

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


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """What came out.

    Attributes:
        systems: system -> metric -> ``mean, low, high, n, unscored`` (95% bootstrap interval).
        rows: one an answer, in the order of the file; ``reason`` says why a metric of it has no value.
        unmatched: ids, or prompts, of answers without a reference.
        unanswered: situations that no answer belongs to.
        threshold: ``value``, ``calibrated``, ``low``, ``high``, ``estimator``; ``{}`` without an estimator.
        notes: what the reader should know.
        warnings: models that score the answers and had a part in training what wrote them.
    """

    systems: dict[str, dict[str, Row]]
    rows: list[Row]
    unmatched: list[str]
    unanswered: int
    threshold: Row
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def score_files(
    answers: Path,
    references: Path,
    *,
    estimator: str | None = None,
    threshold: float | None = None,
    nli_model: str | None = None,
    data_set: str = "",
    cache_file: Path | None = None,
    published: bool = False,
) -> ScoreReport:
    """Score a file of answers.

    Form (perspectives, words, valid tags, distinct-n, self-BLEU) is always counted, and so are tokens, seconds, calls
    and cost where the answers have them. With an estimator: :func:`overton.scoring_similarity.similarity_row`.
    Situations of the bundled world are also judged by its oracle.

    Args:
        answers: JSONL, see :func:`overton.data.io.read_answers`; joined by ``id``, else by ``prompt``.
        references: any form of :func:`overton.data.table.read_table`; labels may be missing.
        estimator: estimator of a run, Sentence Transformers folder or hub name; ``None`` takes the untuned
            all-MiniLM-L6-v2, with the threshold that was measured for it on labels of people.
        threshold: cosine of a match; ``None`` takes the calibrated one, or 0.70 where there is none.
        nli_model: name or folder of a three-class CrossEncoder; ``None`` leaves entailment out.
        data_set: with an estimator calibrated on several data sets, whose threshold counts; ``""`` = of all.
        cache_file: keep vectors of texts in this file, so that scoring more answers encodes only what is new.
        published: also the NLI figures of the published evaluation code.

    Raises:
        DataError: a file is unusable, ``published`` is set without an NLI model, or no answer belongs to any reference.
        ModelError: a model that was asked for cannot be had.
    """
    from overton.data.io import read_answers
    from overton.data.table import read_table
    from overton.evaluation.independence import parts_around
    from overton.evaluation.join import join, other_text_note, short
    from overton.evaluation.statistics import few_note

    if answers.suffix.lower() in (".csv", ".tsv"):
        raise DataError(f"{answers}: answers are read from JSONL, one object with `answer` and `id` or `prompt` a line")
    situations = [row.situation for row in read_table(references, {}, labels=False)]
    given = read_answers(answers)
    joined = join(given, situations)
    pairs, unmatched = joined.pairs, [given[i].id for i in joined.unmatched]
    trained, notes = parts_around([answers])
    notes += other_text_note(joined.other_text)
    if not pairs:
        raise DataError(
            f"{answers}: none of its {len(given)} answers belongs to a row of {references} by `id` or "
            f"`prompt` (first answer: {short(given[0].id)!r}; first reference: {short(situations[0].id)!r})"
        )
    evaluators = Evaluators(estimator, threshold, nli_model, data_set, cache_file, published=published)
    rows, used = score_pairs(given, pairs, evaluators, notes)
    if unmatched:
        shown = ", ".join(short(name) for name in unmatched[:5]) + (", ..." if len(unmatched) > 5 else "")
        notes.append(f"{len(unmatched)} of {len(given)} answers have no reference and no score: {shown}")
    unanswered = len(situations) - len({s.id for _, s in pairs})
    if unanswered:
        notes.append(f"{unanswered} of {len(situations)} situations have no answer; they do not count")
    asked = {answer.system: set[str]() for answer in given}
    for index, situation in pairs:
        asked[given[index].system].add(situation.id)
    notes += fewer_note(asked)
    warnings = shared_with_training(trained, evaluators, used)
    summaries = _summaries(rows)
    notes += few_note(score for own in summaries.values() for score in own.values())
    return ScoreReport(summaries, rows, unmatched, unanswered, used, notes, warnings)


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


def _summaries(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    from overton.evaluation.statistics import intervals

    metrics = [m for m in (*SIMILARITY, *ORACLE, *NLI, *PUBLISHED, *FORM, *SPENT) if any(m in row for row in rows)]
    systems: dict[str, dict[str, Row]] = {}
    for system in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == system]
        # An answer that the metric could not judge counts as unscored, never as 0.
        systems[system] = intervals({m: [row.get(m) for row in own] for m in metrics})
    return systems


def _empty_row(answer: Answer) -> Row:
    return {"id": answer.id, "system": answer.system, "reason": "no reference for it"}


def _add_reason(row: Row, reason: str) -> None:
    row["reason"] = f"{row['reason']}; {reason}" if row["reason"] else reason
