"""Similarity matrix -> matches and clusters. numpy only; the arithmetic that must be right.

Shapes: ``similarity`` is (references, segments) for matching and (segments, segments) for clusters.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from overton.errors import NonFiniteError

Matrix = npt.NDArray[np.floating]


def greedy_matching(similarity: Matrix, threshold: float) -> list[tuple[int, int]]:
    """One-to-one pairs in falling order of similarity, none below the threshold.

    The pair taken next is always the best of its row and of its column among what is left, as in OP-GRPO
    (arXiv 2602.20759): mutual-best matching. Ties go to the lower reference, then the lower segment.

    Args:
        similarity: (r, s) array without NaN.
        threshold: lowest similarity of a pair (inclusive).

    Returns:
        (reference, segment) pairs, best first.

    Raises:
        ValueError: not two-dimensional.
        NonFiniteError: NaN inside; it is a ValueError too.
    """
    matrix = _checked(similarity)
    pairs: list[tuple[int, int]] = []
    rows, columns = np.nonzero(matrix >= threshold)
    order = np.lexsort((columns, rows, -matrix[rows, columns]))
    used_rows: set[int] = set()
    used_columns: set[int] = set()
    for index in order:
        row, column = int(rows[index]), int(columns[index])
        if row not in used_rows and column not in used_columns:
            used_rows.add(row)
            used_columns.add(column)
            pairs.append((row, column))
    return pairs


def optimal_matching(similarity: Matrix, threshold: float) -> list[tuple[int, int]]:
    """One-to-one pairs at or above the threshold, as many as there can be.

    Starts from :func:`greedy_matching` and adds augmenting paths (Kuhn) until none is left. What greedy
    matched stays matched, perhaps with another partner, and similar partners are tried first; the sum of
    similarities is not maximised. With a handful of rows this beats a general solver's call.

    Args and errors as in :func:`greedy_matching`.

    Returns:
        (reference, segment) pairs in order of reference.
    """
    matrix = _checked(similarity)
    pairs = greedy_matching(matrix, threshold)
    possible = matrix >= threshold
    if len(pairs) == min(np.count_nonzero(possible.any(axis=1)), np.count_nonzero(possible.any(axis=0))):
        return sorted(pairs)  # every row that can be matched is, or every column
    owner = {column: row for row, column in pairs}
    matched = set(owner.values())
    candidates = [
        sorted(np.flatnonzero(possible[r]).tolist(), key=lambda c, r=r: -matrix[r, c])  # type: ignore[misc]
        for r in range(matrix.shape[0])
    ]

    for row in range(matrix.shape[0]):
        if row not in matched:
            _place(row, candidates, owner)
    return sorted((row, column) for column, row in owner.items())


def _place(row: int, candidates: list[list[int]], owner: dict[int, int]) -> None:
    """Give a row a column along an augmenting path, if there is one.

    A loop, not a call of itself: paths may be longer than Python's stack.
    """
    seen: set[int] = set()
    path, taken = [(row, iter(candidates[row]))], list[int]()
    while path:
        column = next((c for c in path[-1][1] if c not in seen), None)
        if column is None:
            path.pop()
            del taken[-1:]
            continue
        seen.add(column)
        taken.append(column)
        if column not in owner:
            owner.update((c, r) for (r, _), c in zip(path, taken, strict=True))
            return
        path.append((owner[column], iter(candidates[owner[column]])))


def clusters(similarity: Matrix, threshold: float) -> list[int]:
    """Connected components of "at least as similar as the threshold", independent of order.

    Args:
        similarity: (s, s) symmetric array.
        threshold: lowest similarity that joins two segments (inclusive).

    Returns:
        One component number a segment; numbers count up in order of first appearance.

    Raises:
        ValueError: not square, or NaN inside.
    """
    matrix = _square(similarity)
    size = matrix.shape[0]
    linked = (matrix >= threshold) | (threshold <= matrix.T)
    np.fill_diagonal(linked, False)
    if not linked.any():
        return list(range(size))
    packed = np.packbits(linked, axis=1, bitorder="little")
    width, data = packed.shape[1], packed.tobytes()
    # Whom each is linked to, as bits: an answer of thousands of equal lines has millions of links.
    rows = [int.from_bytes(data[i * width : (i + 1) * width], "little") for i in range(size)]
    free, count = (1 << size) - 1, 0
    labels = [-1] * size
    for start in range(size):
        if labels[start] >= 0:
            continue
        stack = [start]
        free &= ~(1 << start)
        while stack:
            one = stack.pop()
            labels[one] = count
            reached = rows[one] & free
            free ^= reached
            while reached:
                other = reached & -reached
                stack.append(other.bit_length() - 1)
                reached ^= other
        count += 1
    return labels


def redundant_in_order(similarity: Matrix, threshold: float) -> list[int]:
    """Segments similar to an earlier kept one: OP-GRPO's order-dependent redundancy (arXiv 2602.20759).

    Args:
        similarity: (s, s) array.
        threshold: lowest similarity that makes a segment redundant (inclusive).

    Returns:
        Indices of redundant segments, ascending.

    Raises:
        ValueError: not square, or NaN inside.
    """
    matrix = _square(similarity)
    kept: list[int] = []
    redundant: list[int] = []
    for index in range(matrix.shape[0]):
        if (matrix[index, kept] >= threshold).any():
            redundant.append(index)
        else:
            kept.append(index)
    return redundant


def _checked(similarity: Matrix) -> Matrix:
    matrix = np.asarray(similarity)
    if matrix.ndim != 2:
        raise ValueError(f"a similarity matrix has two dimensions, got shape {matrix.shape}")
    if np.isnan(matrix).any():
        raise NonFiniteError("the similarity matrix holds NaN")
    return matrix


def _square(similarity: Matrix) -> Matrix:
    matrix = _checked(similarity)
    if matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"segments against segments give a square matrix, got shape {matrix.shape}")
    return matrix
