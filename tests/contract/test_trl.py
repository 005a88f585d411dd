"""TRL's call shape, with its real trainers and a tiny random Qwen2 on the CPU."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from trl import GRPOTrainer, SFTConfig, SFTTrainer
from trl_setup import HashEncoder, arguments, dataset, train

from overton.integrations.trl import TrlReward
from overton.rewards import OvertonReward
from overton.segment import format_answer
from overton.testing import tiny_policy
from overton.training.grpo import OpGrpoTrainer
from overton.training.policy import load_policy
from overton.training.trainers import OvertonSFTTrainer
from overton.types import Perspective

COLUMNS = {"situation", "situation_id", "references"}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return tiny_policy(tmp_path_factory.mktemp("policy"), max_length=96)


def overton_reward(folder: Path | None = None, **more: Any) -> TrlReward:
    return TrlReward(OvertonReward(HashEncoder()), folder, **more)


class Recorder(TrlReward):
    """Keeps what TRL called it with and what it answered."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: list[dict[str, Any]] = []
        self.answers: list[list[float | None]] = []

    def __call__(self, *args: Any, **kwargs: Any) -> list[float | None]:
        assert not args
        self.calls.append(dict(kwargs))
        self.answers.append(super().__call__(**kwargs))
        return self.answers[-1]


# ------------------------------------------------------------------ the reward function


def test_trl_calls_the_reward_with_these_arguments_and_logs_its_metrics(policy: Path, tmp_path: Path) -> None:
    reward = Recorder(OvertonReward(HashEncoder()), tmp_path / "completions", every=1)
    trainer = train(GRPOTrainer, policy, tmp_path, dataset(), arguments(tmp_path), reward_funcs=[reward])
    assert len(reward.calls) == 2
    for step, call in enumerate(reward.calls):
        assert set(call) >= {"prompts", "completions", "completion_ids", "trainer_state", "log_metric"} | COLUMNS
        assert [len(call[k]) for k in ("prompts", "completions", "completion_ids", *sorted(COLUMNS))] == [8] * 6
        assert all(isinstance(text, str) for text in call["completions"])
        assert all(isinstance(ids, list) and isinstance(ids[0], int) for ids in call["completion_ids"])
        assert call["situation_id"] == [call["situation_id"][0]] * 4 + [call["situation_id"][4]] * 4
        assert call["references"][0][0]["label"] == "Privacy"
        rows = [json.loads(line) for line in (tmp_path / "completions" / f"step_{step:04d}.jsonl").open()]
        assert [row["answer"] for row in rows] == call["completions"]
        assert [row["prompt"] for row in rows] == call["situation"]
        assert [row["reward"] for row in rows] == pytest.approx(reward.answers[step])
        assert set(rows[0]) == {
            *("step", "prompt", "answer", "reward", "reason", "terms", "matches", "repeated", "credits")
        }
    steps = [row for row in trainer.state.log_history if "reward" in row]
    assert len(steps) == 2
    for row, answers in zip(steps, reward.answers, strict=True):
        assert {"terms/coverage", "terms/precision", "terms/uniqueness", "terms/form"} <= set(row)
        assert {"perspectives", "valid_tags", "unscored", "seconds/reward", "rewards/overton/mean"} <= set(row)
        assert row["reward"] == pytest.approx(np.mean([a for a in answers if a is not None]), abs=1e-6)
        assert row["unscored"] == 0 and row["seconds/reward"] >= 0


