"""The benchmark of a policy from nothing measures what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

import scratch_policy
from overton.jsonio import write_jsonl
from overton.training.tokenizer import train_tokenizer


def test_the_loss_of_an_answer_is_its_tokens_times_the_loss_of_one(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(["a view of it"], 300)
    tokenizer.save_pretrained(tmp_path / "model")
    rows = [{"prompt": "a", "completion": "a view"}, {"prompt": "it", "completion": "of it"}]
    write_jsonl(tmp_path / "metrics.jsonl", [{"loss": 9.0}, *[{"loss": 0.5}, {"loss": 1.5}] * 50, {"runtime": 1.0}])
    found = scratch_policy.tokens(rows, tmp_path)
    learnt = sum(len(tokenizer(row["completion"])["input_ids"]) for row in rows) / 2 + 1  # the end is learnt too
    assert found["answer"] == learnt and found["vocabulary"] == len(tokenizer)
    assert found["nats"] == pytest.approx(learnt * 1.0)


def test_both_ways_of_the_optimizer_are_the_same_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overton.training.optimizers.has_fast_bf16", lambda device: False)
    found = scratch_policy.muon(16, 1)
    assert found["apart"] < 1e-4 and found["plain"] > 0 and found["overton"] > 0
