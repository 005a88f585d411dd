"""examples/: scripts that parse, configurations that Accelerate takes, and the command of a node."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from accelerate.commands.config import load_config_from_file
from accelerate.utils import FullyShardedDataParallelPlugin, patch_environment
from launch_options import EXAMPLES, handed_over, launched

import overton
from overton.jsonio import read_jsonl, write_text
from overton.recipe import dump_recipe, load_recipe
from overton.rundir import RunDir
from two_processes import quick_data, quick_estimator

CONFIGS = sorted((EXAMPLES / "accelerate").glob("*.yaml"))
SCRIPTS = sorted([*EXAMPLES.rglob("*.sh"), *EXAMPLES.rglob("*.sbatch")])
RECIPE = """
name: tiny
threads: 1
policy: {vocab_size: 320, phrases: 5, hidden_size: 16, layers: 1, heads: 2, kv_heads: 1, intermediate_size: 16}
training:
  bf16: false
  sft: {batch_size: 4, save_steps: 2}
  grpo: {steps: 1, prompts_per_step: 2, num_generations: 2, max_completion_length: 8}
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_scripts_parse(script: Path) -> None:
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("script", sorted((EXAMPLES / "verl").glob("*.sh")), ids=lambda p: p.stem)
def test_a_script_for_verl_says_what_it_needs_and_what_was_run(script: Path) -> None:
    head = script.read_text(encoding="utf-8").split("\nset -euo")[0]
    for word in ("# Hardware:", "# Memory, time", "igures:", "# Was run:"):
        assert word in head


def test_every_kind_of_launch_has_its_file() -> None:
    assert {p.stem for p in CONFIGS} == {"ddp", "fsdp2", "multinode", "deepspeed_zero2", "deepspeed_zero3"}
    readme = (EXAMPLES / "accelerate" / "README.md").read_text(encoding="utf-8")
    assert all(f"`{config.name}`" in readme for config in CONFIGS)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda p: p.stem)
def test_accelerate_takes_each_configuration(config: Path) -> None:
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    assert load_config_from_file(str(config)).num_processes == settings["num_processes"]
    args = launched(config)
    assert args.mixed_precision == "bf16" and args.num_processes == settings["num_processes"]
    if config.stem == "ddp":
        assert args.multi_gpu
    if args.use_fsdp:
        with patch_environment(**handed_over(config)):
            plugin = FullyShardedDataParallelPlugin()
        assert plugin.fsdp_version == 2 and plugin.reshard_after_forward is True
        assert plugin.activation_checkpointing is False and plugin.cpu_ram_efficient_loading is False
        assert "SHARDED" in str(plugin.state_dict_type)
    if args.use_deepspeed:
        environment = handed_over(config)
        assert environment["ACCELERATE_DEEPSPEED_ZERO_STAGE"] == config.stem[-1]
        if config.stem.endswith("3"):
            assert environment["ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL"] == "true"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_nodes_script_trains_as_one_of_two(tmp_path: Path) -> None:
    recipe, run = tmp_path / "recipe.yaml", RunDir(tmp_path / "run")
    recipe.write_text(RECIPE, encoding="utf-8")
    settings = load_recipe(recipe)
    write_text(run.path / "recipe.yaml", dump_recipe(settings))
    quick_data(settings, run)
    quick_estimator(settings, run)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = os.environ | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "NODES": "2",
        "GPUS": "1",
        "RUN": str(run.path),
        "CONFIG": str(EXAMPLES / "accelerate" / "multinode.yaml"),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(overton.__file__).parents[1]),
    }
    command = ["bash", str(EXAMPLES / "slurm" / "node.sh"), str(recipe), "--from", "training", "--until", "training"]
    nodes = []
    for rank in (0, 1):
        with open(tmp_path / f"{rank}.log", "wb") as log:
            nodes.append(subprocess.Popen(command, env=common | {"SLURM_PROCID": str(rank)}, stdout=log, stderr=log))
    for rank, node in enumerate(nodes):
        assert node.wait(timeout=800) == 0, (tmp_path / f"{rank}.log").read_text(errors="replace")[-4000:]
    assert (run.manifest("training") or {})["status"] == "complete"
    rows = read_jsonl(run.stage("training") / "grpo" / "completions" / "step_0000.jsonl")
    assert len(rows) == 4
