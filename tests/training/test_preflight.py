"""Problems of a training are found before it starts, each with its remedy; what is fine gives none."""

from __future__ import annotations

import shlex
import socket
from importlib import metadata, util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer
from trl.scripts.vllm_serve import ScriptArguments, build_command

from overton.errors import RecipeError, RunError
from overton.estimator import shipped
from overton.estimator.models import model_hash
from overton.jsonio import read_json, write_json
from overton.recipe import Recipe, parse_recipe
from overton.testing import tiny_encoder, tiny_policy
from overton.training import preflight
from overton.training.parts import of_server
from overton.training.placement import placed_reward
from overton.training.policy import load_policy
from overton.training.preflight import Problem, check_start
from overton.types import Perspective, Situation


def recipe(**sections: Any) -> Recipe:
    return parse_recipe({"name": "x", **sections})


def grpo(**keys: Any) -> Recipe:
    return recipe(training={"grpo": keys})


def only(problems: Any, severity: str = "error") -> Problem:
    [found] = list(problems)
    assert found.severity == severity
    return found


def test_the_defaults_have_no_problem() -> None:
    check_start(recipe(), 1)
    check_start(grpo(prompts_per_step=16), 8)
    assert list(preflight.reward_spread(recipe())) == []
    assert list(preflight.reward_spread(recipe(reward={"preset": "op-grpo"}))) == []


def test_groups_must_be_whole_on_each_process_and_batches_divide() -> None:
    # 10 prompts on 4 processes: two and a half groups each.
    found = only(preflight.arithmetic(grpo(prompts_per_step=10), 4))
    assert found.key == "training.grpo.prompts_per_step" and "8 or 12" in found.text
    found = only(preflight.arithmetic(grpo(prompts_per_step=4, num_generations=8, micro_batch_size=5), 2))
    assert found.key == "training.grpo.micro_batch_size" and "4" in found.text
    found = only(preflight.arithmetic(recipe(training={"sft": {"batch_size": 3}}), 2))
    assert found.key.startswith("training.sft")
    with pytest.raises(RecipeError, match=r"(?s)training\.sft.*training\.grpo"):
        check_start(recipe(training={"sft": {"batch_size": 3}, "grpo": {"prompts_per_step": 3}}), 2)


def test_keys_that_do_not_go_together() -> None:
    made = recipe(policy={"model": "m", "lora_rank": 4}, training={"sft": {"optimizer": "muon"}})
    assert only(preflight.arithmetic(made, 1)).key == "training.sft.optimizer"
    made = grpo(rollout="vllm", vllm_tensor_parallel_size=3)
    assert "does not divide" in only(preflight.arithmetic(made, 2)).text
    for model, adapters in (("scratch", False), ("m", True)):
        made = recipe(policy={"model": model}, training={"grpo": {"rollout": "continuous-batching"}})
        text = only(preflight.arithmetic(made, 1)).text
        assert "small steps vanish" in text and ("lora_rank" in text) is adapters
    fine = recipe(training={"bf16": False, "grpo": {"rollout": "continuous-batching"}})
    assert list(preflight.arithmetic(fine, 1)) == []
    four_bits = {"model": "m", "lora_rank": 2, "load_in_4bit": True}
    for rollout in ({"rollout": "vllm"}, {"rollout": "vllm-server", "vllm_server_url": "http://localhost:8000"}):
        found = only(preflight.arithmetic(recipe(policy=four_bits, training={"grpo": rollout}), 1))
        assert found.key == "policy.load_in_4bit" and "training.grpo.rollout: transformers" in found.text
    assert list(preflight.arithmetic(recipe(policy=four_bits), 1)) == []
    for keys in ({"rollout": "vllm-server"}, {"vllm_server_url": "http://localhost:8000"}):
        with pytest.raises(RecipeError, match="go together"):
            grpo(**keys)
    with pytest.raises(RecipeError, match="lora_rank above 0"):
        recipe(policy={"model": "m", "load_in_4bit": True})
    for place in ("gpu", "cuda:x", "http://elsewhere:8311", "ftp://localhost"):
        with pytest.raises(RecipeError, match="placement"):
            recipe(reward={"placement": place})


