"""bfloat16 is used where it is fast, whatever a recipe wishes: training, loading, Muon, the plan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from overton.jsonio import write_jsonl
from overton.precision import has_fast_bf16
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.testing import tiny_policy
from overton.training import arguments, dry_run, optimizers, policy, sft
from overton.training.dry_run import Setting
from overton.training.trainers import OvertonSFTTrainer

ON_CPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, and training takes it")


def test_a_processor_is_fast_where_it_has_the_instructions() -> None:
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        pytest.skip("no /proc/cpuinfo")
    assert has_fast_bf16("cpu") == ("avx512_bf16" in flags)
    assert not has_fast_bf16("mps")


@ON_CPU
@pytest.mark.parametrize("fast", [True, False])
def test_training_rounds_where_that_is_fast(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "has_fast_bf16", lambda device: fast and device == "cpu")
    for wanted in (True, False):
        recipe = parse_recipe({"name": "x", "policy": {"model": "m"}, "training": {"bf16": wanted}})
        assert arguments.sft_arguments(recipe, Path("out"), 100, prepared=False)["bf16"] is (fast and wanted)
        assert arguments.grpo_arguments(recipe, Path("out"), 9)["bf16"] is (fast and wanted)


@ON_CPU
@pytest.mark.parametrize("wanted", [True, False])
def test_the_recipe_decides_over_the_launcher(wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = []

    class Watched(OvertonSFTTrainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            with self.accelerator.autocast():
                rounds.append(torch.is_autocast_enabled("cpu"))
            return super().compute_loss(*args, **kwargs)

    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no" if wanted else "bf16")  # as a file of accelerate's has it
    monkeypatch.setattr(arguments, "has_fast_bf16", lambda device: True)
    monkeypatch.setattr("overton.training.trainers.OvertonSFTTrainer", Watched)
    tiny = {"name": "x", "threads": 1, "policy": {"model": str(tiny_policy(tmp_path / "tiny"))}}
    write_jsonl(tmp_path / "sft.jsonl", [{"id": "a", "prompt": "May I?", "completion": "Care."}] * 2)
    recipe = parse_recipe({**tiny, "training": {"bf16": wanted}})
    sft.train_sft(recipe, tmp_path / "sft.jsonl", tmp_path / "out", max_steps=1)
    assert rounds and set(rounds) == {wanted}


@ON_CPU
def test_the_plan_says_the_precision_of_the_machine_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dry_run, "has_fast_bf16", lambda device: False)
    monkeypatch.setattr(arguments, "has_fast_bf16", lambda device: False)
    recipe = parse_recipe({"name": "x", "policy": {"model": str(tiny_policy(tmp_path / "tiny"))}})
    run = RunDir(tmp_path / "run")
    here, there = (dry_run.dry_run(recipe, run, Setting(processes=1, memory_gb=size)) for size in (0, 80))
    assert (here["setting"]["precision"], there["setting"]["precision"]) == ("float32", "bf16")
    for part in ("sft", "grpo"):
        assert not here[part]["settings"].get("bf16") and there[part]["settings"]["bf16"]
    assert recipe.training.bf16


@ON_CPU
@pytest.mark.parametrize(("fast", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_weights_saved_in_half_precision_are_read_in_what_is_fast(
    fast: bool, expected: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_policy(tmp_path / "tiny")
    saved = AutoModelForCausalLM.from_pretrained(folder).bfloat16()
    saved.save_pretrained(folder)
    monkeypatch.setattr(policy, "has_fast_bf16", lambda device: fast)
    model, _ = policy.load_policy(folder)
    assert {weights.dtype for weights in model.parameters()} == {expected}
    assert all(torch.equal(a.float(), b.float()) for a, b in zip(model.parameters(), saved.parameters(), strict=True))
    assert policy.load_policy(folder, "bfloat16")[0].dtype == torch.bfloat16  # what was asked for


@ON_CPU
def test_quantised_weights_stay_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = AutoModelForCausalLM.from_pretrained(tiny_policy(tmp_path / "tiny")).bfloat16()
    saved.config.quantization_config = {"bits": 4}
    monkeypatch.setattr(policy, "has_fast_bf16", lambda device: False)
    monkeypatch.setattr(policy, "causal_model", lambda source, **options: saved)
    assert policy.load_policy(tmp_path / "tiny")[0].dtype == torch.bfloat16


def test_muon_without_bfloat16_is_the_same_within_its_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"ns_coefficients": (3.4445, -4.775, 2.0315), "ns_steps": 5, "eps": 1e-7}
    matrices = torch.randn(3, 12, 7, generator=torch.Generator().manual_seed(0))
    found = []
    for fast in (True, False):
        monkeypatch.setattr(optimizers, "has_fast_bf16", lambda device, fast=fast: fast)
        found.append(optimizers.orthogonal(matrices, options))
        assert found[-1].dtype == torch.float32
        sizes = torch.linalg.svdvals(found[-1])
        assert float(sizes.min()) > 0.5 and float(sizes.max()) < 1.3  # about 1, as the iterations leave them
    assert not torch.equal(*found) and torch.allclose(*found, atol=0.05)
