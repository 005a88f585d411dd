"""The ready reward functions for TRL, called as its trainers call them."""

from __future__ import annotations

import asyncio
import functools
import gc
import multiprocessing
import pickle
import types
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from accelerate import PartialState
from trl.trainer.utils import get_callable_name, is_async_callable
from trl_calls import BESIDE, CARE, NAMES, TWICE, Logs, call
from trl_setup import HashEncoder

from overton.errors import RecipeError
from overton.integrations import trl as functions
from overton.integrations.trl import AsyncTrlReward, GroupSplitError, TrlReward
from overton.jsonio import read_jsonl
from overton.rewards import OvertonReward
from overton.types import Group, Perspective

# ------------------------------------------------------------------ what they answer


def test_each_function_answers_with_its_term_and_a_batch_is_scored_once(
    shared: OvertonReward, counted: list[int]
) -> None:
    batch = call([CARE, TWICE, BESIDE, ""])
    found = {name: getattr(functions, name)(**batch) for name in NAMES}
    assert counted == [4]
    answers = (CARE, TWICE, BESIDE, "")
    references = (Perspective("Care", "Ann means well"), Perspective("", "it is not hers"))
    scores = shared.score([Group("May Ann read it?", references, answers)])[0]
    assert found["pluralism"] == [s.value for s in scores]
    for name in NAMES[1:]:
        assert found[name] == [s.terms[name] for s in scores]
    assert found["coverage"] == [0.5, 0.5, 0.0, 0.0]
    assert found["uniqueness"] == [1.0, 0.5, 0.0, 0.0]
    assert found["precision"] == [1.0, 0.5, 0.0, 0.0]


def test_functions_in_threads_score_a_batch_once(shared: OvertonReward, counted: list[int]) -> None:
    batches = [call([CARE, f"{BESIDE} {i}"]) for i in range(3)]
    with ThreadPoolExecutor(15) as pool:
        jobs = [(i, name, pool.submit(getattr(functions, name), **batches[i])) for i in range(3) for name in NAMES]
        found = {(i, name): job.result() for i, name, job in jobs}
    assert counted == [2, 2, 2]
    assert all(found[i, "coverage"] == [0.5, 0.0] for i in range(3))


def test_few_batches_are_remembered_and_no_reward_is_kept_alive(counted: list[int]) -> None:
    reward = OvertonReward(HashEncoder())
    adapter = TrlReward(reward)
    for i in range(20):
        adapter(**call([f"{CARE} {i}"]))
    adapter(**call([f"{CARE} 19"]))
    assert len(counted) == 20
    adapter(**call([f"{CARE} 0"]))
    assert len(counted) == 21
    ghost = weakref.ref(reward)
    del reward, adapter
    gc.collect()
    assert ghost() is None


def test_a_term_the_preset_does_not_have_is_an_error() -> None:
    reward = OvertonReward(HashEncoder(), preset="op-grpo")
    assert TrlReward(reward, term="coverage_ladder")(**call([""])) == [0.0]
    with pytest.raises(RecipeError, match=r"overton_f: the preset has no term 'f'; it has coverage, .*uniqueness"):
        TrlReward(reward, term="f")(**call([CARE]))


# ------------------------------------------------------------------ logs


def test_a_batch_is_logged_once_and_the_next_equal_one_again(shared: OvertonReward) -> None:
    functions.precision(**call([CARE, TWICE]))  # scored before, outside of any trainer
    logs = Logs()
    for _ in range(2):
        for name in ("coverage", "uniqueness"):
            getattr(functions, name)(**call([CARE, TWICE]), **logs.both())
    assert logs.extra == {
        "overton/value": functions.pluralism(**call([CARE, TWICE])) * 2,
        "overton/coverage": [0.5, 0.5] * 2,
        "overton/uniqueness": [1.0, 0.5] * 2,
        "overton/precision": [1.0, 0.5] * 2,
        "overton/perspectives": [1.0, 2.0] * 2,
        "overton/reason": ["", ""] * 2,
    }
    assert logs.metrics["terms/uniqueness"] == [1.0, 0.5] * 2  # one value an answer: TRL takes the mean
    assert logs.metrics["unscored"] == [0.0, 0.0]
    assert set(logs.metrics) >= {"terms/coverage", "terms/precision", "terms/form", "perspectives", "seconds/reward"}


