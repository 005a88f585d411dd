"""SFT, OP-GRPO, generation and ``ask`` with tiny models of the architectures that people train."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from architectures import FAMILIES, Family, save_hybrid, save_tiny
from safetensors.torch import load_file
from typer.testing import CliRunner

from overton.cli import app
from overton.generation.session import Settings
from overton.generation.systems import Home, answers_of
from overton.jsonio import read_jsonl, write_jsonl
from overton.prompting import prompt_ids, turn_end
from overton.recipe import parse_recipe
from overton.rewards import OvertonReward
from overton.sections_generation import SystemSection
from overton.segment import format_answer
from overton.testing import tiny_encoder
from overton.training.adapters import lora_config
from overton.training.policy import load_policy, save_policy
from overton.types import Perspective, Situation

pytestmark = pytest.mark.slow

SITUATIONS = [
    Situation("a", "May she read it?", (Perspective("Care", "it hurts her"), Perspective("Duty", "she must know"))),
    Situation("b", "Must he pay?", (Perspective("Debt", "he owes it"), Perspective("Need", "he is poor"))),
]
ANSWERS = [format_answer(s.perspectives, f"{s.perspectives[0].label} pulls one way.") for s in SITUATIONS]
ROWS = [{"prompt": s.text, "completion": answer} for s, answer in zip(SITUATIONS, ANSWERS, strict=True)]


@dataclass(frozen=True)
class Trained:
    """A family's model before and after SFT on ``ROWS``, which it knows by heart then."""

    name: str
    base: Path
    sft: Path

    @property
    def family(self) -> Family:
        return FAMILIES[self.name]


def recipe(model: Path, **policy: Any) -> Any:
    training = {
        "bf16": False,
        "sft": {"batch_size": 2, "learning_rate": 0.01, "save_steps": 1000},
        "grpo": {
            "steps": 2,
            "prompts_per_step": 2,
            "num_generations": 4,
            "max_completion_length": 100,
            "temperature": 1.1,
            "learning_rate": 1e-4,
            "warmup_ratio": 0.5,  # the first step changes nothing, so both sample from SFT's model
            "log_completions_steps": 1,
        },
    }
    reward = {"overrides": {"threshold": 0.95}}
    return parse_recipe({"name": "x", "policy": {"model": str(model)} | policy, "training": training, "reward": reward})


def sft(model: Path, folder: Path, steps: int, **policy: Any) -> Path:
    from overton.training.sft import train_sft

    write_jsonl(folder / "sft.jsonl", ROWS)
    train_sft(recipe(model, **policy), folder / "sft.jsonl", folder / "sft", max_steps=steps)
    return folder / "sft" / "model"


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trained]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    base = save_tiny(request.param, folder / "base", [s.text + a for s, a in zip(SITUATIONS, ANSWERS, strict=True)] * 9)
    yield Trained(request.param, base, sft(base, folder, 150))


@pytest.fixture(scope="module")
def estimator(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from sentence_transformers import SentenceTransformer

    from overton.estimator import SimilarityEstimator

    return SimilarityEstimator(SentenceTransformer(str(tiny_encoder(tmp_path_factory.mktemp("encoder")))))


# ------------------------------------------------------------------ prompts, rows and ends


def test_prompts_begin_once_and_the_answer_with_its_end_is_all_that_is_learnt(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trl import SFTConfig

    from overton.training.sft import conversations
    from overton.training.trainers import OvertonSFTTrainer, has_plain_logits

    model, tokenizer = load_policy(trained.base)
    arguments = SFTConfig(output_dir=str(tmp_path), report_to="none", use_cpu=True, bf16=False)
    trainer = OvertonSFTTrainer(
        model=model,
        args=arguments,
        train_dataset=conversations(ROWS, "{situation}", tokenizer),
        processing_class=tokenizer,
    )
    start, end = trained.family.start, turn_end(tokenizer)
    assert end == tokenizer.convert_tokens_to_ids(trained.family.turn_end)
    for row, situation, answer in zip(trainer.train_dataset, SITUATIONS, ANSWERS, strict=True):
        prompt = prompt_ids(situation.text, "{situation}", tokenizer)
        ids, labels = list(row["input_ids"]), list(row["labels"])
        assert ids[: len(prompt)] == prompt and labels[: len(prompt)] == [-100] * len(prompt)
        assert labels[len(prompt) :] == ids[len(prompt) :]
        assert labels[-1] == end or labels[-2] == end  # some templates break the line after it
        learnt = tokenizer.decode(labels[len(prompt) :], skip_special_tokens=True).strip()
        assert learnt == answer or learnt == f"<think>\n\n</think>\n\n{answer}"
        text = tokenizer.decode(ids)
        assert text.startswith(start) and text.count(start or "\0") == bool(start)

    # The short way to the loss is only taken where logits are plain, and gives TRL's number.
    monkeypatch.setattr("overton.training.trainers._BLOCK", 7)
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(2)])
    assert has_plain_logits(model) is (trained.name != "gemma2")
    found = trainer.compute_loss(model, batch)
    expected = super(OvertonSFTTrainer, trainer).compute_loss(model, batch)
    assert torch.allclose(found, expected, atol=1e-5)


