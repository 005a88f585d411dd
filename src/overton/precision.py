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


def ignore_launchers_precision() -> None:
    """Let ``bf16`` of the training arguments that are made next decide alone.

    ``accelerate launch`` hands its ``mixed_precision`` over in the environment, and transformers reads it when training
    arguments are made: it would win over ``bf16=False``.
    """
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
