"""What ``overton overtonbench`` does: scores of people's ratings, and of ratings that judges predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from overton.commands.judging import RESAMPLES, kin_warnings, read_systems, show
from overton.commands.judging_asking import Asking, asks_nothing, open_judges, refuse_nothing
from overton.errors import DataError, RunError
from overton.notes import few_note, intervals_in, other_text_note, reasons, short

if TYPE_CHECKING:
    from overton.evaluation.overtonbench_data import Opinion
    from overton.types import Answer

Row = dict[str, Any]
_FILES = ("overtonbench.questions.jsonl", "overtonbench.jsonl", "overtonbench.transcript.jsonl", "overtonbench.json")


def overtonbench_files(
    paths: Sequence[Path],
    sources: Sequence[str],
    asking: Asking,
    *,
    variant: Literal["published", "multi-perspective"] = "published",
    prompt_file: Path | None = None,
    check: Sequence[str] = (),
    tau: float = 4.0,
    seed: int = 0,
) -> Row | None:
    """Scores of people's ratings, and of predicted ratings of your answers; rows, transcripts and figures on disk.

    Args:
        paths: answers in JSONL, by ``id`` (the question's) or ``prompt``; none = people's ratings alone.
        sources: see :func:`~overton.evaluation.overtonbench_data.read_overtonbench`.
        asking: who is asked, and how.
        variant: which prompt.
        prompt_file: a prompt of yours instead.
        check: models of the data whose ratings are predicted too, to be compared with people's.
        tau: a cluster is covered from this mean rating on.
        seed: of the bootstrap.

    Returns:
        ``people`` and ``judged`` (OvertonScores by model and by system; of a model in ``check`` as ``MODEL (check)``
        over all participants and as ``MODEL (check, rated)`` over those who rated it), ``comparisons`` (rows of
        ``overton_comparisons`` of ``people`` and of ``judged``, without ``(check, rated)``), ``check``, ``prompt``,
        ``judges``, ``agreement`` of the judges, ``unscored`` and ``failed`` (reasons), ``unanswered`` (questions, by
        system) and ``notes``; ``None`` when nothing was asked.

    Raises:
        DataError: a file cannot be read, no answer belongs to a question, or a model is not in the data.
        RecipeError: a setting is wrong.
        ModelError: a judge cannot be had, or gives not one rating.
        RunError: a file that is read would be overwritten, people's ratings alone would replace judged figures, or the
            folder cannot be written to.
    """
    from overton.evaluation.judge.summary import failures
    from overton.evaluation.overtonbench import overton_comparisons, overton_scores, people_rows, question_scores
    from overton.evaluation.overtonbench_data import read_overtonbench
    from overton.evaluation.overtonbench_judge import (
        check_figures,
        load_variant,
        predict_ratings,
        rated_alone,
        rating_agreement,
    )
    from overton.jsonio import write_json, write_jsonl
    from overton.rundir import versions

    asking.keep_inputs(_FILES, [*paths, *files_among(sources), prompt_file, *asking.read_batch])
    if not (paths or check) and (judged := asking.folder / _FILES[1]).exists():
        raise RunError(
            f"{judged}: answers were judged here, and people's ratings alone would take the place of their figures. "
            "Give the answers too, or another folder with --output."
        )
    opinions = read_overtonbench(sources)
    people = people_rows(opinions)
    unknown = [name for name in check if name not in people]
    if unknown:
        raise DataError(f"the data have no model {unknown[0]!r}; they have {', '.join(people)}")
    figures: Row = {"people": {model: overton_scores(rows, tau, RESAMPLES, seed) for model, rows in people.items()}}
    prompt = load_variant(variant, prompt_file)
    systems = _systems(paths)
    joined = [(name, *_by_question(own, opinions)) for name, own in systems.items()]
    tasks = [(name, answers) for name, answers, _ in joined]
    notes = other_text_note(sum(other_text for _, _, other_text in joined))
    show(notes)
    own = {model: _own_answers(opinions, model) for model in check}
    judges = open_judges(asking) if tasks or own else []
    written_by = [*(answer.model for answers in systems.values() for answer in answers), *check]
    warnings, unread = kin_warnings(paths, written_by, judges)
    notes += unread
    rows, transcript = [], []
    checks = [(f"{model} (check)", texts, model) for model, texts in own.items()]
    for system, answers, model in [*((*task, "") for task in tasks), *checks]:
        found, calls = predict_ratings(judges, prompt, opinions, answers, system, model)
        rows += found
        transcript += calls
    if judges and asks_nothing(asking, judges):
        return None
    refuse_nothing(rows, "rating", asking.folder / "llm")
    by_system = {
        name: [row for row in rows if row["system"] == name] for name in dict.fromkeys(r["system"] for r in rows)
    }
    questions = {opinion.question for opinion in opinions}
    scored = dict(by_system)
    for model in check:  # beside the predictions for all, those that people's own score compares with
        scored[f"{model} (check, rated)"] = rated_alone(by_system[f"{model} (check)"], opinions, model)
    figures["judged"] = {name: overton_scores(found, tau, RESAMPLES, seed) for name, found in scored.items()}
    # Predictions for those alone who rated a model are over other participants than those of the other systems.
    figures["comparisons"] = {
        whose: overton_comparisons(systems, tau, RESAMPLES, seed)
        for whose, systems in (("people", people), ("judged", by_system))
    }
    few = few_note(intervals_in(figures))
    show(few)
    notes += few
    figures |= {
        "check": {model: check_figures(by_system[f"{model} (check)"], opinions, model) for model in check},
        "prompt": prompt.version,
        "judges": [judge.section.model for judge in judges],
        "agreement": rating_agreement(rows) if len(judges) > 1 else None,
        "unscored": reasons(rows),
        "failed": failures(rows),
        "notes": notes,
        "warnings": warnings,
        "unanswered": {name: sorted(questions - set(answers)) for name, answers in tasks if questions - set(answers)},
        "seed": seed,
        "versions": versions(),
    }
    by_question = [
        {"system": name, "ratings": whose, **score}
        for whose, systems in (("people", people), ("judge", by_system))
        for name, found in systems.items()
        for score in question_scores(found, tau)
    ]
    write_jsonl(asking.folder / _FILES[0], by_question)
    if rows:
        write_jsonl(asking.folder / _FILES[1], rows)
        write_jsonl(asking.folder / _FILES[2], transcript)
    write_json(asking.folder / _FILES[3], figures)
    return figures


def files_among(sources: Sequence[str]) -> list[Path]:
    """Files among sources of data, which may also be names of the hub and folders."""
    return [path for source in sources if (path := Path(source).expanduser()).is_file()]


def question_rows(sources: Sequence[str]) -> list[Row]:
    """``id`` and ``text`` of each question, to be answered."""
    from overton.evaluation.overtonbench_data import read_overtonbench

    found = {opinion.question: opinion.text for opinion in read_overtonbench(sources)}
    return [{"id": question, "text": text} for question, text in found.items()]


def _systems(paths: Sequence[Path]) -> dict[str, list[Answer]]:
    systems: dict[str, list[Answer]] = {}
    for answer in read_systems(paths):
        systems.setdefault(answer.system, []).append(answer)
    return systems


def _by_question(answers: Sequence[Answer], opinions: Sequence[Opinion]) -> tuple[dict[str, str], int]:
    """Answers by question, and how many were joined by ``id`` to a question whose text is not their prompt."""
    from overton.evaluation.join import join
    from overton.types import Situation

    questions = [Situation(key, text, ()) for key, text in {o.question: o.text for o in opinions}.items()]
    joined = join(answers, questions)
    if joined.unmatched:
        stray = answers[joined.unmatched[0]]
        raise DataError(
            f"{stray.system}: the answer with id {short(stray.id)!r} has the `id` or `prompt` of no question"
        )
    return {question.id: answers[index].answer for index, question in joined.pairs}, joined.other_text


def _own_answers(opinions: Sequence[Opinion], model: str) -> dict[str, str]:
    """A model's answers in the data, one a question: the first."""
    return {o.question: r.response for o in reversed(opinions) for r in o.ratings if r.model == model}
