"""An estimate of the memory of one device, and where it goes.

Weights, gradients and optimizer states are counted exactly; sharded ones as in ZeRO (Rajbhandari et al. 2020,
arXiv 1910.02054, figure 1). Activations are those that autograd keeps of a layer of the Llama family with RMSNorm,
SwiGLU and a fused attention; a test compares both with real tensors. What drivers, workspaces and fragmentation take
is an allowance, not a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from overton.sections_training import PolicySection, TrainingSection
from overton.training.shapes import Shape

GB = 1e9
Sharding = Literal["ddp", "zero2", "zero3", "fsdp2"]
SHARDINGS: tuple[Sharding, ...] = ("ddp", "zero2", "zero3", "fsdp2")
# Context of the driver, workspaces of the libraries, connections; and of all the rest, for fragmentation.
_ALLOWANCE, _FRAGMENTS = 1.0 * GB, 0.05
# Bits a weight of NF4 with quantized scales: 4 and 0.127 (Dettmers et al. 2023, arXiv 2305.14314, section 3).
_NF4 = 4.127 / 8
# Tokens and vocabulary of the tile of logits that TRL 1.16 holds at a time (trl/kernels/chunked_logprob.py).
_TILE = (4096, 32768)


@dataclass(frozen=True, slots=True)
class Load:
    """What one device has to do in one part of the training.

    Attributes:
        rows: sequences of one forward pass.
        tokens: of the longest of them.
        sampled: sequences generated at a time; 0 = none.
        processes: devices.
        sharding: how weights and states are spread over them.
        memory: bytes of the device, ``None`` = unknown.
        estimator: parameters of the estimator on this device.
        reference: whether a second copy of the weights is kept for the KL term.
        optimizer: of this part.
    """

    rows: int
    tokens: int
    sampled: int = 0
    processes: int = 1
    sharding: Sharding = "ddp"
    memory: float | None = None
    estimator: int = 0
    reference: bool = False
    optimizer: Literal["adamw", "muon"] = "adamw"


def estimate(shape: Shape, policy: PolicySection, training: TrainingSection, load: Load) -> dict[str, float]:
    """Bytes of one device at its peak, by what takes them; ``total`` is the greater of update and generation.

    Args:
        shape: of the policy.
        policy: full training, LoRA or QLoRA.
        training: precision, checkpointing, rollout.
        load: batch and devices.

    Returns:
        ``weights``, ``reference``, ``optimizer``, ``estimator``, ``vllm``, ``buckets`` (kept all the time);
        ``gradients``, ``copies``, ``activations``, ``logits`` (update); ``cache``, ``rounded`` (generation; the latter
        are weights that stand twice there); ``allowance``;
        ``update``, ``generation``, ``total``.
    """
    kept = states(shape, policy, training, load)
    gradients = kept.pop("gradients")
    kept["estimator"] = load.estimator * 6.0  # float32, and rounded to bfloat16
    kept["vllm"] = 0.0
    if load.sampled and training.grpo.rollout == "vllm":
        weights = 2.0 * shape.parameters / training.grpo.vllm_tensor_parallel_size
        # Without a known device: the weights and room for one answer a row.
        share = training.grpo.vllm_gpu_memory_utilization * load.memory if load.memory else 0.0
        kept["vllm"] = share or weights + load.tokens * cache_bytes(shape, 2)
    update = {
        "gradients": gradients,
        "copies": weight_copies(shape, policy, training, load),
        "activations": activations(shape, policy, training, load.rows * load.tokens),
        "logits": logits(shape, policy, training, load.rows * load.tokens),
    }
    generation = {
        "cache": _generation(shape, policy, training, load),
        "rounded": _rounded(shape, policy, training, load),
    }
    always = sum(kept.values())
    peak = always + max(sum(update.values()), sum(generation.values()))
    allowance = _ALLOWANCE + _FRAGMENTS * (peak - kept["vllm"])
    return {
        **kept,
        **update,
        **generation,
        "allowance": allowance,
        "update": always + sum(update.values()) + allowance,
        "generation": always + sum(generation.values()) + allowance,
        "total": peak + allowance,
    }


def trained(shape: Shape, policy: PolicySection) -> int:
    """Parameters that are trained."""
    return policy.lora_rank * shape.adapter if policy.lora_rank else shape.parameters


def states(shape: Shape, policy: PolicySection, training: TrainingSection, load: Load) -> dict[str, float]:
    """Bytes of ``weights``, ``reference``, ``gradients``, ``buckets`` and ``optimizer`` on one device.

    All weights are trained in float32, an adapter too but for QLoRA, where TRL makes it bfloat16; AdamW keeps two
    numbers a parameter of its type. DeepSpeed trains bfloat16 weights with a float32 copy among its states. DDP
    copies gradients into buckets of the same size. Where gradients are shared out they are so after each pass of a
    step, for FSDP by the arguments of :mod:`overton.training.arguments`. Weights in 4 bits stay whole on each device
    with FSDP: accelerate leaves what is no floating-point number out of the shares.
    """
    count, number = trained(shape, policy), load.processes
    low = load.sharding in ("zero2", "zero3") and training.bf16
    if policy.load_in_4bit:
        frozen, size = _frozen(shape), 2.0
    elif policy.lora_rank:
        frozen, size = float(shape.parameters * shape.saved_bytes), 2.0 if low else 4.0
    else:
        frozen, size = 0.0, 2.0 if low else 4.0
    weights, gradients = frozen + count * size, count * size
    optimizer = count * (2 * size if policy.load_in_4bit and not low else 12.0 if low else 8.0)
    reference = shape.parameters * size if load.reference and not policy.lora_rank else 0.0
    if load.optimizer == "muon" and not policy.lora_rank:
        optimizer -= 4.0 * shape.linear  # one momentum in place of two
    sharded = load.sharding in ("zero3", "fsdp2")
    whole = shape.linear * _NF4 if policy.load_in_4bit and load.sharding == "fsdp2" else 0.0
    return {
        "weights": whole + (weights - whole) / number if sharded else weights,
        "reference": reference / number if sharded else reference,
        "gradients": gradients if load.sharding == "ddp" else gradients / number,
        "buckets": gradients if load.sharding == "ddp" and number > 1 else 0.0,
        "optimizer": optimizer if load.sharding == "ddp" else optimizer / number,
    }


def _frozen(shape: Shape) -> float:
    """Bytes of a model whose linear layers are in 4 bits."""
    return shape.linear * _NF4 + (shape.parameters - shape.linear) * shape.saved_bytes


def weight_copies(shape: Shape, policy: PolicySection, training: TrainingSection, load: Load) -> float:
    """Bytes of weights that stand twice during an update: rounded by autocast, or gathered from other devices."""
    layer = shape.linear / shape.layers
    if load.sharding == "zero3" or (load.sharding == "fsdp2" and training.bf16):
        return 2 * 2.0 * max(layer, shape.vocabulary * shape.hidden)  # this layer and the one fetched ahead
    if load.sharding == "fsdp2":
        return 2 * 4.0 * max(layer, shape.vocabulary * shape.hidden)
    full = not policy.lora_rank and load.sharding == "ddp"
    return 2.0 * shape.linear if full and training.bf16 else 0.0


def layer_bytes(shape: Shape, policy: PolicySection, training: TrainingSection) -> float:
    """Bytes that autograd keeps of one token in one layer."""
    width, inner = shape.hidden, shape.intermediate
    query, key = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    if not training.bf16:
        kept = 24 * width + 16 * inner + 8 * query + 8 * key + 4 * shape.heads + 8
        return float(kept + (8 * (query + key) + 4 * (shape.heads + shape.kv_heads)) * shape.head_norms)
    attention = 4 * query + 4 * key + 4 * shape.heads + 8  # queries, keys, values, result; two norms' scales
    if policy.lora_rank:
        # Norms in float32; the input of each adapter, rounded; the adapters' own width at seven places.
        kept = 18 * width + 8 * inner + attention + 2 * query + 14 * policy.lora_rank
        norms = 4 * (query + key)
    else:
        # Two norms in float32, each kept before and after; a rounded copy for each of five matrices.
        kept = 26 * width + 8 * inner + attention
        norms = 6 * (query + key)
    return float(kept + (norms + 4 * (shape.heads + shape.kv_heads)) * shape.head_norms)


def activations(shape: Shape, policy: PolicySection, training: TrainingSection, tokens: int) -> float:
    """Bytes of activations for so many tokens in a forward pass, with or without gradient checkpointing."""
    each = layer_bytes(shape, policy, training)
    if not training.gradient_checkpointing:
        return tokens * shape.layers * each
    stream = 2.0 if policy.lora_rank and shape.saved_bytes == 2 else 4.0
    return tokens * (shape.layers * stream * shape.hidden + each)


def logits(shape: Shape, policy: PolicySection, training: TrainingSection, tokens: int) -> float:
    """Bytes of what the output head takes: one tile of logits, and gradients of its inputs in float32."""
    tile = min(tokens, _TILE[0]) * min(shape.vocabulary, _TILE[1]) * (2.0 if training.bf16 else 4.0)
    head = 0.0 if policy.lora_rank else 4.0 * shape.vocabulary * shape.hidden
    return tile + head + tokens * 8.0 * shape.hidden


def cache_bytes(shape: Shape, size: int) -> float:
    """Bytes of one token's keys and values, with so many bytes a number."""
    return float(shape.layers * shape.kv_heads * shape.head_dim * 2 * size)


