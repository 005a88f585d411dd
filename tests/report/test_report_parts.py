"""The parts of the report: words, examples, figures, terminal table, colours."""

from __future__ import annotations

import copy
import random
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_fake_run import build_run, recipe
from rich.console import Console

from overton.report import figures
from overton.report.estimator import estimator_part, estimator_rows
from overton.report.examples import MAX_CHARACTERS, choose, cut
from overton.report.files import RunFiles, read_run
from overton.report.heat import heat_rows
from overton.report.metrics import (
    METRICS,
    difference_text,
    duration,
    interval_text,
    metric,
    p_text,
    percent_change,
    value_text,
)
from overton.report.story import opening, warnings
from overton.report.svg import COLOURS, PALETTE
from overton.report.tables import change, headline, main_pair, other_comparisons
from overton.report.terminal import summary_table
from overton.rundir import RunDir, write_json


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    return build_run(tmp_path_factory.mktemp("parts") / "run", situations=80)


@pytest.fixture(scope="module")
def files(run: RunDir) -> RunFiles:
    return read_run(run)


def summary_of(difference: float, low: float, high: float, name: str = "oracle_coverage") -> dict[str, Any]:
    gap = {"difference": difference, "low": low, "high": high, "p_value": 0.004}
    return {
        "systems": {
            "sft": {name: {"mean": 0.5, "n": 300}},
            "grpo": {name: {"mean": 0.5 + difference, "n": 300}},
        },
        "comparisons": [{"a": "grpo", "b": "sft", "metric": name, **gap}],
    }


def told(summary: dict[str, Any]) -> str:
    return opening(RunFiles(summary=summary), headline(summary)).replace("\u00a0", " ")


def test_opening_tells_a_gain() -> None:
    text = told(summary_of(0.2, 0.15, 0.25))
    assert text == (
        "On 300 held-out situations, grpo states 70.0% of the perspectives that are truly relevant; "
        "sft states 50.0%. That is a gain of 20.0 points (95% interval +15.0 to +25.0, p = 0.004), "
        "+40% relative to the start."
    )


def test_opening_tells_a_loss_and_chance() -> None:
    assert "a loss of 10.0 points (95% interval −15.0 to −5.0" in told(summary_of(-0.1, -0.15, -0.05))
    chance = told(summary_of(0.02, -0.01, 0.05))
    assert "may be chance" in chance and "gain" not in chance


def test_opening_without_truth_comparison_or_second_system() -> None:
    assert "as an independent evaluator finds them" in told(summary_of(0.2, 0.1, 0.3, "coverage"))
    summary = summary_of(0.2, 0.1, 0.3)
    del summary["comparisons"]
    assert "not compared by a paired test" in told(summary)
    del summary["systems"]["grpo"]
    assert told(summary).endswith("No second system was evaluated.")
    assert "no result" in told({})


def test_a_comparison_stored_the_other_way_is_turned_round() -> None:
    m = METRICS["coverage"]
    summary = summary_of(0.2, 0.15, 0.3, "coverage")
    turned = copy.deepcopy(summary)
    turned["comparisons"][0].update(a="sft", b="grpo", difference=-0.2, low=-0.3, high=-0.15)
    assert change(turned, m, "sft", "grpo") == change(summary, m, "sft", "grpo")
    assert change(summary, m, "sft", "grpo").relative == "+40%"


def test_alarm_when_the_reward_rises_and_the_evaluator_falls() -> None:
    rising = [{"step": i, "reward": 0.3 + i / 100} for i in range(30)]
    summary = summary_of(-0.1, -0.15, -0.05, "f1")
    found = warnings(RunFiles(summary=summary, curves={"grpo": rising}), headline(summary))
    assert found == [
        "The reward rose in training (0.310 to 0.580), but F1 (independent evaluator) fell by 10.0 points: "
        "the policy may have learnt to please the reward."
    ]
    good = summary_of(0.1, 0.05, 0.15, "f1")
    assert warnings(RunFiles(summary=good, curves={"grpo": rising}), headline(good)) == []
    flat = [{"step": i, "reward": 0.3} for i in range(30)]
    assert "did not rise" in warnings(RunFiles(summary=good, curves={"grpo": flat}), headline(good))[0]