@pytest.mark.parametrize("name", ["sft", "grpo"])
@pytest.mark.parametrize("launcher", ["FSDP", "DEEPSPEED"])
def test_muon_is_refused_before_the_first_stage_where_weights_are_shared_out(
    monkeypatch: pytest.MonkeyPatch, launcher: str, name: str
) -> None:
    muon = recipe(training={name: {"optimizer": "muon"}})
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_start(muon, 2)
    monkeypatch.setenv(f"ACCELERATE_USE_{launcher}", "true")
    check_start(recipe(), 2)
    with pytest.raises(RecipeError, match=rf"^training\.{name}\.optimizer: muon needs whole matrices .* adamw"):
        check_start(muon, 2)


@pytest.mark.parametrize(
    ("module", "sections", "key"),
    [
        ("bitsandbytes", {"policy": {"model": "m", "lora_rank": 2, "load_in_4bit": True}}, "policy.load_in_4bit"),
        ("liger_kernel", {"training": {"use_liger_kernel": True}}, "training.use_liger_kernel"),
        ("vllm", {"training": {"grpo": {"rollout": "vllm"}}}, "training.grpo.rollout"),
    ],
)
def test_a_missing_package_has_one_message_with_the_command(module: str, sections: dict[str, Any], key: str) -> None:
    if util.find_spec(module) is not None:
        pytest.skip(f"{module} is installed")
    found = next(preflight.machine(recipe(**sections), 1))
    assert (found.severity, found.key) == ("error", key)
    assert "is not installed: pip install" in found.text


def test_a_path_that_is_no_models_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("./nosuch", "../nosuch", "~/nosuch", str(tmp_path / "nosuch"), "models/of/mine"):
        found = only(preflight.machine(recipe(policy={"model": name}), 1))
        assert found.key == "policy.model" and found.text.startswith(f"{name}: no such folder")
        with pytest.raises(RecipeError, match="no such folder"):
            check_start(recipe(policy={"model": name}), 1)
    (tmp_path / "empty").mkdir()
    for name in ("empty", "./empty", "~/empty"):
        assert "no config.json" in only(preflight.machine(recipe(policy={"model": name}), 1)).text
    tiny_policy(tmp_path / "tiny")
    for name in ("tiny", "./tiny", "~/tiny", str(tmp_path / "tiny"), "Qwen/Qwen2.5-3B-Instruct", "gpt2"):
        assert list(preflight.machine(recipe(policy={"model": name}), 1)) == []
    assert load_policy("~/tiny")[0].config.model_type == "qwen2"
    (tmp_path / "tiny" / "adapter_config.json").write_text("{}")
    assert (
        "a LoRA adapter, and training goes on from" in only(preflight.machine(recipe(policy={"model": "tiny"}), 1)).text
    )


def test_several_gpus_want_several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # a driver that is too old for torch
    assert list(preflight.machine(recipe(), 1)) == []
    assert "no GPU that torch can use" in only(preflight.machine(recipe(reward={"placement": "cuda:1"}), 1)).text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert "torchrun --nproc_per_node 4 -m overton train" in only(preflight.machine(recipe(), 1)).text
    assert "CUDA_VISIBLE_DEVICES=0" in only(preflight.machine(recipe(), 1)).text
    # Seeing one, the reward would have none; the processes take the GPUs from 0 on.
    found = only(preflight.machine(recipe(reward={"placement": "cuda:3"}), 1)).text
    assert found.endswith("or fewer, and cuda:3 is the reward's alone (--nproc_per_node 3)")
    assert list(preflight.machine(recipe(), 4)) == []
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert list(preflight.machine(recipe(), 1)) == []


def test_a_pad_token_that_the_model_has_no_row_for_is_not_used(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_policy(tmp_path / "tiny"))
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(tmp_path / "tiny")
    model, found = load_policy(tmp_path / "tiny")
    assert tokenizer.pad_token_id >= model.config.vocab_size > found.pad_token_id == found.eos_token_id


