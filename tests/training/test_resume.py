"""A training that was killed and started again ends with the weights and metrics of one that was not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from kill_and_resume import KILLS, RUNS, STEPS, metrics_without_clock
from safetensors.torch import load_file

import overton
import preloaded

pytestmark = pytest.mark.slow
EVERY = {"sft-adamw": 2}  # steps a row of metrics


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with every run done whole, and killed three times and resumed."""
    folder = tmp_path_factory.mktemp("runs")
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(overton.__file__).parents[1]),
        "TOKENIZERS_PARALLELISM": "false",
    }
    script = Path(__file__).with_name("kill_and_resume.py")
    done = preloaded.run([str(script), str(folder), *RUNS], env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_killed_three_times_ends_as_if_never_killed(runs: Path, name: str) -> None:
    whole, killed = runs / name / "whole", runs / name / "killed"
    for step in KILLS:  # the kills did what they were to do
        remains = runs / name / f"killed-{step}"
        assert not (remains / "model").exists()
        if step <= STEPS:
            assert remains.joinpath("metrics.jsonl").read_text().endswith(f'{{"step": {step}, "lo')
    expected, found = load_file(whole / "model/model.safetensors"), load_file(killed / "model/model.safetensors")
    assert expected.keys() == found.keys()
    for key, weights in expected.items():
        assert weights.equal(found[key]), key
    rows = metrics_without_clock(killed)
    assert [row["step"] for row in rows] == [s for s in range(1, STEPS + 1) if s == 1 or s % EVERY.get(name, 1) == 0]
    assert rows == metrics_without_clock(whole)


@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("grpo")])
def test_sampled_answers_are_those_of_an_uninterrupted_run(runs: Path, name: str) -> None:
    whole, killed = runs / name / "whole" / "completions", runs / name / "killed" / "completions"
    files = sorted(path.name for path in whole.iterdir())
    assert files == [f"step_{step:04d}.jsonl" for step in range(0, STEPS, 2)]
    for file in files:
        assert (whole / file).read_text(encoding="utf-8") == (killed / file).read_text(encoding="utf-8")
    rows = [json.loads(line) for file in files for line in (whole / file).read_text(encoding="utf-8").splitlines()]
    # Something was learnt from, not the same reward throughout.
    assert len({row["reward"] for row in rows}) > 2


def test_training_changed_the_weights_and_epochs_differ_in_order(runs: Path) -> None:
    start = load_file(runs / "grpo" / "start" / "model.safetensors")
    assert any(not w.equal(start[k]) for k, w in load_file(runs / "grpo/whole/model/model.safetensors").items())
    completions = runs / "grpo" / "whole" / "completions"
    prompts = [
        list(dict.fromkeys(json.loads(line)["prompt"] for line in (completions / f"step_{step:04d}.jsonl").open()))
        for step in (0, 6, 12)  # the first step of each epoch
    ]
    assert len({tuple(p) for p in prompts}) == 3
