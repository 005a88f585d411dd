"""LoRA adapters on weights of few bits: nothing is rounded away in a merge, and nothing is left by one."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from overton.sections_training import PolicySection
from overton.testing import tiny_policy
from overton.training.adapters import lora_config, unmerge_exactly
from overton.training.policy import load_policy, save_policy


def adapted(source: Path, dtype: torch.dtype, fill: float) -> Any:
    """A tiny model with an adapter that adds something."""
    model = get_peft_model(
        load_policy(source, "float32")[0].to(dtype), lora_config(PolicySection(model="m", lora_rank=2))
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(fill)
    return model


def test_what_an_adapter_adds_is_not_rounded_away(tmp_path: Path) -> None:
    """Weights of bfloat16 have 8 bits: steps of less than a 500th of a weight would be lost in them."""
    source = tiny_policy(tmp_path / "source")
    AutoModelForCausalLM.from_pretrained(source, dtype=torch.bfloat16).save_pretrained(source)
    _, tokenizer = load_policy(source)
    model = adapted(source, torch.bfloat16, 1e-5)
    trainer = SimpleNamespace(model=model, accelerator=SimpleNamespace(unwrap_model=lambda m: m))
    save_policy(trainer, tokenizer, tmp_path / "grpo" / "model")
    before = load_policy(source, "float32")[0].state_dict()
    saved, _ = load_policy(tmp_path / "grpo" / "model")
    assert {p.dtype for p in saved.parameters()} == {torch.float32}
    for name, weights in saved.named_parameters():
        if "q_proj.weight" in name:
            layer = model.get_submodule(f"base_model.model.{name.removesuffix('.weight')}")
            added = layer.scaling["default"] * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
            assert torch.allclose(weights - before[name], added.float(), rtol=1e-2, atol=1e-9)
            assert (before[name] + added).bfloat16().ne(before[name].bfloat16()).float().mean() < 0.1
    # The adapter alone is there too.
    kept = PeftModel.from_pretrained(load_policy(source, "float32")[0], str(tmp_path / "grpo" / "adapter"))
    ids = torch.tensor([tokenizer("May she?")["input_ids"]])
    assert torch.allclose(kept(input_ids=ids).logits, saved(input_ids=ids).logits, atol=1e-5)
    assert sorted(p.name for p in (tmp_path / "grpo" / "adapter").iterdir()) == [
        *("adapter_config.json", "adapter_model.safetensors")
    ]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_weights_that_vllm_gets_leave_the_base_as_it_was(tmp_path: Path, dtype: torch.dtype) -> None:
    """By TRL's own code, which merges the adapter, hands the weights over, and unmerges it."""
    from trl.generation.vllm_generation import VLLMGeneration

    source = tiny_policy(tmp_path / "source")
    plain, exact = adapted(source, dtype, 0.01), adapted(source, dtype, 0.01)
    exact.load_state_dict(plain.state_dict())
    unmerge_exactly(exact)
    before = {name: weights.clone() for name, weights in exact.state_dict().items()}
    for model in (plain, exact):
        backend = SimpleNamespace(gather_params=lambda _: nullcontext(), is_fsdp=False)
        generation: Any = SimpleNamespace(model=model, _dist=backend)
        generation._fix_param_name_to_vllm = lambda name, **_: name
        rounds = [{n: w.clone() for n, w in VLLMGeneration._iter_named_params(generation)} for _ in range(20)]
        projection = "model.layers.0.self_attn.q_proj.weight"
        base = before[f"base_model.model.{projection.replace('.weight', '.base_layer.weight')}"]
        assert not torch.equal(rounds[0][projection], base)
        if model is exact and dtype == torch.bfloat16:
            assert all(torch.equal(weights, rounds[-1][name]) for name, weights in rounds[0].items())
    drift = [(w - before[n]).abs().max().item() for n, w in plain.state_dict().items()]
    assert (max(drift) > 1e-4) is (dtype == torch.bfloat16)
    if dtype == torch.bfloat16:
        assert all(torch.equal(w, before[n]) for n, w in exact.state_dict().items())