def test_warnings_of_length_unscored_cut_off_and_unfinished() -> None:
    summary = summary_of(-0.1, -0.15, -0.05, "oracle_precision")
    summary["systems"]["grpo"]["perspective_ratio"] = {"mean": 1.4}
    summary["systems"]["sft"]["coverage"] = {"mean": 0.5, "unscored": 7}
    summary["systems"]["grpo"]["f1"] = {"mean": 0.5, "unscored": 1}
    summary["unscored"] = {"grpo": {"f1": {"too long": 1}}}
    cut_off = {str(i): {"finished": i > 2} for i in range(10)}
    run = RunFiles(summary=summary, answers={"grpo": cut_off}, manifests={"training": {"status": "running"}})
    found = warnings(run, headline(summary))
    assert found == [
        "Precision (known truth) fell from sft to grpo: −10.0 points (95% interval −15.0 to −5.0).",
        "grpo names 1.40 perspectives for each true one (above 1.15): part of its coverage may be bought with length.",
        "sft: 7 answers could not be scored for coverage; the means are without them.",
        "grpo: 1 answer could not be scored for F1 (too long); the means are without it.",
        "grpo: the token limit cut off 3 of 10 answers.",
        "Stage training has not finished; its files may be incomplete.",
    ]


def test_order_of_systems_and_unknown_metrics() -> None:
    score = {"coverage": {"mean": 0.4}, "charm": {"mean": 3.0, "low": 2.0, "high": 4.0}}
    summary = {"systems": {"a-greedy": score, "control": score, "grpo": score, "sft": score}}
    table = headline(summary)
    assert table.systems == ("sft", "grpo", "control", "a-greedy")
    assert [(g, [line.metric.label for line in lines]) for g, lines in table.groups] == [
        ("Independent evaluator", ["Coverage"]),
        ("Other", ["charm"]),
    ]
    assert table.groups[1][1][0].cells[0].interval == "2.000–4.000"
    assert main_pair({"comparisons": [{"a": "y", "b": "x"}]}, ["w", "x", "y"]) == ("x", "y")
    assert main_pair({}, ["only"]) == ("only", "")


def test_how_numbers_are_written() -> None:
    share, words = METRICS["coverage"], METRICS["words"]
    assert value_text(share, 0.7424) == "74.2%" and value_text(words, 112.4) == "112"
    assert interval_text(share, 0.715, 0.7691) == "71.5–76.9"
    assert difference_text(share, -0.0321) == "−3.2" and difference_text(share, 0.00001) == "0"
    assert difference_text(metric("perspective_ratio"), 0.051) == "+0.05"
    assert (p_text(0.00002), p_text(0.0421)) == ("< 0.001", "0.042")
    assert (percent_change(-0.1), percent_change(0.001)) == ("−10%", "0%")
    assert [duration(x) for x in (3.14, 48.2, 59.7, 192, 7500)] == [
        "3.1 s",
        "48 s",
        "1 min 00 s",
        "3 min 12 s",
        "2 h 05 min",
    ]


def test_examples_are_drawn_by_seed_and_not_by_quality(files: RunFiles) -> None:
    drawn = [e.id for e in choose(files, ("sft", "grpo"), 10, seed=7)]
    assert len(set(drawn)) == 10
    assert drawn != [e.id for e in choose(files, ("sft", "grpo"), 10, seed=8)]
    rng = random.Random(1)
    answers = copy.deepcopy(files.answers)
    for rows in answers.values():
        for row in rows.values():
            row["answer"] = "x" * rng.randint(0, 99)
    worse = RunFiles(situations=files.situations, answers=answers)
    assert [e.id for e in choose(worse, ("sft", "grpo"), 10, seed=7)] == drawn
    assert len(choose(files, ("sft", "grpo"), 1000, seed=7)) == 80
    assert choose(files, ("nobody",), 10, seed=7) == []


