"""Optimizers for policies trained from nothing."""

from __future__ import annotations

from typing import Any

import torch

from overton.errors import RecipeError
from overton.sections import GrpoSection, SftSection


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the weight matrices of the layers, AdamW for embeddings, norms and biases.

    From random weights Muon need fewer steps than AdamW (Jordan et al. 2024,
    https://kellerjordan.github.io/posts/muon). The two share one list of parameter groups, so learning-rate
    schedules and checkpoints treat them as one optimizer.

    Args:
        model: whose parameters to train.
        learning_rate: of AdamW.
        muon_learning_rate: of Muon, for orthogonalised updates.
        weight_decay: of Muon's matrices.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        learning_rate: float,
        muon_learning_rate: float,
        weight_decay: float = 0.0,
    ) -> None:
        matrices: list[torch.nn.Parameter] = []
        rest: list[torch.nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                hidden = parameter.ndim == 2 and "embed" not in name and "lm_head" not in name
                (matrices if hidden else rest).append(parameter)
        self._parts = {
            "muon": torch.optim.Muon(matrices, lr=muon_learning_rate, weight_decay=weight_decay),
            "adamw": torch.optim.AdamW(rest, lr=learning_rate, weight_decay=0.0),
        }
        super().__init__([{"params": matrices + rest}], {})
        self._link()

    def _link(self) -> None:
        self.param_groups = [group for part in self._parts.values() for group in part.param_groups]

    def step(self, closure: Any = None) -> Any:
        """One step of both."""
        loss = None if closure is None else closure()
        for part in self._parts.values():
            part.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients of both."""
        for part in self._parts.values():
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The state of both, by name."""
        return {name: part.state_dict() for name, part in self._parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        for name, part in self._parts.items():
            part.load_state_dict(state_dict[name])
        self._link()


def make_optimizer(model: torch.nn.Module, options: SftSection | GrpoSection, lora_rank: int) -> MuonWithAdamW | None:
    """The optimizer of a recipe's section, or ``None`` for the trainer's own AdamW.

    Raises:
        RecipeError: Muon with LoRA, whose weights the trainer adds after the optimizer is made.
    """
    if options.optimizer != "muon":
        return None
    if lora_rank:
        raise RecipeError(
            f"policy.lora_rank: {lora_rank} goes with optimizer adamw only; set it to 0 or the optimizer to adamw"
        )
    decay = options.weight_decay if isinstance(options, SftSection) else 0.0
    return MuonWithAdamW(model, options.learning_rate, options.muon_learning_rate, decay)
