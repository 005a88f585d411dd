"""LoRA adapters: made, merged, trained further, and kept exact where weights have few bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overton.folders import atomic_folder
from overton.sections_training import PolicySection
from overton.weights import causal_model

ADAPTER = "adapter"  # folder beside `model`


def lora_config(policy: PolicySection) -> Any | None:
    """A LoRA configuration over all linear layers, or ``None`` for full training."""
    if not policy.lora_rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=policy.lora_rank,
        lora_alpha=2 * policy.lora_rank,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def saved_and_merged(model: Any, folder: Path, weights: dict[str, Any] | None) -> Any:
    """Save an adapter, and merge it into the weights it was made for: not in 4 bits, not in shards, not rounded.

    Args:
        model: with the adapter.
        folder: where the adapter is saved; it appears whole.
        weights: of the whole model where it holds shards only.

    Returns:
        The plain model, in float32.
    """
    from peft import PeftModel

    with atomic_folder(folder) as temporary:
        # Beside it there may be the copy that a KL term is measured from.
        model.save_pretrained(temporary, state_dict=weights, selected_adapters=["default"], safe_serialization=True)
        (temporary / "README.md").unlink(missing_ok=True)  # a form that nobody has filled in
    base = causal_model(model.peft_config["default"].base_model_name_or_path, dtype="float32")
    merged = PeftModel.from_pretrained(base, str(folder)).merge_and_unload()
    merged.generation_config = model.generation_config
    return merged


def adapter_of(start: Path, policy: PolicySection) -> Path | None:
    """The adapter that was saved beside a model; ``None`` where none is trained, or none is there."""
    folder = start.parent / ADAPTER
    return folder if policy.lora_rank and folder.is_dir() else None


def with_adapter(model: Any, folder: Path, args: Any) -> Any:
    """The base with an adapter that is trained further.

    Args:
        model: the adapter's base.
        folder: of the adapter.
        args: of the trainer. With ZeRO 3 the adapter keeps the base's type, as in TRL: gathered weights have one type.
    """
    from peft import PeftModel

    sharded = args.deepspeed_plugin is not None and args.deepspeed_plugin.zero_stage == 3
    return PeftModel.from_pretrained(model, str(folder), is_trainable=True, autocast_adapter_dtype=not sharded)


def unmerge_exactly(model: Any) -> None:
    """Let a model's adapter be merged and unmerged without a trace in the weights under it.

    TRL does both before vLLM generates. In bfloat16 each round leaves errors of rounding, which add up: the frozen base
    drifts (https://github.com/huggingface/trl/issues/6688). A copy in the memory of the processor undoes that; float32
    weights need none.

    Args:
        model: a PeftModel that is not sharded, before anything was merged.
    """
    import torch
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [module.get_base_layer() for module in model.modules() if isinstance(module, BaseTunerLayer)]
    kept = [
        (layer.weight, layer.weight.detach().to("cpu", copy=True))
        for layer in layers
        if layer.weight.dtype != torch.float32
    ]
    unmerge = model.unmerge_adapter

    def exactly() -> None:
        unmerge()
        for weight, before in kept:
            weight.data.copy_(before)

    if kept:
        model.unmerge_adapter = exactly