def test_two_rewards_of_one_trainer_fill_columns_of_their_own() -> None:
    logs = Logs()
    for name, threshold in (("strict", 0.99), ("loose", -1.0)):
        reward = OvertonReward(HashEncoder(), threshold=threshold)
        TrlReward(reward, name=name)(**call([CARE, BESIDE]), **logs.both())
    assert logs.extra["strict/coverage"] == [0.5, 0.0]
    assert logs.extra["loose/coverage"] == [0.5, 0.5]
    assert logs.metrics["strict/terms/coverage"] == [0.5, 0.0]
    assert logs.metrics["loose/terms/coverage"] == [0.5, 0.5]


# ------------------------------------------------------------------ what is asked of the trainer


def trainer(training: bool = True, **more: Any) -> Any:
    """As much of a trainer as the functions look at."""
    made = types.SimpleNamespace(model=types.SimpleNamespace(training=training), **more)
    made.log_metric = types.MethodType(lambda self, name, value: None, made)
    return made


def test_answers_that_reached_the_trainers_limit_count_as_cut_off(shared: OvertonReward) -> None:
    batch = call([CARE[:-3], CARE[:-3], CARE])
    batch["completion_ids"] = [[1] * 8, [1] * 7, [1] * 8]
    limited = functions.form(**batch, log_metric=trainer(max_completion_length=8).log_metric)
    assert limited == [-1.0, -0.5, 0.0]
    assert functions.form(**batch) == [-0.5, -0.5, 0.0]
    # The last token was an end all the same.
    ended = batch | {"completion_ids": [[1] * 7 + [2], [1] * 8, [1] * 8]}
    asked = trainer(max_completion_length=8, eos_token_ids=[5, 2])
    assert functions.form(**ended, log_metric=asked.log_metric) == [-0.5, -1.0, 0.0]


def test_a_reward_object_asks_the_trainer_for_its_limit_unless_it_is_told_one() -> None:
    batch = call([CARE[:-3], CARE[:-3], CARE])
    batch["completion_ids"] = [[1] * 8, [1] * 7, [1] * 8]
    asked = trainer(max_completion_length=8).log_metric
    made = {limit: TrlReward(OvertonReward(HashEncoder()), term="form", max_tokens=limit) for limit in (0, 7, None)}
    assert TrlReward(OvertonReward(HashEncoder()), term="form")(**batch, log_metric=asked) == [-1.0, -0.5, 0.0]
    assert made[None](**batch, log_metric=asked) == [-1.0, -0.5, 0.0]
    assert made[7](**batch, log_metric=asked) == [-1.0, -1.0, 0.0]
    assert made[0](**batch, log_metric=asked) == [-0.5, -0.5, 0.0]
    assert made[None](**batch) == [-0.5, -0.5, 0.0]  # nobody to ask: nobody is charged


def test_the_answers_of_a_step_are_kept_and_those_of_evaluation_are_not(tmp_path: Path) -> None:
    reward = TrlReward(OvertonReward(HashEncoder()), tmp_path, every=5)
    for text, step, training in ((CARE, 5, True), (TWICE, 5, True), (BESIDE, 5, False), (BESIDE, 6, True)):
        state = types.SimpleNamespace(global_step=step)
        reward(**call([text]), trainer_state=state, log_metric=trainer(training=training).log_metric)
    assert [row["answer"] for row in read_jsonl(tmp_path / "step_0005.jsonl")] == [CARE, TWICE]
    assert [path.name for path in tmp_path.iterdir()] == ["step_0005.jsonl"]


def test_a_group_that_is_split_is_noticed(shared: OvertonReward) -> None:
    reward = TrlReward(OvertonReward(HashEncoder()), num_generations=4)
    whole = call([CARE] * 8)
    assert len(reward(**whole)) == 8
    with pytest.raises(GroupSplitError, match=r"6 of the answers to 'May Ann read it\?', no multiple of .* 4"):
        reward(**call([CARE] * 6))
    evaluating = trainer(training=False, num_generations_eval=3)
    assert len(reward(**call([CARE] * 6), log_metric=evaluating.log_metric)) == 6
    with pytest.raises(GroupSplitError):
        reward(**whole, log_metric=evaluating.log_metric)


