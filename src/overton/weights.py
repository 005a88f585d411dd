"""Weights of a causal language model: all of them saved, all of them here; and their memory, once they are not used."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import util
from pathlib import Path
from typing import Any

from overton.errors import MissingDependencyError, ModelError
from overton.precision import has_fast_bf16

# Of a whole model, and of a LoRA adapter, which names its base.
CONFIGS = ("config.json", "adapter_config.json")
SMALL = 50_000_000  # parameters; a model of fewer is quick anyway


def holds_model(folder: Path) -> bool:
    """Whether a folder is one of a saved model or of a LoRA adapter."""
    return any((folder / name).is_file() for name in CONFIGS)


def check_adapter(source: str | Path) -> None:
    """Refuse a LoRA adapter where it cannot be read: transformers then calls its folder one of no known model.

    Raises:
        MissingDependencyError: peft is not installed.
    """
    if (Path(source) / "adapter_config.json").is_file() and util.find_spec("peft") is None:
        raise MissingDependencyError(f"{source}: a LoRA adapter needs peft: pip install 'overton[train]'")


def causal_model(source: str, **options: Any) -> Any:
    """A causal language model from a folder or the hub; safetensors only, no remote code.

    Args:
        source: folder or hub name.
        options: for ``from_pretrained`` of transformers.

    Raises:
        ModelError: weights that the model needs are not among the saved ones. An encoder has no output head, and
            transformers would make up a random one.
        Exception: what transformers raises when it cannot be had or read.
    """
    from transformers import AutoModelForCausalLM

    with whole_weights():
        model, found = AutoModelForCausalLM.from_pretrained(
            source, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **options
        )
    if missing := sorted(found["missing_keys"]):  # tied weights are none of them
        raise ModelError(
            f"{len(missing)} of its weights are not saved, {missing[0]} among them: it is an encoder, or not whole"
        )
    return model


def ready_to_generate(model: Any, bf16: bool = True) -> Any:
    """The model for inference: on the first GPU if there is one, its weights in bfloat16 where that is faster.

    Weights that are saved in half precision keep it on a GPU. Small models and quantized ones stay as they are, and so
    do buffers: the frequencies of rotary embeddings are kept in float32, and rounded to bfloat16 they would be off by
    .4%, which far down a text is another position.

    Args:
        model: a causal language model.
        bf16: ``False`` leaves float32 weights in float32.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = best_dtype(model, device) if bf16 or model.dtype != torch.float32 else torch.float32
    if dtype != model.dtype:  # of a quantized model it never is, and none may be cast
        for weights in model.parameters():
            weights.data = weights.data.to(dtype)
    return model.to(device).eval()


def best_dtype(model: Any, device: str) -> Any:
    """bfloat16 where a device is fast at it, float32 on other CPUs; small and quantized models stay as they are."""
    import torch

    saved: torch.dtype = model.dtype
    if model.num_parameters() < SMALL or getattr(model.config, "quantization_config", None):
        return saved
    if device == "cpu":
        return torch.bfloat16 if has_fast_bf16("cpu") else torch.float32
    return torch.bfloat16 if saved == torch.float32 and has_fast_bf16("cuda") else saved


def release() -> None:
    """Give back the memory of models that nothing uses any more, on a GPU to whoever asks next.

    A trainer and its model refer to each other, so they would stay, with the optimizer's state, until Python happens to
    look for such circles; and torch keeps what it once had of a GPU, where other libraries cannot get it.
    """
    import torch

    gc.collect()
    torch.cuda.empty_cache()  # does nothing where no GPU was used


@contextmanager
def whole_weights() -> Iterator[None]:
    """Models loaded in here hold all their weights, also while DeepSpeed trains another one with ZeRO 3.

    Transformers then shares out the weights of whatever it loads over all processes, also of an estimator or a judge,
    which is called as it is, or which one process loads alone. A policy is shared out when its training begins.
    """
    if "deepspeed" not in sys.modules:
        yield
        return
    from transformers.integrations import deepspeed

    active = deepspeed._hf_deepspeed_config_weak_ref  # there is no other way to put it back
    config = active() if active is not None else None
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        if config is not None:
            deepspeed.set_hf_deepspeed_config(config)
