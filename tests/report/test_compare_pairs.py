"""Comparisons of two systems as the page of ``overton compare`` words them."""

from __future__ import annotations

from overton.report.compare import pairs


def test_no_relative_change_has_no_sign() -> None:
    row = {"a": "x", "b": "y", "metric": "coverage", "difference": 0.001, "low": -0.1, "high": 0.1, "p_holm": 0.9}
    row |= {"relative": 0.001, "cohens_dz": 0.01, "cliffs_delta": 0.0, "n": 40}
    [less] = pairs({"comparisons": [row | {"relative": -0.2}]}, ("coverage",))
    [same] = pairs({"comparisons": [row]}, ("coverage",))
    assert (less.relative, same.relative) == ("−20%", "0%")
