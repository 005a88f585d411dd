"""TRL: reward functions for ``GRPOTrainer(reward_funcs=...)`` and ``trl grpo --reward_funcs``.

Ready functions, configured by the environment variable ``OVERTON_REWARD`` (see :func:`overton.rewards.load_reward`):
:func:`pluralism`, the whole reward, and its terms :func:`coverage`, :func:`uniqueness`, :func:`precision` and
:func:`form`. Each has a twin ``..._async``. Those of one trainer score a batch once. :class:`TrlReward` takes a
reward object instead.

The data set needs the column ``references`` (a list of ``{"label", "explanation"}`` or of texts, or JSON of it).
``situation`` (text; else the prompt, or its last message from the user) and ``situation_id`` (else rows with one
situation and the same references are a group) are optional. Call shape: TRL 1.16,
``GRPOTrainer._calculate_rewards``.
"""

from __future__ import annotations

import asyncio
from typing import Any

from overton.integrations.trl_preflight import CheckGroups, GroupSplitError, check_groups
from overton.integrations.trl_reward import AsyncTrlReward, TrlReward
from overton.rewards import shared_reward

Rewards = list[float | None]


def pluralism(prompts: list[Any], completions: list[Any], completion_ids: Any = None, **columns: Any) -> Rewards:
    """The whole reward of each completion; ``None`` where it could not be scored."""
    return _shared("")(prompts, completions, completion_ids, **columns)


def coverage(prompts: list[Any], completions: list[Any], completion_ids: Any = None, **columns: Any) -> Rewards:
    """Share of the references that each completion states."""
    return _shared("coverage")(prompts, completions, completion_ids, **columns)


def uniqueness(prompts: list[Any], completions: list[Any], completion_ids: Any = None, **columns: Any) -> Rewards:
    """Of each completion's perspectives that state a reference, the share that repeat no other; 0 without any."""
    return _shared("uniqueness")(prompts, completions, completion_ids, **columns)


def precision(prompts: list[Any], completions: list[Any], completion_ids: Any = None, **columns: Any) -> Rewards:
    """Share of each completion's perspectives that state a reference, each reference once."""
    return _shared("precision")(prompts, completions, completion_ids, **columns)


def form(prompts: list[Any], completions: list[Any], completion_ids: Any = None, **columns: Any) -> Rewards:
    """What the layout of each completion costs or earns, as the preset has it."""
    return _shared("form")(prompts, completions, completion_ids, **columns)


async def pluralism_async(*args: Any, **columns: Any) -> Rewards:
    """:func:`pluralism` in a thread."""
    return await asyncio.to_thread(pluralism, *args, **columns)


async def coverage_async(*args: Any, **columns: Any) -> Rewards:
    """:func:`coverage` in a thread."""
    return await asyncio.to_thread(coverage, *args, **columns)


async def uniqueness_async(*args: Any, **columns: Any) -> Rewards:
    """:func:`uniqueness` in a thread."""
    return await asyncio.to_thread(uniqueness, *args, **columns)


async def precision_async(*args: Any, **columns: Any) -> Rewards:
    """:func:`precision` in a thread."""
    return await asyncio.to_thread(precision, *args, **columns)


async def form_async(*args: Any, **columns: Any) -> Rewards:
    """:func:`form` in a thread."""
    return await asyncio.to_thread(form, *args, **columns)


def _shared(term: str) -> TrlReward:
    """The process's one reward; the trainer is asked for what the functions cannot be told."""
    return TrlReward(shared_reward(), term=term, num_generations=None)


__all__ = [
    "AsyncTrlReward",
    "CheckGroups",
    "GroupSplitError",
    "TrlReward",
    "check_groups",
    "coverage",
    "coverage_async",
    "form",
    "form_async",
    "pluralism",
    "pluralism_async",
    "precision",
    "precision_async",
    "uniqueness",
    "uniqueness_async",
]