def test_a_group_that_cannot_be_scored_is_none_and_moves_nothing(policy: Path, tmp_path: Path) -> None:
    data = dataset(without=("Bo", "Di", "Flo", "Ann", "Cy"))
    reward = Recorder(OvertonReward(HashEncoder()))
    seen: list[torch.Tensor] = []

    class Watched(OpGrpoTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            output = super()._generate_and_score_completions(inputs)
            seen.append(output["advantages"])
            return output

    trainer = train(
        Watched,
        policy,
        tmp_path,
        data,
        arguments(tmp_path, max_steps=3),
        reward=reward,
        credit_weight=1.0,
        credit_discount=0.9,
    )
    none = [[answer is None for answer in answers] for answers in reward.answers]
    assert sorted(sum(row) for row in none) == [4, 8, 8]
    for advantages, unscored in zip(seen, none, strict=True):
        assert torch.isfinite(advantages).all()
        assert (advantages[torch.tensor(unscored)] == 0).all()
    rows = [row for row in trainer.state.log_history if "unscored" in row]
    assert sorted(row["unscored"] for row in rows) == [4, 8, 8]
    weights = torch.cat([p.detach().flatten() for p in trainer.model.parameters()])
    assert torch.isfinite(weights).all()


def test_messages_and_cut_off_answers() -> None:
    answer = format_answer([Perspective("Care", "Ann means well")], "Care.")
    columns: dict[str, Any] = {
        "situation": ["?"] * 3,
        "situation_id": ["a"] * 3,
        "references": [[{"label": "Care", "explanation": "Ann means well"}]] * 3,
    }
    texts = [answer, answer[:-3], answer[:-3]]
    messages = [[{"role": "assistant", "content": text}] for text in texts]
    ids = [[1] * 8, [1] * 8, [1] * 7]
    reward = overton_reward(max_tokens=8)
    # The first ends with the template though it used every token, the second was cut off, the third just stopped.
    cut = reward(prompts=["?"] * 3, completions=messages, completion_ids=ids, **columns)
    assert [s.terms["form"] for s in reward.last_scores] == [0.0, -1.0, -0.5]
    assert reward.last_texts == texts
    assert cut == overton_reward(max_tokens=8)(prompts=["?"] * 3, completions=texts, completion_ids=ids, **columns)
    without_limit = overton_reward()(prompts=["?"] * 3, completions=texts, completion_ids=ids, **columns)
    assert without_limit[1] == without_limit[2] == cut[2]
    empty = reward(prompts=["?"] * 3, completions=[[{"role": "assistant", "content": None}]] * 3, **columns)
    assert empty == [-0.5] * 3  # an empty answer is scored


def test_scores_come_back_in_the_order_of_a_mixed_batch() -> None:
    good = format_answer([Perspective("Care", "Ann means well")], "Care.")
    references = {"a": [{"label": "Care", "explanation": "Ann means well"}], "b": []}
    order = ["a", "b", "a", "b", "a"]
    reward = overton_reward()
    found = reward(
        prompts=order,
        completions=[good, good, "", "", good],
        situation=order,
        situation_id=order,
        references=[references[key] for key in order],
    )
    assert found == [1.0, None, -0.5, None, 1.0]
    assert [s.reason != "" for s in reward.last_scores] == [False, True, False, True, False]


# ------------------------------------------------------------------ the trainers


def test_without_credit_the_trainer_is_trls(policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Direct sampling spends other random numbers; tests/training/test_draw.py shows that it is the same sampling.
    monkeypatch.setattr("overton.training.grpo.fast_generate", lambda *_: contextlib.nullcontext())
    seen: dict[str, list[dict[str, Any]]] = {"plain": [], "ours": []}

    class Plain(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            seen["plain"].append(super()._generate_and_score_completions(inputs))
            return seen["plain"][-1]

    class Ours(OpGrpoTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            seen["ours"].append(super()._generate_and_score_completions(inputs))
            return seen["ours"][-1]

    args = {"max_steps": 3, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    plain = train(Plain, policy, tmp_path, dataset(), arguments(tmp_path, **args), reward_funcs=[overton_reward()])
    ours = train(
        Ours,
        policy,
        tmp_path,
        dataset(),
        arguments(tmp_path, **args),
        reward=overton_reward(),
        credit_weight=0.0,
        credit_discount=0.9,
    )
    for a, b in zip(seen["plain"], seen["ours"], strict=True):
        assert a["advantages"].abs().max() > 0
        assert a["advantages"].equal(b["advantages"])
        assert a["completion_ids"].equal(b["completion_ids"])
    for name in ("loss", "grad_norm", "reward", "entropy"):
        values = [[row[name] for row in t.state.log_history if name in row] for t in (plain, ours)]
        assert len(values[0]) == 3
        assert values[1] == pytest.approx(values[0], rel=1e-4, abs=1e-5), name
    for a, b in zip(plain.model.parameters(), ours.model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    assert all(row["seconds/generation"] > 0 for row in ours.state.log_history if "reward" in row)


@pytest.mark.parametrize("batch_size", [None, 2])
def test_log_probabilities_on_a_cpu_are_trls(policy: Path, tmp_path: Path, batch_size: int | None) -> None:
    model, tokenizer = load_policy(policy)
    trainer = OpGrpoTrainer(
        model=model,
        args=arguments(tmp_path, entropy_coef=0.01),
        train_dataset=dataset(),
        processing_class=tokenizer,
        reward=overton_reward(),
        credit_weight=1.0,
        credit_discount=0.9,
    )
    generator = torch.Generator().manual_seed(0)
    prompts, answers, size = 7, 9, 5
    ids = torch.randint(2, model.config.vocab_size, (size, prompts + answers), generator=generator)
    mask = torch.ones_like(ids)
    for row, (left, right) in enumerate([(0, 0), (3, 0), (0, 4), (5, 8), (6, 1)]):
        mask[row, :left] = 0  # prompts are padded on the left, answers on the right
        mask[row, prompts + answers - right :] = 0
    found, theirs = [
        method(trainer.model, ids, mask, answers, batch_size, compute_entropy=True)
        for method in (
            trainer._get_per_token_logps_and_entropies,
            super(OpGrpoTrainer, trainer)._get_per_token_logps_and_entropies,
        )
    ]
    kept = mask[:, prompts:].bool()
    assert found[0].shape == theirs[0].shape == (size, answers)
    assert torch.allclose(found[0][kept], theirs[0][kept], atol=1e-4)
    assert torch.allclose(found[1][kept], theirs[1][kept], atol=1e-4)
    assert found[0][kept].max() < 0
    gradients = []
    for logps, entropies, _ in (found, theirs):
        trainer.model.zero_grad()
        (logps[kept].sum() + 0.5 * entropies[kept].sum()).backward(retain_graph=True)
        gradients.append(torch.cat([p.grad.flatten().clone() for p in trainer.model.parameters()]))
    assert gradients[0].abs().max() > 0.1
    assert torch.allclose(gradients[0], gradients[1], atol=1e-3, rtol=1e-3)


def test_models_that_scale_or_cap_their_logits_go_trls_way(policy: Path, tmp_path: Path) -> None:
    model, tokenizer = load_policy(policy)
    model.config.final_logit_softcapping = 0.5
    trainer = OpGrpoTrainer(
        model=model,
        args=arguments(tmp_path),
        train_dataset=dataset(),
        processing_class=tokenizer,
        reward=overton_reward(),
        credit_weight=0.0,
        credit_discount=0.9,
    )
    ids = torch.full((1, 6), 5)
    found = trainer._get_per_token_logps_and_entropies(trainer.model, ids, torch.ones_like(ids), 3)[0]
    theirs = super(OpGrpoTrainer, trainer)._get_per_token_logps_and_entropies(
        trainer.model, ids, torch.ones_like(ids), 3
    )[0]
    assert found.equal(theirs)


def test_credit_differs_from_token_to_token_and_adds_to_the_advantage(policy: Path, tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    scores: list[Any] = []
    reward = overton_reward()

    class Watched(OpGrpoTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> Any:
            seen.append(super()._generate_and_score_completions(inputs))
            scores.append(reward.last_scores)
            return seen[-1]

    args = arguments(tmp_path, max_steps=1, max_completion_length=40, seed=7)
    trained = [
        train(Watched, policy, tmp_path, dataset(), args, reward=reward, credit_weight=weight, credit_discount=0.9)
        for weight in (0.0, 0.7)
    ]
    plain, credited = seen
    mask = credited["completion_mask"].bool()
    extra = credited["advantages"] - plain["advantages"].unsqueeze(1)
    assert extra.shape == mask.shape
    assert float(extra[mask].pow(2).mean().sqrt()) == pytest.approx(0.7, rel=1e-3)  # of the weight's size
    assert any(len(s.segments) > 1 for s in scores[1])
    assert any(len(set(row[m].tolist())) > 1 for row, m in zip(extra, mask, strict=True))
    assert (extra[~mask] == 0).all()
    losses = [t.state.log_history[0]["loss"] for t in trained]
    assert losses[0] != losses[1]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_supervised_loss_is_trls(policy: Path, tmp_path: Path, accumulation: int) -> None:
    texts = ["In the perspective of Care, yes.", "No.", "It depends on what they read.", "She may not."] * 2
    data = Dataset.from_list([{"prompt": f"May {i}?\n", "completion": text} for i, text in enumerate(texts)])
    histories = []
    for kind in (SFTTrainer, OvertonSFTTrainer):
        args = SFTConfig(
            output_dir=str(tmp_path),
            max_steps=3,
            per_device_train_batch_size=4 // accumulation,
            gradient_accumulation_steps=accumulation,
            learning_rate=1e-2,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            train_sampling_strategy="sequential",
            seed=5,
        )
        trainer = train(kind, policy, tmp_path, data, args)
        histories.append([row["loss"] for row in trainer.state.log_history if "loss" in row])
    assert len(histories[0]) == 3
    assert histories[1] == pytest.approx(histories[0], abs=1e-4)
