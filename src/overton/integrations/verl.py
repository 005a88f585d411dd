"""verl: ``reward.custom_reward_function.path=pkg://overton.integrations.verl``, function :func:`compute_score`.

verl asks for one answer a call, from a pool of threads in each of its reward workers. Rows of the data set need
``extra_info.situation`` (or ``question``), and the references in ``extra_info.references`` or in
``reward_model.ground_truth``. Call shape: verl 0.9.1, ``verl/experimental/reward_loop/reward_manager``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overton.errors import DataError, RecipeError
from overton.integrations.common import first_rows, is_missing, load_lone_scorer, log_unscored, situation_text
from overton.rewards import parse_references
from overton.segment import behind
from overton.types import Group, Score


def compute_score(
    data_source: Any,
    solution_str: Any,
    ground_truth: Any,
    extra_info: Any = None,
    *,
    reward: str | None = None,
    preset: str | None = None,
    prompt_end: str = "",
    reward_router_address: Any = None,
    reward_model_tokenizer: Any = None,
    **overrides: Any,
) -> dict[str, float]:
    """The reward of one answer.

    Args:
        data_source: verl's name of the data set, for messages.
        solution_str: the answer.
        ground_truth: the references, unless ``extra_info`` has them; in the forms that
            :func:`overton.rewards.parse_references` reads.
        extra_info: a mapping with ``situation`` (or ``question``) and perhaps ``references``.
        reward: with this, ``preset`` and ``overrides``, ``reward_kwargs`` choose another reward than the environment
            variable ``OVERTON_REWARD``: a settings file, run directory, estimator folder or hub name.
        preset: name of a preset, or its file; where ``reward`` names another one, its overrides do not count.
        prompt_end: what the chat template ends every prompt with, as far as it matters: of ``<think>`` an answer that
            never ends the thought counts as empty. verl hands over neither the prompt as the model read it nor the
            tokenizer.
        reward_router_address: verl's own; not looked at.
        reward_model_tokenizer: verl's own; not looked at.
        overrides: fields of the preset.

    Returns:
        ``score``, every term of the preset, and ``unscored``: the same keys for every answer. verl knows no missing
        reward, so an answer that could not be scored has ``score`` 0 and ``unscored`` 1, and the reason is logged.

    Raises:
        OvertonError: the settings, or the estimator they name, are of no use, a term compares answers of a group, or
            not one of the first 32 rows could be read.
    """
    if not isinstance(prompt_end, str):
        raise RecipeError(f"prompt_end: a text such as '<think>' is wanted, found {prompt_end!r}")
    scorer = load_lone_scorer("verl", reward, preset, **overrides)
    try:
        answer = behind(prompt_end, solution_str) if isinstance(solution_str, str) else solution_str
        group = _group(f"data source {data_source!r}", answer, ground_truth, extra_info)
    except DataError as error:
        first_rows.unreadable(error)
        score = Score(None, str(error))
    else:
        first_rows.readable()
        score = scorer.score([group])[0]
    if score.value is None:
        log_unscored(score.reason)
    value = 0.0 if score.value is None else float(score.value)
    return {"score": value, **scorer.named_terms(score), "unscored": float(score.value is None)}


def _group(where: str, answer: Any, ground_truth: Any, extra_info: Any) -> Group:
    """Raises DataError for what the row of the data set lacks."""
    extra = extra_info if isinstance(extra_info, Mapping) else {}
    name = "question" if is_missing(extra.get("situation")) else "situation"
    situation = situation_text(extra.get(name), f"{where}, extra_info.{name}")
    if not is_missing(extra.get("references")):
        references = parse_references(extra["references"], f"{where}, extra_info.references")
    else:
        references = parse_references(ground_truth, f"{where}, reward_model.ground_truth")
    return Group(situation, references, (answer,))