# ------------------------------------------------------------------ asynchronous


def test_async_twins_are_what_trl_takes_for_async_and_answer_alike(shared: OvertonReward) -> None:
    batch = call([CARE, TWICE, BESIDE])
    for name in NAMES:
        twin = getattr(functions, f"{name}_async")
        assert get_callable_name(getattr(functions, name)) == name
        assert get_callable_name(twin) == f"{name}_async"
        assert is_async_callable(twin)
        assert not is_async_callable(getattr(functions, name))
        assert asyncio.run(twin(**batch)) == getattr(functions, name)(**batch)
    made = TrlReward(OvertonReward(HashEncoder()), name="mine", term="coverage")
    assert is_async_callable(AsyncTrlReward(made))
    assert get_callable_name(AsyncTrlReward(made)) == "mine_coverage"
    assert asyncio.run(AsyncTrlReward(made)(**batch)) == made(**batch)


# ------------------------------------------------------------------ AsyncGRPO


def score_group(funcs: list[Callable[..., Any]], batch: dict[str, Any]) -> list[Any]:
    """AsyncGRPO's own scoring of one group, as its rollout process does it."""
    from trl.experimental.async_grpo.async_rollout_worker import RolloutGroup, _AsyncRolloutLoop

    size = len(batch["completions"])
    PartialState(cpu=True)  # TRL's logger wants it
    loop = object.__new__(_AsyncRolloutLoop)  # its constructor wants a vLLM server
    loop.reward_funcs, loop.reward_func_names = funcs, [get_callable_name(f) for f in funcs]
    loop._env_reward_types = []
    given = dict(batch)
    sequence = types.SimpleNamespace(input_ids=[1, 2], completion_mask=[0, 1], old_log_probs=[0.0, -1.0])
    group = RolloutGroup(
        prompts=given.pop("prompts"),
        completions=given.pop("completions"),
        completions_ids=given.pop("completion_ids"),
        reward_kwargs=given,
        completions_sequences=[[sequence]] * size,
        tool_call_counts=[0] * size,
        tool_failure_counts=[0] * size,
        model_version=0,
        group_id=0,
        env_rewards=[],
        rollout_rewards=[],
    )
    return asyncio.run(loop._score_group(group))


@pytest.mark.filterwarnings("ignore:You are importing", "ignore:answers that could not")
def test_async_grpo_scores_a_group_with_them(shared: OvertonReward, counted: list[int]) -> None:
    batch = call([CARE, TWICE, BESIDE], situation=["One that no other test asks."] * 3)
    samples = score_group([functions.coverage, functions.uniqueness_async, functions.form], batch)
    assert counted == [3]
    forms = functions.form(**batch)
    for sample, one, two, three in zip(samples, [0.5, 0.5, 0.0], [1.0, 0.5, 0.0], forms, strict=True):
        assert sample.metrics["rewards/coverage"] == one
        assert sample.metrics["rewards/uniqueness_async"] == two
        assert sample.metrics["reward"] == pytest.approx(one + two + three)
    assert len({sample.advantage for sample in samples}) > 1
    unread = score_group([functions.coverage, functions.uniqueness_async], call([CARE, TWICE], references="?"))
    assert [sample.advantage for sample in unread] == [0.0, 0.0]
    assert all(np.isnan(sample.metrics["reward"]) for sample in unread)


@pytest.mark.slow
def test_the_functions_travel_to_a_spawned_process(shared: OvertonReward) -> None:
    everything = [getattr(functions, name) for name in functions.__all__ if name.startswith(NAMES)]
    assert len(everything) == 10
    everything.append(functools.partial(functions.coverage, situation=["May Ann read it?"] * 3))
    batch = call([CARE, TWICE, BESIDE])
    with multiprocessing.get_context("spawn").Pool(
        1
    ) as pool:  # as AsyncGRPO's rollout worker; OVERTON_REWARD goes along
        found = pool.map(functools.partial(answer, batch), [pickle.dumps(f) for f in everything])
    assert found == [answer(batch, pickle.dumps(f)) for f in everything]
    assert found[-1] == [0.5, 0.5, 0.0]


def answer(batch: dict[str, Any], function: bytes) -> list[float | None]:
    result = pickle.loads(function)(**batch)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result
