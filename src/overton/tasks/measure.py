"""What both harnesses need: questions with references, the text that is asked, and the scores of one answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overton.errors import DataError, RecipeError
from overton.types import Answer, Situation

if TYPE_CHECKING:
    from overton.estimator import SimilarityEstimator
    from overton.evaluation.nli import NliModel

METRICS = ("coverage", "precision", "uniqueness", "f1")
PROMPTS = ("implicit", "explicit")
_WORLD = (5, 5, 200)  # situations of the bundled world: train, dev and test; only test's are asked


@dataclass(frozen=True, slots=True)
class Evaluator:
    """What judges answers.

    Attributes:
        estimator: as ``--estimator`` of ``overton score``; ``""`` = the untuned all-MiniLM-L6-v2 at the threshold that
            was measured on labels of people.
        nli_model: name or folder of a three-class cross-encoder that judges instead; ``""`` = none.
    """

    estimator: str = ""
    nli_model: str = ""


def load_questions(references: str = "") -> list[Situation]:
    """Questions with their references.

    Args:
        references: a file as ``overton score --references`` takes it; ``""`` = 200 held-out situations of the bundled
            world.

    Raises:
        DataError: the file is unusable.
    """
    if not references:
        from overton.data.world.generate import make_world

        return list(make_world(*_WORLD, seed=0).test)
    from overton.data.table import read_table

    return [row.situation for row in read_table(Path(references).expanduser(), {}, labels=False)]


def prompt_text(question: str, prompt: str) -> str:
    """What the model is asked.

    Args:
        question: the situation.
        prompt: ``implicit`` (the bare question), ``explicit`` (asked for all perspectives), or a file with
            ``{question}`` in it.

    Raises:
        RecipeError: the file cannot be read, or lacks its place.
    """
    return _prompt(prompt).fill(question=question)


@cache
def _prompt(prompt: str) -> Any:
    from overton.generation.prompts import load_prompts
    from overton.sections_generation import SystemSection

    known = prompt in PROMPTS
    if not known and not Path(prompt).expanduser().is_file():
        raise RecipeError(f"prompt: {prompt!r} is neither {' nor '.join(PROMPTS)} nor a file with {{question}} in it")
    strategy = prompt if known else "implicit"
    own = {} if known else {"implicit": prompt}
    system = SystemSection(name="task", model="task", strategy=strategy, prompts=own)  # type: ignore[arg-type]
    return load_prompts(system)[strategy]


@cache
def check_evaluator(evaluator: Evaluator) -> dict[str, Any]:
    """See that the judging model can be had, before answers are paid for that nothing could score.

    Args:
        evaluator: what is to judge.

    Returns:
        What the harness's log has to tell of it: ``judge`` (``encoder`` or ``nli``), ``model`` (a folder without the
        path to it), ``version`` (hash of its files; of an NLI model of the hub its commit, ``""`` = not known),
        ``threshold`` (cosine, or P(entailment), from which a sentence states a reference) and ``overton`` (release).

    Raises:
        ModelError: a model cannot be had, or is not of its kind.
    """
    from overton.estimator.models import model_folder, model_hash
    from overton.estimator.open import DEFAULT_BASE
    from overton.evaluation.coverage import ENTAILED
    from overton.evaluation.nli_model import check_nli
    from overton.folders import shown_model
    from overton.rundir import versions

    release = versions().get("overton", "")
    if name := evaluator.nli_model:
        version = check_nli(name)  # its weights may have no room beside the model that answers
        if (folder := Path(name).expanduser()).is_dir():
            version = model_hash(folder)
        found = {"judge": "nli", "model": shown_model(name), "version": version, "threshold": ENTAILED}
    else:
        name = evaluator.estimator or DEFAULT_BASE
        _, threshold = _encoder(evaluator.estimator)
        version = model_hash(model_folder(name))
        found = {"judge": "encoder", "model": shown_model(name), "version": version, "threshold": threshold}
    return {**found, "overton": release}


def score_answer(situation: Situation, text: str, evaluator: Evaluator) -> dict[str, Any]:
    """Scores of one answer.

    Args:
        situation: with its references.
        text: what the model wrote; reasoning and debris of chat templates are removed first.
        evaluator: what judges it.

    Returns:
        ``coverage``, ``precision``, ``uniqueness`` and ``f1``, ``None`` where one has no value; and ``reason``.

    Raises:
        DataError: the situation has no reference.
        ModelError: a model cannot be had.
    """
    from overton.generation.clean import clean_answer

    if not situation.perspectives:
        raise DataError(f"{situation.id}: no references to score against")
    answer = Answer(situation.id, situation.text, clean_answer(text))
    if evaluator.nli_model:
        from overton.evaluation.nli import nli_rows

        (row,) = nli_rows(_nli(evaluator.nli_model), [answer], {situation.id: situation})
        return {name: row[name] for name in (*METRICS, "reason")}
    from overton.commands.scoring_similarity import item_of, similarity_row

    encoder, threshold = _encoder(evaluator.estimator)
    units, references = item_of(answer, situation).units, [p.explanation for p in situation.perspectives]
    texts = [*references, *units]
    vectors = encoder.encode(texts, [situation.text] * len(texts))
    row = similarity_row(vectors[: len(references)], vectors[len(references) :], threshold)
    reason = "" if row["units"] else "no perspective stated: precision and uniqueness have no value"
    return {**{name: row[name] for name in METRICS}, "reason": reason}


@cache
def _encoder(name: str) -> tuple[SimilarityEstimator, float]:
    from overton.commands.scoring_similarity import choose_threshold
    from overton.estimator.open import open_estimator

    encoder, shown = open_estimator(name or None)
    return encoder, float(choose_threshold(encoder, shown, None, [])["value"])


@cache
def _nli(name: str) -> NliModel:
    from overton.evaluation.nli import load_nli

    return load_nli(name, offline=False)
