"""A training stops at the first number that is not finite: the batch is saved, and the last good checkpoint kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from kill_and_resume import SITUATIONS, HashEncoder, grpo, recipe, sft
from safetensors.torch import load_file

from overton.errors import NonFiniteError, RecipeError
from overton.rewards import OvertonReward
from overton.testing import tiny_policy
from overton.training.arguments import grpo_arguments
from overton.training.callbacks import MetricsFile
from overton.training.checkpoints import damage, last_checkpoint
from overton.training.grpo import train_grpo
from overton.training.guard import plain, shard
from overton.types import Score

Poke = Callable[[torch.nn.Module], object]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def poke_at(monkeypatch: pytest.MonkeyPatch, step: int, poke: Poke, event: str = "on_step_begin") -> None:
    """Do something to the model when so many steps are done."""

    def handler(self: MetricsFile, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step == step:
            poke(model)

    monkeypatch.setattr(MetricsFile, event, handler, raising=False)


def break_weight(model: torch.nn.Module) -> None:
    with torch.no_grad():
        model.get_input_embeddings().weight[7, 3] = math.nan  # type: ignore[operator]


def break_gradient(model: torch.nn.Module) -> None:
    model.get_input_embeddings().weight.register_hook(lambda g: g * math.inf)  # type: ignore[operator]


def saved_rows(folder: Path, step: int) -> list[dict[str, Any]]:
    (file,) = folder.glob("nonfinite_*")
    assert file.name == f"nonfinite_step_{step:04d}.jsonl"
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert rows and all(row["step"] == step and isinstance(row["learning_rate"], float) for row in rows)
    return rows


def assert_checkpoints_are_good(folder: Path, newest: int | None) -> None:
    assert not (folder / "model").exists()
    found = last_checkpoint(folder / "checkpoints", 1000)
    assert found == (None if newest is None else str(folder / "checkpoints" / f"checkpoint-{newest}"))
    for checkpoint in (folder / "checkpoints").glob("checkpoint-*"):
        assert damage(checkpoint) is None
        assert all(torch.isfinite(w).all() for w in load_file(checkpoint / "model.safetensors").values())


def test_sft_stops_at_a_loss_that_is_nan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poke_at(monkeypatch, 4, break_weight)
    with pytest.raises(NonFiniteError) as caught:
        sft(tmp_path, "muon", 3)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: the loss is nan at step 5 (learning rate 0.0")
    assert "checkpoint-3 is kept" in message and str(tmp_path / "nonfinite_step_0005.jsonl") in message
    rows = saved_rows(tmp_path, 5)
    assert len(rows) == 4
    texts = [s.text for s in SITUATIONS]
    for row in rows:
        assert any(row["text"].startswith(text) for text in texts)
        assert len(row["input_ids"]) <= len(row["labels"]) and row["what"] == "the loss is nan"
    assert_checkpoints_are_good(tmp_path, 3)
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").open()] == [1, 2, 3, 4]


def test_sft_stops_before_a_step_with_an_infinite_gradient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poke_at(monkeypatch, 2, break_gradient)
    with pytest.raises(NonFiniteError, match=r"the norm of the gradient is (nan|inf) at step 3"):
        sft(tmp_path, "adamw", 2, accumulation=2)
    rows = saved_rows(tmp_path, 3)
    # Any of the step's passes may be to blame.
    assert [row["forward_pass"] for row in rows] == [0, 0, 1, 1]
    assert_checkpoints_are_good(tmp_path, 2)


def test_a_checkpoint_of_broken_weights_is_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poke_at(monkeypatch, 6, break_weight, "on_step_end")  # where the second checkpoint is due
    with pytest.raises(NonFiniteError, match=r"embed_tokens\.weight are NaN or infinite after step 6"):
        sft(tmp_path, "muon", 3)
    assert len(saved_rows(tmp_path, 6)) == 4
    assert_checkpoints_are_good(tmp_path, 3)


def test_a_model_of_broken_weights_is_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poke_at(monkeypatch, 15, break_weight, "on_step_end")  # the last step, after which no checkpoint is due
    with pytest.raises(NonFiniteError, match="after step 15"):
        sft(tmp_path, "muon", 4)
    assert_checkpoints_are_good(tmp_path, 12)


@pytest.mark.parametrize(
    ("rate", "what"),
    [(1e6, "the norm of the gradient is nan"), (1e18, "the model's scores of the next token are NaN or infinite")],
)
def test_an_absurd_learning_rate_ends_in_a_message_and_not_in_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: float, what: str
) -> None:
    folder = tmp_path / "grpo"
    # A recipe may not ask for it.
    monkeypatch.setattr(
        "overton.training.grpo.grpo_arguments", lambda *args: grpo_arguments(*args) | {"learning_rate": rate}
    )
    with pytest.raises(NonFiniteError, match=f"{what} at step 2"):
        grpo(folder, save_steps=1, lr_scheduler="constant", warmup_ratio=0.0)
    assert saved_rows(folder, 2)[0]["learning_rate"] == pytest.approx(rate)
    assert_checkpoints_are_good(folder, 1)


def test_grpo_stops_before_it_samples_from_broken_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poke_at(monkeypatch, 4, break_weight)
    with pytest.raises(NonFiniteError, match=r"embed_tokens\.weight are NaN or infinite after step 4"):
        grpo(tmp_path / "grpo")
    rows = saved_rows(tmp_path / "grpo", 4)
    assert len(rows) == 8  # the answers of the step after which they were broken
    for row in rows:
        assert any(row["prompt"].startswith(s.text) for s in SITUATIONS)
        assert {"completion", "completion_ids", "advantages", "reward"} <= row.keys()
        assert len(row["completion_ids"]) <= 12 and math.isfinite(row["reward"])
    assert_checkpoints_are_good(tmp_path / "grpo", 3)


def test_weights_that_break_within_a_generation_are_found_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poke_at(monkeypatch, 5, break_weight)
    with pytest.raises(NonFiniteError, match="are NaN or infinite after step 5"):
        grpo(tmp_path / "grpo", steps_per_generation=2)
    assert len(saved_rows(tmp_path / "grpo", 5)) == 8
    assert_checkpoints_are_good(tmp_path / "grpo", 4)


class OddReward(OvertonReward):
    """Gives the third answer of a step another reward."""

    odd: float | None = None
    calls = 0

    def score(self, groups: Any) -> list[list[Score]]:
        scores = super().score(groups)
        type(self).calls += 1
        if self.calls > 3:
            scores[0][2] = replace(scores[0][2], value=self.odd, reason="odd" if self.odd is None else "")
        return scores


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_grpo_stops_at_a_reward_that_is_not_finite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, odd: float) -> None:
    reward = type("Odd", (OddReward,), {"odd": odd})
    monkeypatch.setattr("overton.training.grpo.placed_reward", lambda *_: reward(HashEncoder()))
    with pytest.raises(NonFiniteError, match=rf"reward of answer 3 of 8 is not finite \(reward {odd}\) at step 4"):
        grpo(tmp_path / "grpo")
    rows = saved_rows(tmp_path / "grpo", 4)
    assert [row["reward"] for row in rows].index(str(odd)) == 2
    assert all(isinstance(row["terms"]["coverage"], float) and row["completion_ids"] for row in rows)
    assert_checkpoints_are_good(tmp_path / "grpo", 3)


def test_an_answer_that_could_not_be_scored_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reward = type("Odd", (OddReward,), {})
    monkeypatch.setattr("overton.training.grpo.placed_reward", lambda *_: reward(HashEncoder()))
    with pytest.warns(UserWarning, match="could not be scored: odd"):
        grpo(tmp_path / "grpo", steps=5)
    assert (tmp_path / "grpo" / "model").is_dir() and not list((tmp_path / "grpo").glob("nonfinite_*"))
    rows = [json.loads(line) for line in (tmp_path / "grpo" / "metrics.jsonl").open()]
    assert [row["unscored"] for row in rows] == [0, 0, 0, 1, 1]


def test_vectors_that_are_nan_stop_with_the_answers_they_were_of(tmp_path: Path) -> None:
    class Broken(HashEncoder):
        def encode(self, texts: list[str], contexts: Any = None, *, preprocess: bool = True) -> np.ndarray:
            return super().encode(texts, contexts) * math.nan

    tiny_policy(tmp_path / "start", max_length=96)
    options = recipe(grpo={"steps": 2, "prompts_per_step": 2, "num_generations": 2, "max_completion_length": 12})
    with pytest.raises(NonFiniteError, match="similarity matrix holds NaN at step 1"):
        train_grpo(options, SITUATIONS, tmp_path / "start", Broken(), tmp_path / "grpo")  # type: ignore[arg-type]
    assert saved_rows(tmp_path / "grpo", 1)[0]["completion_ids"]


def test_fewer_situations_than_a_step_asks_is_a_message_and_no_untrained_model(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="prompts_per_step: 13, but there are only 12 situations"):
        grpo(tmp_path / "grpo", prompts_per_step=13)
    with pytest.raises(RecipeError, match="prompts_per_step: 5 x steps_per_generation: 15, but there are only 12"):
        grpo(tmp_path / "grpo", prompts_per_step=5, steps_per_generation=3)
    assert not (tmp_path / "grpo" / "model").exists()


def test_what_is_not_finite_is_written_as_text() -> None:
    assert plain([1, [math.nan, -math.inf], 0.5, None]) == [1, ["nan", "-inf"], 0.5, None]


def test_a_share_of_zero_3_is_looked_at() -> None:
    weights = torch.nn.Parameter(torch.empty(0))
    assert shard(weights) is weights
    weights.ds_tensor = torch.tensor([math.nan])  # type: ignore[attr-defined]
    assert shard(weights).isnan().all()
