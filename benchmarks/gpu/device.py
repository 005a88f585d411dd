"""The device that is measured: its name, its limits, its memory."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

import torch

# Dense bfloat16 TFLOP/s with float32 sums, from NVIDIA's data sheets; where a sheet prints the figure with sparsity,
# half of it. The first name that is part of the device's decides.
PEAKS = {
    "H100 PCIe": 756.0,
    "H100": 989.4,
    "H200": 989.4,
    "A100": 312.0,
    "L40S": 362.0,
    "L4": 121.0,
    "RTX 4090": 165.2,
}


def device_name() -> str:
    """As the driver has it; ``CPU`` without a GPU."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def peak_flops() -> float:
    """Dense bfloat16 FLOP/s of the device by its data sheet; 0 where it is not in the table."""
    name = device_name()
    return next((tera * 1e12 for part, tera in PEAKS.items() if part in name), 0.0)


def matrix_flops(
    inner: int, outer: int, rows: Sequence[int] = (2048, 8192), dtype: torch.dtype = torch.bfloat16
) -> float:
    """The best FLOP/s of a product (rows, inner) x (inner, outer) on this device, by the clock."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    weight = torch.randn(outer, inner, device=device, dtype=dtype)
    best = 0.0
    for count in rows if device == "cuda" else [256]:
        matrix = torch.randn(count, inner, device=device, dtype=dtype)
        for _ in range(3):
            began, times = _now(), 10 if device == "cuda" else 1
            for _ in range(times):
                torch.nn.functional.linear(matrix, weight)
            best = max(best, times * 2 * count * inner * outer / (_now() - began))
    return best


def settle(reset: bool = False) -> float:
    """Most memory that tensors took on the GPU since the last reset, in GiB; 0 without a GPU."""
    gc.collect()
    if not torch.cuda.is_available():
        return 0.0
    peak = torch.cuda.max_memory_allocated() / 2**30
    if reset:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    return round(peak, 2)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def layer_flops(model: torch.nn.Module, dtype: torch.dtype, rows: Sequence[int] = (1024, 4096, 16_384)) -> float:
    """The best FLOP/s of the model's dense layers, one after another, over numbers of rows, by the clock.

    Args:
        model: on the device that is measured.
        dtype: what is multiplied.
        rows: tokens at once; the fewest alone without a GPU.
    """
    weights = [m.weight.detach().to(dtype) for m in model.modules() if isinstance(m, torch.nn.Linear)]
    widths = {weight.shape[1] for weight in weights}
    flops, best = sum(2 * weight.numel() for weight in weights), 0.0
    for count in rows if torch.cuda.is_available() else rows[:1]:
        inputs = {width: torch.randn(count, width, device=weights[0].device, dtype=dtype) for width in widths}
        for _ in range(3):
            began = _now()
            with torch.inference_mode():
                for weight in weights:
                    torch.nn.functional.linear(inputs[weight.shape[1]], weight)
            best = max(best, count * flops / (_now() - began))
    return best
