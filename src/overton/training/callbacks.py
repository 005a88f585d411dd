"""What a run leaves on disk while it trains: metrics of every step."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from transformers import (
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.integrations import TensorBoardCallback

from overton.errors import RunError
from overton.full_disk import disk_full
from overton.jsonio import read_jsonl, write_jsonl

# TRL's names on the left, ours on the right; everything else keeps its name.
_RENAMED = {
    "completions/mean_length": "completion_length",
    "completions/clipped_ratio": "cut_off",
    "step_time": "seconds/step",
}
# What the console shows of a step, and under which short name; the whole row goes to metrics.jsonl.
_SHOWN = {
    "loss": "loss",
    "reward": "reward",
    "terms/coverage": "coverage",
    "terms/precision": "precision",
    "terms/uniqueness": "uniqueness",
    "perspectives": "perspectives",
    "valid_tags": "tags",
    "completions/mean_length": "tokens",
    "entropy": "entropy",
    "kl": "kl",
    "frac_reward_zero_std": "no spread",
    "seconds/generation": "s gen",
    "seconds/reward": "s reward",
    "step_time": "s step",
}


class ConsoleProgress(ProgressCallback):
    """The progress bar of transformers with one short line a logged step instead of the whole row."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Print the line above the bar, on stderr as the bar is."""
        if not state.is_world_process_zero or self.training_bar is None or not logs or "train_runtime" in logs:
            return
        parts = [f"{short} {logs[key]:.3g}" for key, short in _SHOWN.items() if key in logs]
        self.training_bar.write(f"step {state.global_step}: " + ", ".join(parts), file=sys.stderr)


def short_console(trainer: Trainer) -> None:
    """Put :class:`ConsoleProgress` in the place of the trainer's own progress callback, bar or plain lines."""
    trainer.remove_callback(ProgressCallback)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(ConsoleProgress())


def keep_tensorboard(trainer: Trainer, folder: Path) -> None:
    """Let TensorBoard's files go to ``folder``, unless its own variable names one: by itself it writes beside the
    checkpoints, which are removed once a part is finished.
    """
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, TensorBoardCallback):
            callback.logging_dir = callback.logging_dir or str(folder)


class OwnRun(TrainerCallback):
    """Ends the run that a training opened in Weights & Biases, which is one a process: OP-GRPO would go on with SFT's,
    from step 1 again. A run that was open before stays so.
    """

    def __init__(self) -> None:
        self.opened = _open_run() is None

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End it, after transformers' own callback has told it all."""
        run = _open_run() if self.opened else None
        if run is not None and "wandb" in args.report_to:
            run.finish()


def _open_run() -> Any | None:
    return getattr(sys.modules.get("wandb"), "run", None)


class MetricsFile(TrainerCallback):
    """Appends one row a logged step to ``metrics.jsonl``.

    A resumed run drops the rows after its checkpoint first, so that no step occurs twice.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Keep the rows up to the step that training starts from, and let the recipe's steps count."""
        state.compute_steps(args, state.max_steps)  # a checkpoint brings the intervals it was written with
        if not state.is_world_process_zero:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if not self.path.exists() or state.global_step == 0:
            self.path.write_text("", encoding="utf-8")
            return
        lines = self.path.read_bytes().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):  # a kill in mid-write leaves half a line
            self.path.write_bytes(b"".join(lines[:-1]))
        if self.path.stat().st_size:
            write_jsonl(self.path, (r for r in read_jsonl(self.path) if r["step"] <= state.global_step))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the row of this step.

        Raises:
            DiskFullError: there is no room for it; half a row is dropped when the training goes on.
            RunError: the file cannot be written.
        """
        if not state.is_world_process_zero or not logs or "train_runtime" in logs:
            return
        row: dict[str, Any] = {"step": state.global_step}
        for key, value in logs.items():
            if isinstance(value, int | float) and math.isfinite(value):
                # Significant digits, since learning rates are tiny.
                row[_RENAMED.get(key, key)] = value if isinstance(value, int) else float(f"{value:.7g}")
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            full = disk_full(error, self.path)
            raise full or RunError(f"{self.path}: cannot be written ({error.strerror or error})") from error
