"""Matches and clusters against tables worked by hand, brute force and scipy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components, maximum_bipartite_matching

from overton.matching import clusters, greedy_matching, optimal_matching, redundant_in_order

MATRICES = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7),
    elements=st.integers(-10, 10).map(lambda n: n / 10),  # many ties
)
THRESHOLDS = st.sampled_from([-0.5, 0.0, 0.3, 0.5, 0.7, 1.0])

TABLE = np.array(
    [
        [0.90, 0.80, 0.10],
        [0.85, 0.20, 0.10],
        [0.30, 0.75, 0.60],
    ]
)


# ------------------------------------------------------------------ by hand


@pytest.mark.parametrize(
    ("threshold", "pairs"),
    [
        (0.95, []),
        (0.90, [(0, 0)]),  # inclusive
        (0.70, [(0, 0), (2, 1)]),  # reference 1 wants segment 0, which is taken
        (0.15, [(0, 0), (2, 1)]),  # segment 2 is left, reference 1 has .10 with it
        (0.10, [(0, 0), (2, 1), (1, 2)]),
    ],
)
def test_greedy_table(threshold: float, pairs: list[tuple[int, int]]) -> None:
    assert greedy_matching(TABLE, threshold) == pairs


@pytest.mark.parametrize(
    ("threshold", "pairs"),
    [
        (0.95, []),
        (0.85, [(0, 0)]),
        (0.78, [(0, 1), (1, 0)]),  # greedy finds one pair here
        (0.70, [(0, 0), (2, 1)]),  # two at most: 0, 1 and 2 share segments 0 and 1
        (0.60, [(0, 1), (1, 0), (2, 2)]),
    ],
)
def test_optimal_table(threshold: float, pairs: list[tuple[int, int]]) -> None:
    assert optimal_matching(TABLE, threshold) == pairs


def test_ties_go_to_the_lower_reference_then_the_lower_segment() -> None:
    even = np.full((2, 3), 0.8)
    assert greedy_matching(even, 0.8) == [(0, 0), (1, 1)]
    assert optimal_matching(even, 0.8) == [(0, 0), (1, 1)]


def test_redundancy_depends_on_order_and_compares_with_kept_ones_only() -> None:
    chain = np.array([[1.0, 0.8, 0.1], [0.8, 1.0, 0.8], [0.1, 0.8, 1.0]])
    assert redundant_in_order(chain, 0.78) == [1]  # 2 resembles only 1, which is not kept
    swapped = chain[np.ix_([1, 0, 2], [1, 0, 2])]
    assert redundant_in_order(swapped, 0.78) == [1, 2]
    assert redundant_in_order(chain, 0.81) == []
    assert redundant_in_order(np.zeros((0, 0)), 0.5) == []


def test_thresholds_are_inclusive_in_float32_too() -> None:
    even = np.full((2, 2), 0.78, dtype=np.float32)  # 0.7799999713897705
    assert len(greedy_matching(even, 0.78)) == len(optimal_matching(even, 0.78)) == 2
    assert redundant_in_order(even, 0.78) == [1]
    assert clusters(even, 0.78) == [0, 0]


def test_clusters_are_transitive() -> None:
    chain = np.array([[1.0, 0.1, 0.8, 0.1], [0.1, 1.0, 0.1, 0.2], [0.8, 0.1, 1.0, 0.8], [0.1, 0.2, 0.8, 1.0]])
    assert clusters(chain, 0.8) == [0, 1, 0, 0]
    assert clusters(chain, 0.81) == [0, 1, 2, 3]
    assert clusters(chain, 0.1) == [0, 0, 0, 0]
    assert clusters(np.zeros((0, 0)), 0.5) == []


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_match(shape: tuple[int, int]) -> None:
    assert greedy_matching(np.zeros(shape), 0.5) == []
    assert optimal_matching(np.zeros(shape), 0.5) == []


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize("function", [greedy_matching, optimal_matching, clusters, redundant_in_order])
def test_nan_and_wrong_shapes_are_refused(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match="NaN"):
        function(np.array([[1.0, np.nan], [np.nan, 1.0]]), 0.5)
    for shape in [(3,), (2, 2, 2), ()]:
        with pytest.raises(ValueError, match="two dimensions"):
            function(np.ones(shape), 0.5)


@pytest.mark.parametrize("function", [clusters, redundant_in_order])
def test_what_compares_segments_with_themselves_must_be_square(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=r"square.*\(2, 3\)"):
        function(np.ones((2, 3)), 0.5)


# ------------------------------------------------------------------ properties


def _is_matching(pairs: list[tuple[int, int]], matrix: np.ndarray, threshold: float) -> bool:
    rows, columns = [r for r, _ in pairs], [c for _, c in pairs]
    return (
        len(set(rows)) == len(rows)
        and len(set(columns)) == len(columns)
        and all(matrix[r, c] >= threshold for r, c in pairs)
    )


@given(MATRICES, THRESHOLDS)
def test_greedy_takes_the_mutual_best_of_what_is_left(matrix: np.ndarray, threshold: float) -> None:
    rows, columns = set(range(matrix.shape[0])), set(range(matrix.shape[1]))
    expected = []
    while rows and columns:
        best, row, column = max((matrix[r, c], -r, -c) for r in rows for c in columns)
        if best < threshold:
            break
        expected.append((-row, -column))
        rows.remove(-row)
        columns.remove(-column)
    assert greedy_matching(matrix, threshold) == expected


@given(MATRICES, THRESHOLDS)
def test_optimal_has_as_many_pairs_as_scipy_finds(matrix: np.ndarray, threshold: float) -> None:
    pairs = optimal_matching(matrix, threshold)
    assert _is_matching(pairs, matrix, threshold)
    allowed = matrix >= threshold
    if matrix.size:
        assert len(pairs) == int((maximum_bipartite_matching(csr_matrix(allowed)) >= 0).sum())
    assert len(pairs) == int(allowed[linear_sum_assignment(allowed, maximize=True)].sum())
    assert pairs == sorted(pairs)


@given(MATRICES, THRESHOLDS)
def test_optimal_keeps_what_greedy_matched(matrix: np.ndarray, threshold: float) -> None:
    greedy, optimal = greedy_matching(matrix, threshold), optimal_matching(matrix, threshold)
    assert {r for r, _ in greedy} <= {r for r, _ in optimal}
    assert {c for _, c in greedy} <= {c for _, c in optimal}
    if len(greedy) == len(optimal):
        assert sorted(greedy) == optimal


@given(st.data(), THRESHOLDS)
def test_clusters_are_components_and_do_not_depend_on_order(data: st.DataObject, threshold: float) -> None:
    size = data.draw(st.integers(0, 7))
    half = data.draw(hnp.arrays(np.float32, (size, size), elements=st.integers(-10, 10).map(lambda n: n / 10)))
    matrix = np.maximum(half, half.T)
    labels = clusters(matrix, threshold)
    if size:
        count, components = connected_components(csr_matrix(matrix >= threshold))
        assert len(set(labels)) == count
        assert _partition(labels) == _partition(components.tolist())
    assert list(dict.fromkeys(labels)) == list(range(len(set(labels))))
    order = data.draw(st.permutations(range(size)))
    moved = clusters(matrix[np.ix_(order, order)], threshold)
    assert _partition(labels) == {frozenset(order[i] for i in part) for part in _partition(moved)}


@pytest.mark.parametrize("size", [8, 9, 16, 17, 64, 65, 200])
@pytest.mark.parametrize("share", [0.002, 0.02, 0.2, 1.0])
def test_clusters_of_many_are_scipys(size: int, share: float) -> None:
    half = (np.random.default_rng(size).random((size, size)) < share).astype(np.float32)
    matrix = np.maximum(half, half.T)
    count, components = connected_components(csr_matrix(matrix))
    first = list(dict.fromkeys(components.tolist()))  # numbered as they appear
    assert clusters(matrix, 0.5) == [first.index(label) for label in components]
    assert share < 1 or count == 1


def _partition(labels: list[int]) -> set[frozenset[int]]:
    return {frozenset(i for i, x in enumerate(labels) if x == label) for label in labels}


@given(MATRICES.filter(lambda m: m.size > 0), THRESHOLDS, st.randoms(use_true_random=False))
def test_number_of_pairs_does_not_depend_on_order(matrix: np.ndarray, threshold: float, random) -> None:  # type: ignore[no-untyped-def]
    rows, columns = list(range(matrix.shape[0])), list(range(matrix.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    moved = matrix[np.ix_(rows, columns)]
    assert len(optimal_matching(moved, threshold)) == len(optimal_matching(matrix, threshold))


def test_optimal_against_every_matching_of_small_tables() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        matrix = rng.random((3, 4))
        best = max(
            sum(matrix[r, c] >= 0.6 for r, c in enumerate(chosen)) for chosen in itertools.permutations(range(4), 3)
        )
        assert len(optimal_matching(matrix, 0.6)) == best


def test_an_augmenting_path_may_be_longer_than_pythons_stack() -> None:
    size = 3000
    similarity = np.zeros((size, size))
    similarity[np.arange(size), np.arange(size)] = 0.6
    similarity[np.arange(size - 1) + 1, np.arange(size - 1)] = 0.9  # greedy takes these, and leaves the first row alone
    assert len(greedy_matching(similarity, 0.5)) == size - 1
    assert optimal_matching(similarity, 0.5) == [(i, i) for i in range(size)]
