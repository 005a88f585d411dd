"""The ready reward functions inside TRL's real trainer, with a tiny random policy on the CPU."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import torch
from datasets import Dataset
from trl import GRPOTrainer
from trl_setup import HashEncoder, arguments, reward_file, train

from overton.errors import DataError
from overton.integrations.trl import (
    AsyncTrlReward,
    CheckGroups,
    TrlReward,
    coverage,
    form,
    pluralism,
    pluralism_async,
    uniqueness,
    uniqueness_async,
)
from overton.rewards import OvertonReward, parse_references, shared_reward
from overton.testing import tiny_policy
from overton.types import Group

COLUMNS = ["value", "coverage", "uniqueness", "precision", "perspectives", "reason"]
BROKEN = "Di"


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("policies")
    return {
        "standard": tiny_policy(folder / "plain", max_length=96),
        "conversational": tiny_policy(folder / "chat", max_length=96, chat=True),
    }


@pytest.fixture(autouse=True)
def shared(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> OvertonReward:
    path = tmp_path_factory.getbasetemp() / "reward"
    if not path.exists():
        reward_file(path, threshold=0.4)
    monkeypatch.setenv("OVERTON_REWARD", str(path / "reward.json"))
    return shared_reward()


def questions(kind: str, broken: tuple[str, ...] = ()) -> Dataset:
    """Prompts and references as JSON; no situation, no id. References of those named cannot be read."""
    rows = []
    for name in ("Ann", "Bo", "Cy", "Di", "Ed", "Flo"):
        text = f"May {name} read it?"
        references = [{"label": "Care", "explanation": f"{name} means well"}, f"{name} reads what is not theirs"]
        rows.append(
            {
                "prompt": [{"role": "user", "content": text}] if kind == "conversational" else f"{text}\n",
                "references": "oops" if name in broken else json.dumps(references),
            }
        )
    return Dataset.from_list(rows)


def table(folder: Path) -> pandas.DataFrame:
    """TRL's table of completions, all steps."""
    files = sorted((folder / "completions").glob("*.parquet"))
    return pandas.concat([pandas.read_parquet(file) for file in files], ignore_index=True)


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else str(value[-1]["content"])


@pytest.mark.filterwarnings("ignore:answers that could not be scored")
@pytest.mark.parametrize("kind", ["standard", "conversational"])
def test_coverage_and_uniqueness_as_two_objectives(
    kind: str, policies: dict[str, Path], shared: OvertonReward, tmp_path: Path
) -> None:
    args = arguments(
        tmp_path,
        max_steps=3,
        multi_objective_aggregation="normalize_then_sum",
        reward_weights=[1.0, 0.5],
        log_completions=True,
        max_completion_length=24,
    )
    data = questions(kind, broken=(BROKEN,))
    trainer = train(
        GRPOTrainer,
        policies[kind],
        tmp_path,
        data,
        args,
        reward_funcs=[coverage, uniqueness],
        callbacks=[CheckGroups()],
    )
    found = table(tmp_path)
    assert len(found) == 24
    assert {"step", "prompt", "completion", "coverage", "uniqueness", "advantage"} <= set(found)
    assert {f"overton/{name}" for name in COLUMNS} <= set(found)

    # Every row once more, by the library alone.
    by_text = {text_of(row["prompt"]).strip(): row["references"] for row in data}
    scored = 0
    for row in found.to_dict("records"):
        situation = text_of(row["prompt"]).strip()
        if BROKEN in situation:
            assert np.isnan(row["coverage"]) and np.isnan(row["uniqueness"]) and row["advantage"] == 0
            assert "oops" in row["overton/reason"] and np.isnan(row["overton/value"])
            continue
        answers = (text_of(row["completion"]),)
        score = shared.score([Group(situation, parse_references(by_text[situation]), answers)])[0][0]
        assert row["coverage"] == pytest.approx(row["overton/coverage"]) == pytest.approx(score.terms["coverage"])
        assert row["uniqueness"] == pytest.approx(row["overton/uniqueness"]) == pytest.approx(score.terms["uniqueness"])
        assert row["overton/precision"] == pytest.approx(score.terms["precision"])
        assert row["overton/perspectives"] == len(score.segments)
        assert row["overton/reason"] == ""
        scored += 1
    assert scored == 20
    assert found["coverage"].nunique() > 1 and found["uniqueness"].nunique() > 1

    # The two objectives are normalized in each group, then summed, then normalized over the batch.
    for _, step in found.groupby("step"):
        rewards = step[["coverage", "uniqueness"]].to_numpy().reshape(-1, 4, 2)
        good = ~np.isnan(rewards).any(axis=(1, 2))
        spread = rewards[good].std(axis=1, ddof=1, keepdims=True)
        total = ((rewards[good] - rewards[good].mean(axis=1, keepdims=True)) / (spread + 1e-4)) @ np.array([1.0, 0.5])
        wanted = (total - total.mean()) / (total.std(ddof=1) + 1e-4)
        assert step["advantage"].to_numpy().reshape(-1, 4)[good] == pytest.approx(wanted, abs=1e-3)

    assert found["advantage"].abs().max() > 0.1

    logged = [row for row in trainer.state.log_history if "reward" in row]
    assert sum(row["unscored"] for row in logged) == 4
    for row, (_, step) in zip(logged, found.groupby("step"), strict=True):
        assert row["rewards/coverage/mean"] == pytest.approx(step["coverage"].mean(), abs=1e-6)
        assert row["terms/uniqueness"] == pytest.approx(step["uniqueness"].mean(), abs=1e-6)
        assert {"terms/precision", "terms/relevance", "terms/f", "terms/form", "perspectives", "valid_tags"} <= set(row)


