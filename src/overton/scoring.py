"""``overton score``: any file of answers against reference perspectives. No run, no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import DataError, OvertonError
from overton.types import Answer, Situation

if TYPE_CHECKING:
    from overton.estimator import SimilarityEstimator
    from overton.evaluation.nli import NliModel

Row = dict[str, Any]
FORM = ("perspectives", "words", "valid_tags")
SIMILARITY = ("coverage", "precision", "uniqueness", "f1")
ORACLE = ("oracle_coverage", "oracle_precision", "oracle_uniqueness", "oracle_f1")
NLI = ("nli_mean", "nli_accuracy", "nli_coverage", "nli_precision", "nli_uniqueness", "nli_f1")
_WORLD_KEYS = {"kind", "actor", "affected", "thing", "act"}


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
    """

    systems: dict[str, dict[str, Row]]
    rows: list[Row]
    unmatched: list[str]
    unanswered: int
    threshold: Row
    notes: list[str] = field(default_factory=list)


def score_files(
    answers: Path,
    references: Path,
    *,
    estimator: str | None = None,
    threshold: float | None = None,
    nli_model: str | None = None,
    data_set: str = "",
    cache_file: Path | None = None,
) -> ScoreReport:
    """Score a file of answers.

    Form (perspectives, words, valid tags) is always counted. With an estimator: ``coverage`` (references
    matched one-to-one / references), ``precision`` (segments that match any reference / segments),
    ``uniqueness`` (clusters of alike segments / segments) and ``f1`` of the first two. Situations of the
    bundled world are also judged by its oracle.

    Args:
        answers: JSONL, see :func:`overton.data.io.read_answers`; joined by ``id``, else by ``prompt``.
        references: any form of :func:`overton.data.table.read_table`.
        estimator: estimator of a run, Sentence Transformers folder or hub name; ``None`` takes the untuned
            all-MiniLM-L6-v2, with the threshold that was measured for it on labels of people.
        threshold: cosine of a match; ``None`` takes the calibrated one, or 0.70 where there is none.
        nli_model: name or folder of a three-class CrossEncoder; ``None`` leaves entailment out.
        data_set: with an estimator calibrated on several data sets, whose threshold counts; ``""`` = of all.
        cache_file: keep vectors of texts in this file, so that scoring more answers encodes only what is new.

    Raises:
        DataError: a file is unusable, or no answer belongs to any reference.
        ModelError: a model that was asked for cannot be had.
    """
    from overton.data.io import read_answers
    from overton.data.table import read_table
    from overton.evaluation.form import form_row
    from overton.evaluation.join import join, short

    if answers.suffix.lower() in (".csv", ".tsv"):
        raise DataError(f"{answers}: answers are read from JSONL, one object with `answer` and `id` or `prompt` a line")
    situations = [row.situation for row in read_table(references, {})]
    given = read_answers(answers)
    joined = join(given, situations)
    pairs, unmatched = joined.pairs, [given[i].id for i in joined.unmatched]
    notes: list[str] = []
    if joined.other_text:
        notes.append(
            f"{joined.other_text} answers were joined by `id` to a reference whose text is not their `prompt`; "
            "right when the prompt has a template around the situation, wrong when the ids are another file's"
        )
    if not pairs:
        raise DataError(
            f"{answers}: none of its {len(given)} answers belongs to a row of {references} by `id` or "
            f"`prompt` (first answer: {short(given[0].id)!r}; first reference: {short(situations[0].id)!r})"
        )
    nli = None if nli_model is None else _load_nli(nli_model)
    rows = [_empty_row(answer) for answer in given]
    for index, situation in pairs:
        form = form_row(given[index], situation)
        rows[index] |= {"id": situation.id, "reason": "", **{name: form[name] for name in FORM}}
    from overton.estimator.open import open_estimator

    try:
        encoder, shown = open_estimator(estimator, data_set=data_set, cache_file=cache_file)
        used = _add_similarity(rows, given, pairs, encoder, shown, threshold, notes)
    except OvertonError as error:
        if estimator is not None or data_set or cache_file is not None:
            raise
        notes.append(f"no similarity scores: {error}")
        used = {}
    _add_oracle(rows, given, pairs)
    if nli is not None:
        _add_entailment(rows, given, pairs, nli)
    if unmatched:
        shown = ", ".join(short(name) for name in unmatched[:5]) + (", ..." if len(unmatched) > 5 else "")
        notes.append(f"{len(unmatched)} of {len(given)} answers have no reference and no score: {shown}")
    unanswered = len(situations) - len({s.id for _, s in pairs})
    if unanswered:
        notes.append(f"{unanswered} of {len(situations)} situations have no answer; they do not count")
    return ScoreReport(_summaries(rows), rows, unmatched, unanswered, used, notes)


