"""The benchmark as a task of lm-evaluation-harness (package lm-eval): the functions that ``overton.yaml`` names."""

from __future__ import annotations

import json
import math
from typing import Any

from overton.tasks.measure import METRICS, Evaluator, check_evaluator, load_questions, prompt_text, score_answer
from overton.types import Situation


def dataset(
    references: str = "", prompt: str = "implicit", estimator: str = "", nli_model: str = "", **_: Any
) -> dict[str, Any]:
    """The questions, as split ``test``.

    Args:
        references: questions with references, any file that ``overton score --references`` takes; without one, 200
            held-out situations of the bundled world.
        prompt: ``implicit`` (the bare question), ``explicit`` (asked for all perspectives), or a file with
            ``{question}`` in it.
        estimator: encoder that judges; without one the untuned all-MiniLM-L6-v2 at its measured threshold.
        nli_model: three-class cross-encoder that judges instead.

    Raises:
        DataError: the file is unusable.
        RecipeError: the prompt is.
        ModelError: what is to judge cannot be had.
    """
    from datasets import Dataset

    told = json.dumps(check_evaluator(Evaluator(estimator, nli_model)))
    # The harness hands a row, and nothing else, to process_results; JSON keeps the references' types as they are.
    rows = [
        {
            "id": s.id,
            "prompt": prompt_text(s.text, prompt),
            "situation": json.dumps(s.to_json()),
            "estimator": estimator,
            "nli_model": nli_model,
            "evaluator": told,  # not read again: the harness logs a row beside its scores, and has no other place
        }
        for s in load_questions(references)
    ]
    return {"test": Dataset.from_list(rows)}


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Scores of one answer; NaN, which the means leave out, where one has no value."""
    situation = Situation.from_json(json.loads(doc["situation"]))
    found = score_answer(situation, results[0], Evaluator(doc["estimator"], doc["nli_model"]))
    return {name: math.nan if found[name] is None else float(found[name]) for name in METRICS}
