"""The ready reward functions for TRL, called as its trainers call them."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import multiprocessing
import pickle
import time
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
from trl_setup import HashEncoder, reward_file

from overton.errors import DataError, RecipeError
from overton.integrations import trl as functions
from overton.integrations.trl import AsyncTrlReward, GroupSplitError, TrlReward
from overton.rewards import OvertonReward, shared_reward
from overton.segment import format_answer
from overton.types import Group, Perspective

NAMES = ("pluralism", "coverage", "uniqueness", "precision", "form")
REFERENCES = [{"label": "Care", "explanation": "Ann means well"}, {"label": "", "explanation": "it is not hers"}]
CARE = format_answer([Perspective("Care", "Ann means well")], "Care.")
TWICE = format_answer([Perspective("Care", "Ann means well"), Perspective("Care", "Ann means well")], "Care.")
BESIDE = format_answer([Perspective("Law", "zebras quack")], "Law.")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return reward_file(tmp_path_factory.mktemp("reward"), threshold=0.9)


@pytest.fixture
def shared(settings: Path, monkeypatch: pytest.MonkeyPatch) -> OvertonReward:
    """The reward that the functions of this process use."""
    monkeypatch.setenv("OVERTON_REWARD", str(settings))
    return shared_reward()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of answers of each scoring."""
    calls: list[int] = []
    score = OvertonReward.score

    def watched(self: OvertonReward, groups: Any) -> Any:
        calls.append(sum(len(group.answers) for group in groups))
        time.sleep(0.02)
        return score(self, groups)

    monkeypatch.setattr(OvertonReward, "score", watched)
    return calls


class Logs:
    """What TRL's trainer hands over for logging."""

    def __init__(self) -> None:
        self.extra: dict[str, list[Any]] = {}
        self.metrics: dict[str, list[float]] = {}

    def log_extra(self, column: str, values: list[Any]) -> None:
        self.extra.setdefault(column, []).extend(values)

    def log_metric(self, name: str, value: float) -> None:
        self.metrics.setdefault(name, []).append(value)

    def both(self) -> dict[str, Any]:
        return {"log_extra": self.log_extra, "log_metric": self.log_metric}


def call(texts: list[str], references: Any = REFERENCES, **columns: Any) -> dict[str, Any]:
    """Keyword arguments of one call: answers to one question."""
    size = len(texts)
    return {
        "prompts": ["May Ann read it?\n"] * size,
        "completions": texts,
        "completion_ids": [[1, 2, 3]] * size,
        "references": [references] * size,
    } | columns


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


# ------------------------------------------------------------------ columns of the data set


def seen_groups(monkeypatch: pytest.MonkeyPatch, batch: dict[str, Any]) -> list[Group]:
    found: list[Group] = []
    score = OvertonReward.score

    def watched(self: OvertonReward, groups: Any) -> Any:
        found.extend(groups)
        return score(self, groups)

    monkeypatch.setattr(OvertonReward, "score", watched)
    TrlReward(OvertonReward(HashEncoder()))(**batch)
    return found


def test_the_situation_is_the_column_or_what_the_user_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "May Ann read it? "},
    ]
    image = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "May Bo?"}]}]
    batch = call([CARE] * 4, prompts=[messages, image, "May Cy?\n", "A template: May Di?"])
    groups = seen_groups(monkeypatch, batch | {"situation": [None, "", None, "May Di?"]})
    assert [g.prompt for g in groups] == ["May Ann read it?", "May Bo?", "May Cy?", "May Di?"]


def test_rows_of_one_situation_are_one_group_unless_references_or_ids_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    other = [{"label": "Law", "explanation": "it is forbidden"}]
    batch = call(["a", "b", "c", "d", "e"])
    batch["references"] = [REFERENCES, REFERENCES, other, other, json.dumps(REFERENCES)]
    assert [g.answers for g in seen_groups(monkeypatch, batch)] == [("a", "b", "e"), ("c", "d")]
    numbered = batch | {"situation_id": [1, 2, 3, 3, 1]}
    assert [g.answers for g in seen_groups(monkeypatch, numbered)] == [("a", "e"), ("b",), ("c", "d")]


