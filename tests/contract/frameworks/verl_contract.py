"""verl 0.9.1: its configuration, data set, reward loop and advantages, with our reward.

Real: everything but the rollout. Answers come from a list, since verl's rollout engines need a GPU.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import ray
import torch
import yaml
from contract_parts import EXAMPLES, SITUATIONS, answers, expected, good_answer, row_of, run_example
from omegaconf import DictConfig, OmegaConf
from transformers import AutoTokenizer
from verl import DataProto
from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput, AgentLoopWorker
from verl.experimental.reward_loop import RewardLoopManager, migrate_legacy_reward_impl
from verl.experimental.reward_loop.reward_manager.limited import RateLimitedRewardManager
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager
from verl.trainer.ppo.ray_trainer import compute_advantage
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.trainer.ppo.v1.agent_loop_tq import list_of_dict_to_tensordict
from verl.trainer.ppo.v1.trainer_base import PPOTrainer
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from overton.errors import ModelError, RecipeError
from overton.testing import tiny_policy

GROUP = SITUATIONS[:2]
TERMS = {"coverage", "precision", "relevance", "uniqueness", "f", "form", "valid_tags", "perspectives"}


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_policy(tmp_path_factory.mktemp("policy"), max_length=512, chat=True)


@pytest.fixture(scope="module")
def config(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> DictConfig:
    """The configuration that the example's script makes, read back from verl's own command line."""
    folder = tmp_path_factory.mktemp("example data")
    shown = run_example("verl", folder, "reward.num_workers=2", "--cfg", "job", MODEL=str(policy))
    loaded = yaml.safe_load(shown[shown.index("\nactor_rollout_ref:") :])
    return migrate_legacy_reward_impl(OmegaConf.create(loaded))


@pytest.fixture(scope="module")
def tokenizer(policy: Path) -> Any:
    return AutoTokenizer.from_pretrained(policy)


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(num_cpus=8, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


def proto(tokenizer: Any, rows: list[dict[str, Any]], texts: list[str]) -> DataProto:
    """A batch as the rollout leaves it: prompts padded on the left, responses on the right."""
    prompts = [tokenizer.apply_chat_template(r["prompt"], add_generation_prompt=True)["input_ids"] for r in rows]
    responses = [tokenizer(text)["input_ids"] + [tokenizer.eos_token_id] for text in texts]
    left, right = max(map(len, prompts)), max(map(len, responses))
    pad = tokenizer.pad_token_id
    tensors = {
        "prompts": torch.tensor([[pad] * (left - len(p)) + p for p in prompts]),
        "responses": torch.tensor([r + [pad] * (right - len(r)) for r in responses]),
        "attention_mask": torch.tensor(
            [
                [0] * (left - len(p)) + [1] * (len(p) + len(r)) + [0] * (right - len(r))
                for p, r in zip(prompts, responses, strict=True)
            ]
        ),
    }
    columns = {
        name: np.fromiter((row[name] for row in rows), dtype=object, count=len(rows))
        for name in ("data_source", "reward_model", "extra_info")
    }
    return DataProto.from_dict(tensors=tensors, non_tensors=columns)


def rows_of(config: DictConfig, tokenizer: Any) -> list[dict[str, Any]]:
    """Rows of the example's parquet file, through verl's data set."""
    data = RLHFDataset(config.data.train_files, tokenizer, config.data)
    assert len(data) == len(SITUATIONS)
    return [data[index] for index in range(len(data))]


def plain_row(**extra: Any) -> dict[str, Any]:
    return {
        "prompt": [{"role": "user", "content": "?"}],
        "data_source": "overton",
        "reward_model": {"ground_truth": ""},
        "extra_info": extra,
    }


def run_single(manager: Any, data: DataProto) -> dict[str, Any]:
    return manager.loop.run_until_complete(manager.run_single(data))


# ------------------------------------------------------------------ the whole way


def test_the_example_goes_from_parquet_to_advantages(config: DictConfig, tokenizer: Any, cluster: None) -> None:
    rows = [row for row in rows_of(config, tokenizer)[:2] for _ in range(4)]
    texts = [text for situation in GROUP for text in answers(situation)]
    data = proto(tokenizer, rows, texts)
    found = RewardLoopManager(config).compute_rm_score(data)
    keys = found.meta_info["reward_extra_keys"]
    assert set(keys) == {"score", "unscored"} | TERMS
    wanted = [expected(situation, text) for situation in GROUP for text in answers(situation)]
    assert found.non_tensor_batch["score"] == pytest.approx([score.value for score in wanted], abs=1e-6)
    assert found.non_tensor_batch["coverage"].tolist() == pytest.approx([s.terms["coverage"] for s in wanted])
    assert not found.non_tensor_batch["unscored"].any()
    assert found.batch["rm_scores"].sum(dim=1).tolist() == pytest.approx([s.value for s in wanted], abs=1e-6)

    data = data.union(found)
    data.batch["token_level_rewards"] = data.batch["rm_scores"]
    data.non_tensor_batch["uid"] = np.array([0] * 4 + [1] * 4, dtype=object)
    settings = OmegaConf.merge(config.algorithm, {"gdpo_reward_keys": ["coverage", "uniqueness"]})
    grpo = first_tokens(compute_advantage(data, "grpo", config=settings))
    for group in (grpo[:4], grpo[4:]):
        assert group[0] == max(group) > 0 > group[3] == min(group)
    gdpo = first_tokens(compute_advantage(data, "gdpo", config=settings))
    mask = data.batch["response_mask"].sum(dim=1).numpy()
    assert gdpo == pytest.approx(by_hand(found.non_tensor_batch, mask), abs=1e-4)
    assert np.abs(gdpo - grpo).max() > 0.1  # they normalize differently


def first_tokens(data: DataProto) -> np.ndarray:
    """Advantages of the answers; outcome advantages are the same for all tokens."""
    advantages, mask = data.batch["advantages"], data.batch["response_mask"].bool()
    for row, kept in zip(advantages, mask, strict=True):
        assert torch.allclose(row[kept], row[0])
    return advantages[:, 0].numpy()


def by_hand(columns: dict[str, np.ndarray], tokens: np.ndarray) -> np.ndarray:
    """GDPO: each reward normalized within its group, summed, then whitened over all tokens."""
    total = np.zeros(8)
    for name in ("coverage", "uniqueness"):
        groups = columns[name].astype(np.float64).reshape(2, 4)
        spread = groups.std(axis=1, ddof=1, keepdims=True)
        total += ((groups - groups.mean(axis=1, keepdims=True)) / (spread + 1e-6)).reshape(-1)
    mean = (total * tokens).sum() / tokens.sum()
    variance = ((total - mean) ** 2 * tokens).sum() / tokens.sum() * tokens.sum() / (tokens.sum() - 1)
    return (total - mean) / np.sqrt(variance + 1e-8)


def test_the_published_set_up_is_taken_with_the_data_of_a_recipe(tmp_path: Path, policy: Path, tokenizer: Any) -> None:
    (tmp_path / "recipe.yaml").write_text(
        "name: tiny\n"
        "data: {train: 40, grpo_only: 8, dev: 12, test: 12, triplets: 20, pairs: 20, nli_pairs: 100}\n"
        'policy: {prompt_template: "{situation} What do you think?"}\n',
        encoding="utf-8",
    )
    environment = {
        **os.environ,
        "DATA": str(tmp_path / "data"),
        "MODEL": str(policy),
        "RUN_DIR": str(tmp_path / "run"),
        "REWARD": str(tmp_path / "run"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    command = ["bash", str(EXAMPLES / "verl" / "published.sh"), str(tmp_path / "recipe.yaml"), "--cfg", "job"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    shown = OmegaConf.create(yaml.safe_load(done.stdout[done.stdout.index("\nactor_rollout_ref:") :]))
    assert (shown.data.train_batch_size, shown.actor_rollout_ref.rollout.n) == (1024, 10)
    assert shown.actor_rollout_ref.actor.kl_loss_coef == 0.001
    kwargs = shown.reward.custom_reward_function.reward_kwargs
    assert (kwargs.preset, kwargs.reward) == ("op-grpo", str(tmp_path / "run"))
    for files, rows in ((shown.data.train_files, 16), (shown.data.val_files, 12)):
        data = RLHFDataset(files, tokenizer, shown.data)
        assert len(data) == rows
        first = data[0]
        assert first["raw_prompt"][0]["content"] == f"{first['extra_info']['situation']} What do you think?"
        assert first["extra_info"]["references"][0]["explanation"]


def test_an_answer_is_scored_as_soon_as_it_is_generated(config: DictConfig, tokenizer: Any, cluster: None) -> None:
    """The default path: the rollout's own worker asks a reward worker for one answer."""
    handles = RewardLoopManager(config).reward_loop_worker_handles
    worker = object.__new__(AgentLoopWorker)  # its start needs a rollout engine
    worker.processor, worker.mm_processor_kwargs, worker.reward_loop_worker_handles = None, {}, handles
    row = collate_fn(rows_of(config, tokenizer)[:1])
    text = good_answer(SITUATIONS[0], 2)
    ids = tokenizer(text)["input_ids"]
    output = AgentLoopOutput(
        prompt_ids=[2, 3], response_ids=ids, response_mask=[1] * len(ids), metrics=AgentLoopMetrics(), num_turns=2
    )
    kwargs = {name: value[0] for name, value in row.items() if not isinstance(value, torch.Tensor)}
    asyncio.run(worker._compute_score([output], kwargs))
    wanted = expected(SITUATIONS[0], text)
    assert output.reward_score == pytest.approx(wanted.value, abs=1e-6)
    extra = output.extra_fields["reward_extra_info"]
    assert extra["coverage"] == pytest.approx(wanted.terms["coverage"]) and extra["unscored"] == 0


