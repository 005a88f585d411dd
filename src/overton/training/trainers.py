"""TRL's SFTTrainer with the plain loss where that is the faster one, and an order of rows that can be
resumed."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate.utils import DistributedType
from trl import SFTTrainer

from overton.training.callbacks import keep_tensorboard, short_console
from overton.training.checkpoints import last_checkpoint
from overton.training.guard import GuardedTrainer
from overton.training.order import EpochOrder
from overton.training.policy import save_policy

# Tokens whose logits are computed at once.
_BLOCK = 256
# Objects of which a collection takes some milliseconds.
_SETTLED = 100_000


class OvertonSFTTrainer(GuardedTrainer, SFTTrainer):
    """SFTTrainer that computes its loss plainly on a CPU, from the tokens that are learnt alone.

    TRL computes log-probabilities in tiles and again in the backward pass, so that the logits of a large
    vocabulary never stand in GPU memory. On a CPU with a small vocabulary that takes about
    twice the time and saves nothing; nor are the logits of prompt and padding needed. The loss is the same number.
    """

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """As TRL's, by the short way on one CPU process."""
        causal = self.accelerator.unwrap_model(model)
        if return_outputs or not on_one_cpu(self) or not has_plain_logits(causal):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs["labels"][:, 1:]
        learnt = labels != -100
        masks = {k: inputs[k] for k in ("attention_mask", "position_ids") if k in inputs}
        with self.accelerator.autocast():
            hidden = causal.get_decoder()(input_ids=inputs["input_ids"], use_cache=False, **masks).last_hidden_state
            loss = summed_loss(hidden[:, :-1][learnt], labels[learnt], causal.get_output_embeddings())
        return loss / (learnt.sum() if num_items_in_batch is None else num_items_in_batch)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(train_dataset)
        if sampler is None:
            return None
        return EpochOrder(sampler, self.args.seed, lambda: int(self.state.epoch or 0))


def train_and_save(trainer: GuardedTrainer, tokenizer: Any, folder: Path) -> None:
    """Train, from the last whole checkpoint in ``folder/checkpoints`` if there is one, and save to ``folder/model``."""
    short_console(trainer)
    keep_tensorboard(trainer, folder / "tensorboard")
    with settled_heap():
        trainer.train(resume_from_checkpoint=last_checkpoint(folder / "checkpoints", trainer.args.max_steps))
    trainer.check_weights()
    save_policy(trainer, tokenizer, folder / "model")


@contextmanager
def settled_heap() -> Iterator[None]:
    """Leave what is in memory now out of garbage collections.

    Tens of thousands of rows are millions of objects. Walking through them again and again took about a fifth of the
    time of a GRPO step after SFT in the same process. A small heap, or one that the caller has frozen, stays as it is.
    """
    if len(gc.get_objects(generation=2)) < _SETTLED:  # `gc.get_freeze_count` walks through all that is frozen
        yield
        return
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def on_one_cpu(trainer: Any) -> bool:
    """Whether the trainer is a single process on a CPU.

    With several, the forward pass has to go through the wrapped model, or gradients are not averaged.
    """
    return bool(trainer.accelerator.device.type == "cpu" and trainer.accelerator.num_processes == 1)


def summed_loss(hidden: torch.Tensor, labels: torch.Tensor, output: torch.nn.Module) -> torch.Tensor:
    """Sum of the cross-entropies of tokens, from the logits of few at a time.

    Args:
        hidden: (tokens, width).
        labels: (tokens,) token ids.
        output: the model's output matrix.
    """
    blocks = zip(in_blocks(hidden), in_blocks(labels, -100), strict=True)
    return sum(F.cross_entropy(output(h).float(), y, reduction="sum") for h, y in blocks)


def in_blocks(rows: torch.Tensor, value: float = 0) -> tuple[torch.Tensor, ...]:
    """Rows in blocks of one size, the last one filled up.

    oneDNN compiles a matrix product for each shape it meets, which here takes longer than the product, and the number
    of tokens is another one in each batch. The logits of a block also stay in the processor's cache.
    """
    filled = F.pad(rows, (0, 0) * (rows.ndim - 1) + (0, -len(rows) % _BLOCK), value=value)
    return filled.split(_BLOCK)


def is_sharded(trainer: Any) -> bool:
    """Whether processes share out the weights (FSDP, DeepSpeed): a forward pass then needs all of them at once."""
    kind = getattr(trainer.accelerator, "distributed_type", DistributedType.NO)
    return kind in (DistributedType.FSDP, DistributedType.DEEPSPEED)


def has_plain_logits(model: Any) -> bool:
    """Whether the model's logits are what its output matrix gives, neither scaled nor capped (as in Gemma)."""
    if not hasattr(model, "get_decoder") or hasattr(model, "peft_config"):
        return False
    config = model.config.get_text_config()
    names = (
        "final_logit_softcapping",
        "logit_scale",
        "logits_scaling",
        "lm_head_multiplier",
        "output_multiplier",
    )
    return all(getattr(config, name, None) is None for name in names)
