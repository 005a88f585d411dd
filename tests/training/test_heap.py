"""What garbage collections walk through while a training runs."""

from __future__ import annotations

import gc

import pytest

from overton.training import trainers
from overton.training.trainers import settled_heap


@pytest.mark.parametrize("many", [False, True])
def test_many_objects_are_left_out_of_collections_and_few_stay(many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    gc.collect()
    gc.freeze()  # what other tests left
    try:
        monkeypatch.setattr(trainers, "_SETTLED", 10_000)
        rows = [[index] for index in range(20_000 if many else 0)]
        gc.collect()  # they are old now
        before = gc.get_freeze_count()  # some of what is frozen may be freed at any time, by another thread too
        with settled_heap():
            assert (gc.get_freeze_count() - before > 10_000) == bool(rows)
        assert (gc.get_freeze_count() - before > -10_000) != many
    finally:
        gc.freeze()
