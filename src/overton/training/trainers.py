"""TRL's SFTTrainer with the plain loss where that is the faster one, and an order of rows that can be
resumed."""

from __future__ import annotations

from typing import Any

from transformers import Trainer
from trl import SFTTrainer

from overton.training.order import EpochOrder


class OvertonSFTTrainer(SFTTrainer):
    """SFTTrainer that lets the model compute its own loss on a CPU.

    TRL computes log-probabilities in tiles and again in the backward pass, so that the logits of a large
    vocabulary never stand in GPU memory. On a CPU with a small vocabulary that takes twice the time of the
    plain cross-entropy and saves nothing. The loss is the same number.
    """

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """As :meth:`transformers.Trainer.compute_loss` on a CPU, as TRL's elsewhere."""
        if self.accelerator.device.type != "cpu":
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        return Trainer.compute_loss(self, model, inputs, return_outputs, num_items_in_batch)

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        sampler = super()._get_train_sampler(train_dataset)
        if sampler is None:
            return None
        return EpochOrder(sampler, self.args.seed, lambda: int(self.state.epoch or 0))
