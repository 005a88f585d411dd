"""What ``overton judge`` and ``overton overtonbench`` do: files in, judges asked, files and tables out."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import DataError, ModelError, RecipeError, RunError

if TYPE_CHECKING:
    from rich.table import Table

    from overton.evaluation.judge import Judge
    from overton.types import Answer

Row = dict[str, Any]
RESAMPLES = 2000
_UNSAFE = re.compile(r"[^\w.-]+")  # in a file's name


@dataclass(frozen=True, slots=True)
class Asking:
    """How judges are asked.

    Attributes:
        models: their names at the endpoint.
        base_url: the endpoint; ``""`` for models on this machine.
        overrides: ``KEY=VALUE`` of the recipe's section ``llm``, for all of them.
        folder: where replies and results go.
        dry_run: count the calls and make none, as the key of section ``llm`` does.
        write_batch: write the calls to files for the Batch API and make none.
        read_batch: files of its results, to be taken instead of calls.
    """

    models: Sequence[str]
    base_url: str
    overrides: Sequence[str]
    folder: Path
    dry_run: bool = False
    write_batch: bool = False
    read_batch: Sequence[Path] = ()

    def batch_file(self, model: str) -> Path:
        """Calls to a model, for the Batch API."""
        return self.folder / "batch" / (_UNSAFE.sub("-", model) + ".jsonl")

    def keep_inputs(self, names: Sequence[str], inputs: Sequence[Path | None]) -> None:
        """Refuse inputs that would be overwritten or removed, by files of these names or by calls for the Batch API.

        Raises:
            RunError: there is one.
        """
        from overton.jsonio import keep_inputs
        from overton.llm.batch import request_files

        batches: list[Path] = []
        for model in self.models if self.write_batch else ():
            path = self.batch_file(model)
            batches += {path, *request_files(path, model)}
        keep_inputs([*(self.folder / name for name in names), *batches], inputs)


def open_judges(asking: Asking) -> list[Judge]:
    """The judges, with a cache in ``llm/`` of the folder, and their calls for the Batch API in ``batch/``.

    They share one budget. But for a dry run the folder is made.

    Raises:
        RecipeError: an unknown key, a wrong value, a judge named twice, or an address that must not be sent something.
        DataError: a file of results cannot be read.
        RunError: the folder cannot be written to.
    """
    from overton.evaluation.judge import Judge, load_judges
    from overton.hub import prefer_cache
    from overton.llm.batch import BatchResults, BatchWriter, read_results
    from overton.llm.cache import ReplyCache
    from overton.llm.front import Budget
    from overton.recipe import override, parse_recipe

    if twice := [name for name, count in Counter(asking.models).items() if count > 1]:
        raise RecipeError(f"--model {twice[0]} stands twice, and its verdicts would be the same; name each judge once")
    settings: Row = {"base_url": asking.base_url}
    for item in asking.overrides:
        override(settings, item)
    if "model" in settings:
        raise RecipeError(f"--set model={settings['model']}: judges are named with --model {settings['model']}")
    if asking.dry_run:
        settings["dry_run"] = True
    models = {name: {**settings, "model": name} for name in asking.models}
    recipe = parse_recipe({"name": "judge", "evaluation": {"judge": {"models": models}}}, "judge")
    sections = recipe.evaluation.judge.models
    if (asking.write_batch or asking.read_batch) and any(section.dry_run for section in sections.values()):
        raise RecipeError("dry_run goes with neither --write-batch nor --read-batch; leave one of them out")
    if asking.write_batch and any(section.max_calls or section.max_budget_tokens for section in sections.values()):
        raise RecipeError(
            "max_calls and max_budget_tokens cannot hold for calls that others make; leave them out of --write-batch, "
            "and see with --dry-run what all calls may cost"
        )
    folder = asking.folder / "llm"
    if not any(section.dry_run for section in sections.values()):
        _make_writable(asking.folder, folder)
    if asking.write_batch:
        cache = ReplyCache(folder)
        return [Judge(n, BatchWriter(section, asking.batch_file(n), cache), section) for n, section in sections.items()]
    if asking.read_batch:
        replies, cache = read_results(asking.read_batch), ReplyCache(folder)
        return [Judge(name, BatchResults(section, replies, cache), section) for name, section in sections.items()]
    if not asking.base_url:
        prefer_cache(asking.models)
    section = next(iter(sections.values()))  # the settings are the same for all
    return load_judges(sections, folder, Budget(section.max_calls, section.max_budget_tokens))


def _make_writable(*folders: Path) -> None:
    """Make folders and try to write into them: what is noticed only later costs the replies that were paid for."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise RunError(
                f"{folder}: cannot be written to ({error.strerror or error}), so nothing was asked; name another "
                "folder with --output"
            ) from error


def asks_nothing(asking: Asking, judges: Sequence[Judge]) -> bool:
    """Whether there will be no replies: calls are counted, or written for the Batch API."""
    return asking.write_batch or any(judge.section.dry_run for judge in judges)


def refuse_nothing(rows: Sequence[Row], column: str) -> None:
    """Refuse rows without one value, which must not take the place of what an earlier call brought.

    Raises:
        ModelError: with the most common reason.
    """
    if rows and all(row[column] is None for row in rows):
        reason = next(iter(reasons(rows)))
        raise ModelError(
            f"the judges brought not one of {len(rows)} verdicts; most often: {reason}. No result was written or "
            "replaced; replies that came are kept, and the same command goes on from there."
        )


