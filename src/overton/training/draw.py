"""Sampling as a logits processor, for CPUs.

``torch.multinomial`` draws a random number for every entry of the vocabulary, and nucleus sampling sorts it.
With a small model on a CPU that takes longer than the model itself. Inverse-transform sampling needs one random
number a row, and a nucleus nearly always lies within the few hundred likeliest tokens.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList

_LIKELIEST = 256


class DirectSampler(LogitsProcessor):
    """Draws the next token and leaves it as the only candidate, so that greedy decoding takes it.

    The distribution is that of ``generate(do_sample=True, temperature=..., top_p=..., top_k=0)``; only the
    random numbers differ.

    Args:
        temperature: above 0.
        top_p: nucleus, in (0, 1]; 1 keeps all tokens.
    """

    def __init__(self, temperature: float = 1.0, top_p: float = 1.0) -> None:
        self.temperature = temperature
        self.top_p = top_p

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores of shape (batch, vocabulary), 0 for the drawn token and -inf elsewhere."""
        weights = torch.softmax(scores / self.temperature, dim=-1)
        if self.top_p < 1:
            weights = nucleus(weights, self.top_p)
        sums = weights.cumsum(dim=-1)
        total = sums[:, -1:]
        draw = torch.rand_like(total) * total
        # A product rounded up to the total would point behind the last token.
        draw = draw.minimum(total.nextafter(torch.zeros_like(total)))
        chosen = torch.searchsorted(sums, draw, right=True)
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen, 0.0)  # type: ignore[return-value]


def nucleus(weights: torch.Tensor, top_p: float) -> torch.Tensor:
    """Probabilities with everything outside the nucleus set to 0 (Holtzman et al. 2020, arXiv 1904.09751).

    Args:
        weights: probabilities of shape (batch, vocabulary).
        top_p: the nucleus is the smallest set of likeliest tokens whose sum reaches it; tokens as likely as
            its last one stay too.
    """
    count = min(_LIKELIEST, weights.shape[-1])
    likeliest = weights.topk(count, dim=-1).values
    if bool((likeliest.sum(-1) < top_p).any()):
        likeliest = weights.sort(dim=-1, descending=True).values
    before = likeliest.cumsum(-1) - likeliest
    last = (before < top_p).sum(-1, keepdim=True) - 1
    return weights.masked_fill(weights < likeliest.gather(-1, last), 0.0)


@contextmanager
def direct_sampling(model: Any) -> Iterator[None]:
    """Let ``model.generate(generation_config=...)`` sample with :class:`DirectSampler` inside the block.

    For callers that leave the sampling to the library, as TRL does. Nothing changes on other devices than a CPU,
    or where the configuration asks for more than temperature and top-p.
    """
    generate = model.generate

    def draw(*args: Any, generation_config: GenerationConfig, **kwargs: Any) -> Any:
        if samples_plainly(generation_config):
            config = copy.deepcopy(generation_config)
            sampler = DirectSampler(config.temperature or 1.0, config.top_p or 1.0)
            config.update(do_sample=False, temperature=None, top_p=None, top_k=None)
            kwargs["logits_processor"] = LogitsProcessorList([*(kwargs.get("logits_processor") or []), sampler])
            generation_config = config
        return generate(*args, generation_config=generation_config, **kwargs)

    if model.device.type != "cpu":
        yield
        return
    model.generate = draw
    try:
        yield
    finally:
        del model.generate


def samples_plainly(config: GenerationConfig) -> bool:
    """Whether temperature and top-p are all that shapes the sampling, so that :class:`DirectSampler` can do it."""
    others = ("top_k", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff", "top_h")
    neutral = (None, 0, 0.0, 1.0)
    return bool(
        config.do_sample
        and (config.num_beams or 1) == 1
        and all(getattr(config, name, None) in neutral for name in others)
        and not config.renormalize_logits
        and config.watermarking_config is None
    )
