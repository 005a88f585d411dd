"""The examples for TRL, as they stand but for the model, the number of steps and the estimator."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import pytest
import yaml

import preloaded
from overton.testing import tiny_encoder, tiny_policy

EXAMPLES = Path(__file__).parents[2] / "examples" / "trl"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examples with their data, a tiny policy, and a tiny estimator for their reward."""
    copy = tmp_path_factory.mktemp("examples") / "trl"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__", "runs"))
    tiny_policy(copy / "policy", max_length=512, chat=True)
    tiny_encoder(copy / "encoder")
    settings = yaml.safe_load((EXAMPLES / "reward.yaml").read_text(encoding="utf-8"))
    settings["overrides"]["threshold"] = 0.4
    (copy / "reward.yaml").write_text(yaml.safe_dump(settings | {"estimator": "encoder"}), encoding="utf-8")
    run_script(copy, "make_data.py")
    return copy


ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "OVERTON_REWARD": ""}


def run_script(folder: Path, *command: str, **environment: str) -> None:
    with contextlib.chdir(folder):
        done = preloaded.run(command, env={**os.environ, **ENVIRONMENT, **environment})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def completions(folder: Path) -> pandas.DataFrame:
    return pandas.concat([pandas.read_parquet(file) for file in sorted((folder / "completions").glob("*.parquet"))])


def test_trls_command_line_trains_with_the_reward(folder: Path) -> None:
    trl = Path(sys.executable).with_name("trl")
    shrunk = ["--model_name_or_path", "policy", "--max_steps", "1", "--max_completion_length", "24"]
    shrunk += ["--use_cpu", "true", "--bf16", "false", "--gradient_accumulation_steps", "1"]
    command = [str(trl), "grpo", "--config", "grpo.yaml", *shrunk]
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found = completions(folder / "runs" / "trl-pluralism")
    assert len(found) == 8
    assert found["pluralism"].tolist() == pytest.approx(found["overton/value"].tolist())
    assert found["overton/value"].notna().all() and (found["overton/reason"] == "").all()
    assert (folder / "runs" / "trl-pluralism" / "model.safetensors").is_file()


def test_the_script_trains_with_three_objectives(folder: Path) -> None:
    shrunk = ["--model", "policy", "--max-steps", "1", "--max-completion-length", "24", "--cpu"]
    run_script(folder, "train.py", *shrunk, OVERTON_REWARD="reward.yaml")
    found = completions(folder / "runs" / "trl-objectives")
    assert len(found) == 32
    for name in ("coverage", "uniqueness"):
        assert found[name].tolist() == pytest.approx(found[f"overton/{name}"].tolist())
    assert found["form"].lt(0).any()
    assert found["advantage"].abs().max() > 0
    assert (folder / "runs" / "trl-objectives" / "model.safetensors").is_file()