def _add_similarity(
    rows: list[Row],
    answers: Sequence[Answer],
    pairs: Sequence[tuple[int, Situation]],
    encoder: SimilarityEstimator,
    shown: str,
    threshold: float | None,
    notes: list[str],
) -> Row:
    from overton.estimator.calibration import UNCALIBRATED_THRESHOLD
    from overton.segment import segment

    calibration = encoder.calibration
    if threshold is None:
        threshold = UNCALIBRATED_THRESHOLD if calibration is None else calibration.threshold
    used: Row = {"estimator": shown, "value": threshold, "calibrated": False, "low": None, "high": None}
    if calibration is not None and threshold == calibration.threshold:
        used |= {"calibrated": True, "low": calibration.low, "high": calibration.high}
    else:
        notes.append(
            f"the threshold {threshold:g} of {shown} is not calibrated: compare systems with it, but do not "
            "read the similarity scores as shares of a truth. The estimator of a run has a measured one: "
            "--estimator RUN"
        )
    segments = [segment(answers[index].answer) for index, _ in pairs]
    texts: list[str] = []
    contexts: list[str] = []
    for (_, situation), found in zip(pairs, segments, strict=True):
        own = [p.explanation for p in situation.perspectives] + [s.explanation or s.label for s in found]
        texts += own
        contexts += [situation.text] * len(own)
    vectors = encoder.encode(texts, contexts, description="encoding")
    start = 0
    for (index, situation), found in zip(pairs, segments, strict=True):
        middle = start + len(situation.perspectives)
        stop = middle + len(found)
        rows[index] |= _similarity(vectors[start:middle], vectors[middle:stop], threshold)
        if not found:
            _add_reason(rows[index], "no perspective stated: precision and uniqueness have no value")
        start = stop
    return used


def _similarity(references: Any, segments: Any, threshold: float) -> Row:
    """Counts for one answer from unit rows (references, d) and (segments, d)."""
    from overton.matching import clusters, optimal_matching

    if not len(segments):
        return {"coverage": 0.0, "precision": None, "uniqueness": None, "f1": 0.0, "matches": []}
    cosines = references @ segments.T
    matches = optimal_matching(cosines, threshold)
    coverage = len(matches) / len(references)
    precision = float((cosines >= threshold).any(axis=0).mean())
    return {
        "coverage": coverage,
        "precision": precision,
        "uniqueness": len(set(clusters(segments @ segments.T, threshold))) / len(segments),
        "f1": 2 * coverage * precision / (coverage + precision) if matches else 0.0,
        "matches": [[r, s, round(float(cosines[r, s]), 4)] for r, s in matches],
    }


def _load_nli(name: str) -> NliModel:
    from overton.evaluation.nli import load_nli
    from overton.hub import prefer_cache

    folder = Path(name).expanduser() / "evaluation" / "nli_model"
    known = folder if folder.is_dir() else name
    prefer_cache([str(known)])
    return load_nli(known, offline=Path(known).exists())


def _add_oracle(rows: list[Row], answers: Sequence[Answer], pairs: Sequence[tuple[int, Situation]]) -> None:
    from overton.data.world.oracle import judge

    for index, situation in pairs:
        if not situation.metadata.keys() >= _WORLD_KEYS:
            continue
        try:
            verdict = judge(situation, answers[index].answer)
        except DataError as error:
            rows[index] |= dict.fromkeys(ORACLE)
            _add_reason(rows[index], f"oracle: {error}")
            continue
        values = (verdict.coverage, verdict.precision, verdict.uniqueness, verdict.f1)
        rows[index] |= {**dict(zip(ORACLE, values, strict=True)), "missed": list(verdict.missed)}


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


def _summaries(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    from overton.evaluation.statistics import interval

    metrics = [m for m in (*SIMILARITY, *ORACLE, *NLI, *FORM) if any(m in row for row in rows)]
    systems: dict[str, dict[str, Row]] = {}
    for system in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == system]
        # An answer that the metric could not judge counts as unscored, never as 0.
        systems[system] = {m: interval([row.get(m) for row in own]) for m in metrics}
    return systems


def _empty_row(answer: Answer) -> Row:
    return {"id": answer.id, "system": answer.system, "reason": "no reference for it"}


def _add_reason(row: Row, reason: str) -> None:
    row["reason"] = f"{row['reason']}; {reason}" if row["reason"] else reason
