"""Clusters from triplets, hard batches, and the losses' arithmetic."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from estimator_tiny import make_triplets

from overton.estimator.batches import ConfusableBatches, label_texts
from overton.estimator.losses import cosent_loss, supcon_loss


def test_chains_of_positives_make_one_cluster() -> None:
    data = label_texts(["a", "b", "x"], ["b", "c", "y"], ["x", "z", "a"])
    label = dict(zip(data.texts, data.labels, strict=True))
    assert label["a"] == label["b"] == label["c"]
    assert label["x"] == label["y"]
    assert len({label["a"], label["x"], label["z"]}) == 3
    assert data.confusable[label["a"]] == {label["x"]: 2, label["z"]: 1}
    assert dict(zip(data.texts, data.counts, strict=True))["a"] == 2


def columns(count: int) -> list[list[str]]:
    rows = make_triplets(count, 0)
    return [[row[name] for row in rows] for name in ("anchor", "positive", "negative")]


def test_batches_are_full_repeatable_and_differ_between_epochs() -> None:
    data = label_texts(*columns(200))
    batches = ConfusableBatches(data, 4, seed=3)
    first = list(batches)
    assert len(first) == len(batches) == math.ceil(len(data.texts) / 12)
    assert list(ConfusableBatches(data, 4, seed=3)) == first
    assert list(ConfusableBatches(data, 4, seed=4)) != first
    batches.epoch = 1
    assert list(batches) != first
    for batch in first:
        assert len(batch) == len(set(batch))
        assert all(n <= 2 for n in Counter(data.labels[row] for row in batch).values())


def test_confusable_clusters_share_a_batch() -> None:
    # ten families of two clusters each; triplets only ever oppose members of one family
    families = [(f"f{i}a", f"f{i}b") for i in range(10)]
    triplets = [(f"{x}1", f"{x}2", f"{y}1") for a, b in families for x, y in ((a, b), (b, a))]
    data = label_texts(*(list(column) for column in zip(*triplets, strict=True)))
    for batch in ConfusableBatches(data, 4, seed=0):
        texts = {data.texts[row][:-1] for row in batch}
        assert all((a in texts) == (b in texts) for a, b in families)


def test_supervised_contrastive_by_hand() -> None:
    torch = pytest.importorskip("torch")
    similarities = torch.tensor([[9.0, 1.0, 0.0], [1.0, 9.0, 2.0], [0.0, 2.0, 9.0]])
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    first = -1.0 + math.log(math.exp(1.0) + math.exp(0.0))
    second = -1.0 + math.log(math.exp(1.0) + math.exp(2.0))
    assert supcon_loss(similarities, same).item() == pytest.approx((first + second) / 2, abs=1e-6)
    alone = torch.eye(3, dtype=torch.bool)
    assert supcon_loss(similarities, alone).item() == 0


def test_cosent_by_hand() -> None:
    torch = pytest.importorskip("torch")
    similarities = torch.tensor([[9.0, 1.0, 0.0], [1.0, 9.0, 2.0], [0.0, 2.0, 9.0]])
    same = torch.tensor([[True, True, False], [True, True, False], [False, False, True]])
    expected = math.log(1 + math.exp(0.0 - 1.0) + math.exp(2.0 - 1.0))
    assert cosent_loss(similarities, same).item() == pytest.approx(expected, abs=1e-6)
    assert cosent_loss(similarities, torch.eye(3, dtype=torch.bool)).item() == 0
