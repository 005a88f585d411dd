"""The order of training rows: the same in the same epoch, also when a killed run goes on in its middle."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch


class EpochOrder(torch.utils.data.Sampler[int]):
    """A sampler whose order depends on the seed and the epoch only.

    The samplers of transformers and TRL draw from a random state that runs on from epoch to epoch. A resumed
    run starts that state afresh, so that from its second epoch on it would see other rows than an
    uninterrupted one.

    Args:
        sampler: any sampler that shuffles with its attribute ``generator``.
        seed: of the first epoch.
        epoch: tells the number of the epoch that starts, from 0.
    """

    def __init__(self, sampler: Any, seed: int, epoch: Callable[[], int]) -> None:
        self.sampler = sampler
        self.sampler.generator = torch.Generator()
        self.seed = seed
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        self.sampler.generator.manual_seed(self.seed + self.epoch())
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)
