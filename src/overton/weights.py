"""Weights of a causal language model, all of them saved."""

from __future__ import annotations

from typing import Any

from overton.errors import ModelError


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

    model, found = AutoModelForCausalLM.from_pretrained(
        source, trust_remote_code=False, use_safetensors=True, output_loading_info=True, **options
    )
    if missing := sorted(found["missing_keys"]):  # tied weights are none of them
        raise ModelError(
            f"{len(missing)} of its weights are not saved, {missing[0]} among them: it is an encoder, or not whole"
        )
    return model
