"""OpenRLHF: ``--reward.remote_url FILE``, where FILE is this module's own file; function :func:`reward_func`.

OpenRLHF loads the file by its path, in each rollout engine, and asks for one answer a call from a thread. The
column that ``--data.label_key`` names holds the references, alone or with the situation; see :func:`reward_func`.
The settings come from the environment variable ``OVERTON_REWARD``. Call shape: OpenRLHF 0.11,
``openrlhf/utils/agent.py``.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from overton.errors import DataError
from overton.integrations.common import (
    first_rows,
    from_json_text,
    is_missing,
    load_lone_scorer,
    log_unscored,
    situation_text,
)
from overton.rewards import parse_references
from overton.segment import behind
from overton.types import Group, Score

_log = logging.getLogger("overton.integrations")
# Tokens that chat templates and tokenizers add; <think> and the template's own tags are not among them, and those of
# gpt-oss that tell its answer from its thoughts are kept in answers.
_SPECIAL = re.compile(
    r"<\|[^|<>\s]{1,60}\|>|<｜[^｜<>\s]{1,60}｜>|</?s>|<(?:bos|eos|pad|unk|start_of_turn|end_of_turn)>"
    r"|\[(?:PAD|BOS|EOS|UNK|CLS|SEP)\]"
)
_KEPT = ("<|channel|>", "<|message|>")
_LEAST_OVERLAP = 8  # characters of a prompt that was cut on the left; fewer may agree by chance


def reward_func(queries: Sequence[Any], prompts: Sequence[Any], labels: Sequence[Any]) -> dict[str, Any]:
    """Rewards of some answers; OpenRLHF asks for one at a time.

    Args:
        queries: prompt and answer together, with special tokens.
        prompts: the prompts.
        labels: of each, a mapping with ``references`` (a list of texts or of mappings with ``explanation`` and
            perhaps ``label``) and perhaps ``situation``; or such a list alone; or either as JSON text. Without a
            situation the prompt's words count as the situation's.

    Returns:
        ``rewards``; ``scores``, the same between 0 and 1, for dynamic filtering; and ``extra_logs``, with every term
        and ``unscored``: tensors with one number an answer. OpenRLHF knows no missing reward, so an answer that
        could not be scored has reward 0 and ``unscored`` 1, and the reason is logged.

    Raises:
        OvertonError: the settings, or the estimator they name, are of no use, a term compares answers of a group, the
            lists differ in length, or not one of the first 32 rows could be read. OpenRLHF logs what a reward function
            raises among its information only, so it is logged here first.
    """
    import torch

    try:
        if not len(queries) == len(prompts) == len(labels):
            raise DataError(
                f"reward_func: {len(queries)} queries, {len(prompts)} prompts and {len(labels)} labels; one each is "
                "wanted"
            )
        scorer = load_lone_scorer("OpenRLHF")
        scores = _scores(scorer.score, queries, prompts, labels)
    except Exception as error:
        _log.error("the reward failed, and training cannot go on: %s: %s", type(error).__name__, error)
        raise
    values = [0.0 if score.value is None else score.value for score in scores]
    terms = [scorer.named_terms(score) for score in scores]
    logs = {name: [row[name] for row in terms] for name in scorer.terms}
    logs["unscored"] = [float(score.value is None) for score in scores]
    rewards = torch.tensor(values, dtype=torch.float32)
    return {
        "rewards": rewards,
        "scores": rewards.clamp(0.0, 1.0),
        "extra_logs": {name: torch.tensor(column, dtype=torch.float32) for name, column in logs.items()},
    }


def _scores(score: Any, queries: Sequence[Any], prompts: Sequence[Any], labels: Sequence[Any]) -> list[Score]:
    scores = [Score(None)] * len(queries)
    groups: dict[int, Group] = {}
    for index, row in enumerate(zip(queries, prompts, labels, strict=True)):
        try:
            groups[index] = read_sample(*row)
        except DataError as error:
            first_rows.unreadable(error)
            scores[index] = Score(None, str(error))
        else:
            first_rows.readable()
    for index, found in zip(groups, score(list(groups.values())), strict=True):
        scores[index] = found
    for found in scores:
        if found.value is None:
            log_unscored(found.reason)
    return scores


def read_sample(query: Any, prompt: Any, label: Any) -> Group:
    """One sample, as :func:`reward_func` gets it, as a group of one answer.

    Raises:
        DataError: the row of the data set lacks something, or the query does not begin with its prompt.
    """
    if not isinstance(query, str) or not isinstance(prompt, str):
        raise DataError(f"query and prompt: texts are wanted, found {type(query).__name__}, {type(prompt).__name__}")
    found = from_json_text(label, "label")
    if isinstance(found, Mapping):
        references, situation = found.get("references"), found.get("situation")
    else:
        references, situation = found, None
    if is_missing(situation):
        situation = _SPECIAL.sub(" ", prompt).strip()
    answer = behind(prompt, response_text(query, prompt))
    return Group(situation_text(situation, "label"), parse_references(references, "label"), (answer,))


def response_text(query: str, prompt: str) -> str:
    """What the model wrote, without the prompt and without special tokens but those that name gpt-oss's channels.

    A query is decoded from tokens. So its spaces may differ from the prompt's, and where the prompt was too long,
    its beginning is gone.

    Raises:
        DataError: the query does not begin with the prompt or the end of it.
    """
    if query.startswith(prompt):
        return _plain(query[len(prompt) :])
    asked = "".join(prompt.split())
    places = [index for index, character in enumerate(query) if not character.isspace()]
    given = "".join(query[index] for index in places)
    for start in range(len(asked)):
        kept = len(asked) - start
        if start and kept < _LEAST_OVERLAP:
            break
        if asked[start] == given[:1] and given.startswith(asked[start:]):
            return _plain(query[places[kept - 1] + 1 :])
    raise DataError(
        "query: does not begin with its prompt, nor with the end of it, so the answer cannot be told from the prompt; "
        "the tokenizer does not give back the text it was given"
    )


def _plain(answer: str) -> str:
    return _SPECIAL.sub(lambda mark: mark[0] if mark[0] in _KEPT else "", answer).strip()
