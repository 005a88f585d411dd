"""Train tiny policies whole, killed half-way and resumed. Run as a script: ``kill_and_resume.py FOLDER
NAME...``

One process loads the libraries once and forks a child a run, so that a SIGKILL takes the child only.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import overton.training.trainers
from overton.jsonio import write_jsonl
from overton.recipe import Recipe, parse_recipe
from overton.training.callbacks import MetricsFile
from overton.training.grpo import train_grpo
from overton.training.sft import train_sft
from overton.types import Perspective, Situation

STEPS = 15  # an epoch has 6, and every third or fourth leaves a checkpoint
# Where checkpoints are of every third: killed at an epoch's start (checkpoint 6), amid an epoch (9), and with all
# steps done but nothing saved (15).
KILLS = (7, 11, STEPS + 1)


class HashEncoder:
    """Vectors that only depend on the text, so that nonsense scores now well and now badly."""

    threshold = 0.3

    def encode(self, texts: list[str], contexts: Any = None, *, preprocess: bool = True) -> np.ndarray:
        rows = [np.random.default_rng(zlib.crc32(t.encode())).normal(size=3) for t in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def recipe(policy: dict[str, Any] | None = None, **training: Any) -> Recipe:
    return parse_recipe(
        {
            "name": "tiny",
            "seed": 3,
            "threads": 1,
            "policy": {
                "vocab_size": 320,
                "phrases": 5,
                "hidden_size": 16,
                "layers": 1,
                "heads": 2,
                "kv_heads": 1,
                "intermediate_size": 16,
                "max_length": 96,
                **(policy or {}),
            },
            "training": {"bf16": False, **training},
        }
    )


SITUATIONS = [
    Situation(
        f"s{i}",
        f"May {who} read the {what}?",
        (Perspective("Privacy", f"the {what} is theirs"), Perspective("Care", f"{who} means well")),
    )
    for i, (who, what) in enumerate(
        (who, what) for who in ("Ann", "Bo", "Cy") for what in ("diary", "letter", "will", "note")
    )
]


def sft(folder: Path, optimizer: str, save_steps: int, accumulation: int = 1) -> None:
    rows = [
        {
            "id": s.id,
            "prompt": s.text,
            "completion": " ".join(f"{p.label}: {p.explanation}." for p in s.perspectives[: 1 + int(s.id[1:]) % 2]),
        }
        for s in SITUATIONS * 2
    ]
    write_jsonl(folder / "sft.jsonl", rows)
    options = {
        "epochs": STEPS / 6,
        "batch_size": 4 // accumulation,
        "gradient_accumulation": accumulation,
        "learning_rate": 0.01,
        "optimizer": optimizer,
        "save_steps": save_steps,
    }
    train_sft(recipe(sft=options), folder / "sft.jsonl", folder)


GRPO: dict[str, Any] = {
    "steps": STEPS,
    "prompts_per_step": 2,
    "num_generations": 4,
    "max_completion_length": 12,
    "learning_rate": 0.01,
    "save_steps": 3,
    "log_completions_steps": 2,
}


def grpo(folder: Path, **options: Any) -> None:
    start = folder.parent / "start"
    if not start.exists():
        from overton.testing import tiny_policy

        tiny_policy(start, max_length=96)
    train_grpo(recipe(grpo=GRPO | options), SITUATIONS, start, HashEncoder(), folder)  # type: ignore[arg-type]


def adapter(folder: Path) -> None:
    """GRPO of an adapter that SFT left, with a KL term, whose reference is another adapter of the same model."""
    base, start = folder.parent / "base", folder.parent / "sft"
    policy = {"model": str(base), "lora_rank": 2}
    if not start.exists():
        from peft import get_peft_model

        from overton.testing import tiny_policy
        from overton.training.adapters import lora_config
        from overton.training.policy import load_policy

        tiny_policy(base, max_length=96)
        adapted = get_peft_model(load_policy(base)[0], lora_config(recipe(policy).policy))
        for name, weights in adapted.named_parameters():
            if "lora_B" in name:
                weights.data.normal_(std=0.1)
        adapted.save_pretrained(start / "adapter")
    train_grpo(recipe(policy, grpo=GRPO | {"beta": 0.1}), SITUATIONS, start / "model", HashEncoder(), folder)  # type: ignore[arg-type]


RUNS: dict[str, Callable[[Path], None]] = {
    "sft-muon": lambda folder: sft(folder, "muon", 3),
    "sft-adamw": lambda folder: sft(folder, "adamw", 4, 2),
    "grpo": lambda folder: grpo(folder),
    "grpo-micro": lambda folder: grpo(folder, micro_batch_size=4, optimizer="muon", beta=0.1),
    "grpo-shared": lambda folder: grpo(folder, steps_per_generation=2, micro_batch_size=4),
    "grpo-adapter": adapter,
}


def metrics_without_clock(folder: Path) -> list[dict[str, Any]]:
    """Rows of metrics without what the clock decides."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in row.items() if "seconds" not in k and k != "step_time"} for row in rows]


def forked(work: Callable[[], None]) -> int:
    """Exit status of ``work`` in a child process: minus the signal's number when one ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            torch.set_num_threads(1)
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def kill_at(step: int) -> None:
    """Let the next training die while it writes the metrics of a step, or before it saves the model."""

    def save(*_: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    if step > STEPS:
        overton.training.trainers.save_policy = save

    def on_step_end(self: MetricsFile, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == step:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(f'{{"step": {step}, "lo')
            os.kill(os.getpid(), signal.SIGKILL)

    MetricsFile.on_step_end = on_step_end  # type: ignore[method-assign]


def main(folder: Path, names: list[str]) -> None:
    for name in names:
        train = RUNS[name]
        whole, killed = folder / name / "whole", folder / name / "killed"
        assert forked(lambda train=train, whole=whole: train(whole)) == 0, name  # type: ignore[misc]

        for step in KILLS:

            def die(train: Callable[[Path], None] = train, killed: Path = killed, step: int = step) -> None:
                kill_at(step)
                train(killed)

            assert forked(die) == -signal.SIGKILL, (name, step)
            shutil.copytree(killed, folder / name / f"killed-{step}")
        assert forked(lambda train=train, killed=killed: train(killed)) == 0, name  # type: ignore[misc]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
