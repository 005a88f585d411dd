"""DeepSpeed's ZeRO 2 and 3 inside our trainers, and QLoRA however weights are shared out: run by ``make contract``.

Two processes on CPUs, with the files of examples/accelerate; see tests/training/sharded_training.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from overton.errors import ModelError

pytest.importorskip("deepspeed", reason="this is DeepSpeed's environment only: make contract")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))

from test_sharded import stops_at_a_share_that_is_nan, train_in_shards


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("kind", ["full", "lora", "qlora"])
@pytest.mark.parametrize("config", ["deepspeed_zero2.yaml", "deepspeed_zero3.yaml"])
def test_shares_train_as_copies_do_and_go_on_after_a_failure(tmp_path: Path, config: str, kind: str) -> None:
    train_in_shards(tmp_path, config, kind)


@pytest.mark.timeout(1500)
def test_fsdp2_trains_an_adapter_of_weights_in_4_bits(tmp_path: Path) -> None:
    train_in_shards(tmp_path, "fsdp2.yaml", "qlora")  # here, since this environment has bitsandbytes


@pytest.mark.timeout(900)
def test_a_share_that_is_nan_ends_the_training(tmp_path: Path) -> None:
    stops_at_a_share_that_is_nan(tmp_path, "deepspeed_zero3.yaml")


def test_models_loaded_beside_zero_3_are_whole(tmp_path: Path) -> None:
    from transformers.integrations.deepspeed import HfDeepSpeedConfig, is_deepspeed_zero3_enabled

    from overton.estimator import SimilarityEstimator
    from overton.testing import tiny_encoder, tiny_policy
    from overton.training.policy import load_policy

    made, policy = tiny_encoder(tmp_path / "encoder"), tiny_policy(tmp_path / "policy")
    config = HfDeepSpeedConfig({"zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": 1})
    estimator = SimilarityEstimator.load(made)
    assert is_deepspeed_zero3_enabled() and config.is_zero3()
    assert estimator.encode(["Honesty is right."]).shape[0] == 1
    with pytest.raises(ModelError, match="no such"):
        SimilarityEstimator.load(tmp_path / "missing")
    assert is_deepspeed_zero3_enabled()
    assert all(weights.numel() for weights in load_policy(policy)[0].parameters())
