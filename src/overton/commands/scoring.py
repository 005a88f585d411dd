"""``overton score``: any file of answers against reference perspectives. No run, no training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from overton.commands.scoring_pairs import (
    FORM,
    NLI,
    ORACLE,
    PUBLISHED,
    SPENT,
    Evaluators,
    score_pairs,
    shared_with_training,
)
from overton.commands.scoring_similarity import SIMILARITY, Row
from overton.errors import DataError
from overton.notes import few_note, fewer_note, intervals_in, other_text_note, short, unmatched_note


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
    and cost where the answers have them. With an estimator: :func:`overton.commands.scoring_similarity.similarity_row`.
    Situations of the bundled world are also judged by its oracle.

    Args:
        answers: see :func:`overton.data.io.read_answers`; joined by ``id``, else by ``prompt``.
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
    from overton.evaluation.join import join

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
    notes += unmatched_note(unmatched, len(given))
    unanswered = len(situations) - len({s.id for _, s in pairs})
    if unanswered:
        notes.append(f"{unanswered} of {len(situations)} situations have no answer; they do not count")
    asked = {answer.system: set[str]() for answer in given}
    for index, situation in pairs:
        asked[given[index].system].add(situation.id)
    notes += fewer_note(asked)
    warnings = shared_with_training(trained, evaluators, used)
    summaries = _summaries(rows)
    notes += few_note(intervals_in(summaries))
    return ScoreReport(summaries, rows, unmatched, unanswered, used, notes, warnings)


def _summaries(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    from overton.evaluation.statistics import intervals

    metrics = [m for m in (*SIMILARITY, *ORACLE, *NLI, *PUBLISHED, *FORM, *SPENT) if any(m in row for row in rows)]
    systems: dict[str, dict[str, Row]] = {}
    for system in dict.fromkeys(row["system"] for row in rows):
        own = [row for row in rows if row["system"] == system]
        # An answer that the metric could not judge counts as unscored, never as 0.
        systems[system] = intervals({m: [row.get(m) for row in own] for m in metrics})
    return systems
