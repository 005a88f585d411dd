"""Muon and AdamW as one optimizer, and the order of rows."""

from __future__ import annotations

import copy
import io
import typing
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import LambdaLR
from transformers import SchedulerType, get_scheduler

from overton.errors import RecipeError
from overton.recipe import parse_recipe
from overton.sections_training import GrpoSection, SftSection
from overton.training.optimizers import BatchedMuon, MuonWithAdamW, make_optimizer, orthogonal
from overton.training.order import EpochOrder


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed_tokens = torch.nn.Embedding(7, 4)
        self.layer = torch.nn.Linear(4, 6)
        self.norm = torch.nn.LayerNorm(6)
        self.lm_head = torch.nn.Linear(6, 7, bias=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.lm_head(self.norm(self.layer(self.embed_tokens(ids))))


def made(net: Net) -> tuple[MuonWithAdamW, LambdaLR]:
    optimizer = MuonWithAdamW(net, 0.01, 0.02, 0.1)
    return optimizer, LambdaLR(optimizer, lambda step: 1 / (1 + step))


def run(net: Net, optimizer: MuonWithAdamW, schedule: LambdaLR, steps: range) -> None:
    for step in steps:
        generator = torch.Generator().manual_seed(step)
        ids = torch.randint(0, 7, (8,), generator=generator)
        torch.nn.functional.cross_entropy(net(ids), ids).backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()


def weights(net: Net) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


def test_matrices_of_layers_go_to_muon_and_the_rest_to_adamw() -> None:
    net = Net()
    net.norm.bias.requires_grad = False
    optimizer = MuonWithAdamW(net, 0.01, 0.02, 0.1)
    muon, adamw = optimizer.param_groups
    assert [id(p) for p in muon["params"]] == [id(net.layer.weight)]
    assert muon["lr"] == 0.02 and muon["weight_decay"] == 0.1
    expected = [net.embed_tokens.weight, net.layer.bias, net.norm.weight, net.lm_head.weight]
    assert [id(p) for p in adamw["params"]] == [id(p) for p in expected]
    assert adamw["lr"] == 0.01 and adamw["weight_decay"] == 0.0


def test_a_step_is_that_of_the_two_optimizers_alone() -> None:
    net, other = Net(), Net()
    optimizer, schedule = made(net)
    run(net, optimizer, schedule, range(3))
    parts = [
        torch.optim.Muon([other.layer.weight], lr=0.02, weight_decay=0.1),
        torch.optim.AdamW([p for n, p in other.named_parameters() if n != "layer.weight"], lr=0.01, weight_decay=0),
    ]
    for step in range(3):
        ids = torch.randint(0, 7, (8,), generator=torch.Generator().manual_seed(step))
        torch.nn.functional.cross_entropy(other(ids), ids).backward()
        for part, rate in zip(parts, (0.02, 0.01), strict=True):
            part.param_groups[0]["lr"] = rate / (1 + step)
            part.step()
            part.zero_grad()
    assert torch.allclose(weights(net), weights(other), atol=1e-3)  # the iterations are in bfloat16
    assert not torch.allclose(weights(net), weights(Net()), atol=1e-2)


def test_matrices_of_one_shape_together_are_each_alone() -> None:
    torch.manual_seed(0)
    shapes = [(8, 8), (16, 8), (8, 16), (8, 8), (16, 8)]
    start = [torch.randn(shape) for shape in shapes]
    gradients = [[torch.randn(shape) for shape in shapes] for _ in range(3)]
    found = []
    for kind in (BatchedMuon, torch.optim.Muon):
        parameters = [torch.nn.Parameter(matrix.clone()) for matrix in start]
        optimizer = kind(parameters, lr=0.05, weight_decay=0.1)
        for step in gradients:
            for parameter, gradient in zip(parameters, step, strict=True):
                parameter.grad = gradient.clone()
            parameters[3].grad = None  # one without a gradient stays as it is
            optimizer.step()
        found.append([parameter.detach() for parameter in parameters])
    for ours, theirs in zip(*found, strict=True):
        assert torch.allclose(ours, theirs, atol=2e-3)
    assert torch.equal(found[0][3], start[3]) and not torch.allclose(found[0][0], start[0], atol=0.05)


@pytest.mark.parametrize("shape", [(2, 8, 16), (2, 16, 8), (3, 12, 96), (1, 1, 5)])
def test_factors_of_the_gram_matrix_give_what_the_iterations_give(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("overton.training.optimizers.has_fast_bf16", lambda device: False)
    torch.manual_seed(0)
    narrow = torch.randn(shape[0], shape[1], 1) @ torch.randn(shape[0], 1, shape[2])
    options = {"ns_coefficients": (3.4445, -4.7750, 2.0315), "ns_steps": 5, "eps": 1e-7}
    for matrices in (torch.randn(shape), narrow + 0.01 * torch.randn(shape), torch.zeros(shape)):
        found = matrices.double().mT if shape[1] > shape[2] else matrices.double()
        found = found / found.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
        for _ in range(5):
            gram = found @ found.mT
            found = 3.4445 * found + (-4.7750 * gram + 2.0315 * gram @ gram) @ found
        expected = found.mT if shape[1] > shape[2] else found
        assert torch.allclose(
            orthogonal(matrices, options), expected.float(), atol=2e-3
        )  # bfloat16, which torch takes, is off by ten times that


def test_a_saved_state_goes_on_identically() -> None:
    net = Net()
    optimizer, schedule = made(net)
    run(net, optimizer, schedule, range(4))
    file = io.BytesIO()
    torch.save((net.state_dict(), optimizer.state_dict(), schedule.state_dict()), file)
    run(net, optimizer, schedule, range(4, 9))

    file.seek(0)
    model, state, rates = torch.load(file, weights_only=True)  # as the trainer loads it
    resumed = Net()
    resumed.load_state_dict(model)
    again, schedule_again = made(resumed)
    again.load_state_dict(state)
    schedule_again.load_state_dict(rates)
    assert [g["lr"] for g in again.param_groups] == pytest.approx([0.02 / 5, 0.01 / 5])
    run(resumed, again, schedule_again, range(4, 9))
    assert weights(resumed).equal(weights(net))

    forgetful = Net()
    forgetful.load_state_dict(model)
    fresh, schedule_fresh = made(forgetful)
    schedule_fresh.load_state_dict(rates)
    run(forgetful, fresh, schedule_fresh, range(4, 9))
    assert not weights(forgetful).equal(weights(net))  # the state matters


def test_a_learning_rate_set_after_loading_reaches_both() -> None:
    net = Net()
    optimizer, _ = made(net)
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    before = weights(net)
    net(torch.arange(7)).sum().backward()
    optimizer.step()
    assert weights(net).equal(before)


def test_closure_and_zero_grad() -> None:
    net = Net()
    optimizer, _ = made(net)

    def closure() -> torch.Tensor:
        loss = net(torch.arange(7)).pow(2).mean()
        loss.backward()
        return loss

    assert float(optimizer.step(closure)) > 0
    assert all(p.grad is not None for p in net.parameters())
    optimizer.zero_grad()
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("section", [SftSection, GrpoSection])
def test_make_optimizer(section: Any) -> None:
    net = Net()
    assert make_optimizer(net, section(optimizer="adamw"), lora_rank=8) is None
    options = section(optimizer="muon", learning_rate=0.5, muon_learning_rate=0.25)
    optimizer = make_optimizer(net, options, lora_rank=0)
    assert optimizer is not None
    assert [g["lr"] for g in optimizer.param_groups] == [0.25, 0.5]
    with pytest.raises(RecipeError, match=r"policy\.lora_rank.*adamw"):
        make_optimizer(net, options, lora_rank=8)


# ------------------------------------------------------------------ order


def test_order_depends_on_seed_and_epoch_alone() -> None:
    epoch = 0
    data = list(range(50))

    def order(seed: int) -> EpochOrder:
        return EpochOrder(torch.utils.data.RandomSampler(data), seed, lambda: epoch)

    one = order(3)
    first = list(one)
    assert sorted(first) == data and len(one) == 50 and first != data
    epoch = 1
    second = list(one)
    assert sorted(second) == data and second != first
    torch.manual_seed(99)
    assert list(order(3)) == second  # a new process that starts in epoch 1
    epoch = 0
    assert list(order(3)) == first
    assert list(order(4)) != first


SCHEDULERS = typing.get_args(GrpoSection.model_fields["lr_scheduler"].annotation)


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_every_scheduler_of_a_recipe_wants_no_more_than_its_name(name: str, kind: str) -> None:
    net = Net()
    optimizer = made(net)[0] if kind == "muon" else torch.optim.AdamW(net.parameters(), lr=0.01)
    schedule = get_scheduler(name, optimizer, num_warmup_steps=1, num_training_steps=4)
    run(net, optimizer, schedule, range(4))  # type: ignore[arg-type]
    assert not torch.equal(weights(net), weights(Net()))


@pytest.mark.parametrize("name", ["cosin", *sorted({s.value for s in SchedulerType} - set(SCHEDULERS))])
def test_others_are_refused_by_the_recipe(name: str) -> None:
    with pytest.raises(RecipeError, match=r"training\.grpo\.lr_scheduler"):
        parse_recipe({"name": "x", "training": {"grpo": {"lr_scheduler": name}}})
