"""Groups of situations that share a text, divided into splits of given sizes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.data.rows import TableRow
from overton.data.splits import split_table
from overton.errors import DataError
from overton.types import Perspective, Situation


def grouped(sizes: Sequence[int]) -> list[TableRow]:
    """For each size so many situations of one text."""
    return [
        TableRow(
            Situation(f"{group}-{k}", f"text {group}", ()),
            (Perspective("a", f"x{group}-{k}"), Perspective("b", f"y{group}-{k}")),
        )
        for group, size in enumerate(sizes)
        for k in range(size)
    ]


@pytest.mark.parametrize(
    ("groups", "wanted", "sizes", "unused"),
    [
        # 36 groups fill train, two leave dev with room for two situations and one leaves test with room for three.
        ([5] * 40, (180, 12, 8), [180, 10, 5], 5),
        ([5] * 40, (185, 10, 5), [185, 10, 5], 0),
        ([2] * 10, (8, 5, 3), [8, 4, 2], 6),
        ([1] * 20, (8, 5, 3), [8, 5, 3], 4),
    ],
)
def test_a_group_goes_where_it_fits(
    groups: list[int], wanted: tuple[int, int, int], sizes: list[int], unused: int
) -> None:
    warnings: list[str] = []
    found = split_table(grouped(groups), *wanted, 0, warnings)
    assert [len(found[name]) for name in ("train", "dev", "test")] == sizes
    told = [f"{unused} of the table's {sum(groups)} situations are not used"] if unused else []
    assert warnings == told


def test_a_split_that_no_group_fits_is_said_to_be_too_small() -> None:
    with pytest.raises(DataError, match=r"the test split of 4: .* left has 5 or more; make data\.test larger"):
        split_table(grouped([5] * 40), 190, 6, 4, 0, [])


@given(
    st.lists(st.integers(1, 6), min_size=3, max_size=30),
    st.tuples(*[st.integers(1, 20)] * 3),
    st.integers(0, 9),
)
def test_no_group_is_dropped_while_a_split_has_room(groups: list[int], wanted: tuple[int, int, int], seed: int) -> None:
    rows, warnings = grouped(groups), list[str]()
    try:
        found = split_table(rows, *wanted, seed, warnings)
    except DataError as error:
        assert sum(groups) >= sum(wanted) and max(groups) > min(wanted)
        assert "or more; make data." in str(error)
        return
    owner = {row.situation.text: name for name, own in found.items() for row in own}
    assert sum(map(len, found.values())) == sum(groups[int(text.split()[1])] for text in owner)
    dropped = [size for group, size in enumerate(groups) if f"text {group}" not in owner]
    if sum(groups) < sum(wanted):
        assert not dropped
        return
    assert warnings == ([f"{sum(dropped)} of the table's {len(rows)} situations are not used"] if dropped else [])
    for size, own in zip(wanted, found.values(), strict=True):
        assert 0 < len(own) <= size < len(own) + min(dropped, default=size)
