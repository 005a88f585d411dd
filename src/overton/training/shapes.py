"""Sizes of a language model from its configuration alone; no weights are read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from overton.errors import ModelError, first_line
from overton.sections_training import PolicySection

_QWEN = {"vocab_size": 151936, "torch_dtype": "bfloat16"}
# What the `config.json` of the models in recipes/ says of their sizes, for machines without the hub.
PUBLISHED: dict[str, dict[str, Any]] = {
    "Qwen/Qwen2.5-1.5B-Instruct": _QWEN
    | {
        "model_type": "qwen2",
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen2.5-3B-Instruct": _QWEN
    | {
        "model_type": "qwen2",
        "hidden_size": 2048,
        "intermediate_size": 11008,
        "num_hidden_layers": 36,
        "num_attention_heads": 16,
        "num_key_value_heads": 2,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
    },
    "Qwen/Qwen3-8B": _QWEN
    | {
        "model_type": "qwen3",
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 40960,
        "tie_word_embeddings": False,
    },
    "meta-llama/Llama-3.2-3B-Instruct": {
        "model_type": "llama",
        "vocab_size": 128256,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 131072,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    },
}
# Parameters of encoders that recipes name as the estimator's base.
ENCODERS = {
    "sentence-transformers/all-MiniLM-L6-v2": 22_713_216,
    "sentence-transformers/paraphrase-mpnet-base-v2": 109_486_464,
}


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a decoder.

    Attributes:
        architecture: ``model_type`` of its configuration.
        source: where the configuration came from.
        parameters: all of them, tied ones once.
        linear: of them in linear layers other than the output head: what LoRA adapts and 4-bit shrinks.
        adapter: parameters of a LoRA adapter of rank 1 on all of these.
        layers: transformer layers.
        hidden: width.
        intermediate: width of the feed-forward part.
        heads: attention heads.
        kv_heads: key-value heads.
        head_dim: width of a head.
        vocabulary: rows of the embedding.
        context: positions it was made for.
        head_norms: whether queries and keys are normalised too, as in Qwen3.
        saved_bytes: bytes of a weight as it is published.
    """

    architecture: str
    source: str
    parameters: int
    linear: int
    adapter: int
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    context: int
    head_norms: bool
    saved_bytes: int

    @property
    def matrices(self) -> int:
        """Parameters that a token is multiplied with: linear layers and output head."""
        return self.linear + self.vocabulary * self.hidden


def find_shape(policy: PolicySection) -> Shape:
    """The shape of a recipe's policy: from the recipe, a folder, the hub's cache, :data:`PUBLISHED`, or the hub.

    Raises:
        ModelError: no configuration can be had.
    """
    if policy.model == "scratch":
        return shape_of(_scratch(policy), "the recipe")
    from transformers import AutoConfig

    folder = Path(policy.model).expanduser()
    name = str(folder) if folder.is_dir() else policy.model
    try:
        config = AutoConfig.from_pretrained(name, trust_remote_code=False, local_files_only=True)
        return shape_of(config, "the folder" if folder.is_dir() else "the hub's cache")
    except Exception as error:  # the reasons span several libraries and many classes
        reason = first_line(error)
    if policy.model in PUBLISHED:
        return _published(policy.model)
    if not folder.exists():
        try:
            return shape_of(AutoConfig.from_pretrained(name, trust_remote_code=False), "the hub")
        except Exception as error:
            reason = first_line(error)
    raise ModelError(f"{policy.model}: no configuration in a folder, in the hub's cache or on the hub ({reason})")


@cache
def _published(name: str) -> Shape:
    from transformers import AutoConfig

    return shape_of(AutoConfig.for_model(**PUBLISHED[name]), "the table of this package")


def shape_of(config: Any, source: str) -> Shape:
    """The shape that a configuration of transformers makes; counted on a model without memory, so exact."""
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    text = config.get_text_config()
    saved = getattr(config, "dtype", None) or torch.float32
    if isinstance(saved, str):
        saved = getattr(torch, saved)
    heads = text.num_attention_heads
    return Shape(
        architecture=config.model_type,
        source=source,
        parameters=sum(p.numel() for p in model.parameters()),
        linear=sum(layer.weight.numel() for layer in layers),
        adapter=sum(layer.in_features + layer.out_features for layer in layers),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        heads=heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        vocabulary=text.vocab_size,
        context=text.max_position_embeddings,
        head_norms=any(name.endswith("q_norm.weight") for name, _ in model.named_parameters()),
        saved_bytes=saved.itemsize,
    )


def _scratch(policy: PolicySection) -> Any:
    from transformers import Qwen2Config

    from overton.training.policy import scratch_config

    tokens = policy.vocab_size + policy.phrases + 5  # the template's marks; this many at most
    return Qwen2Config(**scratch_config(policy), vocab_size=tokens, dtype="float32")
