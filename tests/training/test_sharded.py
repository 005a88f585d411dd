"""Weights shared out by FSDP2 over two processes: the same training, a whole model, and on after a failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from test_two_processes import launch

from overton.errors import RecipeError
from overton.rundir import read_jsonl
from overton.testing import tiny_policy
from overton.training.optimizers import make_optimizer
from overton.training.policy import load_policy

ADAMW = ["--set", "training.sft.optimizer=adamw", "--set", "policy.layers=2"]


def weights(run: Path, part: str) -> dict:  # type: ignore[type-arg]
    return load_file(run / "training" / part / "model" / "model.safetensors")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
def test_shards_train_as_copies_do_and_go_on_after_a_failure(tmp_path: Path, lora: bool) -> None:
    more = list(ADAMW)
    if lora:
        policy = tiny_policy(tmp_path / "policy", max_length=512)
        more += ["--set", f"policy.model={policy}", "--set", "policy.lora_rank=2"]
    copies, shards = tmp_path / "copies", tmp_path / "shards"
    for folder in (copies, shards):
        folder.mkdir()
    done = launch(copies, "train", *more)
    assert done.returncode == 0, done.stderr[-4000:]
    done = launch(shards, "train", *more, script="sharded_training.py", FAIL="1")
    assert done.returncode != 0 and done.stderr.count("error: the second process has enough") == 1
    assert list((shards / "run/training/grpo/checkpoints/checkpoint-1").glob("pytorch_model_fsdp_0*"))
    done = launch(shards, "train", *more, script="sharded_training.py")
    assert done.returncode == 0, done.stderr[-4000:]
    for rank in (0, 1):  # one step was left to do, of two passes
        assert json.loads((shards / f"shards-{rank}.json").read_text()) == [True, True]

    expected, found = weights(copies / "run", "sft"), weights(shards / "run", "sft")
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and found[key].shape == value.shape
        assert (found[key] - value).abs().max() < 1e-5, key
    trained = weights(shards / "run", "grpo")
    assert trained.keys() == found.keys() and any(not trained[key].equal(found[key]) for key in found)
    assert [row["step"] for row in read_jsonl(shards / "run/training/grpo/metrics.jsonl")] == [1, 2]
    load_policy(shards / "run/training/grpo/model")


def test_muon_is_refused_where_weights_are_shared_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from overton.sections_training import SftSection

    model, _ = load_policy(tiny_policy(tmp_path / "policy"))
    options = SftSection(optimizer="muon")
    assert make_optimizer(model, options, 0) is not None
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(RecipeError, match=r"optimizer: muon .* adamw"):
        make_optimizer(model, options, 0)
    assert make_optimizer(model, SftSection(), 0) is None