def test_generation_ends_at_the_end_of_a_turn(trained: Trained) -> None:
    model, tokenizer = load_policy(trained.base)
    end = tokenizer.convert_tokens_to_ids(trained.family.turn_end)
    ends = model.generation_config.eos_token_id
    assert end in ends and len(set(ends)) == len(ends)
    assert set(tokenizer.convert_tokens_to_ids(list(trained.family.ends))) <= set(ends)
    assert tokenizer.pad_token_id is not None
    tokenizer.chat_template = None
    assert turn_end(tokenizer) is None


# ------------------------------------------------------------------ what the model learnt, through every way of asking


def test_ask_gives_the_answer_that_was_taught(trained: Trained) -> None:
    for situation, answer in zip(SITUATIONS, ANSWERS, strict=True):
        options = ["--temperature", "0", "--max-new-tokens", "150", "--json"]
        found = CliRunner().invoke(app, ["ask", situation.text, "--model", str(trained.sft), *options])
        assert found.exit_code == 0, found.output
        reply = json.loads(found.stdout)
        assert reply["answer"] == answer and reply["finished"] and reply["valid_tags"]
        stated = [(p["label"], p["explanation"].rstrip(".")) for p in reply["perspectives"]]
        assert stated == [(p.label, p.explanation) for p in situation.perspectives]


def test_strategies_read_the_chat_template_and_end_with_it(trained: Trained, tmp_path: Path) -> None:
    settings = Settings(temperature=0.0, max_tokens=150)
    home = Home(tmp_path, trained=(str(trained.sft),))
    implicit = SystemSection(name="implicit", model=str(trained.sft))
    outcome = answers_of(implicit, SITUATIONS, settings, home)
    assert [a.answer for a in outcome.answers] == ANSWERS and all(a.finished for a in outcome.answers)
    thought = [a.raw or "" for a in outcome.answers]
    assert all(("<think>" in text) is (trained.name == "qwen3") for text in thought)
    explicit = SystemSection(name="explicit", model=str(trained.sft), strategy="explicit")
    outcome = answers_of(explicit, SITUATIONS, settings, home)
    assert len(outcome.answers) == 2 and not outcome.failed
    marks = ["<|", "<start_of", "<end_of", "<bos>", "<eos>", "think>"]
    assert not any(mark in a.answer for a in outcome.answers for mark in marks)


def test_tied_embeddings_are_saved_once_and_trained(trained: Trained) -> None:
    before, after = (load_file(folder / "model.safetensors") for folder in (trained.base, trained.sft))
    assert before.keys() == after.keys()
    model, _ = load_policy(trained.sft)
    tied = model.config.tie_word_embeddings
    assert ("lm_head.weight" not in after) is tied
    assert (model.get_output_embeddings().weight is model.get_input_embeddings().weight) is tied
    assert not torch.equal(before["model.embed_tokens.weight"], after["model.embed_tokens.weight"])
    assert torch.equal(model.get_input_embeddings().weight, after["model.embed_tokens.weight"])


# ------------------------------------------------------------------ OP-GRPO


