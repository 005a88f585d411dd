"""Score any answers against references. Nothing is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from overton.errors import DataError
from overton.evaluation.form import form_row
from overton.evaluation.join import Joined, join
from overton.evaluation.nli import NliModel, count_pairs, nli_rows
from overton.evaluation.oracle import is_world, oracle_row
from overton.evaluation.summary import summarise
from overton.notes import few_note, intervals_in, other_text_note, short
from overton.progress import progress, track
from overton.types import Answer, Situation


def score_answers(
    answers: Sequence[Answer],
    situations: Sequence[Situation],
    *,
    nli: NliModel | None = None,
    nli_threshold: float = 0.33,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Score answers of one or more systems.

    Perspectives, words and valid tags always; the oracle when all situations are the bundled world's;
    entailment and the coverage counted from it when a model is given.

    Args:
        answers: rows without a system's name count as the system ``answers``.
        situations: with their references.
        nli: a loaded cross-encoder (:func:`overton.evaluation.load_nli`).
        nli_threshold: the t of Accuracy@t.
        resamples: bootstrap resamples.
        seed: of the resampling.

    Returns:
        What :func:`~overton.evaluation.summary.summarise` returns, ``rows``: system -> evaluator -> rows,
        ``unanswered``: system -> ids of situations without an answer, and ``notes``: what the reader should know.

    Raises:
        DataError: an answer belongs to no situation, two answers of one system to the same, or an answer to one by
            its id and to another by its prompt.
    """
    by_id = {s.id: s for s in situations}
    systems: dict[str, list[Answer]] = {}
    joined = _joined(answers, situations)
    for index, situation in joined.pairs:
        answer = replace(answers[index], id=situation.id)
        systems.setdefault(answer.system or "answers", []).append(answer)
    world = is_world(situations)
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name, own in systems.items():
        rows[name] = evaluate(name, own, by_id, oracle=world, nli=nli, nli_threshold=nli_threshold)
    summary = summarise(
        rows,
        by_id,
        nli_threshold=nli_threshold,
        resamples=resamples,
        seed=seed,
        settings={"nli_model": nli.name if nli else None},
    )
    unanswered = {name: [i for i in by_id if i not in {a.id for a in own}] for name, own in systems.items()}
    few = few_note(intervals_in([summary["systems"], summary["comparisons"]]))
    notes = [*other_text_note(joined.other_text), *summary["notes"], *few]
    return {**summary, "rows": rows, "unanswered": unanswered, "notes": notes}


def evaluate(
    name: str,
    answers: Sequence[Answer],
    situations: dict[str, Situation],
    *,
    oracle: bool,
    nli: NliModel | None,
    nli_threshold: float,
) -> dict[str, list[dict[str, Any]]]:
    """Rows of one system by evaluator, with a progress bar for what takes long."""
    found = {"form": form_rows(answers, situations)}
    if oracle:
        found["oracle"] = oracle_rows(name, answers, situations)
    if nli:
        found["nli"] = entailment_rows(name, nli, answers, situations, nli_threshold)
    return found


def form_rows(answers: Sequence[Answer], situations: dict[str, Situation]) -> list[dict[str, Any]]:
    """Rows of ``SYSTEM.form.jsonl``."""
    return [form_row(a, situations[a.id]) for a in answers]


def oracle_rows(name: str, answers: Sequence[Answer], situations: dict[str, Situation]) -> list[dict[str, Any]]:
    """Rows of ``SYSTEM.oracle.jsonl``."""
    return [oracle_row(a, situations[a.id]) for a in track(answers, f"{name}: oracle")]


def entailment_rows(
    name: str, model: NliModel, answers: Sequence[Answer], situations: dict[str, Situation], threshold: float
) -> list[dict[str, Any]]:
    """Rows of ``SYSTEM.nli.jsonl``."""
    with progress() as bar:
        task = bar.add_task(f"{name}: entailment", total=count_pairs(answers, situations))
        return nli_rows(model, answers, situations, threshold, lambda done: bar.advance(task, done))


def assign(answers: Sequence[Answer], situations: Sequence[Situation]) -> tuple[list[Answer], int]:
    """Answers under the ids of their situations, found by id or else by the situation's text.

    Returns:
        The answers, and how many were found by an id whose situation has another text than their prompt.

    Raises:
        DataError: an answer belongs to no situation, two answers of one system to the same, or an answer to one by
            its id and to another by its prompt.
    """
    joined = _joined(answers, situations)
    return [replace(answers[index], id=situation.id) for index, situation in joined.pairs], joined.other_text


def _joined(answers: Sequence[Answer], situations: Sequence[Situation]) -> Joined:
    joined = join(answers, situations)
    for index in joined.unmatched:
        raise DataError(
            f"answer {index + 1} (id {short(answers[index].id)!r}): no situation with this id or text among the "
            f"{len(situations)} with references; give the references that the answers were made for"
        )
    return joined