# ------------------------------------------------------------------ one call


def test_many_answers_at_once_score_as_each_alone(config: DictConfig, tokenizer: Any) -> None:
    manager = NaiveRewardManager(config, tokenizer, get_custom_reward_fn(config))
    pairs = [(situation, text) for situation in SITUATIONS for text in answers(situation)]
    batches = [proto(tokenizer, [plain_row(**row_of(situation))], [text]) for situation, text in pairs]

    async def together() -> list[dict[str, Any]]:
        return await asyncio.gather(*(manager.run_single(batch) for batch in batches))

    found = manager.loop.run_until_complete(together())
    wanted = [expected(situation, text).value for situation, text in pairs]
    assert [one["reward_score"] for one in found] == pytest.approx(wanted, abs=1e-6)
    assert {frozenset(one["reward_extra_info"]) for one in found} == {frozenset({"score", "unscored"} | TERMS)}


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"situation": "?"},
        {"situation": "", "references": ["a"]},
        {"situation": "?", "references": []},
        {"situation": "?", "references": [{"label": "a"}]},
    ],
)
def test_a_bad_row_breaks_nothing_and_has_the_same_keys(config: DictConfig, tokenizer: Any, extra: Any) -> None:
    manager = NaiveRewardManager(config, tokenizer, get_custom_reward_fn(config))
    found = run_single(manager, proto(tokenizer, [plain_row(**extra)], ["x"]))
    assert found["reward_score"] == 0.0
    assert found["reward_extra_info"]["unscored"] == 1.0
    assert set(found["reward_extra_info"]) == {"score", "unscored"} | TERMS


