"""The drawings of the report, and its colours."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_fake_run import recipe

from overton.report import axes, figures
from overton.report.estimator import estimator_part
from overton.report.files import RunFiles
from overton.report.markdown import build_markdown
from overton.report.svg import COLOURS, PALETTE


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figure_for_the_readme_is_a_file_of_its_own(files: RunFiles, theme: Any) -> None:
    svg = figures.headline_figure(files.summary, theme)
    root = ElementTree.fromstring(svg)
    assert "var(" not in svg and PALETTE["c1"][theme] in svg
    mean = files.summary["systems"]["grpo"]["oracle_coverage"]["mean"]
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Coverage", "Uniqueness", "Precision", "sft", "grpo", f"{100 * mean:.0f}%"} <= set(texts)
    assert f"grpo {100 * mean:.1f}%" in root.attrib["aria-label"]
    assert len(svg) < 20_000


def test_figure_falls_back_to_the_independent_evaluator() -> None:
    score = {"sft": 0.5, "grpo": 0.7}
    summary = {"systems": {name: {"coverage": {"mean": mean, "n": 300}} for name, mean in score.items()}}
    assert "Coverage: sft 50.0%" in figures.headline_figure(summary)
    assert figures.headline_figure({}) == ""


def test_drawings_use_the_page_s_colours_alone(files: RunFiles) -> None:
    svg = figures.coverage_by_count(files.summary["by_count"], ["sft", "grpo", "grpo-greedy"])
    found = set(re.findall(r"#[0-9a-f]{6}\b|var\(--\w+\)", svg))
    assert found <= {f"var(--{name})" for name in PALETTE}
    assert not any(c in svg for c in COLOURS.values())
    ElementTree.fromstring(svg)


def test_names_in_drawings_are_escaped() -> None:
    name = "<b onload=x>&\"'$x$"
    svg = figures.coverage_by_count({name: {"5": {"mean": 0.5}}}, [name])
    root = ElementTree.fromstring(svg)
    assert name in [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert not list(root.iter("b"))


def test_more_than_ten_references_stand_after_ten() -> None:
    scores = {"10": {"mean": 0.6}, ">10": {"mean": 0.4}, "²": {"mean": 0.1}, ">": {"mean": 0.1}}
    for cells, said, shown in (
        (scores, "sft: 10 60%, &gt;10 40%.", ["10", ">10"]),
        ({">10": {"mean": 0.4}}, "sft: &gt;10 40%.", [">10"]),
    ):
        svg = figures.coverage_by_count({"sft": cells}, ["sft"])
        texts = [t.text or "" for t in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
        assert [t for t in texts if t.lstrip(">") == "10"] == shown
        assert said in svg


def test_curves_of_one_point_and_beyond_a_share() -> None:
    assert "at step 3" in figures.curve("a", "Reward", [(3, 1.0)])
    assert "100%" in figures.curve("b", "Coverage", [(1, 0.5), (2, 0.6)], share=True)
    # The paper's ladder runs to 5: an axis of per cent would be wrong.
    assert "100%" not in figures.curve("c", "Coverage", [(1, 3.0), (2, 4.0)], share=True)


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.integers(0, 8))
def test_moving_average_stays_within_the_values(values: list[float], reach: int) -> None:
    smooth = axes.moving_average(values, reach)
    assert len(smooth) == len(values)
    assert min(values) - 1e-9 <= min(smooth) and max(smooth) <= max(values) + 1e-9
    assert axes.moving_average(values, 0) == values


def test_moving_average_keeps_a_straight_line() -> None:
    line = [float(i) for i in range(20)]
    assert axes.moving_average(line, 4)[2:-2] == line[2:-2]


def test_figures_without_data_are_left_out() -> None:
    assert figures.reliability([]) == "" and figures.reliability([{"count": 0, "probability": 1, "positive": 1}]) == ""
    assert figures.cosine_histogram("x", [0, 1], [1, 2], [3], None) == ""
    assert figures.coverage_by_count({"sft": {"x": {}, "4": {}}}, ["sft"]) == ""


def contrast(first: str, second: str) -> float:
    """WCAG 2.1 contrast ratio of two #rrggbb colours."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    a, b = sorted((luminance(first), luminance(second)), reverse=True)
    return (a + 0.05) / (b + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_in_both_modes(theme: str) -> None:
    css = (Path(figures.__file__).parent / "templates/style.css").read_text(encoding="utf-8")
    halves = css.split("@media (prefers-color-scheme: dark)")
    variables = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", halves[theme == "dark"].split("* {")[0]))
    colours = {**variables, **{name: both[theme] for name, both in PALETTE.items()}}
    for name in ("ink", "muted", "c0", "c1", "c2", "c3", "c4", "c5", "good", "bad"):
        assert contrast(colours[name], colours["bg"]) >= 4.5, name
    for level in range(11):
        text = colours["h-low" if level <= 6 else "h-high"]
        assert contrast(text, colours[f"h{level}"]) >= 4.5, level
    for verdict in ("matched", "repeated", "irrelevant", "unclear"):
        assert contrast(colours["ink"], colours[f"{verdict}-bg"]) >= 7, verdict
        assert contrast(colours[verdict], colours[f"{verdict}-bg"]) >= 4.5, verdict


def test_calibration_plot_counts_pairs_as_the_benchmark_weighted_them() -> None:
    # 15 same and 10 different pairs are 15 of 75 when a different pair counts 6; 100 different ones weigh 600.
    bins = [
        {"probability": 0.5, "positive": 15 / 75, "count": 25},
        {"probability": 0.1, "positive": 0.0, "count": 100},
    ]
    assert "Mean gap 12.2 points." in figures.reliability(bins, 6.0)  # (75 * 30 + 600 * 10) / 675
    assert "Mean gap 14.0 points." in figures.reliability(bins)  # (25 * 30 + 100 * 10) / 125
    # Wilson's interval of 15 of 25: (0.6 + z²/50 ± z sqrt(0.24 / 25 + z²/2500)) / (1 + z²/25), z = 1.96.
    low, high = 0.4074, 0.7660
    expected = (low / (low + 6 * (1 - low)), high / (high + 6 * (1 - high)))
    assert axes.share_interval(0.2, 25, 6.0) == pytest.approx(expected, abs=1e-4)


def test_the_page_says_to_which_mix_the_estimator_is_weighted() -> None:
    benchmark = {"pairs": 2000, "positives": 500, "different_per_same": 6.0}
    benchmark |= {"systems": {"tuned": {"brier": 0.1}}}
    part = estimator_part(RunFiles(benchmark=benchmark))
    assert part is not None and "6 different pairs for each same pair" in part.mix and "14.3%" in part.mix
    assert "6 different pairs for each same pair" in build_markdown(recipe(), RunFiles(benchmark=benchmark))
    even = estimator_part(RunFiles(benchmark=benchmark | {"different_per_same": 0.0}))
    assert even is not None and even.mix == ""