def test_async_functions_give_the_same_training(
    policies: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    histories = []
    for kind, funcs in (("sync", [pluralism, uniqueness]), ("async", [pluralism_async, uniqueness_async])):
        folder = tmp_path / kind
        folder.mkdir()
        monkeypatch.setenv(
            "OVERTON_REWARD", str(reward_file(folder, threshold=0.4))
        )  # nothing remembered from the other
        args = arguments(folder, max_steps=2, log_completions=True)
        data = questions("standard")
        train(GRPOTrainer, policies["standard"], folder, data, args, reward_funcs=funcs)
        rows = table(folder)
        names = [f.__name__ for f in funcs]
        assert rows["overton/value"].notna().all()
        histories.append(rows[["completion", *names, "overton/value", "advantage"]].to_numpy().tolist())
    assert histories[0] == histories[1]


def test_the_loop_goes_on_while_answers_are_scored(policies: dict[str, Path], tmp_path: Path) -> None:
    other_ran = threading.Event()
    waited: list[bool] = []

    class Patient(HashEncoder):
        def encode(self, *args: Any, **kwargs: Any) -> np.ndarray:
            waited.append(other_ran.wait(timeout=30))
            return super().encode(*args, **kwargs)

    async def other(completions: list[Any], **_: Any) -> list[float]:
        other_ran.set()
        return [0.0] * len(completions)

    reward = AsyncTrlReward(TrlReward(OvertonReward(Patient())))
    args = arguments(tmp_path, max_steps=1)
    trainer = train(
        GRPOTrainer, policies["standard"], tmp_path, questions("standard"), args, reward_funcs=[reward, other]
    )
    assert waited == [True]
    assert trainer.reward_func_names == ["overton", "other"]


def test_evaluation_has_groups_of_its_own_size(policies: dict[str, Path], tmp_path: Path) -> None:
    args = arguments(
        tmp_path,
        max_steps=1,
        eval_strategy="steps",
        eval_steps=1,
        per_device_eval_batch_size=8,
        num_generations_eval=2,
        log_completions=True,
    )
    data = questions("standard")
    reward = TrlReward(OvertonReward(HashEncoder()), name="mine", num_generations=4)
    trainer = train(
        GRPOTrainer,
        policies["standard"],
        tmp_path,
        data,
        args,
        reward_funcs=[reward, pluralism],
        eval_dataset=data,
        callbacks=[CheckGroups()],
    )
    rows = [row for row in trainer.state.log_history if "eval_reward" in row]
    assert len(rows) == 1
    assert {"eval_rewards/mine/mean", "eval_mine/terms/coverage", "eval_terms/coverage"} <= set(rows[0])
    assert {"mine/value", "overton/value"} <= set(table(tmp_path))


def test_the_trainers_token_limit_is_known(policies: dict[str, Path], tmp_path: Path) -> None:
    lengths: list[int] = []

    def length(completion_ids: list[list[int]], **_: Any) -> list[float]:
        lengths.extend(len(ids) for ids in completion_ids)
        return [0.0] * len(completion_ids)

    args = arguments(tmp_path, max_steps=2, log_completions=True, max_completion_length=40)
    mine = TrlReward(OvertonReward(HashEncoder()), term="form", name="mine")  # nobody told it the limit
    train(GRPOTrainer, policies["standard"], tmp_path, questions("standard"), args, reward_funcs=[form, mine, length])
    for name in ("form", "mine_form"):
        found = table(tmp_path)[name].tolist()
        assert found == [-1.0 if size == 40 else -0.5 for size in lengths]
        assert set(found) == {-1.0, -0.5}


def test_a_data_set_without_references_stops_the_training(policies: dict[str, Path], tmp_path: Path) -> None:
    data = questions("standard").rename_column("references", "perspectives")
    with pytest.raises(DataError, match="handed over `perspectives` beside `prompt`"):
        train(GRPOTrainer, policies["standard"], tmp_path, data, arguments(tmp_path), reward_funcs=[coverage])
    args = arguments(tmp_path, remove_unused_columns=True)
    with pytest.raises(DataError, match=r"no column beside `prompt`.*remove_unused_columns=False"):
        train(GRPOTrainer, policies["standard"], tmp_path, questions("standard"), args, reward_funcs=[coverage])