def test_a_missing_tracker_and_an_unknown_one() -> None:
    if util.find_spec("wandb") is None:
        found = only(preflight.machine(recipe(training={"report_to": ["wandb"]}), 1))
        assert "pip install wandb" in found.text
    made = recipe(training={"report_to": ["wandbb"]})
    found = only(preflight.arithmetic(made, 1))
    with pytest.raises(RecipeError, match=r"^[^\n]*wandbb[^\n]*$"):  # once
        check_start(made, 1)
    assert "unknown tracker 'wandbb'" in found.text and "trackio" in found.text


def test_vllm_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    for version, fits in (("0.33.0", False), ("0.21.1", False), ("0.24.0+cu129", True)):
        monkeypatch.setattr(metadata, "version", lambda name, v=version: v if name == "vllm" else real(name))
        found = list(preflight._vllm())
        assert not found if fits else f"{version} is installed" in found[0].text


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_what_needs_one_says_so() -> None:
    assert "no GPU" in only(preflight.machine(recipe(reward={"placement": "cuda:1"}), 1)).text
    found = [p.text for p in preflight.machine(grpo(rollout="vllm"), 1)]
    assert any("no GPU that torch can use" in text for text in found)


def test_a_server_that_does_not_answer() -> None:
    found = list(preflight.machine(grpo(rollout="vllm-server", vllm_server_url="http://127.0.0.1:9"), 1))
    assert found[-1].key == "training.grpo.vllm_server_url" and "does not answer" in found[-1].text
    started = build_command(ScriptArguments(model="MODEL"))
    trls = shlex.join(started[started.index("--weight-transfer-config") :])
    assert f"VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --host 127.0.0.1 {trls} (" in found[-1].text
    made = recipe(reward={"placement": "http://127.0.0.1:9"})
    assert "no scores after 1 tries" in only(preflight.machine(made, 1)).text
    made = recipe(reward={"placement": "http://127.0.0.1:9", "token_env": "OVERTON_NO_SUCH_TOKEN"})
    assert "OVERTON_NO_SUCH_TOKEN is not set" in only(preflight.machine(made, 1)).text


@pytest.mark.timeout(60)  # the default wait is three minutes
def test_a_server_that_says_nothing_is_waited_for_as_long_as_the_recipe_says() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        made = recipe(reward={"placement": f"http://127.0.0.1:{silent.getsockname()[1]}", "timeout": 0.2})
        assert "(timed out)" in only(preflight.machine(made, 1)).text
        with pytest.raises(RunError, match="timed out"):
            of_server(made)
        assert placed_reward(made, None, "cpu").timeout == 0.2


@pytest.mark.parametrize(
    ("preset", "overrides"),
    [
        ("op-grpo", {"coverage_weight": 0, "uniqueness_weight": 0, "format_weight": 0}),
        ("op-grpo", {"coverage_weight": 0, "uniqueness_weight": 0, "format_weight": 0, "tag_penalty": 1}),
    ],
)
def test_weights_that_cancel(preset: str, overrides: dict[str, float]) -> None:
    made = recipe(reward={"preset": preset, "overrides": overrides, "credit_weight": 0})
    assert "groups without spread teach nothing" in only(preflight.reward_spread(made)).text
    made = recipe(reward={"preset": preset, "overrides": overrides})  # credit still tells segments apart
    only(preflight.reward_spread(made), "warning")


def test_weights_by_which_a_worse_answer_earns_as_much() -> None:
    made = recipe(reward={"preset": "op-grpo", "overrides": {"coverage_weight": 0}})
    assert "to a worse one" in only(preflight.reward_spread(made), "warning").text


def test_a_background_that_is_too_small() -> None:
    views = (Perspective("A", "one"), Perspective("B", "two"))
    many = [Situation(str(i), f"May {i}?", views) for i in range(9)]
    assert list(preflight.background(recipe(), [])) == []
    found = only(preflight.background(recipe(reward={"background": 500}), many[:3]))
    assert found.key == "reward.background" and "found 6 of 3 situations" in found.text
    assert list(preflight.background(recipe(reward={"background": 500}), many)) == []
    with pytest.raises(RecipeError, match="background is 0 or more than 10"):
        recipe(reward={"background": 5})


