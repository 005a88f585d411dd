"""``overton train --dry-run``: figures computed by hand, problems with exit codes, models that cannot be had."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from trl import GRPOConfig, SFTConfig

from overton.jsonio import read_jsonl, write_jsonl
from overton.recipe import load_recipe
from overton.testing import tiny_policy
from overton.training.arguments import grpo_arguments, sft_arguments
from overton.training.sft import train_sft

Call = Callable[..., tuple[int, str, str]]

RECIPE: dict[str, Any] = {
    "name": "plan",
    "data": {"train": 100, "grpo_only": 20},
    "policy": {"model": "tiny"},
    "training": {
        "sft": {"batch_size": 4, "gradient_accumulation": 2, "epochs": 2},
        "grpo": {
            "steps": 7,
            "prompts_per_step": 6,
            "num_generations": 4,
            "micro_batch_size": 3,
            "max_completion_length": 100,
            "learning_rate": 1e-6,
        },
    },
}


@pytest.fixture(autouse=True)
def _recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    Path("plan.yaml").write_text(yaml.safe_dump(RECIPE), encoding="utf-8")
    tiny_policy(Path("tiny"), max_length=1024, chat=True)


@pytest.fixture
def plan(overton: Call) -> Callable[..., tuple[int, dict[str, Any]]]:
    def call(*arguments: str) -> tuple[int, dict[str, Any]]:
        code, out, err = overton("train", "plan.yaml", "--dry-run", "--json", *arguments)
        assert not err
        return code, json.loads(out)

    return call


Plan = Callable[..., tuple[int, dict[str, Any]]]


def test_figures_by_hand(plan: Plan) -> None:
    code, found = plan("--processes", "2")
    assert code == 0 and [p for p in found["problems"] if p["severity"] == "error"] == []
    # 80 rows, 8 a step, twice: 20 steps; each process takes 4 of the 8 at once.
    sft = {k: v for k, v in found["sft"].items() if k != "settings"}
    assert sft == {
        "answers_per_step": 8,
        "per_device_train_batch_size": 4,
        "gradient_accumulation_steps": 1,
        "rows": 80,
        "steps": 20,
        "epochs": 2,
    }
    grpo = {k: v for k, v in found["grpo"].items() if k != "settings"}
    # 6 x 4 = 24 answers, 12 a process in 3 groups, 3 at once: 4 times; 42 prompts of 40 situations.
    assert grpo == {
        "prompts_per_step": 6,
        "num_generations": 4,
        "answers_per_step": 24,
        "answers_per_device": 12,
        "groups_per_device": 3,
        "per_device_train_batch_size": 3,
        "steps_per_generation": 4,
        "gradient_accumulation_steps": 4,
        "micro_batches": 8,
        "steps": 7,
        "prompts": 42,
        "epochs": 1.05,
        "generated_tokens_per_step": 2400,
        "generated_tokens": 16800,
        "trained_tokens_per_step": 24 * 612,
        "trained_tokens": 7 * 24 * 612,
    }
    assert found["data"]["prompt_tokens"] == 512 and not found["data"]["counted"]
    assert any("sft.jsonl is not there yet" in text for text in found["unchecked"])
    assert found["model"]["source"] == "the folder"
    assert not Path("runs").exists()


def test_a_generation_may_last_for_several_steps(plan: Plan) -> None:
    once, found = (plan("--processes", "2", "--set", f"training.grpo.steps_per_generation={n}")[1] for n in (1, 3))
    grpo = found["grpo"]
    # 12 answers a process and step, in passes of 3; TRL counts passes, and generates for 3 x 4 of them.
    assert (grpo["answers_per_device"], grpo["groups_per_device"]) == (36, 9)
    assert (grpo["gradient_accumulation_steps"], grpo["steps_per_generation"]) == (4, 12)
    assert grpo["settings"]["steps_per_generation"] == 12 and grpo["settings"]["save_steps"] == 18
    assert "steps_per_generation" not in once["grpo"]["settings"]
    # 7 steps take three generations of 3 x 6 situations, so 54 are asked and not 42.
    assert (grpo["prompts"], grpo["epochs"], grpo["generated_tokens"]) == (54, 1.35, 54 * 4 * 100)
    [warning] = [p for p in found["problems"] if p["key"] == "training.grpo.steps_per_generation"]
    assert warning["severity"] == "warning" and "7 steps are no multiple of 3" in warning["text"]
    assert "those of 1 of 3 steps are learnt from" in warning["text"]
    changed = {"answers_per_device", "groups_per_device", "steps_per_generation", "settings"}
    changed |= {"prompts", "epochs", "generated_tokens"}
    assert {k: v for k, v in grpo.items() if k not in changed} == {
        k: v for k, v in once["grpo"].items() if k not in changed
    }
    # TRL's own arithmetic, in the one process of this test.
    assert GRPOConfig(**grpo["settings"]).generation_batch_size == grpo["answers_per_device"]


def test_the_text_says_for_how_many_steps_a_generation_lasts(overton: Call) -> None:
    out = overton("train", "plan.yaml", "--dry-run", "--set", "training.grpo.steps_per_generation=2")[1]
    assert "a device generates 48 (12 whole groups) for 2 steps, then takes 3 at once, 8 times a step" in out


def test_settings_are_those_of_training_that_differ_from_trls(plan: Plan) -> None:
    found = plan("--processes", "2", "--set", "training.report_to=[]")[1]
    recipe = load_recipe(Path("plan.yaml"))
    used = {
        "sft": SFTConfig(**sft_arguments(recipe, Path("out"), 80, prepared=False, world=2)),
        "grpo": GRPOConfig(**grpo_arguments(recipe, Path("out"), 512, world=2)),
    }
    for name, config in used.items():
        settings = found[name]["settings"]
        for key, value in settings.items():
            if key not in ("output_dir", "report_to"):
                assert getattr(config, key) == value, key
        assert settings["max_steps"] == {"sft": 20, "grpo": 7}[name]
    assert "learning_rate" not in found["grpo"]["settings"]  # 1e-6 is TRL's own


@pytest.mark.parametrize(("sharding", "each"), [("ddp", None), ("fsdp2", True)])
def test_shared_out_gradients_are_so_after_each_pass(plan: Plan, sharding: str, each: bool | None) -> None:
    found = plan("--processes", "2", "--sharding", sharding, "--set", "training.report_to=[]")[1]
    for name in ("sft", "grpo"):
        given = found[name]["settings"].get("accelerator_config", {}).get("gradient_accumulation_kwargs", {})
        assert given.get("sync_each_batch") is each


def test_with_data_lengths_are_counted(plan: Plan) -> None:
    rows = [{"id": f"s{i}", "prompt": f"May {i}?", "completion": "word " * (3 + i)} for i in range(5)]
    write_jsonl(Path("runs/plan/data/sft.jsonl"), rows)
    situations = [
        {"id": f"s{i}", "text": f"May {i}?", "perspectives": [{"label": "A", "explanation": "b"}]} for i in range(9)
    ]
    write_jsonl(Path("runs/plan/data/train.jsonl"), situations)
    found = plan("--set", "data.grpo_only=0")[1]
    assert found["data"]["counted"] and found["data"]["sft_rows"] == 5 and found["data"]["situations"] == 9
    assert 3 < found["data"]["prompt_tokens"] < 40
    assert found["data"]["answer_tokens"] >= 7
    code, found = plan("--set", "training.grpo.max_completion_length=8", "--set", "data.grpo_only=0")
    assert code == 0 and any("cut off what SFT teaches" in p["text"] for p in found["problems"])
    assert any("make 2 steps" in p["text"] for p in found["problems"])


@pytest.mark.parametrize("model", ["scratch", "tiny"])
def test_an_answer_that_is_not_there_is_named(overton: Call, model: str) -> None:
    write_data(3)
    file = Path("runs/plan/data/sft.jsonl")
    write_jsonl(file, [*read_jsonl(file), {"id": "s9", "prompt": "May I?"}])
    code, _, err = overton("train", "plan.yaml", "--dry-run", "--set", f"policy.model={model}")
    assert code == 1 and f"{file}, row 4: `completion`" in err


def write_data(situations: int, words: int = 1) -> None:
    """A run with data, of which some questions and answers are longer than the rest."""
    rows = [
        {"id": f"s{i}", "prompt": "May I? " * (words if i % 4 == 3 else 1), "completion": "word " * (3 + i)}
        for i in range(situations)
    ]
    write_jsonl(Path("runs/plan/data/sft.jsonl"), rows)
    perspectives = [{"label": "A", "explanation": "b"}]
    kept = [{"id": row["id"], "text": row["prompt"], "perspectives": perspectives} for row in rows]
    write_jsonl(Path("runs/plan/data/train.jsonl"), kept)


def one_error(found: dict[str, Any]) -> tuple[str, str]:
    [problem] = [p for p in found["problems"] if p["severity"] == "error"]
    return problem["key"], problem["text"]


def test_packed_rows_are_counted(plan: Plan) -> None:
    keys = ["data.grpo_only=0", "training.sft.packing=200", "training.sft.batch_size=1", "training.sft.save_steps=1"]
    recipe = [part for key in keys for part in ("--set", key)]
    found = plan(*recipe)[1]
    assert found["data"]["packed_rows"] is None and any("SFT's steps" in text for text in found["unchecked"])
    write_data(24)
    found = plan(*recipe)[1]
    made = load_recipe(Path("plan.yaml"), keys)
    train_sft(made, Path("runs/plan/data/sft.jsonl"), Path("out"))
    steps = read_jsonl(Path("out/metrics.jsonl"))[-1]["step"]
    assert found["sft"]["steps"] == steps and steps < 24  # one by one it would be 24
    assert not any("SFT's steps" in text for text in found["unchecked"])
    code, found = plan(*recipe, "--set", "training.sft.packing=30")
    assert code == 1 and one_error(found)[0] == "training.sft.packing"


def test_rows_and_prompts_of_a_policy_from_nothing_are_counted(plan: Plan) -> None:
    write_data(24, words=60)
    tiny = ["model=scratch", "vocab_size=300", "phrases=0", "max_length=160"]
    recipe = ["data.grpo_only=0", *(f"policy.{key}" for key in tiny), "training.grpo.max_completion_length=20"]
    code, found = plan(*(part for item in recipe for part in ("--set", item)))
    assert found["data"]["counted"] and found["data"]["sft_rows"] == 18 and found["sft"]["rows"] == 18
    [text] = [p["text"] for p in found["problems"] if p["key"] == "policy.max_length"]
    assert "6 of 24 rows" in text and "6 left out" in text
    key, text = one_error(found)
    wanted = found["data"]["prompt_tokens"] + 20
    assert code == 1 and key == "training.grpo.max_completion_length" and wanted > 160
    assert f"Set policy.max_length to {wanted} or more, or leave out" in text
    recipe += [f"policy.max_length={wanted + 100}"]
    code, found = plan(*(part for item in recipe for part in ("--set", item)))
    assert code == 0 and found["sft"]["rows"] == 24


def test_four_bits_are_suggested_only_where_transformers_generates(plan: Plan) -> None:
    for rollout, there in (("transformers", True), ("vllm", False)):
        _, found = plan("--gpu", "h100", "--set", f"training.grpo.rollout={rollout}")
        assert ("qlora" in found["memory"]["total_by_method"]) is there


def test_a_policy_from_nothing_that_does_not_fit_is_sent_to_no_adapter(plan: Plan) -> None:
    wide = ["model=scratch", "hidden_size=8192", "heads=64", "kv_heads=8", "layers=64", "max_length=400"]
    code, found = plan("--gpu", "l4", *(part for key in wide for part in ("--set", f"policy.{key}")))
    assert code == 1 and [*found["memory"]["total_by_method"]] == ["full"]
    texts = [p["text"] for p in found["problems"] if p["key"] in ("training.sft", "training.grpo")]
    assert any("fsdp2 or zero3" in text for text in texts) and not any("lora" in text for text in texts)


def test_fewer_situations_than_a_step_asks(plan: Plan) -> None:
    asks = ["--set", "data.grpo_only=0", "--set", "training.grpo.prompts_per_step=33"]
    assert plan(*asks)[0] == 0  # the recipe asks for more than enough
    write_data(24)
    code, found = plan(*asks)
    assert code == 1 and one_error(found)[0] == "training.grpo.prompts_per_step"
    assert "24 situations" in one_error(found)[1]


@pytest.mark.parametrize(
    ("arguments", "key", "text"),
    [
        (["--processes", "4"], "training.grpo.prompts_per_step", "4 or 8"),
        (["--set", "training.grpo.micro_batch_size=7"], "training.grpo.micro_batch_size", "does not divide"),
        (["--set", "training.grpo.max_completion_length=900"], "training.grpo.max_completion_length", "1024 positions"),
        (["--memory-gb", "0.5"], "training.grpo", "do not fit into 0.5 GB"),
        (["--set", "policy.model=./nosuch"], "policy.model", "no such folder"),
        (["--set", "reward.overrides.nonsense=1"], "reward.overrides.nonsense", "no such field"),
        (["--set", "training.report_to=[nothing]"], "training.report_to", "unknown tracker"),
        (["--set", "training.report_to=[nothing]", "--gpu", "h100"], "training.report_to", "unknown tracker"),
    ],
)
def test_an_error_exits_with_1_and_has_a_remedy(plan: Plan, arguments: list[str], key: str, text: str) -> None:
    code, found = plan(*arguments)
    errors = [p for p in found["problems"] if p["severity"] == "error" and p["key"].startswith(key)]
    assert code == 1 and errors
    assert any(text in p["text"] for p in errors)


def test_muon_counts_in_its_own_part_and_is_refused_where_weights_are_shared_out(plan: Plan) -> None:
    model = ["--processes", "2", "--set", "policy.model=Qwen/Qwen2.5-1.5B-Instruct"]
    parts = ("sft", "grpo")
    plain = plan(*model)[1]["memory"]
    for name, other in (parts, parts[::-1]):
        muon = [*model, "--set", f"training.{name}.optimizer=muon"]
        code, found = plan(*muon)
        assert code == 0
        assert found["memory"][name]["optimizer"] < plain[name]["optimizer"]
        assert found["memory"][other]["optimizer"] == plain[other]["optimizer"]
        for sharding in ("zero2", "zero3", "fsdp2"):
            code, found = plan(*muon, "--sharding", sharding)
            assert code == 1 and one_error(found)[0] == f"training.{name}.optimizer"


def test_more_generations_than_fit(plan: Plan) -> None:
    published = ["--set", "policy.model=Qwen/Qwen2.5-3B-Instruct", "--set", "training.grpo.prompts_per_step=1024"]
    published += ["--set", "training.grpo.micro_batch_size=4"]
    fsdp = ["--processes", "4", "--sharding", "fsdp2", "--gpu", "h100"]
    code, found = plan(*published, *fsdp, "--set", "training.grpo.num_generations=10")
    assert code == 1
    [problem] = [p for p in found["problems"] if p["key"] == "training.grpo" and p["severity"] == "error"]
    assert "2560 answers are generated at once on a device: take rollout vllm" in problem["text"]
    found = plan(*published, *fsdp, "--set", "training.grpo.steps_per_generation=2")[1]
    assert any("2048 answers are generated at once on a device" in problem["text"] for problem in found["problems"])
    small = ["--gpu", "l4", "--set", "training.grpo.rollout=vllm", "--set", "policy.lora_rank=8"]
    found = plan(*published, *small)[1]
    assert any(p["key"].endswith("vllm_gpu_memory_utilization") for p in found["problems"])


def test_memory_of_another_size_than_the_gpus_decides_the_answers_at_once_and_the_time(plan: Plan) -> None:
    model = ["policy.model=Qwen/Qwen2.5-1.5B-Instruct", "policy.lora_rank=8", "training.grpo.rollout=vllm"]
    sizes = ["training.grpo.prompts_per_step=510", "training.grpo.max_completion_length=800"]
    keys = [part for key in (*model, *sizes) for part in ("--set", key)]
    of_its_own, half = (plan("--gpu", "h100", *more, *keys)[1]["time"] for more in ((), ("--memory-gb", "40")))
    # 28 layers x 2 heads x 128 x 2 x 2 = 28,672 bytes a token of 512 + 800; 3.09 GB of weights and 2 GB are vLLM's.
    assert half["answers_at_once"] == int((0.3 * 40e9 - 2 * 1_543_714_304 - 2e9) / (28_672 * 1_312))
    assert half["answers_at_once"] < of_its_own["answers_at_once"]
    assert half["generation_seconds"] > of_its_own["generation_seconds"]


def test_a_model_that_cannot_be_had_leaves_the_arithmetic(plan: Plan, overton: Call) -> None:
    code, found = plan("--set", "policy.model=nobody/nothing")
    assert code == 0
    assert found["model"] is None and found["memory"] is None
    assert found["grpo"]["answers_per_step"] == 24
    assert any("nobody/nothing" in text and "config.json" in text for text in found["unchecked"])
    code, out, _ = overton("train", "plan.yaml", "--dry-run", "--set", "policy.model=nobody/nothing")
    assert code == 0 and "not checked" in out and "24 answers a step" in out


def test_for_people(overton: Call) -> None:
    arguments = ["--gpu", "h100", "--set", "training.grpo.beta=0.1", "--set", "policy.model=Qwen/Qwen2.5-1.5B-Instruct"]
    code, out, _ = overton("train", "plan.yaml", "--dry-run", *arguments)
    assert code == 0
    for text in ("parameters", "an estimate", "reference model", "optimizer states", "a step", "nothing was trained"):
        assert text in out
    assert "use_cpu" not in out and "0 errors, 1 warning; nothing" in out
    code, out, _ = overton("train", "plan.yaml", "--dry-run", "--processes", "4")
    assert code == 1 and "ERROR training.grpo.prompts_per_step" in out


@pytest.mark.skipif(torch.cuda.is_available(), reason="about machines without a GPU")
def test_what_this_machine_cannot_hold_is_told_where_no_other_is_meant(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*arguments: str) -> list[str]:
        code, found = plan("--set", "policy.model=Qwen/Qwen2.5-1.5B-Instruct", *arguments)
        assert code == 0
        return [p["text"] for p in found["problems"] if "of this machine" in p["text"]]

    _, found = plan("--set", "policy.model=Qwen/Qwen2.5-1.5B-Instruct")
    needed = max(found["memory"][part]["total"] for part in ("sft", "grpo"))
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=(needed - 0.1) * 1e9))
    (message,) = told()
    assert f"{needed:.1f} GB" in message and "--gpu" in message and message.endswith("train with policy.lora_rank.")
    assert told("--memory-gb", "200") == []
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=(needed + 0.1) * 1e9))
    assert told() == []


def test_what_is_set_already_is_no_remedy(plan: Plan) -> None:
    def told(*sets: str, memory: str) -> str:
        keys = [part for key in ("policy.model=Qwen/Qwen2.5-1.5B-Instruct", *sets) for part in ("--set", key)]
        found = plan("--memory-gb", memory, *keys)[1]
        return next(p["text"].split("To make it fit: ")[1] for p in found["problems"] if p["key"] == "training.sft")

    # The states are 16 of 18 bytes a weight, with an adapter nothing but the weights.
    assert told(memory="8").startswith("train with policy.lora_rank, or spread the states")
    assert told("policy.lora_rank=8", "training.sft.batch_size=1", memory="4").startswith("spread the states")
    long = ("policy.lora_rank=8", "training.sft.batch_size=64", "training.sft.packing=4096")
    assert told(*long, memory="20").startswith(
        "turn training.gradient_checkpointing on, or lower training.sft.batch_size"
    )
    less = (*long, "training.gradient_checkpointing=true")
    assert told(*less, memory="20").startswith("lower training.sft.batch_size")


def test_usage(overton: Call) -> None:
    assert overton("train", "plan.yaml", "--processes", "2")[0] == 2
    code, _, err = overton("train", "plan.yaml", "--dry-run", "--gpu", "h1000")
    assert code == 1 and "a100-80" in err


def test_a_run_that_cannot_train_stops_before_its_first_stage(overton: Call) -> None:
    for mistake, text in (
        ("training.report_to=[nothing]", "unknown tracker"),
        ("policy.model=./nosuch", "no such folder"),
    ):
        code, _, err = overton("run", "plan.yaml", "--set", mistake)
        assert code == 1 and text in err
    assert not Path("runs").exists()
