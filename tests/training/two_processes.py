"""One optimizer step on fed answers, and a whole training, by however many processes run this script.

    torchrun --nproc_per_node 2 two_processes.py step FOLDER
    torchrun --nproc_per_node 2 two_processes.py train FOLDER [...]    # the verb `run`, with quick stages before
    torchrun --nproc_per_node 2 two_processes.py step+train FOLDER [...]

``step`` writes ``step-PROCESSES-PASSES-RANK.json``: advantages of each token, gradients before the optimizer's step,
and what was logged. ``train`` writes ``writes-RANK.json``: the files of the run directory that the process opened to
write. With FAIL=RANK in the environment that process fails in the second step of OP-GRPO, with KILL=RANK it kills
itself there. With BREAK=RANK a weight of that process becomes NaN after the first step of SFT.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from overton.jsonio import write_json, write_jsonl
from overton.processes import count, is_first, number, wait_for_all
from overton.recipe import Recipe
from overton.rundir import RunDir
from overton.types import Perspective, Situation

GENERATIONS = 4
NAMES = ("Ann", "Bo", "Cy", "Di")
UNSCORED = "Di"  # has no references
SITUATIONS = [
    Situation(
        name,
        f"May {name} read it?",
        ()
        if name == UNSCORED
        else tuple(
            Perspective(label, f"{name} {what}")
            for label, what in (("Care", "means well"), ("Law", "breaks a rule"), ("Duty", "must know"))
        ),
    )
    for name in NAMES
]


class HashEncoder:
    """Vectors that only depend on the text, so that nonsense scores now well and now badly."""

    threshold = 0.3

    def encode(self, texts: list[str], contexts: Any = None, *, preprocess: bool = True) -> np.ndarray:
        rows = [np.random.default_rng(zlib.crc32(t.rstrip(".").encode())).normal(size=3) for t in texts]
        return np.stack([row / np.linalg.norm(row) for row in rows]).astype(np.float32)


def answer(name: str, index: int) -> str:
    """An answer with 1 to 4 perspectives, so that prompts and processes have other numbers of tokens."""
    size = 1 + (len(name) * 3 + index) % 4
    lines = [f"In the perspective of V{i}, {name} {index} says {i * index}." for i in range(size)]
    return "\n".join(["<core perspectives>", *lines, "</core perspectives>", "", "<summary>", "All.", "</summary>"])


def step(folder: Path, passes: int) -> None:
    """One step of OP-GRPO on :func:`answer`, with everything kept that decides the update."""
    from datasets import Dataset
    from transformers import TrainerCallback, set_seed
    from trl import GRPOConfig

    from overton.integrations.trl import TrlReward
    from overton.rewards import OvertonReward
    from overton.testing import tiny_policy
    from overton.training.grpo import OpGrpoTrainer
    from overton.training.policy import load_policy

    found: dict[str, Any] = {"advantages": {}}

    class Fed(OpGrpoTrainer):
        """Takes its answers from a list."""

        def _generate_single_turn(self, prompt_ids: list[list[int]], *_: Any, **__: Any) -> Any:
            ids, names = [], [self._decode(p).split()[1] for p in prompt_ids]
            for place, name in enumerate(names):
                text = answer(name, names[:place].count(name))
                ids.append([*self._tokenizer(text)["input_ids"], self._tokenizer.eos_token_id])
            return ids, None

        def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
            output = super()._generate_and_score_completions(inputs)
            names = [row["situation_id"] for row in inputs]
            for place, (name, mask) in enumerate(zip(names, output["completion_mask"], strict=True)):
                row = output["advantages"][place][mask.bool()].tolist()
                found["advantages"][f"{name} {names[:place].count(name)}"] = row
            return output

    class Gradients(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            parameters = kwargs["model"].named_parameters()
            found["gradients"] = {n.removeprefix("module."): p.grad.flatten().tolist() for n, p in parameters}

    policy = folder / f"policy-{count()}"
    if is_first():
        tiny_policy(policy, max_length=1024)
    wait_for_all()
    set_seed(0)
    model, tokenizer = load_policy(policy)
    rows = [
        {
            "prompt": f"{s.text}\n",
            "situation": s.text,
            "situation_id": s.id,
            "references": [{"label": p.label, "explanation": p.explanation} for p in s.perspectives],
        }
        for s in SITUATIONS
    ]
    share = len(NAMES) * GENERATIONS // count()
    output = folder / f"run-{count()}-{passes}"
    trainer = Fed(
        model=model,
        args=GRPOConfig(
            output_dir=str(output / "checkpoints"),
            max_steps=1,
            per_device_train_batch_size=share // passes,
            gradient_accumulation_steps=passes,
            num_generations=GENERATIONS,
            max_completion_length=900,
            beta=0.1,
            max_grad_norm=1e9,
            logging_steps=1,
            report_to="none",
            save_strategy="no",
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            disable_tqdm=True,
            seed=5,
        ),
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Gradients()],
        reward=TrlReward(OvertonReward(HashEncoder()), output / "completions", 1, num_generations=GENERATIONS),  # type: ignore[arg-type]
        credit_weight=1.0,
        credit_discount=0.9,
    )
    trainer.train()
    found["logged"] = trainer.state.log_history[0]
    write_json(folder / f"step-{count()}-{passes}-{number()}.json", found)


def train(folder: Path, arguments: list[str]) -> int:
    """The verb, with stages before the training that take no time, and every file noted that is opened to write."""
    from types import ModuleType

    from overton.cli import main

    run, written = folder / "run", []

    def watch(event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(details[0], str) and str(run) in details[0]:
            mode, flags = details[1], details[2]
            if (mode and set(mode) & set("wax+")) or (not mode and flags & (os.O_WRONLY | os.O_RDWR)):
                written.append(str(Path(details[0]).relative_to(run)))

    for name, stage in (("data", quick_data), ("estimator", quick_estimator)):
        module = ModuleType(f"overton.{name}.stage")
        module.run = stage  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module
    rank = os.environ.get("RANK", "0")
    if rank in (os.environ.get("FAIL"), os.environ.get("KILL")):
        fail_late()
    if rank == os.environ.get("BREAK"):
        break_late()
    sys.addaudithook(watch)
    code = main(["run", str(folder / "recipe.yaml"), "--run-dir", str(run), "--until", "training", *arguments])
    (folder / f"writes-{rank}.json").write_text(json.dumps(sorted(set(written))), encoding="utf-8")
    return code


def fail_late() -> None:
    from overton.errors import RunError
    from overton.integrations.trl import TrlReward

    score = TrlReward.__call__

    def failing(self: TrlReward, *args: Any, trainer_state: Any = None, **kwargs: Any) -> Any:
        if trainer_state.global_step == 1:
            if "KILL" in os.environ:
                os.kill(os.getpid(), signal.SIGKILL)
            raise RunError("the second process has enough")
        return score(self, *args, trainer_state=trainer_state, **kwargs)

    TrlReward.__call__ = failing  # type: ignore[method-assign]


def break_late() -> None:
    from overton.training.callbacks import MetricsFile
    from overton.training.guard import shard

    def broken(self: MetricsFile, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        if state.global_step == 1:
            with torch.no_grad():
                weights = next(model.parameters())
                for held in (weights.data, shard(weights)):  # ZeRO 3 keeps small weights whole beside its shares
                    held.fill_(float("nan"))

    MetricsFile.on_step_begin = broken  # type: ignore[method-assign]


def quick_data(recipe: Recipe, run: RunDir) -> None:
    assert count() == 1 and "RANK" not in os.environ  # the first process alone, and libraries see no other
    time.sleep(2)
    rows = [{"id": s.id, "prompt": s.text, "completion": answer(s.id, i)} for i in range(4) for s in SITUATIONS[:3]]
    write_jsonl(run.stage("data") / "sft.jsonl", rows)
    for name in ("train", "test", "triplets", "pairs.dev", "pairs.test"):
        write_jsonl(run.stage("data") / f"{name}.jsonl", [s.to_json() for s in SITUATIONS[:3]])


def quick_estimator(recipe: Recipe, run: RunDir) -> None:
    from overton.estimator import Preprocessing
    from overton.estimator.models import model_hash
    from overton.testing import tiny_encoder

    folder = run.stage("estimator")
    tiny_encoder(folder / "model")
    Preprocessing().save(folder / "model", {})
    row: dict[str, Any] = dict.fromkeys(("threshold", "low", "high", "f1", "precision", "recall"), 0.5)
    row |= {"slope": 2.0, "intercept": -1.0, "pairs": 10, "data_hash": "d", "model_hash": model_hash(folder / "model")}
    write_json(folder / "calibration.json", row)


if __name__ == "__main__":
    torch.set_num_threads(1)
    parts, where, rest = sys.argv[1].split("+"), Path(sys.argv[2]), sys.argv[3:]
    if "step" in parts:
        step(where, 1)
        step(where, 2)
    if "train" in parts:
        sys.exit(train(where, rest))
