"""Whether groups of answers stay whole on a process: TRL's real trainer in two processes, and the check before it."""

from __future__ import annotations

import json
import os
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from trl import GRPOConfig
from trl_setup import reward_file
from trl_two_processes import SHAPES

import preloaded
from overton.errors import OvertonError
from overton.integrations.trl import CheckGroups, GroupSplitError, check_groups
from overton.testing import tiny_policy


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """What both processes found, by shape."""
    folder = tmp_path_factory.mktemp("shapes")
    policy = tiny_policy(folder / "policy", max_length=96)
    script = Path(__file__).parent / "trl_two_processes.py"
    environment = {**os.environ, "OVERTON_REWARD": str(reward_file(folder))}
    done = preloaded.run([str(script), str(policy), str(folder)], env=environment, processes=2)
    assert done.returncode == 0, done.stderr[-4000:]
    return {s: [json.loads((folder / f"{s}-{rank}.json").read_text()) for rank in (0, 1)] for s in SHAPES}


def whole(calls: list[list[str]], generations: int) -> bool:
    """Whether every call held nothing but whole groups."""
    return all(len(list(rows)) % generations == 0 for prompts in calls for _, rows in groupby(prompts))


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_the_check_refuses_what_two_processes_split_and_nothing_else(
    shape: str, shapes: dict[str, list[dict[str, Any]]]
) -> None:
    ranks = shapes[shape]
    settings = SHAPES[shape]
    assert all(len(found["train"]) >= 1 and len(found["evaluate"]) >= 2 for found in ranks)
    split = {mode: not all(whole(found[mode], settings[mode][-1]) for found in ranks) for mode in ("train", "evaluate")}
    for found in ranks:
        assert ("per_device_train_batch_size" in found["refused"]) == split["train"]
        assert ("per_device_eval_batch_size" in found["refused"]) == split["evaluate"]
    assert split["train"] == (shape in {"halves", "uneven", "uneven-over-steps", "streamed-uneven", "shared-batches"})


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["halves", "halves-in-evaluation"])
def test_ready_functions_and_callback_refuse_too(shape: str, shapes: dict[str, list[dict[str, Any]]]) -> None:
    for found in shapes[shape]:
        assert found["ready"] == found["callback"] == found["refused"] != ""
        assert "across 2 processes" in found["refused"]
        assert found["callback_steps"] == 0


def config(tmp_path: Path, **more: Any) -> GRPOConfig:
    settings: dict[str, Any] = {"use_cpu": True, "bf16": False, "report_to": "none", "num_generations": 8}
    return GRPOConfig(output_dir=str(tmp_path), **(settings | more))


def test_the_message_says_what_to_set(tmp_path: Path) -> None:
    args = config(tmp_path, per_device_train_batch_size=6, steps_per_generation=4, eval_strategy="no")
    args.num_generations = 16  # as several processes would allow it
    with pytest.raises(GroupSplitError, match="6 x steps_per_generation 4 gives a process 24 answers") as error:
        check_groups(args)
    assert "per_device_train_batch_size to a multiple of 4, or steps_per_generation to a multiple of 8" in str(error)
    assert "eval" not in str(error)
    assert isinstance(error.value, OvertonError)
    for change in ({"per_device_train_batch_size": 4}, {"steps_per_generation": 8}):
        right = config(tmp_path, per_device_train_batch_size=6, steps_per_generation=4, eval_strategy="no")
        right.num_generations = 16
        for name, value in change.items():
            setattr(right, name, value)
        check_groups(right)
        CheckGroups().on_train_begin(right, None, None)


def test_evaluation_counts_when_there_is_one(tmp_path: Path) -> None:
    args = config(tmp_path, per_device_train_batch_size=8, per_device_eval_batch_size=8, eval_strategy="epoch")
    check_groups(args)
    args.num_generations_eval = 3
    with pytest.raises(GroupSplitError, match="per_device_eval_batch_size to a multiple of 3"):
        CheckGroups().on_train_begin(args, None, None)


@pytest.mark.filterwarnings("ignore:You are importing")
def test_async_grpo_has_whole_groups_by_construction(tmp_path: Path) -> None:
    from trl.experimental.async_grpo import AsyncGRPOConfig

    args = AsyncGRPOConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, report_to="none")
    assert not hasattr(args, "steps_per_generation")  # there is no batch of answers that could be split
    check_groups(args)
    CheckGroups().on_train_begin(args, None, None)
