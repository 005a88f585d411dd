"""Optimizers for policies trained from nothing."""

from __future__ import annotations

from typing import Any

import torch

from overton.errors import RecipeError
from overton.precision import has_fast_bf16
from overton.processes import shares_weights
from overton.sections_training import GrpoSection, SftSection


class BatchedMuon(torch.optim.Muon):
    """torch's Muon with the matrices of one shape orthogonalised together.

    Small matrices one by one cost more in calls than in arithmetic: a step over the 14 of a small Qwen2 takes
    less than half the time. In bfloat16, as torch does it, where the device is fast at it, else in float32; a matrix
    higher than wide is turned first.
    """

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step; the result is that of :class:`torch.optim.Muon` within bfloat16's rounding."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            parameters: list[torch.Tensor] = []
            gradients: list[torch.Tensor] = []
            momenta: list[torch.Tensor] = []
            self._init_group(group, parameters, gradients, momenta)
            if not parameters:
                continue
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            updates = torch._foreach_lerp(gradients, momenta, group["momentum"]) if group["nesterov"] else momenta
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            by_shape: dict[torch.Size, list[int]] = {}
            for index, parameter in enumerate(parameters):
                by_shape.setdefault(parameter.shape, []).append(index)
            for (rows, columns), members in by_shape.items():
                whole = orthogonal(torch.stack([updates[i] for i in members]), group)
                scale = group["lr"] * max(1.0, rows / columns) ** 0.5
                torch._foreach_add_([parameters[i] for i in members], list(whole.unbind()), alpha=-scale)
        return loss


def orthogonal(matrices: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    """The nearest semi-orthogonal matrices, roughly, by Newton-Schulz iterations (Jordan et al. 2024).

    In float32, a matrix at least twice as wide as high is multiplied by all iterations' factors at once. They are
    polynomials in its small Gram matrix, so that only two products are as large as the matrix instead of two in each
    iteration (docs/speed.md). In bfloat16 the Gram matrix would be too coarse for that.

    Args:
        matrices: of shape (batch, rows, columns).
        options: with ``ns_coefficients``, ``ns_steps`` and ``eps`` of :class:`torch.optim.Muon`.

    Returns:
        The same shape in float32.
    """
    high = matrices.shape[1] > matrices.shape[2]
    found = matrices.mT if high else matrices
    if has_fast_bf16(matrices.device.type):
        found = found.bfloat16()
    found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=options["eps"])
    if found.dtype == torch.float32 and 2 * found.shape[1] <= found.shape[2]:
        found = _factors(found @ found.mT, options) @ found
    else:
        a, b, c = options["ns_coefficients"]
        for _ in range(options["ns_steps"]):
            gram = found @ found.mT
            found = torch.baddbmm(found, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), found, beta=a)
    return (found.mT if high else found).float()


def _factors(gram: torch.Tensor, options: dict[str, Any]) -> torch.Tensor:
    """The product of all iterations' factors, each aI + bG + cG^2, from the first Gram matrix G.

    After a factor P the Gram matrix is PGP, and as polynomials in the first G all of these commute.
    """
    a, b, c = options["ns_coefficients"]
    factor = product = gram
    for step in range(options["ns_steps"]):
        if step:
            gram = factor @ gram @ factor
        factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor @ product if step else factor
    return product


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for the weight matrices of the layers, AdamW for embeddings, norms and biases.

    From random weights Muon needs fewer steps than AdamW (Jordan et al. 2024,
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
            "muon": BatchedMuon(matrices, lr=muon_learning_rate, weight_decay=weight_decay),
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
        RecipeError: Muon with LoRA, whose weights the trainer adds after the optimizer is made, or with shards of
            matrices, which cannot be orthogonalised one by one.
    """
    if options.optimizer != "muon":
        return None
    if shares_weights():
        raise RecipeError(
            "optimizer: muon needs whole matrices on each process, and the launcher's configuration shares the weights "
            "out (FSDP, DeepSpeed); set optimizer to adamw, or launch with examples/accelerate/ddp.yaml"
        )
    if lora_rank:
        raise RecipeError(
            f"policy.lora_rank: {lora_rank} goes with optimizer adamw only; set it to 0 or the optimizer to adamw"
        )
    decay = options.weight_decay if isinstance(options, SftSection) else 0.0
    return MuonWithAdamW(model, options.learning_rate, options.muon_learning_rate, decay)
