"""The loss from the logits of few tokens at a time."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import cross_entropy

from overton.training.trainers import in_blocks, summed_loss


def test_blocks_have_one_size_and_the_last_is_filled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("overton.training.trainers._BLOCK", 4)
    rows = torch.arange(10.0).reshape(5, 2)
    first, second = in_blocks(rows)
    assert torch.equal(first, rows[:4])
    assert second.tolist() == [[8.0, 9.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    assert [block.tolist() for block in in_blocks(torch.tensor([1, 2, 3, 4, 5]), -100)] == [
        [1, 2, 3, 4],
        [5, -100, -100, -100],
    ]


@pytest.mark.parametrize("tokens", [1, 255, 256, 257, 600])
def test_the_loss_and_its_gradients_are_those_of_all_tokens_at_once(tokens: int) -> None:
    torch.manual_seed(0)
    output = torch.nn.Linear(6, 11)
    hidden = torch.randn(tokens, 6, requires_grad=True)
    labels = torch.randint(0, 11, (tokens,))
    leaves = (hidden, output.weight, output.bias)

    loss = summed_loss(hidden, labels, output)
    plain = cross_entropy(output(hidden), labels, reduction="sum")
    assert torch.allclose(loss, plain, rtol=1e-5)
    for ours, theirs in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(plain, leaves), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_a_batch_in_which_nothing_is_learnt_has_a_loss_of_zero() -> None:
    hidden = torch.randn(0, 6, requires_grad=True)
    loss = summed_loss(hidden, torch.zeros(0, dtype=torch.long), torch.nn.Linear(6, 11))
    loss.backward()
    assert loss.item() == 0.0
