"""Two processes with gloo: the update of one, whole groups, figures of all answers, and one that writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from kill_and_resume import metrics_without_clock
from safetensors.torch import load_file

import preloaded
from overton.jsonio import read_jsonl
from overton.rundir import RunDir
from two_processes import GENERATIONS, NAMES, UNSCORED, step

RECIPE = """
name: tiny
threads: 1
policy:
  {vocab_size: 320, phrases: 5, hidden_size: 16, layers: 1, heads: 2, kv_heads: 1, intermediate_size: 16,
   max_length: 512}
training:
  bf16: false
  sft: {batch_size: 4, optimizer: muon, learning_rate: 0.01, save_steps: 2}
  grpo: {steps: 2, prompts_per_step: 2, num_generations: 4, micro_batch_size: 2, max_completion_length: 12,
         save_steps: 1, log_completions_steps: 1}
"""


def launch(
    folder: Path, parts: str, *arguments: str, script: str = "two_processes.py", **more: str
) -> subprocess.CompletedProcess[str]:
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    command = [str(Path(__file__).with_name(script)), parts, str(folder), *arguments]
    return preloaded.run(command, env=os.environ | more, processes=2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes left of a step on fed answers and of a whole training."""
    found = tmp_path_factory.mktemp("two")
    done = launch(found, "step+train")
    assert done.returncode == 0, done.stderr[-4000:]
    return found


@pytest.mark.filterwarnings("ignore:answers that could not be scored")
@pytest.mark.parametrize("passes", [1, 2])
def test_the_same_answers_give_the_update_of_one_process(folder: Path, passes: int) -> None:
    torch.set_num_threads(1)
    step(folder, passes)
    one = json.loads((folder / f"step-1-{passes}-0.json").read_text(encoding="utf-8"))
    two = [json.loads((folder / f"step-2-{passes}-{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1)]
    # Each process has whole groups, and together they have each answer once.
    for found in two:
        assert set(Counter(key.split()[0] for key in found["advantages"]).values()) == {GENERATIONS}
    advantages = two[0]["advantages"] | two[1]["advantages"]
    assert sorted(advantages) == sorted(f"{name} {index}" for name in NAMES for index in range(GENERATIONS))
    for key, expected in one["advantages"].items():
        np.testing.assert_allclose(advantages[key], expected, atol=1e-5)
        assert (len(set(expected)) > 1) == (not key.startswith(UNSCORED))  # there is credit, and it differs
    for key, gradient in one["gradients"].items():
        for found in two:
            np.testing.assert_allclose(found["gradients"][key], gradient, atol=1e-5 * np.abs(gradient).max())
    # Four answers of one process have no value: a mean of both processes' means would be another one.
    logged = {key: value for key, value in one["logged"].items() if "time" not in key and "seconds" not in key}
    assert logged["unscored"] == GENERATIONS and logged["terms/coverage"] > 0
    for key, value in logged.items():
        assert two[0]["logged"][key] == pytest.approx(value, rel=1e-5, abs=1e-6), key
    names = [json.loads(line)["answer"] for line in (folder / f"run-2-{passes}/completions/step_0000.jsonl").open()]
    assert len(set(names)) == len(names) == len(NAMES) * GENERATIONS


def test_the_first_process_writes_and_each_file_holds_both(folder: Path) -> None:
    run = RunDir(folder / "run")
    assert all((run.manifest(stage) or {})["status"] == "complete" for stage in ("data", "estimator", "training"))
    grpo = run.stage("training") / "grpo"
    for number in (0, 1):
        rows = read_jsonl(grpo / "completions" / f"step_{number:04d}.jsonl")
        assert Counter(Counter(row["prompt"] for row in rows).values()) == {4: 2}
        assert len({row["answer"] for row in rows}) > 4  # the processes draw other random numbers
    metrics = read_jsonl(grpo / "metrics.jsonl")
    assert [row["step"] for row in metrics] == [1, 2]
    rewards = [row["reward"] for row in read_jsonl(grpo / "completions" / "step_0000.jsonl")]
    assert metrics[0]["reward"] == pytest.approx(np.mean(rewards), abs=1e-5)
    assert read_jsonl(run.stage("training") / "sft" / "metrics.jsonl")[-1]["step"] == 2
    for part in ("sft", "grpo"):
        assert sorted(p.name for p in (run.stage("training") / part).iterdir() if p.name != "completions") == [
            "done",
            "made_from.json",
            "metrics.jsonl",
            "model",
        ]
    first, second = (json.loads((folder / f"writes-{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    whole = {re.sub(r"/\.(.+)\.\d+\.tmp$", r"/\1", name) for name in first}  # files that are moved to their names
    assert {"training/sft/done", "training/grpo/done", "training/grpo/metrics.jsonl"} <= whole
    assert all("/checkpoints/" in name and "rng_state" in name for name in second), second


@pytest.mark.slow
def test_a_step_that_splits_groups_is_refused_once_and_soon(tmp_path: Path) -> None:
    done = launch(tmp_path, "train", "--set", "training.grpo.prompts_per_step=3")
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1
    assert "3 prompts cannot be shared out to 2 processes" in done.stderr
    assert "2 or 4 prompts can be" in done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_an_error_of_one_process_ends_both_with_one_message(tmp_path: Path) -> None:
    done = launch(tmp_path, "train", FAIL="1")
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1 and done.stderr.count("error: the second process has enough") == 1
    assert not (tmp_path / "run/training/grpo/model").exists()
    again = launch(tmp_path, "train")  # and the run goes on where it was
    assert again.returncode == 0, again.stderr[-4000:]
    assert (tmp_path / "run/training/grpo/done").exists()


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_killed_process_ends_both_and_the_run_ends_as_if_it_had_not_been(
    folder: Path, tmp_path: Path, rank: str
) -> None:
    done = launch(tmp_path, "train", KILL=rank)
    assert done.returncode != 0
    part = "run/training/grpo"
    assert not (tmp_path / part / "model").exists()
    again = launch(tmp_path, "train")
    assert again.returncode == 0, again.stderr[-4000:]
    assert metrics_without_clock(tmp_path / part) == metrics_without_clock(folder / part)
    expected, found = (load_file(home / part / "model/model.safetensors") for home in (folder, tmp_path))
    assert all(torch.equal(weights, found[name]) for name, weights in expected.items())


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_weight_that_is_nan_in_one_process_ends_both_with_its_batch_saved(tmp_path: Path, rank: str) -> None:
    done = launch(tmp_path, "train", BREAK=rank)
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1 and "at step 2" in done.stderr, done.stderr[-4000:]
    sft = tmp_path / "run" / "training" / "sft"
    saved = read_jsonl(sft / f"nonfinite_step_0002_process_{rank}.jsonl")
    assert [row["what"] for row in saved] == ["the loss is nan"] * 2
    assert not (sft / "model").exists() and not list(sft.glob("checkpoints/checkpoint-*"))
