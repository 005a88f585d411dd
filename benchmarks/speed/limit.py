"""How fast this machine multiplies matrices of the model's own shapes, and what the unique tokens need."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from overton.estimator import SimilarityEstimator

ROWS = (512, 1024, 2048)


class Multiplier:
    """Dense layers of the model's shapes, all layers after each other, as a forward pass needs them.

    Args:
        model: a Sentence Transformer of a BERT.
        dtype: what is multiplied.
    """

    def __init__(self, model: Any, dtype: torch.dtype) -> None:
        layers = [m for name, m in model[0].auto_model.encoder.named_modules() if isinstance(m, torch.nn.Linear)]
        self.weights = [(m.weight.detach().to(dtype), m.bias.detach().to(dtype)) for m in layers]
        widths = {weight.shape[1] for weight, _ in self.weights}
        self.inputs = {(rows, width): torch.randn(rows, width).to(dtype) for rows in ROWS for width in widths}
        self.flops_a_token = sum(2 * weight.numel() for weight, _ in self.weights)

    @torch.inference_mode()
    def speed(self, times: int = 3) -> tuple[float, float]:
        """The best FLOP/s over block sizes, by processor seconds and by the clock."""
        found = []
        for rows in ROWS:
            for _ in range(times):
                wall, cpu = time.perf_counter(), time.process_time()
                for weight, bias in self.weights:
                    F.linear(self.inputs[rows, weight.shape[1]], weight, bias)
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                found.append((rows * self.flops_a_token / cpu, rows * self.flops_a_token / wall))
        return max(f[0] for f in found), max(f[1] for f in found)


def needed_flops(estimator: SimilarityEstimator, prepared: Sequence[str], flops_a_token: int) -> tuple[int, int, int]:
    """Unique texts, their tokens, and the floating-point operations of their dense layers and attention."""
    unique = list(dict.fromkeys(prepared))
    lengths = estimator._token_lengths(unique)
    config = estimator.model[0].auto_model.config
    attention = 4 * config.hidden_size * config.num_hidden_layers * sum(n * n for n in lengths)
    return len(unique), sum(lengths), flops_a_token * sum(lengths) + attention
