"""Nucleus sampling without a sort of the whole vocabulary."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_LIKELIEST = 256  # tokens that nearly always hold the nucleus


def nucleus(weights: torch.Tensor, top_p: float | torch.Tensor) -> torch.Tensor:
    """Probabilities with everything outside the nucleus set to 0 (Holtzman et al. 2020, arXiv 1904.09751).

    Args:
        weights: probabilities of shape (batch, vocabulary).
        top_p: the nucleus is the smallest set of likeliest tokens whose sum reaches it; tokens as likely as
            its last one stay too. One for all rows, or of shape (batch, 1).
    """
    likeliest = weights.topk(min(_LIKELIEST, weights.shape[-1]), dim=-1).values
    if bool((likeliest.sum(-1, keepdim=True) < top_p).any()):
        likeliest = weights.sort(dim=-1, descending=True).values
    before = likeliest.cumsum(-1) - likeliest
    last = (before < top_p).sum(-1, keepdim=True) - 1
    return weights.masked_fill(weights < likeliest.gather(-1, last), 0.0)