def _generation(shape: Shape, policy: PolicySection, training: TrainingSection, load: Load) -> float:
    if not load.sampled or training.grpo.rollout in ("vllm", "vllm-server", "continuous-batching"):
        return 0.0  # elsewhere, in vLLM's share, or as much as is left
    # Rotation in float32 leaves the keys in it, and the cache keeps both in the keys' type.
    size = 2 if policy.lora_rank and shape.saved_bytes == 2 else 4
    cache = cache_bytes(shape, size)
    whole = _frozen(shape) if policy.load_in_4bit else 2.0 * shape.parameters
    gathered = whole if load.sharding == "zero3" else 0.0
    return gathered + load.sampled * (load.tokens * cache + 4.0 * shape.vocabulary)


def _rounded(shape: Shape, policy: PolicySection, training: TrainingSection, load: Load) -> float:
    """Bytes of weights in bfloat16 beside those in float32: autocast keeps them while answers are generated."""
    if not load.sampled or training.grpo.rollout != "transformers" or load.sharding != "ddp" or policy.lora_rank:
        return 0.0
    return 2.0 * (shape.linear + shape.vocabulary * shape.hidden) if training.bf16 else 0.0


def checkpoint_bytes(shape: Shape, policy: PolicySection, sharding: Sharding, bf16: bool) -> float:
    """Bytes of one checkpoint: weights that are trained and their optimizer states.

    DeepSpeed keeps weights in float32 with the states, and beside them, in the type that it computes in, the model's
    file, with ZeRO 2 another copy for the engine.
    """
    each = 2.0 + 4.0 if policy.load_in_4bit else 4.0 + 8.0
    if sharding in ("zero2", "zero3"):
        each += (2.0 if bf16 else 4.0) * (2 if sharding == "zero2" else 1)
    return trained(shape, policy) * each


def model_bytes(shape: Shape, policy: PolicySection) -> float:
    """Bytes of a saved model, and of an adapter beside it."""
    adapter = trained(shape, policy) * (2.0 if policy.load_in_4bit else 4.0) if policy.lora_rank else 0.0
    return shape.parameters * 4.0 + adapter