def test_reward_kwargs_reach_the_reward_and_wrong_ones_are_noticed(config: DictConfig, tokenizer: Any) -> None:
    situation = SITUATIONS[0]
    data = proto(tokenizer, [plain_row(**row_of(situation))], [good_answer(situation, 1)])

    def score(**kwargs: Any) -> float:
        changed = config.copy()
        changed.reward.custom_reward_function.reward_kwargs = kwargs
        return run_single(NaiveRewardManager(changed, tokenizer, get_custom_reward_fn(changed)), data)["reward_score"]

    plain = score()
    assert score(beta=0.5) > plain  # precise but not complete
    assert score(preset="op-grpo") != plain
    with pytest.raises(RecipeError, match="no such field"):
        score(betta=0.5)
    with pytest.raises(RecipeError, match="unknown preset"):
        score(preset="unknown")
    with pytest.raises(ModelError):
        score(reward="/nowhere/estimator")


# ------------------------------------------------------------------ what verl does, and we rely on or warn of


def test_exceptions_stop_the_naive_manager_and_become_zero_in_the_rate_limited_one(
    config: DictConfig, tokenizer: Any
) -> None:
    def broken(**_: Any) -> float:
        raise ValueError("broken")

    data = proto(tokenizer, [plain_row()], ["x"])
    with pytest.raises(ValueError, match="broken"):
        run_single(NaiveRewardManager(config, tokenizer, broken), data)
    found = run_single(RateLimitedRewardManager(config, tokenizer, broken), data)
    assert found["reward_score"] == 0.0
    assert "score" not in found["reward_extra_info"]