def test_grpo_scores_whole_answers_and_gives_credit(trained: Trained, estimator: Any, tmp_path: Path) -> None:
    from overton.training.grpo import train_grpo

    train_grpo(recipe(trained.sft), SITUATIONS, trained.sft, estimator, tmp_path)
    rows = read_jsonl(tmp_path / "metrics.jsonl")
    assert len(rows) == 2
    assert all(row["unscored"] == 0 and row["cut_off"] <= 0.5 for row in rows)
    assert rows[0]["valid_tags"] >= 0.25 and rows[0]["terms/coverage"] >= 0.5 and rows[0]["completion_length"] < 90
    answers = [row for path in sorted((tmp_path / "completions").iterdir()) for row in read_jsonl(path)]
    assert len(answers) == 16
    assert sum(row["answer"].endswith("</summary>") for row in answers) >= 4  # a quarter, as of the tags
    assert sum(len(row["credits"]) for row in answers) >= 16
    assert not any(mark in row["answer"] for row in answers for mark in ("<|", "<end_of_turn>", "<pad>", "<bos>"))
    before, after = (load_file(folder / "model.safetensors") for folder in (trained.sft, tmp_path / "model"))
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_log_probabilities_are_those_of_trl(
    trained: Trained, estimator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset
    from trl import GRPOConfig

    from overton.integrations.trl import TrlReward
    from overton.training.grpo import OpGrpoTrainer

    model, tokenizer = load_policy(trained.sft)
    arguments = GRPOConfig(
        str(tmp_path), per_device_train_batch_size=4, num_generations=2, report_to="none", use_cpu=True, bf16=False
    )
    trainer = OpGrpoTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": s.text}]} for s in SITUATIONS]),
        processing_class=tokenizer,
        reward=TrlReward(OvertonReward(estimator, threshold=0.95)),
        credit_weight=1.0,
        credit_discount=0.9,
    )
    assert trainer._plain_logits is (trained.name != "gemma2")
    assert set(trainer.eos_token_ids) >= {turn_end(tokenizer)}
    prompts = [prompt_ids(s.text, "{situation}", tokenizer) for s in SITUATIONS]
    assert trainer._tokenize_prompts([[{"role": "user", "content": s.text}] for s in SITUATIONS])[0] == prompts

    rows = [[*p, *tokenizer(a, add_special_tokens=False)["input_ids"]] for p, a in zip(prompts, ANSWERS, strict=True)]
    longest = max(map(len, rows))
    ids = torch.tensor([[tokenizer.pad_token_id] * (longest - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])
    kept = longest - max(map(len, prompts))
    monkeypatch.setattr("overton.training.trainers._BLOCK", 7)
    found = trainer._get_per_token_logps_and_entropies(model, ids, mask, kept, compute_entropy=True)
    seen = mask[:, -kept:].bool()
    expected = super(OpGrpoTrainer, trainer)._get_per_token_logps_and_entropies(
        model, ids, mask, kept, compute_entropy=True
    )
    # Log-probabilities, and entropies, whose sums over the vocabulary are rounded more.
    for ours, theirs, near in zip(found[:2], expected[:2], (1e-5, 1e-4), strict=True):
        assert torch.allclose(ours[seen], theirs[seen], atol=near)
    if trained.name == "gemma2":  # capped logits are not what the output matrix gives, and it shows
        trainer._plain_logits = True
        wrong = trainer._get_per_token_logps_and_entropies(model, ids, mask, kept)[0]
        assert not torch.allclose(wrong[seen], expected[0][seen], atol=1e-3)


def test_training_tells_when_misses_cost_more_than_matches_bring(
    trained: Trained, estimator: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from overton.training.grpo import train_grpo

    nothing = tuple(Perspective("Other", "Zebras sleep in the afternoon.") for _ in range(2))
    situations = [replace(situation, perspectives=nothing) for situation in SITUATIONS]
    for miss, told in ((-99.0, True), (0.0, False)):
        settings = recipe(trained.sft)
        settings.reward.overrides["miss_credit"] = miss
        train_grpo(settings, situations, trained.sft, estimator, tmp_path / str(miss))
        said = " ".join(capsys.readouterr().err.split())
        assert ("one more segment pays from 99% on" in said) is told


def test_an_adapter_is_trained_merged_and_read_back(trained: Trained, estimator: Any, tmp_path: Path) -> None:
    from peft import get_peft_model

    from overton.training.grpo import train_grpo

    model, tokenizer = load_policy(trained.sft)
    settings = recipe(trained.sft, lora_rank=2)
    adapted = get_peft_model(model, lora_config(settings.policy))
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    ids = torch.tensor([prompt_ids(SITUATIONS[0].text, "{situation}", tokenizer)])
    expected = adapted(input_ids=ids).logits
    trainer = SimpleNamespace(model=adapted, accelerator=SimpleNamespace(unwrap_model=lambda m: m))
    save_policy(trainer, tokenizer, tmp_path / "merged")
    merged, _ = load_policy(tmp_path / "merged")
    assert torch.allclose(merged(input_ids=ids).logits, expected, atol=1e-4)
    assert not torch.allclose(load_policy(trained.sft)[0](input_ids=ids).logits, expected, atol=1e-2)

    start = sft(trained.sft, tmp_path, 2, lora_rank=2)
    train_grpo(settings, SITUATIONS, start, estimator, tmp_path / "grpo")
    saved = load_file(tmp_path / "grpo" / "model" / "model.safetensors")
    before = load_file(trained.sft / "model.safetensors")
    assert saved.keys() == before.keys()
    assert torch.equal(saved["model.embed_tokens.weight"], before["model.embed_tokens.weight"])  # no adapter there
    projection = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(saved[projection], before[projection])
    # It is SFT's adapter that was trained further, on SFT's base.
    adapters = [load_file(tmp_path / part / "adapter" / "adapter_model.safetensors") for part in ("sft", "grpo")]
    assert adapters[0].keys() == adapters[1].keys()
    assert all(torch.allclose(adapters[0][name], adapters[1][name], atol=1e-3) for name in adapters[0])
    assert any(not torch.equal(adapters[0][name], adapters[1][name]) for name in adapters[0])
    config = json.loads((tmp_path / "grpo" / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(trained.sft)


# ------------------------------------------------------------------ generation in a shrinking batch


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_fast_generation_gives_the_tokens_of_plain_generation(trained: Trained, temperature: float) -> None:
    shrinks_as_plain(trained.base, temperature)


def test_fast_generation_with_linear_attention(tmp_path: Path) -> None:
    shrinks_as_plain(save_hybrid(tmp_path), 1.0)


def shrinks_as_plain(folder: Path, temperature: float) -> None:
    """Prompts of 5 to 20 tokens, answers of up to 16: longer than the window of sliding attention."""
    from transformers import LogitsProcessorList

    from overton.training.cache import roomy_cache
    from overton.training.draw import DirectSampler
    from overton.training.shrink import generate_shrinking, greedy

    model = load_policy(folder)[0].eval()
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(10, 200, (40, 20), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(40):
        mask[row, : row % 16] = 0
    config = greedy(model.generation_config)
    # An eighth of the vocabulary ends answers, so that they end one by one.
    ends = list(range(0, model.config.vocab_size, 8))
    config.update(max_new_tokens=16, pad_token_id=0, eos_token_id=ends, repetition_penalty=1.0)
    sizes: list[int] = []

    def counted(**kwargs: Any) -> Any:
        sizes.append(len(kwargs["input_ids"]))
        return model.generate(**kwargs)

    processors = LogitsProcessorList([DirectSampler(temperature)] if temperature else [])
    with torch.inference_mode():
        torch.manual_seed(3)
        full = model.generate(input_ids=ids, attention_mask=mask, generation_config=config, logits_processor=processors)
        torch.manual_seed(3)
        sampler = DirectSampler(temperature) if temperature else None
        found = generate_shrinking(counted, ids, mask, config, sampler)
        torch.manual_seed(3)
        cache = roomy_cache(model, config)
        roomy = generate_shrinking(model.generate, ids, mask, config, sampler, cache)
    assert torch.equal(found, full) and torch.equal(roomy, full)
    assert len(sizes) > 1 or not temperature
    windows = any("sliding" in kind or "linear" in kind for kind in getattr(model.config, "layer_types", []))
    assert (cache is None) == windows
