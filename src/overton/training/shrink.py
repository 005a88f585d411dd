"""Faster generation: weights cast once; on a CPU batches that shrink as answers end, and sampling that costs little.

``generate`` keeps a row in the batch until the longest one has ended. On a CPU a token takes about as long as there are
rows, and the longest answer of a hundred has twice the tokens of the mean one, so half of the time would go into
padding. A GPU takes about as long for a few rows as for many.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from overton.training.cache import roomy_cache
from overton.training.draw import DirectSampler, samples_plainly

# Fewer rows, or a smaller share of them, would not pay for copying the cache.
_ROWS = 8
_SHARE = 4


class _EnoughEnded(StoppingCriteria):
    """Stops the whole batch when so many of its rows have ended that it pays to drop them."""

    def __init__(self, rows: int, ends: torch.Tensor) -> None:
        self.ends = ends
        self.ended = torch.zeros(rows, dtype=torch.bool, device=ends.device)
        self.enough = max(_ROWS, rows // _SHARE)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        self.ended |= torch.isin(input_ids[:, -1], self.ends)
        return torch.full_like(self.ended, int(self.ended.sum()) >= self.enough)  # type: ignore[return-value]


def generate_shrinking(
    generate: Callable[..., Any],
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    config: GenerationConfig,
    sampler: DirectSampler | None = None,
    cache: DynamicCache | None = None,
) -> torch.Tensor:
    """What ``generate`` gives, from a batch that shrinks.

    The tokens are the same up to rounding: a sampler's random numbers do not depend on which rows are left.

    Args:
        generate: a causal model's ``generate``.
        input_ids: (n, prompt) token ids, padded on the left.
        attention_mask: (n, prompt), 0 at padding.
        config: greedy, with ``max_new_tokens``, ``pad_token_id`` and ``eos_token_id``; an answer ends by nothing else.
        sampler: draws the tokens in place of greedy decoding.
        cache: an empty one (:func:`overton.training.cache.roomy_cache`); ``None`` = of the library's own.

    Returns:
        (n, prompt + longest answer) token ids.
    """
    config = copy.deepcopy(config)
    config.return_dict_in_generate = True
    ends = torch.tensor(as_list(config.eos_token_id), dtype=torch.long, device=input_ids.device)
    prompt, limit = input_ids.shape[1], input_ids.shape[1] + config.max_new_tokens
    output = input_ids.new_full((len(input_ids), limit), config.pad_token_id)
    rows = torch.arange(len(input_ids), device=input_ids.device)
    while True:
        config.max_new_tokens = limit - input_ids.shape[1]
        if sampler is not None:
            sampler.among(rows, len(output))
        found = generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            generation_config=config,
            logits_processor=LogitsProcessorList([] if sampler is None else [sampler]),
            stopping_criteria=StoppingCriteriaList([_EnoughEnded(len(rows), ends)]),
        )
        length = found.sequences.shape[1]
        output[rows, :length] = found.sequences
        left = (~torch.isin(found.sequences[:, prompt:], ends).any(dim=1)).nonzero().squeeze(1)
        if len(left) == 0 or length == limit:
            return output[:, :length]
        new = attention_mask.new_ones(len(left), length - attention_mask.shape[1])
        attention_mask = torch.cat([attention_mask[left], new], dim=1)
        rows, input_ids, cache = rows[left], found.sequences[left], found.past_key_values
        if isinstance(cache, DynamicCache):
            cache.reorder_cache(left)  # unlike batch_select_indices, also of linear attention
        else:
            cache = None  # of a kind that cannot be cut: the text is read again


@contextmanager
def fast_generate(model: Any, autocast: AbstractContextManager[Any] | None = None) -> Iterator[None]:
    """Let ``model.generate(generation_config=...)`` sample with :class:`DirectSampler`, and in a shrinking batch.

    For callers that leave the sampling to the library, as TRL does. On other devices than a CPU ``autocast`` alone is
    new, and so it is where the configuration asks for more than temperature and top-p.

    Args:
        model: a causal model.
        autocast: what its forward pass enters by itself. Entered around all of them, it turns each weight to bfloat16
            once, and not for every token.
    """
    generate = model.generate

    def draw(*args: Any, generation_config: GenerationConfig, **kwargs: Any) -> Any:
        if not samples_plainly(generation_config):
            return generate(*args, generation_config=generation_config, **kwargs)
        sampler = DirectSampler(generation_config.temperature or 1.0, generation_config.top_p or 1.0)
        config = greedy(generation_config)
        # Without ids of its own the configuration would take the model's, which are not known here.
        complete = config.pad_token_id is not None and config.eos_token_id is not None
        if complete and not args and set(kwargs) == {"input_ids", "attention_mask"}:
            cache = roomy_cache(model, config)
            return generate_shrinking(generate, **kwargs, config=config, sampler=sampler, cache=cache)
        processors = LogitsProcessorList([*(kwargs.pop("logits_processor", None) or []), sampler])
        return generate(*args, generation_config=config, logits_processor=processors, **kwargs)

    own = model.device.type == "cpu"
    if own:
        model.generate = draw
    try:
        with autocast or nullcontext():
            yield
    finally:
        if own:
            del model.generate


def greedy(config: GenerationConfig) -> GenerationConfig:
    """A copy that always takes the likeliest token."""
    config = copy.deepcopy(config)
    config.update(do_sample=False, temperature=None, top_p=None, top_k=None)
    return config


def as_list(ids: int | list[int] | None) -> list[int]:
    """Token ids as ``transformers`` keeps them: none, one or several."""
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)