def test_only_a_coroutine_function_is_awaited_and_an_object_with_async_call_is_not(
    config: DictConfig, tokenizer: Any
) -> None:
    async def function(**_: Any) -> float:
        return 0.5

    class Object:
        async def __call__(self, **_: Any) -> float:
            return 0.5

    data = proto(tokenizer, [plain_row()], ["x"])
    assert run_single(NaiveRewardManager(config, tokenizer, function), data)["reward_score"] == 0.5
    left = run_single(NaiveRewardManager(config, tokenizer, Object()), data)["reward_score"]
    assert inspect.iscoroutine(left)
    left.close()


def test_gdpo_needs_the_older_trainer(config: DictConfig, cluster: None) -> None:
    """The default trainer hands its advantage estimators the scores alone, so GDPO fails there; GRPO works."""
    import transfer_queue

    settings = OmegaConf.create(OmegaConf.to_container(config))
    settings.algorithm.gdpo_reward_keys = ["coverage", "uniqueness"]
    settings.transfer_queue.enable = True
    settings.transfer_queue.backend.SimpleStorage.num_data_storage_units = 1
    transfer_queue.init(settings.transfer_queue)
    try:
        rows = [
            {
                "uid": f"u{index // 2}",
                "response_mask": torch.ones(3, dtype=torch.int64),
                "rm_scores": torch.tensor([0.0, 0.0, float(index)]),
                "old_log_probs": torch.zeros(3),
                "extra_fields": {"reward_extra_info": {"coverage": 0.1 * index, "uniqueness": 1.0}},
            }
            for index in range(4)
        ]
        keys = [f"u{index // 2}_{index % 2}_0" for index in range(4)]
        fields = list_of_dict_to_tensordict(rows)
        transfer_queue.kv_batch_put(keys=keys, fields=fields, tags=[{}] * 4, partition_id="train")
        batch = transfer_queue.KVBatchMeta(keys=keys, tags=[{}] * 4, partition_id="train")
        trainer: Any = SimpleNamespace(config=settings)
        assert settings.trainer.use_v1 and settings.algorithm.adv_estimator == "grpo"
        PPOTrainer._compute_advantage(trainer, batch, {})
        settings.algorithm.adv_estimator = "gdpo"
        with pytest.raises((KeyError, AssertionError)):
            PPOTrainer._compute_advantage(trainer, batch, {})
    finally:
        transfer_queue.close()


def test_the_setting_of_the_reward_must_be_added_with_a_plus(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "verl.trainer.main_ppo", "--cfg", "job"]
    setting = "reward.custom_reward_function.reward_kwargs.beta=0.7"
    assert f"+{setting}" in (EXAMPLES / "verl" / "train.sh").read_text(encoding="utf-8")
    done = subprocess.run([*command, setting], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode != 0 and "To append to your config use" in done.stderr