def test_marks_agree_with_the_oracle(files: RunFiles) -> None:
    for example in choose(files, ("sft", "grpo"), 80, seed=1):
        for answer in example.answers:
            row = files.verdicts[answer.system]["oracle"][example.id]
            verdicts = [s["verdict"] for s in row["segments"]]
            assert [p.verdict for p in answer.pieces if p.verdict] == verdicts
            assert {v: verdicts.count(v) for v in verdicts} == answer.counts
            assert [p.cluster for p in answer.missed] == row["missed"]
            assert answer.stated == round(row["coverage"] * len(example.references))
            marked = [p.text for p in answer.pieces if p.verdict]
            assert all(s["explanation"] in text for s, text in zip(row["segments"], marked, strict=True))


def test_marks_of_the_entailment_evaluator_when_there_is_no_oracle(files: RunFiles) -> None:
    key, situation = next(iter(files.situations.items()))
    text = files.answers["sft"][key]["answer"]
    flags = [i % 2 == 0 for i in range(len(situation.perspectives))]
    row = {
        "id": key,
        "covered": flags,
        "segments": [{"start": 20, "end": len(text) // 2, "verdict": "irrelevant"}],
    }
    bare = RunFiles(
        situations={key: situation},
        answers={"sft": files.answers["sft"]},
        verdicts={"sft": {"nli": {key: row}}},
    )
    answer = choose(bare, ("sft",), 1, 0)[0].answers[0]
    assert answer.note == "nli" and answer.counts == {"irrelevant": 1}
    assert answer.missed == tuple(p for p, found in zip(situation.perspectives, flags, strict=True) if not found)
    assert answer.stated == sum(flags)


def test_comparisons_of_greedy_with_sampled_answers_stay_out() -> None:
    row = {"metric": "coverage", "difference": 0.1}
    pairs = [("grpo", "sft"), ("grpo-greedy", "sft-greedy"), ("grpo-greedy", "sft"), ("op-grpo", "sft")]
    score = {"coverage": {"mean": 0.4}}
    summary = {
        "systems": {s: score for pair in pairs for s in pair},
        "comparisons": [{"a": a, "b": b, **row} for a, b in pairs],
    }
    shown = [(a, b) for a, b, _, _ in other_comparisons(summary, headline(summary))]
    assert shown == [("grpo-greedy", "sft-greedy"), ("op-grpo", "sft")]


def test_references_of_one_cluster_count_once(files: RunFiles) -> None:
    key, situation = next(iter(files.situations.items()))
    doubled = type(situation)(key, situation.text, situation.perspectives * 2)
    answers = {"sft": {key: files.answers["sft"][key]}}
    example = choose(RunFiles(situations={key: doubled}, answers=answers), ("sft",), 1, 0)[0]
    assert len(example.references) == len(situation.perspectives)


def test_a_long_answer_is_shortened_and_says_so(files: RunFiles) -> None:
    key = next(iter(files.situations))
    row = {"id": key, "answer": "word " * 10_000, "finished": False}
    answer = choose(RunFiles(situations=files.situations, answers={"sft": {key: row}}), ("sft",), 1, 0)[0].answers[0]
    assert answer.hidden == 50_000 - MAX_CHARACTERS
    assert sum(len(p.text) for p in answer.pieces) <= MAX_CHARACTERS
    assert not answer.finished


@settings(deadline=None)
@given(
    st.text(max_size=60),
    st.lists(
        st.tuples(st.integers(-5, 70), st.integers(-5, 70), st.sampled_from(["matched", "repeated", "odd", None])),
        max_size=5,
    ),
)
def test_cutting_loses_no_text(text: str, spans: list[tuple[int, int, Any]]) -> None:
    pieces = cut(text, [{"start": a, "end": b, "verdict": v} for a, b, v in spans])
    assert all(p.text == " ".join(p.text.split()) != "" for p in pieces)
    assert len("".join("".join(p.text.split()) for p in pieces)) == len("".join(text.split()))
    assert {p.verdict for p in pieces} <= {"", "matched", "repeated"}


def test_cutting_skips_what_overlaps_or_is_no_segment() -> None:
    segments = [
        {"start": 0, "end": 3, "verdict": "matched"},
        {"start": 2, "end": 5, "verdict": "repeated"},
        4,
        {"start": "x"},
    ]
    assert [(p.text, p.verdict) for p in cut("abcdef", segments)] == [("abc", "matched"), ("def", "")]


def test_heat_rows_without_one_system_come_last() -> None:
    per_value = {
        "sft": {"A": {"covered": 1, "total": 4}, "B": {"covered": 2, "total": 4}},
        "grpo": {"B": {"covered": 3, "total": 4}, "C": {"covered": 0, "total": 0}},
    }
    rows = heat_rows(per_value, ["sft", "grpo"], "sft", "grpo")
    assert [(r.value, r.change, [c.text for c in r.cells], r.total) for r in rows] == [
        ("B", "+25", ["50", "75"], 4),
        ("A", "", ["25", "–"], 4),
        ("C", "", ["–", "–"], 0),
    ]


def test_estimator_rows_compare_base_and_tuned(files: RunFiles) -> None:
    rows = {label: (cells, gap) for label, cells, gap in estimator_rows(files)}
    cells, gap = rows["F1 at the threshold"]
    assert [c.text for c in cells] == ["78.1%", "93.8%"]
    assert (gap.text, gap.interval) == ("+15.7", "+13.7 to +17.7")
    assert [c.text for c in rows["Taken for the same: near pairs"][0]] == ["43.8%", "12.4%"]
    part = estimator_part(files)
    assert part is not None and [name for name, _ in part.histograms] == ["Untuned base", "Tuned"]
    assert estimator_part(RunFiles()) is None


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
    summary = summary_of(0.2, 0.1, 0.3, "coverage")
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


def test_curves_of_one_point_and_beyond_a_share() -> None:
    assert "at step 3" in figures.curve("a", "Reward", [(3, 1.0)])
    assert "100%" in figures.curve("b", "Coverage", [(1, 0.5), (2, 0.6)], share=True)
    # The paper's ladder runs to 5: an axis of per cent would be wrong.
    assert "100%" not in figures.curve("c", "Coverage", [(1, 3.0), (2, 4.0)], share=True)


def test_wilson_interval() -> None:
    # Worked example: 8 of 10, Agresti and Coull 1998, gives 0.490 to 0.943.
    low, high = figures.wilson(0.8, 10)
    assert (round(low, 3), round(high, 3)) == (0.490, 0.943)
    assert figures.wilson(0.0, 5)[0] == pytest.approx(0.0) and figures.wilson(1.0, 5)[1] == pytest.approx(1.0)


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.integers(0, 8))
def test_moving_average_stays_within_the_values(values: list[float], reach: int) -> None:
    smooth = figures.moving_average(values, reach)
    assert len(smooth) == len(values)
    assert min(values) - 1e-9 <= min(smooth) and max(smooth) <= max(values) + 1e-9
    assert figures.moving_average(values, 0) == values


def test_moving_average_keeps_a_straight_line() -> None:
    line = [float(i) for i in range(20)]
    assert figures.moving_average(line, 4)[2:-2] == line[2:-2]


def test_figures_without_data_are_left_out() -> None:
    assert figures.reliability([]) == "" and figures.reliability([{"count": 0, "probability": 1, "positive": 1}]) == ""
    assert figures.cosine_histogram("x", [0, 1], [1, 2], [3], None) == ""
    assert figures.coverage_by_count({"sft": {"x": {}, "4": {}}}, ["sft"]) == ""


def test_terminal_table_fits_and_holds_the_figures(run: RunDir, files: RunFiles) -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary_table(run))
    lines = console.export_text().splitlines()
    assert all(len(line) <= 80 and "…" not in line for line in lines)
    coverage = next(line for line in lines if "Coverage" in line)
    for system in ("sft", "grpo"):
        assert f"{100 * files.summary['systems'][system]['oracle_coverage']['mean']:.1f}%" in coverage
    assert "< 0.001" in coverage


def test_terminal_table_without_summary_and_with_markup(tmp_path: Path) -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary_table(RunDir(tmp_path)))
    assert "evaluation/summary.json: no such file" in console.export_text()
    write_json(tmp_path / "evaluation/summary.json", {"systems": {"[red]x[/red]": {"coverage": {"mean": 0.5}}}})
    console.print(summary_table(RunDir(tmp_path)))
    assert "[red]x[/red]" in console.export_text()


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


def test_recipe_of_the_fake_run_is_valid() -> None:
    assert recipe(report={"examples": 2}).report.examples == 2
