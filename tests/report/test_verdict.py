"""When a difference is told as one, on the report and on the page of ``overton compare``."""

from __future__ import annotations

from typing import Any

import pytest

from overton.evaluation.statistics import compare_systems, interval
from overton.report.compare import opening as compared
from overton.report.compare import pairs
from overton.report.compare_metrics import COMPARED
from overton.report.files import RunFiles
from overton.report.opening import opening
from overton.report.tables import headline
from overton.report.verdict import against_ranks, verdict


def comparison(name: str, first: list[float], second: list[float]) -> dict[str, Any]:
    """What ``compare_files`` gives of systems a and b in one metric."""
    values = {s: {str(i): x for i, x in enumerate(own)} for s, own in (("b", second), ("a", first))}
    return {
        "systems": {s: {name: interval(list(values[s].values()))} for s in ("a", "b")},
        "ranked_by": name,
        "comparisons": compare_systems({s: {name: own} for s, own in values.items()}),
    }


@pytest.mark.parametrize(
    ("metric", "bounds", "p", "found"),
    [
        ("f1", (0.1, 0.2), 0.04, "better"),
        ("f1", (-0.2, -0.1), 0.04, "worse"),
        ("f1", (-0.1, 0.2), 0.001, ""),
        ("f1", (0.1, 0.2), 0.05, ""),
        ("f1", (0.1, 0.2), None, "better"),
        ("f1", None, 0.001, ""),
        ("vendi", (0.1, 0.2), 0.04, "changed"),
        ("vendi", (0.1, 0.2), 0.2, ""),
    ],
)
def test_interval_and_p_value_decide_together(metric: str, bounds: Any, p: float | None, found: str) -> None:
    assert verdict(COMPARED[metric], bounds, p) == found


def test_a_mean_that_ranks_contradict_is_not_called_better() -> None:
    # 250 questions lost by .04 and 50 won by .25: mean (50 * .25 - 250 * .04) / 300 = +.0083, delta (50 - 250) / 300.
    found = comparison("f1", [0.75] * 50 + [0.46] * 250, [0.5] * 300)
    (row,) = found["comparisons"]
    assert row["difference"] == pytest.approx(1 / 120) and row["cliffs_delta"] == pytest.approx(-2 / 3)
    assert row["p_holm"] < 0.05 and row["low"] < 0 < row["high"]
    assert [pair.verdict for pair in pairs(found)] == [""]
    text = compared(found)
    assert ", which may be chance. The mean goes the other way" in text and "Cliff's delta −0.67" in text
    told = {**found["systems"], "comparisons": found["comparisons"]}
    summary = {
        "systems": {s: {"coverage": told[s]["f1"]} for s in ("b", "a")},
        "comparisons": [{**row, "metric": "coverage"}],
    }
    text = opening(RunFiles(summary=summary), headline(summary))
    assert "may be chance. The mean goes the other way" in text


def test_ranks_that_agree_or_say_nothing_bring_no_sentence() -> None:
    assert [against_ranks(*x) for x in ((0.1, 0.2), (-0.1, -0.2), (0.0, 0.2), (0.1, 0.0), (None, None))] == [""] * 5


def test_a_clear_difference_in_a_metric_without_direction_is_no_chance() -> None:
    found = comparison("vendi", [3.0 + i % 5 / 10 for i in range(60)], [2.0] * 60)
    text = compared(found)
    assert "p after Holm's correction < 0.001)." in text and "chance" not in text
    assert "which may be chance" in compared(comparison("vendi", [2.0, 3.0, 1.0] * 5, [2.0] * 15))
