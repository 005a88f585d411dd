"""Weights shared out by FSDP2 over two processes: the same training, a whole model, and on after a failure."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from test_two_processes import launch

from overton.errors import RecipeError
from overton.jsonio import read_jsonl
from overton.testing import tiny_policy
from overton.training.optimizers import make_optimizer
from overton.training.policy import load_policy

ADAMW = ["--set", "training.sft.optimizer=adamw", "--set", "policy.layers=2"]


def weights(run: Path, part: str) -> dict:  # type: ignore[type-arg]
    return load_file(run / "training" / part / "model" / "model.safetensors")


def train_in_shards(folder: Path, config: str, kind: str) -> Path:
    """A training by copies, one by shares that is ended in its second step of OP-GRPO and goes on; they are compared.

    Args:
        folder: for both.
        config: file of examples/accelerate that shares out.
        kind: ``full``: all weights; ``lora``: an adapter; ``qlora``: an adapter, which is in bfloat16, of weights in 4
            bits.

    Returns:
        Folder of the one by shares.
    """
    more = list(ADAMW)
    if kind != "full":
        policy = tiny_policy(folder / "policy", max_length=512)
        more += ["--set", f"policy.model={policy}", "--set", "policy.lora_rank=2"]
        more += ["--set", f"policy.load_in_4bit={str(kind == 'qlora').lower()}"]
    copies, shards = folder / "copies", folder / "shards"
    for made in (copies, shards):
        made.mkdir()
    done = launch(copies, "train", *more)
    assert done.returncode == 0, done.stderr[-4000:]
    done = launch(shards, "train", *more, script="sharded_training.py", CONFIG=config, FAIL="1")
    assert done.returncode != 0 and done.stderr.count("error: the second process has enough") == 1, done.stderr[-4000:]
    checkpoint = shards / "run/training/grpo/checkpoints/checkpoint-1"
    assert list(checkpoint.glob("pytorch_model_fsdp_0*" if config.startswith("fsdp") else "global_step1"))
    done = launch(shards, "train", *more, script="sharded_training.py", CONFIG=config)
    assert done.returncode == 0, done.stderr[-4000:]

    expected, found = weights(copies / "run", "sft"), weights(shards / "run", "sft")
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and found[key].shape == value.shape
        assert (found[key] - value).abs().max() < (2e-4 if kind == "qlora" else 1e-5), key
    losses = [[row["loss"] for row in read_jsonl(f / "run/training/sft/metrics.jsonl")] for f in (copies, shards)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)
    trained = weights(shards / "run", "grpo")
    assert trained.keys() == found.keys() and any(not trained[key].equal(found[key]) for key in found)
    assert [row["step"] for row in read_jsonl(shards / "run/training/grpo/metrics.jsonl")] == [1, 2]
    load_policy(shards / "run/training/grpo/model")
    return shards


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["full", "lora"])  # "qlora" is among DeepSpeed's contract tests
def test_shards_train_as_copies_do_and_go_on_after_a_failure(tmp_path: Path, kind: str) -> None:
    shards = train_in_shards(tmp_path, "fsdp2.yaml", kind)
    for rank in (0, 1):  # one step was left to do, of two passes
        assert json.loads((shards / f"shards-{rank}.json").read_text()) == [True, True]


def stops_at_a_share_that_is_nan(folder: Path, config: str) -> None:
    done = launch(folder, "train", *ADAMW, script="sharded_training.py", CONFIG=config, BREAK="1")
    assert done.returncode != 0 and done.stderr.count("error: ") == 1 and "at step 2" in done.stderr, done.stderr[
        -4000:
    ]
    sft = folder / "run" / "training" / "sft"
    saved = [row for path in sft.glob("nonfinite_step_0002_process_*.jsonl") for row in read_jsonl(path)]
    assert saved and {row["what"] for row in saved} == {"the loss is nan"}
    assert not (sft / "model").exists() and not list(sft.glob("checkpoints/checkpoint-*"))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_share_that_is_nan_ends_the_training(tmp_path: Path) -> None:
    stops_at_a_share_that_is_nan(tmp_path, "fsdp2.yaml")


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
