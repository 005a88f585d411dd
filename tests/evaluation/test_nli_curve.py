"""Accuracy@t for all t, and several models side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.evaluation.nli import METRICS, NliModel, load_nli, nli_rows
from overton.evaluation.nli_curve import THRESHOLDS, accuracy_curve, nli_part
from overton.evaluation.summary import summarise
from overton.types import Answer, Situation


def test_a_curve_by_hand() -> None:
    curve = accuracy_curve([0.2, 0.33, 0.5, None, 1.0])
    assert len(THRESHOLDS) == len(curve["accuracy"]) == 101
    at = dict(zip(THRESHOLDS, curve["accuracy"], strict=True))
    # Above, not at: 0.33 is no longer above 0.33.
    assert (at[0.0], at[0.19], at[0.2], at[0.32], at[0.33], at[0.5], at[1.0]) == (1, 1, 0.75, 0.75, 0.5, 0.25, 0)
    # Wilson's interval of 2 of 4 by his formula: centre 1/2, half width z / (1 + z²/4) * sqrt(1/16 + z²/64).
    z = 1.959964
    half = z / (1 + z * z / 4) * (1 / 16 + z * z / 64) ** 0.5
    assert curve["low"][33] == pytest.approx(0.5 - half, abs=1e-4)
    assert curve["high"][33] == pytest.approx(0.5 + half, abs=1e-4)
    assert curve["low"][100] == 0 < curve["high"][100]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_a_curve_falls_inside_its_band_and_its_area_is_the_mean(means: list[float]) -> None:
    curve = accuracy_curve(means)
    assert curve["accuracy"] == sorted(curve["accuracy"], reverse=True)
    for low, value, high in zip(curve["low"], curve["accuracy"], curve["high"], strict=True):
        assert low - 1e-4 <= value <= high + 1e-4
    # The integral of the share above t over t is the mean.
    assert sum(curve["accuracy"]) / 101 == pytest.approx(sum(means) / len(means), abs=0.011)


def test_nothing_scored_has_no_curve() -> None:
    assert accuracy_curve([None]) == {"accuracy": [], "low": [], "high": []}


def test_models_side_by_side(model: NliModel, vivid_nli: Path, situation: Situation, answers: list[Answer]) -> None:
    rows: dict[str, Any] = {
        one.name: {"sft": nli_rows(one, answers, {situation.id: situation})} for one in (model, load_nli(vivid_nli))
    }
    first, second = nli_part(rows)
    assert (first["model"], second["model"]) == ("overlap", str(vivid_nli))
    assert first["systems"]["sft"]["nli_mean"]["mean"] == pytest.approx(2.2 / 4)
    assert first["systems"]["sft"]["nli_reverse_mean"]["mean"] == pytest.approx(17 / 32)
    assert second["systems"]["sft"]["nli_mean"]["mean"] != first["systems"]["sft"]["nli_mean"]["mean"]
    assert first["curve"]["sft"]["accuracy"][54:57:2] == [1.0, 0.0]


def test_one_page_shows_one_interval_of_a_figure() -> None:
    values = [i % 7 / 10 for i in range(40)]
    rows = [{"id": str(i), **dict.fromkeys(METRICS, v), "nli_accuracy": int(v > 0.33)} for i, v in enumerate(values)]
    summary = summarise({"sft": {"nli": rows}}, {}, nli_threshold=0.33, resamples=200, seed=3)
    (part,) = nli_part({"m": {"sft": rows}}, 200, 3)
    for name in ("nli_mean", "nli_accuracy", "coverage"):
        assert part["systems"]["sft"][name] == summary["systems"]["sft"][name]
    curve, share = part["curve"]["sft"], summary["systems"]["sft"]["nli_accuracy"]
    assert [curve[k][33] for k in ("accuracy", "low", "high")] == pytest.approx(
        [share[k] for k in ("mean", "low", "high")], abs=1e-4
    )
