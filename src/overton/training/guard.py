"""Trainers that stop at the first number that is not finite, and whose checkpoints can be told whole.

Left alone, the trainers go on: transformers logs the mean of earlier losses in place of one that is NaN
(``logging_nan_inf_filter``), TRL gives a group with an infinite reward the advantage 0, and both take the step.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from transformers import Trainer

from overton import processes
from overton.errors import NonFiniteError
from overton.full_disk import disk_full
from overton.jsonio import write_jsonl
from overton.training.checkpoints import damage, numbered, rotate, seal

_TEXTS = {"input_ids": "text", "prompt_ids": "prompt", "completion_ids": "completion"}
_MASKS = {"input_ids": "attention_mask", "prompt_ids": "prompt_mask", "completion_ids": "completion_mask"}
_SAME_AGAIN = "The same command would come to the same end; what changes the weights trains anew in an emptied folder"
ADVICE = "are there rows unlike the others? Lower the learning rate, raise warmup_ratio, or try training.bf16=false."


class GuardedTrainer(Trainer):
    """To be mixed in before one of TRL's trainers.

    Losses are looked at after each forward pass, gradient norms before the optimizer's step, and weights before each
    checkpoint. A step with any that is not finite is not taken, and its batch is saved beside ``metrics.jsonl``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._passes: list[dict[str, Any]] = []  # inputs since the last optimizer step,
        self._taken: list[dict[str, Any]] = []  # and of that step

    def _prepare_inputs(self, inputs: Any) -> Any:
        prepared = super()._prepare_inputs(inputs)
        if self.model is not None and self.model.training:
            self._passes.append(prepared)
        return prepared

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """As in transformers.

        Raises:
            NonFiniteError: the loss is NaN or infinite.
        """
        loss = super().training_step(*args, **kwargs)
        if not bool(torch.isfinite(loss)):
            self.stop(f"the loss is {loss.item()}", batch_rows(self._passes[-1:], self._text_of))
        return loss

    def _get_grad_norm(self, model: Any, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm=grad_norm)
        if norm is not None and not math.isfinite(float(norm)):
            self.stop(f"the norm of the gradient is {float(norm)}", batch_rows(self._passes, self._text_of))
        self._taken, self._passes = self._passes, []
        return norm

    def check_weights(self) -> None:
        """Look at all weights that are trained; of this process's shard where they are shared out.

        Raises:
            NonFiniteError: one is NaN or infinite; the rows are those of the last step.
        """
        assert self.model is not None
        trained = {name: shard(weights) for name, weights in self.model.named_parameters() if weights.requires_grad}
        # Asked once: a GPU would be waited for at each of some hundred matrices.
        finite = torch.stack([torch.isfinite(weights).all() for weights in trained.values()]).tolist()
        for name, fine in zip(trained, finite, strict=True):
            if not fine:
                rows = batch_rows(self._taken, self._text_of)
                self.stop(f"weights of {name} are NaN or infinite", rows, step=self.state.global_step)

    def stop(
        self, what: str, rows: Sequence[dict[str, Any]], advice: str = ADVICE, step: int | None = None
    ) -> NoReturn:
        """Save the rows that it happened with, and end the training.

        Args:
            what: is not finite.
            rows: go to a file, as JSON.
            advice: what to look for in them, and what to do.
            step: number of the step that was taken; ``None`` = the one under way.

        Raises:
            NonFiniteError: always.
        """
        assert self.args.output_dir is not None
        checkpoints = Path(self.args.output_dir)
        when = f"at step {self.state.global_step + 1}" if step is None else f"after step {step}"
        step = self.state.global_step + 1 if step is None else step
        rate = float(self._get_learning_rate())
        which = f"_process_{processes.number()}" if processes.count() > 1 else ""
        path = checkpoints.parent / f"nonfinite_step_{step:04d}{which}.jsonl"
        write_jsonl(path, ({"step": step, "what": what, "learning_rate": rate, **row} for row in rows))
        whole = next((number for number, folder in numbered(checkpoints) if damage(folder, hashes=False) is None), None)
        kept = "there is no checkpoint" if whole is None else f"checkpoint-{whole} is kept"
        raise NonFiniteError(
            f"{checkpoints.parent}: {what} {when} (learning rate {rate:.3g}); {kept}. The batch is in {path}: {advice} "
            f"{_SAME_AGAIN}."
        )

    def _text_of(self, ids: list[int]) -> str:
        tokenizer: Any = getattr(self.processing_class, "tokenizer", self.processing_class)
        return str(tokenizer.decode(ids))

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """As in transformers, from nothing, and with a list of its files as the last one.

        Raises:
            DiskFullError: half a checkpoint was written, and removed.
        """
        assert self.args.output_dir is not None
        self.check_weights()
        folder = Path(self.args.output_dir)
        checkpoint = folder / f"checkpoint-{self.state.global_step}"
        if self.args.should_save:  # what a training left that was killed here, or had other settings
            shutil.rmtree(checkpoint, ignore_errors=True)
        self.accelerator.wait_for_everyone()
        try:
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                seal(checkpoint)
        except Exception as error:  # each library has its own class for a write that failed
            full = disk_full(error, checkpoint)
            shutil.rmtree(checkpoint, ignore_errors=True)
            if full:
                raise full from error
            raise
        if self.args.should_save:
            rotate(folder, self.state.global_step)


def shard(weights: Any) -> torch.Tensor:
    """What this process holds of a parameter: all of it, or its share in FSDP2 or ZeRO 3."""
    if hasattr(weights, "ds_tensor"):
        return weights.ds_tensor  # type: ignore[no-any-return]
    return weights.to_local() if hasattr(weights, "to_local") else weights  # type: ignore[no-any-return]


def batch_rows(passes: Sequence[dict[str, Any]], text_of: Any) -> list[dict[str, Any]]:
    """One JSON row a sequence: its texts and token ids without padding, and whatever else the trainer knows of it.

    Args:
        passes: inputs of forward passes; tensors of shape (n,) or (n, ...).
        text_of: from token ids to text.
    """
    return [row for number, inputs in enumerate(passes) for row in _rows(number, inputs, text_of)]


def _rows(number: int, inputs: dict[str, Any], text_of: Any) -> Iterator[dict[str, Any]]:
    ids = next((inputs[key] for key in ("input_ids", "prompt_ids") if key in inputs), None)
    if ids is None:
        return
    tensors = {k: v for k, v in inputs.items() if torch.is_tensor(v) and v.ndim and len(v) == len(ids)}
    for index in range(len(ids)):
        row: dict[str, Any] = {"forward_pass": number}
        for key, values in tensors.items():
            if key in _MASKS.values():
                continue
            mask = tensors.get(_MASKS.get(key, ""))
            found = values[index] if mask is None else values[index][mask[index].bool()]
            if key in _TEXTS:
                row[_TEXTS[key]] = text_of(found.tolist())
            row[key] = plain(found.tolist())
        yield row


def plain(value: Any) -> Any:
    """A number or nested list as JSON: what is not finite as ``"nan"``, ``"inf"`` or ``"-inf"``."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
