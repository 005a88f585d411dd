"""Comparisons of two systems as the page of ``overton compare`` words them."""

from __future__ import annotations

from overton.report.compare import pairs, split_blocks


def test_no_relative_change_has_no_sign() -> None:
    row = {"a": "x", "b": "y", "metric": "coverage", "difference": 0.001, "low": -0.1, "high": 0.1, "p_holm": 0.9}
    row |= {"relative": 0.001, "cohens_dz": 0.01, "cliffs_delta": 0.0, "n": 40}
    [less] = pairs({"comparisons": [row | {"relative": -0.2}]}, ("coverage",))
    [same] = pairs({"comparisons": [row]}, ("coverage",))
    assert (less.relative, same.relative) == ("−20%", "0%")


def test_groups_of_questions_say_how_many_they_are() -> None:
    score = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 12}
    groups = {"2": {"a": {"f1": score}, "b": {"f1": score | {"n": 11}}}, "3": {"a": {"f1": score | {"n": 40}}}}
    comparison = {"ranked_by": "f1", "systems": {"a": {}, "b": {}}, "splits": {"references": groups}}
    assert [sizes for _, _, sizes, _ in split_blocks(comparison)] == [[("2", "11 to 12"), ("3", "40")]]
