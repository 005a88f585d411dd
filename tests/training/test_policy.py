"""The policy: weights from nothing, loading and saving."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from kill_and_resume import forked
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments

from overton.errors import ModelError, RecipeError
from overton.sections_training import PolicySection
from overton.testing import tiny_encoder, tiny_policy
from overton.training.adapters import lora_config
from overton.training.policy import (
    build_scratch_model,
    folder_fault,
    load_policy,
    save_policy,
)
from overton.training.tokenizer import train_tokenizer
from overton.types import Perspective


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy saved to disk."""
    return tiny_policy(tmp_path_factory.mktemp("policy"))


# ------------------------------------------------------------------ weights


def test_scratch_models_depend_on_the_seed_alone() -> None:
    tokenizer = train_tokenizer(["a view of it"], 320)
    options = PolicySection(hidden_size=16, layers=1, heads=2, kv_heads=1, intermediate_size=16, max_length=64)
    one, same, other = (build_scratch_model(options, tokenizer, seed) for seed in (1, 1, 2))
    flat = [torch.cat([p.flatten() for p in m.parameters()]) for m in (one, same, other)]
    assert flat[0].equal(flat[1]) and not flat[0].equal(flat[2])
    assert one.config.vocab_size == len(tokenizer)
    assert one.config.tie_word_embeddings and one.config.max_position_embeddings == 64
    assert one.generation_config.eos_token_id == tokenizer.eos_token_id
    assert one.generation_config.pad_token_id == tokenizer.pad_token_id


def test_load_policy_gives_model_and_tokenizer(folder: Path) -> None:
    model, tokenizer = load_policy(tiny_policy(folder.parent / "again"))
    assert model.config.vocab_size == len(tokenizer)
    assert tokenizer.pad_token_id is not None


@pytest.mark.skipif(torch.cuda.is_available(), reason="fused attention stays on a GPU")
def test_a_small_model_on_a_cpu_computes_plainly_and_the_same(folder: Path) -> None:
    model, _ = load_policy(folder)
    assert model.config._attn_implementation == "eager"
    mask = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]]), "attention_mask": mask}
    plain = model.eval()(**inputs).logits
    model.set_attn_implementation("sdpa")
    seen = inputs["attention_mask"].bool()
    assert torch.allclose(plain[seen], model(**inputs).logits[seen], atol=1e-5)


def test_what_is_no_model_says_so(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_policy(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="no tokenizer"):
        load_policy(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_policy(tmp_path)


def test_weights_that_may_not_be_read_are_named() -> None:
    def look() -> None:
        if os.geteuid() == 0:
            os.setuid(65534)  # root reads everything
        fault = folder_fault(folder)
        assert fault and fault.startswith("model.safetensors cannot be read")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        for file, rights in (("config.json", 0o644), ("model.safetensors", 0), ("notes.md", 0)):
            (folder / file).touch(rights)
            (folder / file).chmod(rights)
        assert forked(look) == 0


def test_a_model_without_all_its_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"weights are not saved.*it is an encoder"):
        load_policy(tiny_encoder(tmp_path / "encoder"))
    source = tiny_policy(tmp_path / "policy")
    weights = load_file(source / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 of its weights are not saved, model\.norm\.weight"):
        load_policy(source)


def test_shards_untied_weights_and_adapters_are_whole(tmp_path: Path, folder: Path) -> None:
    from peft import get_peft_model

    model, tokenizer = load_policy(folder)
    ids = torch.tensor([tokenizer("May she?")["input_ids"]])
    model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    untied = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, tie_word_embeddings=False))
    untied.save_pretrained(tmp_path / "untied")
    adapted = get_peft_model(load_policy(folder)[0], lora_config(PolicySection(model="m", lora_rank=2)))
    adapted.save_pretrained(tmp_path / "adapter")
    for name, saved in {"shards": model, "untied": untied, "adapter": adapted}.items():
        tokenizer.save_pretrained(tmp_path / name)
        loaded, _ = load_policy(tmp_path / name)
        assert torch.allclose(loaded.eval()(input_ids=ids).logits, saved.eval()(input_ids=ids).logits, atol=1e-5)


def test_a_saved_model_keeps_keys_and_values_again(tmp_path: Path, folder: Path) -> None:
    model, tokenizer = load_policy(folder)
    args = TrainingArguments(str(tmp_path / "out"), report_to="none", use_cpu=True)
    trainer = Trainer(model, args)
    assert model.config.use_cache is False  # as the trainer leaves it
    save_policy(trainer, tokenizer, tmp_path / "saved")
    saved = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert saved(input_ids=torch.tensor([[3, 4]])).past_key_values.get_seq_length() == 2


def test_lora_is_merged_on_saving(tmp_path: Path, folder: Path) -> None:
    from peft import get_peft_model

    source = tiny_policy(tmp_path / "source")
    model, tokenizer = load_policy(source)
    assert lora_config(PolicySection()) is None
    config = lora_config(PolicySection(model="m", lora_rank=2))
    assert config is not None and config.r == 2 and config.lora_alpha == 4
    adapted = get_peft_model(model, config)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    ids = torch.tensor([tokenizer("May she?")["input_ids"]])
    expected = adapted(input_ids=ids).logits
    trainer = SimpleNamespace(model=adapted, accelerator=SimpleNamespace(unwrap_model=lambda m: m))
    save_policy(trainer, tokenizer, tmp_path / "saved")
    saved, _ = load_policy(tmp_path / "saved")
    assert not (tmp_path / "saved" / "adapter_config.json").exists()
    assert torch.allclose(saved(input_ids=ids).logits, expected, atol=1e-5)
    untouched, _ = load_policy(source)
    assert not torch.allclose(untouched(input_ids=ids).logits, expected, atol=1e-3)


def test_answers_of_a_step_must_fall_into_whole_micro_batches(tmp_path: Path, folder: Path) -> None:
    from overton.recipe import parse_recipe
    from overton.training.grpo import train_grpo
    from overton.types import Situation

    options = {"prompts_per_step": 3, "num_generations": 4, "micro_batch_size": 8, "max_completion_length": 32}
    raw = {"name": "x", "training": {"grpo": options}}
    situations = [Situation(f"s{i}", "May she?", (Perspective("Care", "it hurts"),)) for i in range(3)]
    estimator: Any = SimpleNamespace(threshold=0.5)
    with pytest.raises(RecipeError, match=r"micro_batch_size: 8 does not divide the 12 answers"):
        train_grpo(parse_recipe(raw), situations, tiny_policy(tmp_path / "start"), estimator, tmp_path / "grpo")
