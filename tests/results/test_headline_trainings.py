"""The goals over the seeds of two results files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headline import trainings
from headline.report import goals
from headline.trainings import over_trainings, trainings_table
from overton.jsonio import read_json
from pages import filled

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "benchmarks" / "results" / f"small_beats_big{name}.json" for name in ("", "_more_seeds")]


def report(**systems: dict[int | str, float | None]) -> dict[str, Any]:
    """Systems whose every metric has these means by seed."""
    return {
        "systems": {
            name: {"title": name, "figures": {"f1": {"by_seed": seeds}, "coverage": {"by_seed": seeds}}}
            for name, seeds in systems.items()
        }
    }


@pytest.fixture(autouse=True)
def _one_goal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings, "GOALS", (("big", 0.25, ("f1",)),))


def reports() -> list[dict[str, Any]]:
    # Keys are text in a file. Seed 4 lacks the other system, seed 5 our figure.
    ours: dict[int | str, float | None] = {"2": 0.7, "4": 0.9, "5": None}
    return [
        report(**{"op-grpo": {0: 0.6, 1: 0.6}, "big": {0: 0.5, 1: 0.4}}),
        report(**{"op-grpo": ours, "big": {"2": 0.4, "5": 0.1}}),
    ]


def test_an_interval_is_over_seeds_by_hand() -> None:
    (row,) = over_trainings(reports())
    assert row.differences == pytest.approx({0: 0.1, 1: 0.2, 2: 0.3})
    assert row.relative == pytest.approx(1.9 / 1.3 - 1) and row.mean == pytest.approx(0.2)
    # standard deviation .1, t of two degrees of freedom 4.30265
    wide = 4.30265 * 0.1 / 3**0.5
    assert (row.low, row.high) == pytest.approx((0.2 - wide, 0.2 + wide), abs=1e-5)
    assert not row.reached  # the interval holds 0
    assert row._replace(low=0.01).reached and not row._replace(low=0.01, relative=0.2).reached


def test_the_table_shows_each_seed_and_what_was_wanted() -> None:
    table = trainings_table(reports())
    assert table[0] == "| OP-GRPO against | in | wanted | found | seed 0 | seed 1 | seed 2 | mean difference |  |"
    differences = "+0.100 | +0.200 | +0.300 | +0.200 (-0.048 to +0.448)"
    assert table[2:] == [f"| big | F1 | +25.0% | +46.2% | {differences} | **missed** |"]


def test_a_seed_of_two_files_and_too_few_seeds_are_refused() -> None:
    with pytest.raises(ValueError, match="seed 0 of op-grpo is in two reports"):
        over_trainings([reports()[0], reports()[0]])
    with pytest.raises(ValueError, match="1 seeds in common"):
        over_trainings([report(**{"op-grpo": {0: 0.6, 1: 0.6}, "big": {0: 0.5}})])


def test_accuracy_without_room_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings, "GOALS", (("big", 0.374, ("f1", "coverage")),))
    monkeypatch.setattr(trainings, "PUBLISHED", ("f1", "coverage"))
    full = [report(**{"op-grpo": {0: 0.9, 1: 0.9}, "big": {0: 0.8, 1: 0.7}})]
    assert [row.metric for row in over_trainings(full)] == ["coverage"]
    assert [row.metric for row in over_trainings(reports())] == ["f1", "coverage"]


def test_the_page_holds_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    reports = [read_json(file) for file in FILES]
    for name, lines in (("trainings", trainings_table(reports)), ("more-seeds", goals(reports[1]))):
        assert filled(page, name, lines) == page, "python benchmarks/small_beats_big.py --page"
