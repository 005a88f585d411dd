"""Labelled pairs as groups: nothing is lost, nothing is made up, and the losses see labelled pairs alone."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overton.errors import DataError
from overton.estimator.groups import GroupBatches, TextGroups, group_texts, pair_labels
from overton.estimator.losses import angle_similarities, cosent_loss, stance_loss, supcon_loss
from overton.estimator.preprocess import Preprocessing

PLAIN = Preprocessing(situation="ignore")


def pair(one: str, other: str, label: int, situation: str = "s") -> dict[str, Any]:
    return {"situation": situation, "sentence1": one, "sentence2": other, "label": label}


def labels(data: TextGroups) -> dict[tuple[str, str], bool]:
    return {(data.texts[a], data.texts[b]): same for a, found in enumerate(data.partners) for b, same in found.items()}


def test_texts_of_a_situation_are_one_group() -> None:
    rows = [pair("a", "b", 1), pair("b", "c", 0), pair("b", "a", 1), pair("a", "b", 0, "t"), pair("A.", "a", 0)]
    data = group_texts(rows, PLAIN)
    assert data.texts == ("A", "B", "C", "A", "B") and data.groups == (0, 0, 0, 1, 1)
    assert data.partners == ({1: True}, {0: True, 2: False}, {1: False}, {4: False}, {3: False})
    assert data.contradictions == 0


def test_pairs_labelled_both_ways_count_for_nothing() -> None:
    data = group_texts([pair("a", "b", 1), pair("b", "a", 0), pair("a", "c", 1), pair("b", "c", 0)], PLAIN)
    assert data.contradictions == 1
    assert labels(data) == {("A", "C"): True, ("C", "A"): True, ("B", "C"): False, ("C", "B"): False}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sentence2": " "}, "row 2: sentence2 must be a text"),
        ({"situation": None}, "row 2: situation must be a text"),
        ({"label": 2}, "row 2: label must be 0 or 1, found 2"),
        ({"label": 1}, "not of both labels"),
    ],
)
def test_bad_pairs_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        group_texts([pair("a", "b", 1), pair("c", "d", 0) | change], PLAIN)


@st.composite
def data_sets(draw: st.DrawFn) -> TextGroups:
    rows = []
    for situation in range(draw(st.integers(1, 4))):
        names = [f"t{i}" for i in range(draw(st.integers(2, 9)))]
        every = list(itertools.combinations(names, 2))
        for one, other in draw(st.lists(st.sampled_from(every), min_size=1, unique=True)):
            rows.append(pair(one, other, draw(st.integers(0, 1)), str(situation)))
    rows += [pair("x", "y", 1, "last"), pair("x", "z", 0, "last")]
    return group_texts(rows, PLAIN)


@settings(deadline=None)
@given(data_sets(), st.integers(3, 12), st.integers(0, 3))
def test_every_labelled_pair_is_in_a_batch(data: TextGroups, size: int, seed: int) -> None:
    batches = list(GroupBatches(data, size, seed))
    assert batches == list(GroupBatches(data, size, seed))
    assert all(1 < len(batch) == len(set(batch)) <= size for batch in batches)
    together = {(a, b) for batch in batches for a in batch for b in batch}
    assert {(a, b) for a, found in enumerate(data.partners) for b in found} <= together
    later = GroupBatches(data, size, seed)
    for later.epoch in range(1, 6):
        assert len(list(later)) == len(later) == len(batches)


def test_epochs_differ_but_are_as_long() -> None:
    rows = [pair(f"a{i}", f"b{j}", int(i == j), str(s)) for s in range(5) for i in range(6) for j in range(6)]
    batches = GroupBatches(group_texts(rows, PLAIN), 8, 0)
    first = list(batches)
    batches.epoch = 1
    second = list(batches)
    assert first != second and len(first) == len(second) == len(batches)


def test_a_batch_knows_its_labels() -> None:
    torch = pytest.importorskip("torch")
    data = group_texts([pair("a", "b", 1), pair("b", "c", 0), pair("a", "d", 0)], PLAIN)
    same, known, opposite = pair_labels(data, torch.tensor([2, 1, 0]))  # c, b, a
    assert not opposite.any()
    assert same.tolist() == [[False, False, False], [False, False, True], [False, True, False]]
    assert known.tolist() == [[False, True, False], [True, False, True], [False, True, False]]


def test_views_for_and_against_are_known() -> None:
    torch = pytest.importorskip("torch")
    rows = [
        pair("a", "b", 1),
        pair("c", "b", 0) | {"relation": "opposite"},
        pair("a", "c", 0) | {"relation": "other"},
        pair("a", "d", 1),  # labelled both ways: not a pair at all
        pair("d", "a", 0) | {"relation": "opposite"},
    ]
    data = group_texts(rows, PLAIN)
    assert data.opposite == {(1, 2)} and data.contradictions == 1
    assert pair_labels(data, torch.tensor([2, 0, 1]))[2].tolist() == [
        [False, False, True],
        [False] * 3,
        [True, False, False],
    ]


def test_an_epoch_takes_a_share_of_a_set() -> None:
    rows = [
        pair(f"a{i}", f"b{j}", int(i == j), f"{name}{s}") | {"set": name}
        for name in ("large", "small")
        for s in range(10)
        for i in range(6)
        for j in range(6)
    ]
    data = group_texts(rows, PLAIN)
    assert data.sets == ("large",) * 10 + ("small",) * 10
    whole, part = GroupBatches(data, 12, 0), GroupBatches(data, 12, 0, {"large": 0.3})

    def seen(batches: GroupBatches) -> list[set[int]]:
        found = []
        for batches.epoch in range(3):
            found.append({data.groups[row] for batch in batches for row in batch})
        return found

    assert [len(groups) for groups in seen(whole)] == [20, 20, 20]
    chosen = seen(part)
    assert [groups & set(range(10, 20)) for groups in chosen] == [set(range(10, 20))] * 3
    assert all(3 <= len(groups & set(range(10))) < 10 for groups in chosen) and chosen[0] != chosen[1]
    assert len(part) < len(whole)


def test_views_for_and_against_come_last() -> None:
    torch = pytest.importorskip("torch")
    similarities = torch.tensor([[9.0, 1.0, 2.0], [1.0, 9.0, 4.0], [2.0, 4.0, 9.0]])
    known = ~torch.eye(3, dtype=torch.bool)
    same = torch.zeros(3, 3, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    opposite = torch.zeros(3, 3, dtype=torch.bool)
    assert stance_loss(similarities, same, known, opposite).item() == 0
    opposite[1, 2] = opposite[2, 1] = True
    expected = math.log(1 + math.exp(4.0 - 2.0))  # 1 and 2 are for and against, 0 and 2 just differ
    assert stance_loss(similarities, same, known, opposite).item() == pytest.approx(expected, abs=1e-6)
    similarities.requires_grad_(True)
    (
        stance_loss(similarities, same, known, opposite) + stance_loss(similarities, same, known, known & ~same)
    ).backward()
    assert torch.isfinite(similarities.grad).all() and similarities.grad[0, 1] == 0


def test_batches_in_parts_of_like_length_have_the_same_vectors(tiny_base: Path) -> None:
    torch = pytest.importorskip("torch")
    from overton.estimator.losses import encode_in_parts
    from overton.estimator.models import load_sentence_transformer

    model = load_sentence_transformer(tiny_base).eval()
    texts = ["the pilot keeps a promise of honesty", "a", "the law", "in the perspective of honesty", "the nurse", "."]
    with torch.no_grad():
        features = model.preprocess(texts)
        for count in (1, 2, 6):
            some = {k: v[:count] if torch.is_tensor(v) else v for k, v in features.items()}
            expected = model(some)["sentence_embedding"]
            torch.testing.assert_close(encode_in_parts(model, some), expected, atol=1e-5, rtol=0)


def test_unlabelled_pairs_are_not_in_the_losses() -> None:
    torch = pytest.importorskip("torch")
    similarities = torch.tensor(
        [[9.0, 1.0, 5.0, 7.0], [1.0, 9.0, 2.0, 7.0], [5.0, 2.0, 9.0, 7.0], [7.0, 7.0, 7.0, 9.0]]
    )
    same = torch.zeros(4, 4, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    known = same.clone()
    known[1, 2] = known[2, 1] = True  # 0 and 2 were never compared, 3 with nobody
    second = -1.0 + math.log(math.exp(1.0) + math.exp(2.0))
    assert supcon_loss(similarities, same, known).item() == pytest.approx((0.0 + second) / 2, abs=1e-6)
    assert cosent_loss(similarities, same, known).item() == pytest.approx(math.log(1 + math.exp(2.0 - 1.0)), abs=1e-6)
    similarities.requires_grad_(True)
    supcon_loss(similarities, same, known).backward()
    assert torch.isfinite(similarities.grad).all() and similarities.grad[3].abs().sum() == 0


@pytest.mark.parametrize("dimension", [6, 7])
def test_angles_are_those_of_the_library(dimension: int) -> None:
    torch = pytest.importorskip("torch")
    from sentence_transformers.util import pairwise_angle_sim

    torch.manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(5, dimension), dim=1)
    found = angle_similarities(rows)
    for i, j in itertools.combinations(range(5), 2):
        expected = pairwise_angle_sim(rows[i : i + 1], rows[j : j + 1]).item()
        assert found[i, j].item() == pytest.approx(expected, abs=1e-6)