def test_calibrations(tmp_path: Path) -> None:
    folder = tmp_path / "estimator"
    tiny_encoder(folder / "model")
    assert "calibration.json" in only(preflight.calibration(recipe(), folder)).text
    row: dict[str, Any] = dict.fromkeys(
        ("threshold", "low", "high", "slope", "intercept", "f1", "precision", "recall"), 0.5
    )
    row |= {"pairs": 9, "data_hash": "d", "model_hash": model_hash(folder / "model")}
    write_json(folder / "calibration.json", row)
    assert list(preflight.calibration(recipe(), folder)) == []
    assert (
        "no calibration for the data set"
        in only(preflight.calibration(recipe(reward={"data_set": "argkp"}), folder)).text
    )
    write_json(folder / "calibration.json", row | {"model_hash": "of another"})
    assert "another model" in only(preflight.calibration(recipe(), folder)).text
    untuned = next(iter(read_json(Path(shipped.__file__).with_name("calibrations.json")).values()))["data_hash"]
    write_json(folder / "calibration.json", row | {"data_hash": untuned})
    found = only(preflight.untuned(recipe(), folder), "warning")
    assert found.key == "reward.background" and "untuned" in found.text
    for other in ({"background": 500}, {"preset": "op-grpo"}):
        assert not list(preflight.untuned(recipe(reward=other), folder))
    write_json(folder / "calibration.json", row)
    assert not list(preflight.untuned(recipe(), folder))


def test_tokenizers(tmp_path: Path) -> None:
    made = recipe(policy={"model": "m"})
    plain = AutoTokenizer.from_pretrained(tiny_policy(tmp_path / "plain"))
    assert "no chat template" in only(preflight.tokenizer_problems(made, plain), "warning").text
    chat = AutoTokenizer.from_pretrained(tiny_policy(tmp_path / "chat", chat=True))
    assert list(preflight.tokenizer_problems(made, chat)) == []
    chat.pad_token = chat.eos_token
    assert "padding is its end token" in only(preflight.tokenizer_problems(made, chat), "warning").text
    endless: Any = SimpleNamespace(chat_template="x", pad_token_id=None, eos_token_id=None)
    assert "no end token" in only(preflight.tokenizer_problems(made, endless)).text


@pytest.mark.parametrize(
    ("model", "rate", "warned"), [("scratch", 1e-5, 1), ("scratch", 0.02, 0), ("some/model", 1e-5, 0)]
)
def test_a_rate_for_pretrained_models_is_told_with_random_weights(model: str, rate: float, warned: int) -> None:
    from overton.training.lengths import step_problems

    found = list(step_problems(recipe(policy={"model": model}, training={"sft": {"learning_rate": rate}}), 10_000))
    assert [(p.severity, p.key) for p in found] == [("warning", "training.sft.learning_rate")] * warned


@pytest.mark.parametrize(
    ("policy", "training", "warned"),
    [
        ({"model": "m"}, {}, ["grpo"]),  # the default is for a policy from scratch
        ({"model": "m"}, {"grpo": {"learning_rate": 1e-6}}, []),
        ({"model": "m"}, {"sft": {"learning_rate": 1e-2}, "grpo": {"learning_rate": 1e-6}}, ["sft"]),
        ({"model": "m", "lora_rank": 8}, {"sft": {"learning_rate": 2e-4}, "grpo": {"learning_rate": 1e-5}}, []),
        ({"model": "m", "lora_rank": 8}, {}, ["grpo"]),
        ({"model": "scratch"}, {}, []),
    ],
)
def test_a_rate_from_scratch_is_told_with_a_pretrained_model(
    policy: dict[str, Any], training: dict[str, Any], warned: list[str]
) -> None:
    from overton.training.lengths import rate_problems

    found = list(rate_problems(recipe(policy=policy, training=training)))
    assert [p.key for p in found] == [f"training.{name}.learning_rate" for name in warned]
    assert all(p.severity == "warning" for p in found)