def test_messages_are_answers_too(shared: OvertonReward) -> None:
    texts = [CARE, TWICE, ""]
    parts = [[{"role": "assistant", "content": [{"type": "text", "text": text}]}] for text in texts]
    tools = [[{"role": "assistant", "content": "I look."}, {"role": "assistant", "content": text}] for text in texts]
    plain = functions.pluralism(**call(texts))
    assert plain == functions.pluralism(**call(parts)) == functions.pluralism(**call(tools))  # type: ignore[arg-type]


def test_what_is_no_answer_has_no_score(shared: OvertonReward) -> None:
    found = TrlReward(shared)
    values = found(**call([CARE, None, [], [None], 5]))  # type: ignore[list-item]
    assert values[0] == functions.pluralism(**call([CARE]))[0] and values[1:] == [None] * 4
    assert [s.reason for s in found.last_scores[1:]] == ["the answer is NoneType, not text"] * 4
    silent = [{"role": "assistant", "content": None, "tool_calls": []}]
    assert found(**call([silent])) == found(**call([""]))  # type: ignore[list-item]


def test_columns_may_be_arrays(shared: OvertonReward) -> None:
    rows = {"situation": ["?", "!"], "situation_id": [1, 2]}
    arrays = {name: np.array(values) for name, values in rows.items()}
    assert TrlReward(shared)(**call([CARE, CARE], **arrays)) == TrlReward(shared)(**call([CARE, CARE], **rows))


def test_each_row_has_its_own_references(shared: OvertonReward) -> None:
    rows = [REFERENCES, list(REFERENCES), json.dumps(REFERENCES), [{"explanation": "zebras quack"}], [np.array(["x"])]]
    found = TrlReward(shared)
    found(**call([CARE] * 5) | {"references": rows})
    coverage = [s.terms.get("coverage") for s in found.last_scores]
    assert coverage[:4] == [0.5, 0.5, 0.5, 0.0] and coverage[4] is None
    assert "found ndarray" in found.last_scores[4].reason


@pytest.mark.parametrize(("name", "rows"), [("prompts", ["?"]), ("completion_ids", [[1]] * 3)])
def test_rows_of_another_number_are_named(shared: OvertonReward, name: str, rows: list[Any]) -> None:
    with pytest.raises(DataError, match=f"`{name}` has {len(rows)} rows for 2 completions"):
        TrlReward(shared)(**{**call([CARE, CARE]), name: rows})


def test_without_references_the_error_names_what_there_is() -> None:
    batch = call([CARE])
    batch["perspectives"] = batch.pop("references")
    with pytest.raises(DataError, match=r"column `references` .*handed over `perspectives`, `topic` beside `prompt`"):
        TrlReward(OvertonReward(HashEncoder()))(**batch, topic=["x"], trainer_state=None, **Logs().both())
    del batch["perspectives"]
    batch["references"] = None
    with pytest.raises(DataError, match=r"handed over no column beside .*remove_unused_columns=False"):
        TrlReward(OvertonReward(HashEncoder()))(**batch)
    with pytest.raises(DataError, match="column `situation` has 1 rows for 2 completions"):
        TrlReward(OvertonReward(HashEncoder()))(**call([CARE, CARE], situation=["?"]))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (None, "a list of references is wanted, found NoneType"),
        ("Privacy", "found the text 'Privacy'"),
        ([{"label": "Care"}], "the text `explanation` is missing"),
        ([" "], "the reference is empty"),
        ([], "the situation has no reference perspectives"),
    ],
)
def test_references_that_cannot_be_read_leave_their_row_without_a_reward(
    shared: OvertonReward, broken: Any, reason: str
) -> None:
    batch = call([CARE, CARE, CARE])
    batch["references"] = [REFERENCES, broken, REFERENCES]
    logs = Logs()
    with pytest.warns(UserWarning, match="could not be scored"):
        found = functions.coverage(**batch, **logs.both())
    assert found == [0.5, None, 0.5]
    assert functions.pluralism(**batch)[1] is None
    assert logs.metrics["unscored"] == [1.0]
    assert logs.metrics["terms/coverage"] == [0.5, 0.5]
    assert logs.extra["overton/value"][1] is logs.extra["overton/coverage"][1] is None
    assert reason in logs.extra["overton/reason"][1]
    assert logs.extra["overton/reason"][0] == ""


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