def judge_files(
    paths: Sequence[Path], questions: Path | None, asking: Asking, pair: tuple[str, str] | None, seed: int
) -> Row | None:
    """Score answers, or compare two systems, and write rows, transcript and figures.

    Args:
        paths: answers in JSONL; rows without ``system`` are of the system that the file is named after. Systems of two
            files are two systems: where their names are the same, the file's name, or its folder's, stands before them.
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
    show(notes)
    sides = None if pair is None else _sides(answers, pair)
    judges, folder = open_judges(asking), asking.folder
    if sides is None:
        rows, transcript = judge_answers(judges, answers, texts)
    else:
        rows, transcript = compare_answers(judges, *sides, texts)
    if asks_nothing(asking, judges):
        return None
    scored = sides is None
    refuse_nothing(rows, "judge_mean" if scored else "points")
    figures: Row = {}
    if scored:
        figures["systems"] = system_figures(rows, RESAMPLES, seed)
        figures["comparisons"] = system_comparisons(rows, RESAMPLES, seed)
    figures |= judge_figures(rows if scored else [], [] if scored else [rows], RESAMPLES, seed)
    if sides is not None:
        figures["unanswered"] = _unanswered(*sides)
    figures |= {"judges": list(asking.models), "unscored": reasons(rows), "failed": failures(rows), "notes": notes}
    figures |= {"seed": seed, "versions": versions()}
    write_jsonl(folder / names[0], rows)
    write_jsonl(folder / names[1], transcript)
    write_json(folder / names[2], figures)
    return figures


def read_systems(paths: Sequence[Path]) -> list[Answer]:
    """Answers of several files, each under its system, named by :func:`~overton.comparing_files.read_saved`.

    Raises:
        DataError: a file cannot be read, or a system has two answers with one id.
    """
    from overton.comparing_files import read_saved

    answers = [row.answer for row in read_saved(paths)]
    twice = [key for key, count in Counter((a.system, a.id) for a in answers).items() if count > 1]
    if twice:
        raise DataError(f"system {twice[0][0]!r} has two answers with id {twice[0][1]!r}; keep one")
    return answers


def show(notes: Sequence[str]) -> None:
    """Print notes on standard error."""
    from overton.progress import console

    for note in notes:
        console.print(note, soft_wrap=True, markup=False)


def with_questions(answers: Sequence[Answer], path: Path | None) -> tuple[list[Answer], dict[str, str], list[str]]:
    """Answers under the ids of their questions, the questions' texts by id, and notes for the reader.

    Raises:
        DataError: an answer has no question, or these cannot be read (:func:`~overton.data.questions.questions_of`).
    """
    from overton.data.questions import questions_of
    from overton.evaluation.join import join, other_text_note, short

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


def reasons(rows: Sequence[Row]) -> dict[str, int]:
    """Why rows have no value, with how many; the most frequent first."""
    return dict(Counter(row["reason"] for row in rows if row["reason"]).most_common())


def judge_tables(figures: Row) -> list[Table]:
    """Tables of :func:`judge_files`' figures for the terminal."""
    from rich.markup import escape
    from rich.table import Table

    from overton.evaluation.judge.score import METRICS

    tables = []
    if systems := figures.get("systems"):
        judges = escape(", ".join(figures["judges"]))
        table = Table("", title=f"Grades from 1 to 5 by {judges} (95%)")
        for system in systems:
            table.add_column(escape(system), overflow="fold", justify="right")
        for metric in METRICS:
            table.add_row(metric, *(interval_cell(found[metric]) for found in systems.values()))
        table.add_row("scored", *(scored_cell(found["judge_mean"]) for found in systems.values()))
        tables.append(table)
    for pair in figures["pairwise"]:
        table = Table("", "", title=f"{escape(pair['a'])} against {escape(pair['b'])}, both orders (95%)")
        table.add_row("win rate", interval_cell(pair["win_rate"], 100, 1, "%"))
        for name in ("wins", "ties", "losses", "flips", "first"):
            table.add_row(name, "-" if pair[name] is None else f"{100 * pair[name]:.1f}%")
        table.add_row("scored", scored_cell(pair["win_rate"]))
        tables.append(table)
    if figures["agreement"]:
        table = Table("", "alpha", "units", title="Agreement of the judges (Krippendorff)")
        for name, found in figures["agreement"].items():
            table.add_row(name, "-" if found["alpha"] is None else f"{found['alpha']:.3f}", str(found["units"]))
        tables.append(table)
    return tables


def interval_cell(value: Row, scale: float = 1, digits: int = 2, unit: str = "") -> str:
    """A mean with its bounds: ``4.12 (3.98 to 4.25)``."""
    if value["mean"] is None:
        return "-"
    text = f"{scale * value['mean']:.{digits}f}{unit}"
    if value["low"] is None:
        return text
    return f"{text} ({scale * value['low']:.{digits}f} to {scale * value['high']:.{digits}f})"


def scored_cell(value: Row) -> str:
    """How many were scored: ``98 of 100``."""
    return f"{value['n']} of {value['n'] + value['unscored']}"
