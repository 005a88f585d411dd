"""Where bfloat16 is faster than float32, so that ``bf16: true`` means "where it helps" on every machine."""

from __future__ import annotations

import os


def has_fast_bf16(device: str) -> bool:
    """Whether this kind of device multiplies in bfloat16 by itself.

    Elsewhere torch emulates it: on an AVX2 processor a product of two 1,024 x 1,024 matrices took 140 times as long
    as in float32.

    Args:
        device: a torch device type, ``cpu`` or ``cuda``; any other has none.
    """
    import torch

    if device == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported())
    return device == "cuda" and bool(torch.cuda.is_bf16_supported(including_emulation=False))


def decided_here(bf16: bool) -> bool:
    """The same, and what ``accelerate launch`` was told is forgotten.

    Its ``mixed_precision`` comes in the environment, which transformers reads when training arguments are made, and
    would win over ``bf16=False``.
    """
    if not bf16:
        os.environ["ACCELERATE_MIXED_PRECISION"] = "no"
    return bf16
