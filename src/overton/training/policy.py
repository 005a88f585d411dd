"""The language model that is trained: a small Qwen2 from nothing, or any model of the hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from overton.errors import ModelError, first_line
from overton.folders import atomic_folder
from overton.precision import has_fast_bf16
from overton.processes import is_first
from overton.prompting import end_turns
from overton.sections_training import PolicySection
from overton.training.adapters import ADAPTER, saved_and_merged
from overton.weights import CONFIGS, SMALL, causal_model, check_adapter

_READ = (".json", ".safetensors", ".model", ".txt", ".jinja")  # what is read of a model's folder


def scratch_config(policy: PolicySection) -> dict[str, Any]:
    """The sizes of a recipe's own Qwen2, without those of its tokenizer."""
    return {
        "hidden_size": policy.hidden_size,
        "intermediate_size": policy.intermediate_size,
        "num_hidden_layers": policy.layers,
        "num_attention_heads": policy.heads,
        "num_key_value_heads": policy.kv_heads,
        "max_position_embeddings": policy.max_length,
        "tie_word_embeddings": True,
    }


def build_scratch_model(policy: PolicySection, tokenizer: Any, seed: int) -> Any:
    """A randomly initialised ``Qwen2ForCausalLM`` of the recipe's size."""
    from transformers import Qwen2Config, Qwen2ForCausalLM, set_seed

    set_seed(seed)
    config = Qwen2Config(
        **scratch_config(policy),
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        attention_dropout=0.0,
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return _with_fast_attention(model)


def _with_fast_attention(model: Any) -> Any:
    """Plain matrix products for a small model on a CPU.

    The fused kernel of torch is made for long texts: with heads of 32 and 100 tokens it takes a third more of a
    training step in bfloat16 (71 to 82 ms against 52 to 54, 16 answers on two cores) and of generating.
    """
    import torch

    if not torch.cuda.is_available() and model.num_parameters() < SMALL:
        model.set_attn_implementation("eager")
    return model


def load_policy(name: str | Path, dtype: str = "auto", load_in_4bit: bool = False) -> tuple[Any, Any]:
    """Model and tokenizer from a folder or the hub; safetensors only, no remote code.

    Args:
        name: folder or hub name.
        dtype: of the weights; ``"auto"`` keeps the saved one, but for half precision on a processor that is slow at
            it. Training all weights wants ``"float32"``, since small steps vanish in bfloat16 weights.
        load_in_4bit: of the linear layers, as in QLoRA (Dettmers et al. 2023, arXiv 2305.14314): NF4, with the scales
            quantized too.

    Raises:
        ModelError: it cannot be had or read, or lacks weights of a causal language model, with what to do.
        MissingDependencyError: it is a LoRA adapter, and peft is not installed.
    """
    import torch
    from transformers import AutoTokenizer

    if fault := folder_fault(name):
        raise ModelError(f"{name}: {fault}")
    folder = Path(name).expanduser()
    source = str(folder) if folder.exists() else str(name)
    if folder.is_dir() and not any(folder.glob("tokenizer*")) and not any(folder.glob("vocab*")):
        # transformers would make up an empty one
        raise ModelError(f"{name}: no tokenizer in this folder; save the model's tokenizer beside it")
    check_adapter(source)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
        model = causal_model(source, dtype=dtype, **(_four_bits() if load_in_4bit else {}))
    except Exception as error:  # the reasons span several libraries and many classes
        raise ModelError(
            f"{name}: cannot be loaded as a causal language model ({first_line(error)}). Give a folder with "
            "config.json, tokenizer and safetensors weights, or a hub name that this machine can reach."
        ) from error
    known = getattr(model.config.get_text_config(), "vocab_size", None)
    # A pad token that was added to the tokenizer alone has no row among the embeddings.
    if tokenizer.pad_token_id is None or (known and tokenizer.pad_token_id >= known):
        tokenizer.pad_token = tokenizer.eos_token
    end_turns(model, tokenizer)
    quantized = getattr(model.config, "quantization_config", None)
    if dtype == "auto" and not quantized and not torch.cuda.is_available() and not has_fast_bf16("cpu"):
        model = model.float()
    return _with_fast_attention(model), tokenizer


def folder_fault(name: str | Path) -> str | None:
    """Why a name that can only be a folder's is none of a model to read; ``None`` for one that is, or a hub name."""
    folder = Path(name).expanduser()
    if folder.exists():
        try:
            files = {path.name: path for path in folder.iterdir() if path.is_file()} if folder.is_dir() else {}
        except PermissionError:
            return "this folder cannot be read (permission denied)"
        if files.keys().isdisjoint(CONFIGS):
            return "no config.json in this folder, so it is not a saved model"
        needed = [name for name, path in files.items() if path.suffix in _READ]
        closed = [name for name in needed if not os.access(files[name], os.R_OK)]  # libraries say "no such file"
        return f"{min(closed)} cannot be read (permission denied); make it readable" if closed else None
    if str(name).startswith(("./", "../", "/", "~")) or str(name).count("/") > 1:  # a hub name has one at most
        return "no such folder; give one with config.json, tokenizer and safetensors weights, or a hub name"
    return None


def _four_bits() -> dict[str, Any]:
    import torch
    from accelerate import PartialState
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    # Weights in 4 bits cannot be moved later: they are made where they stay.
    return {"quantization_config": config, "device_map": {"": PartialState().device}}


def training_dtype(policy: PolicySection) -> str:
    """float32 where all weights are trained; an adapter leaves the base as it was saved."""
    return "auto" if policy.lora_rank else "float32"


def save_policy(trainer: Any, tokenizer: Any, folder: Path) -> None:
    """Save the trained model and its tokenizer as a plain folder; every process calls it.

    The folder appears whole, in place of one that is there. A LoRA adapter is saved beside it, in ``adapter``, and
    merged in, in float32: in the 8 bits of a bfloat16 weight most of what an adapter adds would be lost.

    Raises:
        DiskFullError: there is no room for it.
    """
    from overton.training.trainers import is_sharded

    model = trainer.accelerator.unwrap_model(trainer.model)
    # Every process sends its shards to the first one.
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped) if is_sharded(trainer) else None
    if not is_first():
        return
    if hasattr(model, "merge_and_unload"):
        model, weights = saved_and_merged(model, folder.parent / ADAPTER, weights), None
    model.config.use_cache = True  # the trainer of transformers switches it off, also in what it saves
    if weights is not None:  # gathered one by one, an output matrix is no longer seen to be the embeddings
        weights = {name: value for name, value in weights.items() if name not in model.all_tied_weights_keys}
    with atomic_folder(folder) as temporary:
        model.save_pretrained(temporary, state_dict=weights, safe_serialization=True)
        tokenizer.save_pretrained(temporary)
