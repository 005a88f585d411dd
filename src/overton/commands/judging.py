"""What ``overton judge`` does: files in, judges asked, files out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.commands.judging_asking import Asking, asks_nothing, open_judges, refuse_nothing
from overton.errors import DataError
from overton.notes import few_note, fewer_note, intervals_in, other_text_note, reasons, short

if TYPE_CHECKING:
    from overton.evaluation.judge import Judge
    from overton.types import Answer

Row = dict[str, Any]
RESAMPLES = 2000


def judge_files(
    paths: Sequence[Path], questions: Path | None, asking: Asking, pair: tuple[str, str] | None, seed: int
) -> Row | None:
    """Score answers, or compare two systems, and write rows, transcript and figures.

    Args:
        paths: answers, see :func:`~overton.commands.comparing_files.read_saved`; rows without ``system`` are of the
            system that the file is named after. Systems of two files are two systems: where their names are the same,
            the file's name, or its folder's, stands before them.
        questions: their questions, as :func:`~overton.data.questions.questions_of` reads them; ``None`` when each
            answer's ``prompt`` is its question.
        asking: who is asked, and how.
        pair: compare these two systems instead of scoring.
        seed: of the bootstrap.

    Returns:
        The figures, or ``None`` when nothing was asked.

    Raises:
        DataError: a file cannot be read, an answer has no question, a system has no answers, or two systems have no
            question in common.
        RecipeError: a setting is wrong.
        ModelError: a judge cannot be had, or gives not one verdict.
        RunError: a file that is read would be overwritten, or the folder cannot be written to.
    """
    from overton.evaluation.judge import compare_answers, judge_answers
    from overton.evaluation.judge.summary import failures, judge_figures, system_comparisons, system_figures
    from overton.jsonio import write_json, write_jsonl
    from overton.rundir import versions

    name = "scores" if pair is None else "pairwise"
    names = (f"{name}.jsonl", f"{name}.transcript.jsonl", f"{name}.json")
    asking.keep_inputs(names, [*paths, questions, *asking.read_batch])
    answers = read_systems(paths)
    answers, texts, notes = with_questions(answers, questions)
    if pair is None:  # of a pair only what both answered is compared, and the rest is counted
        asked: dict[str, set[str]] = {}
        for answer in answers:
            asked.setdefault(answer.system, set()).add(answer.id)
        notes += [f"{line}, comparisons in scores.json over those that both answered" for line in fewer_note(asked)]
    show(notes)
    sides = None if pair is None else _sides(answers, pair)
    judges, folder = open_judges(asking), asking.folder
    warnings, unread = kin_warnings(paths, [answer.model for answer in answers], judges)
    notes += unread
    if sides is None:
        rows, transcript = judge_answers(judges, answers, texts)
    else:
        rows, transcript = compare_answers(judges, *sides, texts)
    if asks_nothing(asking, judges):
        return None
    scored = sides is None
    refuse_nothing(rows, "judge_mean" if scored else "points", folder / "llm")
    figures: Row = {}
    if scored:
        figures["systems"] = system_figures(rows, RESAMPLES, seed)
        figures["comparisons"] = system_comparisons(rows, RESAMPLES, seed)
    figures |= judge_figures(rows if scored else [], [] if scored else [rows], RESAMPLES, seed)
    if sides is not None:
        figures["unanswered"] = _unanswered(*sides)
    few = few_note(intervals_in(figures))
    show(few)
    notes += few
    figures |= {"judges": list(asking.models), "unscored": reasons(rows), "failed": failures(rows), "notes": notes}
    figures |= {"warnings": warnings, "seed": seed, "versions": versions()}
    write_jsonl(folder / names[0], rows)
    write_jsonl(folder / names[1], transcript)
    write_json(folder / names[2], figures)
    return figures


def read_systems(paths: Sequence[Path]) -> list[Answer]:
    """Answers of several files, each under its system, named by :func:`~overton.commands.comparing_files.read_saved`.

    Raises:
        DataError: a file cannot be read, or a system has two answers with one id.
    """
    from overton.commands.comparing_files import read_saved

    answers = [row.answer for row in read_saved(paths)]
    twice = [key for key, count in Counter((a.system, a.id) for a in answers).items() if count > 1]
    if twice:
        raise DataError(f"system {twice[0][0]!r} has two answers with id {twice[0][1]!r}; keep one")
    return answers


def show(notes: Sequence[str]) -> None:
    """Print notes on standard error."""
    from overton.progress import say

    for note in notes:
        say(note)


def kin_warnings(paths: Sequence[Path], models: Sequence[str], judges: Sequence[Judge]) -> tuple[list[str], list[str]]:
    """Lines about judges that grade their own kind, in red, and notes of what is not known; printed before any call."""
    from overton.evaluation.independence import kin_of_judges
    from overton.progress import say

    warnings, unread = kin_of_judges(paths, models, [judge.section.asked_as for judge in judges])
    for line in warnings:
        say(f"NOT INDEPENDENT: {line}", style="red")
    show(unread)
    return warnings, unread


def with_questions(answers: Sequence[Answer], path: Path | None) -> tuple[list[Answer], dict[str, str], list[str]]:
    """Answers under the ids of their questions, the questions' texts by id, and notes for the reader.

    Raises:
        DataError: an answer has no question, or these cannot be read (:func:`~overton.data.questions.questions_of`).
    """
    from overton.data.questions import questions_of
    from overton.evaluation.join import join

    if path is None:
        texts: dict[str, str] = {}
        for answer in answers:
            text = texts.setdefault(answer.id, answer.prompt)
            if not text or answer.prompt != text:
                trouble = "answers with another `prompt`" if text else "no `prompt`"
                raise DataError(f"id {short(answer.id)!r} has {trouble}; give the questions with --questions")
        return list(answers), texts, []
    questions = questions_of(path)
    joined = join(answers, questions)
    for index in joined.unmatched:
        raise DataError(
            f"{path}: no question has the `id` or `text` of the answer with id {short(answers[index].id)!r}"
        )
    own = [replace(answers[index], id=question.id) for index, question in joined.pairs]
    texts = {question.id: question.text for question in questions}
    return own, texts, other_text_note(joined.other_text)


def _sides(answers: Sequence[Answer], pair: tuple[str, str]) -> tuple[list[Answer], list[Answer]]:
    """Answers of the two systems that are compared."""
    if pair[0] == pair[1]:
        raise DataError(f"--pairwise: {pair[0]!r} stands twice; give two systems")
    a, b = (_of_system(answers, system) for system in pair)
    if not {answer.id for answer in a} & {answer.id for answer in b}:
        raise DataError(
            f"--pairwise: {pair[0]!r} ({len(a)} answers) and {pair[1]!r} ({len(b)}) have no question in common; "
            "their answers need the same ids, or --questions with the texts that their prompts are"
        )
    return a, b


def _unanswered(a: Sequence[Answer], b: Sequence[Answer]) -> dict[str, list[str]]:
    """Questions that only the other one answered, by system; those without any are left out."""
    ids = {own[0].system: {answer.id for answer in own} for own in (a, b)}
    every = set[str]().union(*ids.values())
    return {system: sorted(every - own) for system, own in ids.items() if every - own}


def _of_system(answers: Sequence[Answer], system: str) -> list[Answer]:
    own = [answer for answer in answers if answer.system == system]
    if not own:
        systems = ", ".join(dict.fromkeys(answer.system for answer in answers))
        raise DataError(f"no answers of system {system!r}; systems in the files: {systems}")
    return own
