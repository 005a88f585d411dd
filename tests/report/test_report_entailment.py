"""Entailment at every threshold on the page."""

from __future__ import annotations

from overton.evaluation.nli_curve import accuracy_curve
from overton.evaluation.statistics import interval
from overton.report.entailment import accuracy_figure, entailment_part

MEANS = {"sft": [0.1, 0.2, 0.4, 0.6], "grpo": [0.3, 0.5, 0.7, 0.9]}


def entry(model: str) -> dict[str, object]:
    return {
        "model": model,
        "systems": {
            s: {"nli_mean": interval(list(v), 100), "coverage": interval([None], 100)} for s, v in MEANS.items()
        },
        "curve": {s: accuracy_curve(v) for s, v in MEANS.items()},
    }


def test_the_figure_says_what_it_shows() -> None:
    svg = accuracy_figure({s: accuracy_curve(v) for s, v in MEANS.items()}, ["sft", "grpo"], 0.33)
    assert svg.startswith("<svg") and "At 0.33: sft: 50%, grpo: 75%." in svg
    assert accuracy_figure({"sft": accuracy_curve([None])}, ["sft"], 0.33) == ""


def test_one_model_has_a_figure_and_several_a_table() -> None:
    one = entailment_part({"nli": [entry("a/<b>")], "nli_threshold": 0.33}, ["sft", "grpo"])
    assert one is not None and one["rows"] == [] and one["model"] == "a/<b>"
    two = entailment_part({"nli": [entry("a"), entry("b")]}, ["sft", "grpo"])
    assert two is not None
    assert [row[:2] for row in two["rows"]] == [["a", "sft"], ["a", "grpo"], ["b", "sft"], ["b", "grpo"]]
    assert two["rows"][0][2].startswith("32.5% (") and two["rows"][0][5] == "–"
    assert len(two["head"]) == len(two["rows"][0])


def test_summaries_without_entailment_have_neither() -> None:
    for summary in ({}, {"nli": []}, {"nli": None}, {"nli": [{"model": "a"}]}):
        assert entailment_part(summary, ["sft"]) is None
