"""The evaluation stage: answers and references in, figures out.

Every file is written whole; a system whose file of an evaluator is complete is not judged again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.data import read_answers, read_situations
from overton.errors import DataError, RunError
from overton.evaluation.coverage import ENTAILED
from overton.evaluation.independence import parts_of_run, shared_models
from overton.evaluation.judge import Judge, load_judges
from overton.evaluation.judge.stage import judge_part, judge_system
from overton.evaluation.judge.summary import failure_line
from overton.evaluation.nli import METRICS, NliModel, load_nli
from overton.evaluation.nli_curve import nli_part
from overton.evaluation.nli_model import check_nli
from overton.evaluation.oracle import is_world
from overton.evaluation.published import published_rows, published_sentences
from overton.evaluation.score import assign, entailment_rows, form_rows, oracle_rows
from overton.evaluation.summary import order_systems, summarise
from overton.jsonio import read_json, read_jsonl, sha256, write_json, write_jsonl
from overton.notes import other_text_note
from overton.progress import say
from overton.rundir import RunDir
from overton.types import Answer, Situation

if TYPE_CHECKING:
    from overton.recipe import Recipe

Maker = Callable[[str, Sequence[Answer]], list[dict[str, Any]]]  # of a system and its answers
_EVALUATORS = ("form", "oracle", "nli", "published", "judge")


def check(recipe: Recipe, run: RunDir) -> None:
    """Read all that is judged, and find the NLI models, before the stage removes what it made of or with others.

    Args:
        recipe: as for :func:`run`.
        run: the run directory.

    Raises:
        RunError: there are no answers.
        DataError: a file cannot be read or holds several systems, or an answer belongs to no test situation.
        ModelError: an NLI model is not there, or the package that the published figures want.
    """
    _read_systems(run.stage("generation"), read_situations(run.stage("data") / "test.jsonl"))
    section = recipe.evaluation
    for name in (section.nli_model, *section.nli_also):
        if name != "world":
            check_nli(name)
    if section.nli_published:
        published_sentences("")


def run(recipe: Recipe, run: RunDir) -> None:
    """Judge ``generation/*.jsonl`` against ``data/test.jsonl``.

    Writes ``SYSTEM.{oracle,nli,form,judge}.jsonl``, ``summary.json`` and ``timings.json`` (seconds an evaluator),
    for ``nli_model: world`` the cross-encoder in ``nli_model/``, with judges their transcripts in ``judge/``,
    ``SYSTEM.nli-2.jsonl`` and so on for further NLI models, and ``SYSTEM.published.jsonl`` for the published figures.

    Args:
        recipe: section ``evaluation`` and the seed.
        run: the run directory.

    Raises:
        RunError: there are no answers, or calls of judges brought no reply; what came is kept.
        DataError: a file cannot be read or holds several systems, or an answer belongs to no test situation.
        ModelError: the NLI model or a judge cannot be used.
    """
    section, folder = recipe.evaluation, run.stage("evaluation")
    situations = read_situations(run.stage("data") / "test.jsonl")
    by_id = {s.id: s for s in situations}
    systems, other_text = _read_systems(run.stage("generation"), situations)
    for name, count in other_text.items():
        for note in other_text_note(count):
            say(f"evaluation: {name}: {note}", style="yellow")
    timings = _Timings(folder / "timings.json")
    load = _nli_model(recipe, run, timings)
    judges = load_judges(section.judge.models, run.path / "llm")
    makers, models = _makers(recipe, folder, by_id, load, judges)
    rows: dict[str, dict[str, list[dict[str, Any]]]] = {name: {} for name in systems}
    for name, answers in systems.items():
        for evaluator, make in makers.items():
            path = folder / f"{name}.{evaluator}.jsonl"
            if not _is_complete(path, answers, METRICS if evaluator in models else ()):
                if evaluator in ("nli", "published") and load:
                    load()  # its training has a time of its own
                with timings.measure(evaluator, name):
                    write_jsonl(path, make(name, answers))
            rows[name][evaluator] = read_jsonl(path)
    _remove_leftovers(folder, {f"{n}.{e}.jsonl" for n in rows for e in rows[n]})
    with timings.measure("statistics", "all"):
        summary = summarise(
            rows,
            by_id,
            nli_threshold=section.nli_threshold,
            resamples=section.bootstrap,
            seed=recipe.seed,
            settings=_settings(section.nli_model if load else None, folder),
        )
    for note in summary["notes"]:
        say(f"evaluation: {note}", style="yellow")
    if models:
        with timings.measure("statistics", "nli"):
            found = {models[e]: {name: rows[name][e] for name in rows} for e in models}
            summary["nli"] = nli_part(found, section.bootstrap, recipe.seed)
    failed: dict[str, int] = {}
    if judges:
        with timings.measure("judge", "pairs"):
            summary["judge"], failed = judge_part(
                judges,
                {name: rows[name]["judge"] for name in rows},
                systems,
                by_id,
                folder,
                pairwise=section.judge.pairwise,
                resamples=section.bootstrap,
                seed=recipe.seed,
            )
        summary["settings"]["judges"] = {judge.name: judge.section.model for judge in judges}
    summary["other_text"] = other_text
    summary["warnings"] = shared_models(parts_of_run(recipe, run))
    write_json(folder / "summary.json", summary)
    spent = ", ".join(f"{name} {sum(parts.values()):.0f} s" for name, parts in timings.seconds.items())
    say(f"evaluation: {len(systems)} systems, {len(situations)} situations ({spent})")
    if failed:
        raise RunError(f"{failure_line(failed)}\nWhat came is kept: run the same command again for the rest.")


def _makers(
    recipe: Recipe,
    folder: Path,
    by_id: dict[str, Situation],
    load: Callable[[], NliModel] | None,
    judges: Sequence[Judge],
) -> tuple[dict[str, Maker], dict[str, str]]:
    """What makes the rows of each evaluator, and the name of the NLI model of each that is one."""
    section = recipe.evaluation
    makers: dict[str, Maker] = {"form": lambda name, answers: form_rows(answers, by_id)}
    if is_world(list(by_id.values())):
        makers["oracle"] = lambda name, answers: oracle_rows(name, answers, by_id)
    models: dict[str, str] = {}
    if load:
        models["nli"] = section.nli_model
        makers["nli"] = lambda name, answers: entailment_rows(name, load(), answers, by_id, section.nli_threshold)
        if section.nli_published:
            makers["published"] = lambda name, answers: published_rows(load(), answers, by_id, section.nli_threshold)
    for number, other in enumerate(section.nli_also, 2):
        models[f"nli-{number}"] = other
        makers[f"nli-{number}"] = lambda name, answers, other=other: entailment_rows(  # type: ignore[misc]
            name, _further(other), answers, by_id, section.nli_threshold
        )
    if judges:
        makers["judge"] = lambda name, answers: judge_system(judges, name, answers, by_id, folder)
    return makers, models


def _read_systems(folder: Path, situations: Sequence[Situation]) -> tuple[dict[str, list[Answer]], dict[str, int]]:
    """Answers by system, and how many of each were joined by ``id`` to a situation that is not their prompt."""
    if zipped := sorted(folder.glob("*.jsonl.gz")):
        raise DataError(f"{zipped[0]}: a stage reads no compressed answers; unpack the file with gunzip, or remove it")
    names = sorted(p.stem for p in folder.glob("*.jsonl"))
    if not names:
        raise RunError(f"{folder}: no answers to judge. `overton generate RECIPE` writes them.")
    systems, other_text = {}, {}
    for name in order_systems(names):
        path = folder / f"{name}.jsonl"
        answers = read_answers(path)
        found = list(dict.fromkeys(answer.system for answer in answers))
        if len(found) > 1:  # their rows would take each other's place, since rows are told apart by situation
            raise DataError(
                f"{path}: rows of {len(found)} systems ({', '.join(repr(name) for name in found[:5])}"
                f"{', ...' * (len(found) > 5)}). Here a file is one system, by the file's name: write a file for each, "
                "or give this one to `overton score`"
            )
        try:
            systems[name], count = assign(answers, situations)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        if count:
            other_text[name] = count
    return systems, other_text


def _nli_model(recipe: Recipe, run: RunDir, timings: _Timings) -> Callable[[], NliModel] | None:
    """Something that loads the model, or trains it, once and only when asked."""
    name, folder = recipe.evaluation.nli_model, run.stage("evaluation") / "nli_model"
    pairs = run.stage("data") / "nli.jsonl"
    if name == "world" and not pairs.is_file():
        say(
            "evaluation: no entailment figures. `nli_model: world` needs the bundled world's data/nli.jsonl; name a "
            "CrossEncoder in evaluation.nli_model, for example microsoft/deberta-v2-xlarge-mnli",
            style="yellow",
        )
        return None

    @cache
    def load() -> NliModel:
        if name != "world":
            return load_nli(name, offline=False)
        if not (folder / "benchmark.json").is_file():
            from overton.evaluation.nli_train import train_world_nli

            with timings.measure("nli_model", "training"):
                train_world_nli(pairs, folder, recipe.seed)
        return load_nli(folder)

    return load


@cache
def _further(name: str) -> NliModel:
    return load_nli(name, offline=False)


def _is_complete(path: Path, answers: Sequence[Answer], columns: Sequence[str]) -> bool:
    """Whether the file holds one row for each answer, of this version, and no call is to be made again.

    Files appear whole, so the ids tell.
    """
    try:
        rows = read_jsonl(path)
    except DataError:
        return False
    if any(row.get("failed") for row in rows):
        return False
    return [row.get("id") for row in rows] == [a.id for a in answers] and all(c in row for row in rows for c in columns)


def _remove_leftovers(folder: Path, wanted: set[str]) -> None:
    for path in folder.glob("*.jsonl"):
        if path.name not in wanted and path.name.split(".")[-2].split("-")[0] in _EVALUATORS:
            path.unlink()


def _settings(nli_model: str | None, folder: Path) -> dict[str, Any]:
    settings: dict[str, Any] = {"nli_model": nli_model, "entailed": ENTAILED}
    if nli_model == "world":
        benchmark = read_json(folder / "nli_model" / "benchmark.json")
        settings["nli_model_sha256"] = sha256(folder / "nli_model" / "model.safetensors")
        settings["nli_held_out"] = {"accuracy": benchmark["accuracy"], **benchmark["entailment"]}
    return settings


class _Timings:
    """Seconds by evaluator and system, kept over a restart."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seconds: dict[str, dict[str, float]] = read_json(path) if path.is_file() else {}

    @contextmanager
    def measure(self, evaluator: str, system: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds.setdefault(evaluator, {})[system] = round(time.perf_counter() - began, 2)
        write_json(self.path, self.seconds)
