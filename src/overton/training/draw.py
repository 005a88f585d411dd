"""Sampling as a logits processor, for CPUs.

``torch.multinomial`` draws a random number for every entry of the vocabulary, and nucleus sampling sorts it.
With a small model on a CPU that takes longer than the model itself. Inverse-transform sampling needs one random
number a row, and a nucleus nearly always lies within the few hundred likeliest tokens.
"""

from __future__ import annotations

import torch
from transformers import GenerationConfig, LogitsProcessor

from overton.errors import NonFiniteError
from overton.nucleus import nucleus


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
        self.rows: torch.Tensor | None = None
        self.count = 0

    def among(self, rows: torch.Tensor, count: int) -> None:
        """From now on the scores are those of ``rows`` of a batch of ``count``: each row keeps its random numbers."""
        self.rows, self.count = rows, count

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Scores of shape (batch, vocabulary), 0 for the drawn token and -inf elsewhere.

        Raises:
            NonFiniteError: the model's scores are NaN, or infinite for a token.
        """
        weights = torch.softmax(scores / self.temperature, dim=-1)
        if self.top_p < 1:
            weights = nucleus(weights, self.top_p)
        sums = weights.cumsum(dim=-1)
        total = sums[:, -1:]
        if not bool(torch.isfinite(total).all()):
            raise NonFiniteError("the model's scores of the next token are NaN or infinite")
        if self.rows is None:
            noise = torch.rand_like(total)
        else:
            noise = torch.rand(self.count, 1, dtype=total.dtype, device=total.device)[self.rows]
        draw = noise * total
        # A product rounded up to the total would point behind the last token.
        draw = draw.minimum(total.nextafter(torch.zeros_like(total)))
        chosen = torch.searchsorted(sums, draw, right=True)
        return torch.full_like(scores, -torch.inf).scatter_(-1, chosen, 0.0)  # type: ignore[return-value]


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
        and not config.stop_strings
        and (config.num_return_sequences or 1) == 1
    )
