"""Tokens of a training, and an estimate of the time they take on a named GPU."""

from __future__ import annotations

from dataclasses import dataclass

from overton.sections_training import PolicySection, TrainingSection
from overton.training.memory import GB, cache_bytes
from overton.training.shapes import Shape


@dataclass(frozen=True, slots=True)
class Gpu:
    """What its data sheet says.

    Attributes:
        memory: bytes.
        flops: a second, dense matrix products of bfloat16.
        bandwidth: bytes a second, of its memory.
    """

    memory: float
    flops: float
    bandwidth: float


GPUS = {
    "h200": Gpu(141 * GB, 989e12, 4.8e12),
    "h100": Gpu(80 * GB, 989e12, 3.35e12),
    "a100-80": Gpu(80 * GB, 312e12, 2.039e12),
    "a100-40": Gpu(40 * GB, 312e12, 1.555e12),
    "l40s": Gpu(48 * GB, 362e12, 0.864e12),
    "l4": Gpu(24 * GB, 121e12, 0.3e12),
    "rtx4090": Gpu(24 * GB, 165e12, 1.008e12),
}
# Assumed, not measured: the share of the data sheet's figures that an update and a decoding step reach.
UPDATE_SHARE, DECODE_SHARE = 0.4, 0.5
# Seconds a layer and token that transformers needs to start a GPU's kernels from Python, however few the answers:
# 12 layers took 14.3 ms a token on an H200 (docs/real_text.md). vLLM records them as CUDA graphs.
LAUNCH_SECONDS = 1.2e-3
# Bytes of vLLM's share that hold neither weights nor cache: its context, graphs and workspaces.
_VLLM_OWN = 2 * GB


def update_flops(shape: Shape, policy: PolicySection, training: TrainingSection, sequence: int) -> float:
    """Operations of one token of an update, in a sequence of so many.

    Two a parameter forward, four backward (two where the weights are frozen), two more with gradient checkpointing;
    attention beside (Chowdhery et al. 2022, arXiv 2204.02311, appendix B, halved since it is causal). Then the passes
    without gradients: TRL asks for log-probabilities before the update when vLLM generates or several steps share a
    generation, and for those of the reference when ``beta`` is above 0.
    """
    forward = 2.0 * shape.matrices + 2.0 * shape.layers * shape.heads * shape.head_dim * sequence
    passes = 1 + (1 if policy.lora_rank else 2) + (1 if training.gradient_checkpointing else 0)
    options = training.grpo
    passes += options.rollout in ("vllm", "vllm-server") or options.steps_per_generation > 1
    passes += options.beta > 0
    return forward * passes


def at_once(shape: Shape, training: TrainingSection, tokens: int, rows: int, memory: float) -> int:
    """Answers of so many tokens, prompt included, that one device generates side by side.

    transformers takes all ``rows`` in one batch; vLLM as many as its share of the memory holds. Devices that hold one
    copy of vLLM's weights generate together, the answers of all of them: this is one device's part of those.
    """
    options = training.grpo
    if options.rollout not in ("vllm", "vllm-server"):
        return rows
    share = options.vllm_gpu_memory_utilization if options.rollout == "vllm" else 0.9
    weights = 2.0 * shape.parameters / options.vllm_tensor_parallel_size
    room = share * memory - weights - _VLLM_OWN
    return max(0, min(rows, int(room / (tokens * cache_bytes(shape, 2)))))


def step_seconds(
    shape: Shape, policy: PolicySection, training: TrainingSection, gpu: Gpu, rows: int, prompt: int, answer: int
) -> dict[str, float]:
    """Estimated seconds of one GRPO step on each device, when every answer has ``answer`` tokens.

    Args:
        shape: of the policy.
        policy: full training or LoRA.
        training: rollout, checkpointing, KL term.
        gpu: the device.
        rows: answers of the step on one device.
        prompt: tokens of a prompt.
        answer: tokens of an answer.

    Returns:
        ``generation`` and ``update``; the reward is not in it, nor what processes wait for each other. With a vLLM
        server of one such device a training device.
    """
    options = training.grpo
    side_by_side = at_once(shape, training, prompt + answer, rows * options.steps_per_generation, gpu.memory)
    if not side_by_side:
        return {"generation": float("inf"), "update": float("inf")}
    rounds = rows / side_by_side
    weights = 2.0 * shape.parameters / (options.vllm_tensor_parallel_size if options.rollout == "vllm" else 1)
    read = weights + side_by_side * (prompt + answer / 2) * cache_bytes(shape, 2)
    decode = max(
        read / (gpu.bandwidth * DECODE_SHARE), side_by_side * 2.0 * shape.matrices / (gpu.flops * UPDATE_SHARE)
    )
    if options.rollout not in ("vllm", "vllm-server"):
        decode = max(decode, shape.layers * LAUNCH_SECONDS)
    prefill = rows * prompt * 2.0 * shape.matrices / (gpu.flops * UPDATE_SHARE)
    tokens = rows * (prompt + answer)
    update = tokens * update_flops(shape, policy, training, prompt + answer) / (gpu.flops * UPDATE_SHARE)
    return {"generation": rounds * answer * decode + prefill, "update": update}
