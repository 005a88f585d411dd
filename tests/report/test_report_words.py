"""Words, numbers and tables of the report, on the page and in the terminal."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from report_fake_run import recipe
from rich.console import Console

from overton.evaluation.statistics import compare_systems, interval
from overton.evaluation.summary import summarise
from overton.jsonio import write_json
from overton.report.estimator import estimator_part, estimator_rows
from overton.report.files import RunFiles
from overton.report.heat import heat_rows
from overton.report.html import build_page
from overton.report.markdown import build_markdown
from overton.report.metrics import (
    METRICS,
    difference_text,
    duration,
    interval_text,
    label_inside,
    metric,
    p_text,
    percent_change,
    value_text,
)
from overton.report.opening import opening
from overton.report.story import alarms, warnings
from overton.report.tables import change, count_table, headline, main_pair, other_comparisons
from overton.report.terminal import summary_table
from overton.rundir import RunDir


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


def test_opening_tells_an_evaluation_without_coverage_from_none() -> None:
    said = told({"systems": {"mine": {"words": {"mean": 9.0, "n": 3}}}})
    assert said.startswith("No coverage of mine was measured") and "CrossEncoder in evaluation.nli_model" in said
    assert told({}).startswith("No evaluation has been read")


def test_opening_tells_a_loss_and_chance() -> None:
    assert "a loss of 10.0 points (95% interval −15.0 to −5.0" in told(summary_of(-0.1, -0.15, -0.05))
    chance = told(summary_of(0.02, -0.01, 0.05))
    assert "may be chance" in chance and "gain" not in chance


def measured(after: list[float], before: list[float]) -> dict[str, Any]:
    """A summary of one metric, with the intervals and p-values that the evaluation gives."""
    values = {"sft": before, "grpo": after}
    by_id = {s: {"oracle_coverage": {str(i): x for i, x in enumerate(own)}} for s, own in values.items()}
    return {
        "systems": {s: {"oracle_coverage": interval(own)} for s, own in values.items()},
        "comparisons": compare_systems(by_id),
    }


def test_means_over_different_situations_say_so() -> None:
    # 30 easy situations at 0.8 and 30 hard ones at 0.2; the other system answered the easy ones alone, at 0.7.
    before = {str(i): 0.8 if i < 30 else 0.2 for i in range(60)}
    after = {str(i): 0.7 for i in range(30)}
    rows = {
        name: {"oracle": [{"id": i, "coverage": value} for i, value in own.items()]}
        for name, own in (("sft", before), ("grpo", after))
    }
    summary = summarise(rows, {}, nli_threshold=0.33)
    assert told(summary) == (
        "On held-out situations, grpo states 70.0% of the perspectives that are truly relevant (n = 30); "
        "sft states 50.0% (n = 60). On the situations that both have a value for (n = 30), that is a loss of 10.0 "
        "points (95% interval −10.0 to −10.0, p < 0.001), −13% relative to the start."
    )
    (line,) = [note for note in warnings(RunFiles(summary=summary), headline(summary)) if "grpo 30" in note]
    assert line.startswith("Not every system answered all 60 questions (grpo 30)")
    chance = copy.deepcopy(summary)
    chance["comparisons"][0]["p_holm"] = 0.2
    assert "(n = 30), the difference of −10.0 points" in told(chance)


def test_few_questions_prove_no_gain_by_their_interval() -> None:
    # Three of six rose: the smallest p-value that three signs can have is 2 / 2^3 = 0.25.
    few = measured([0.8, 0.8, 0.8, 0.5, 0.5, 0.5], [0.5] * 6)
    (row,) = few["comparisons"]
    row["low"] = 0.05  # as narrow as intervals over few questions may be
    assert row["p_holm"] == 0.25
    assert change(few, METRICS["oracle_coverage"], "sft", "grpo").verdict == ""
    assert "of +15.0 points (95% interval +5.0 to" in told(few) and told(few).endswith("p = 0.250) may be chance.")
    (note,) = warnings(RunFiles(summary=few), headline(few))
    assert note.startswith("Some intervals are over 6 questions only: ") and note.endswith("go by the p-values.")
    fallen = copy.deepcopy(few)
    fallen["comparisons"][0] |= {"metric": "oracle_precision", "difference": -0.15, "low": -0.3, "high": -0.05}
    assert not any("fell" in line for line in warnings(RunFiles(summary=fallen), headline(fallen)))


def test_many_questions_with_a_clear_gain_prove_it() -> None:
    many = measured([0.6 + i % 3 / 10 for i in range(60)], [0.5] * 60)
    assert change(many, METRICS["oracle_coverage"], "sft", "grpo").verdict == "better"
    assert "That is a gain of 20.0 points" in told(many) and "p < 0.001" in told(many)
    assert warnings(RunFiles(summary=many), headline(many)) == []


@pytest.mark.parametrize(("p", "verdict"), [({}, "better"), ({"p_value": 0.049}, "better"), ({"p_value": 0.05}, "")])
def test_the_verdict_goes_by_the_p_value_shown_where_there_is_one(p: dict[str, float], verdict: str) -> None:
    summary = summary_of(0.2, 0.15, 0.25)
    del summary["comparisons"][0]["p_value"]
    summary["comparisons"][0] |= p
    assert change(summary, METRICS["oracle_coverage"], "sft", "grpo").verdict == verdict
    summary["comparisons"][0] |= {"p_value": 0.001, "p_holm": 0.2}
    assert change(summary, METRICS["oracle_coverage"], "sft", "grpo").verdict == ""


def test_answers_joined_to_another_text_are_a_warning_and_no_alarm() -> None:
    summary = {**summary_of(0.2, 0.15, 0.25), "other_text": {"mine": 3}}
    (line,) = warnings(RunFiles(summary=summary), headline(summary))
    assert line.startswith("mine: 3 answers were joined by `id` to a reference whose text is not their `prompt`")
    assert alarms(RunFiles(summary=summary)) == []


def test_more_than_ten_references_are_a_row_after_ten() -> None:
    score = {"mean": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    summary = summary_of(0.2, 0.15, 0.25)
    summary["by_count"] = {
        "sft": {">10": score, "10": score, "9": score},
        "grpo": {">10": {**score, "mean": 0.7, "n": 8}},
    }
    _, rows = count_table(summary, headline(summary))
    assert [(name, [c.text for c in cells], n) for name, cells, n in rows] == [
        ("9", ["50.0%", ""], "9"),
        ("10", ["50.0%", ""], "9"),
        (">10", ["50.0%", "70.0%"], "9 / 8"),
    ]
    summary["by_count"] = {s: {">10": score} for s in ("sft", "grpo")}
    run = RunFiles(summary=summary)
    text = build_markdown(recipe(), run)
    assert "\n| \\>10 | 50.0% (40.0–60.0) | 50.0% (40.0–60.0) | 9 |" in text
    few = "Some intervals are over 9 questions only: below about 30"
    assert few in text and "Other metrics by number" not in text
    summary["metrics_by_count"] = {"nli_mean": {s: {"9": {**score, "mean": 0.25}} for s in ("sft", "grpo")}, "?": {}}
    both = build_markdown(recipe(), run), build_page(recipe(), run)
    assert all("ther metrics by number" in found for found in both)
    assert "Mean entailment" in both[0] and "\n| 9 | 25.0% (40.0–60.0) | 25.0% (40.0–60.0) | 9 |" in both[0]
    assert "<caption>Mean entailment" in both[1] and "25.0%" in both[1]
    page = build_page(recipe(), run)
    assert few in page and '<td class="quiet">9</td>' in page
    assert '<th scope="row">&gt;10</th>' in page and "no coverage by number of perspectives" not in page


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


def test_a_difference_over_fewer_situations_says_over_how_many(files: RunFiles) -> None:
    (row,) = [c for c in files.summary["comparisons"] if (c["a"], c["metric"]) == ("grpo", "coverage")]
    most = files.summary["systems"]["grpo"]["coverage"]["n"]
    for n, shown in ((most, ""), (most - 5, f"n = {most - 5}")):
        summary = files.summary | {"comparisons": [{**row, "n": n}]}
        assert change(summary, METRICS["coverage"], "sft", "grpo").count == shown
        texts = [build(recipe(), replace(files, summary=summary, notes={})) for build in (build_page, build_markdown)]
        assert [f"; n = {most - 5}" in text for text in texts] == [bool(shown)] * 2


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
        "sft: 7 answers could not be scored for coverage (independent evaluator); the means are without them.",
        "grpo: 1 answer could not be scored for F1 (independent evaluator): too long; the means are without it.",
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


def test_terminal_table_fits_and_holds_the_figures(run: RunDir, files: RunFiles) -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary_table(run, 80))
    lines = console.export_text().splitlines()
    assert all(len(line) <= 80 and "…" not in line for line in lines)
    coverage = next(line for line in lines if "Coverage" in line)
    for system in ("sft", "grpo"):
        assert f"{100 * files.summary['systems'][system]['oracle_coverage']['mean']:.1f}%" in coverage
    assert "< 0.001" in coverage


@pytest.mark.parametrize(
    ("width", "left_out"), [(79, set()), (76, {"p"}), (60, {"p", "relative"}), (48, {"p", "relative", "interval"})]
)
def test_a_narrow_terminal_shows_fewer_columns_and_whole_words(width: int, left_out: set[str], run: RunDir) -> None:
    titles, words = table_at(run, width)
    assert {"p", "relative", "interval"} - set(titles) == left_out
    assert set(words) <= set(table_at(run, 200)[1])


def test_metrics_and_systems_are_whole_in_a_very_narrow_terminal(run: RunDir) -> None:
    titles, words = table_at(run, 40)
    assert {"metric", "sft", "grpo"} <= set(titles)
    assert {"Coverage", "Perspectives/true", "42.6%", "64.0%"} <= set(words)


def table_at(run: RunDir, width: int) -> tuple[list[str], list[str]]:
    """Words of the column titles, and all words."""
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary_table(run, width))
    text = console.export_text().replace("─", "")
    return next(line for line in text.splitlines() if "metric" in line).split(), text.split()


def test_terminal_table_without_summary_and_with_markup(tmp_path: Path) -> None:
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(summary_table(RunDir(tmp_path), 80))
    assert "evaluation/summary.json: no such file" in console.export_text()
    write_json(tmp_path / "evaluation/summary.json", {"systems": {"[red]x[/red]": {"coverage": {"mean": 0.5}}}})
    console.print(summary_table(RunDir(tmp_path), 80))
    assert "[red]x[/red]" in console.export_text()


def test_recipe_of_the_fake_run_is_valid() -> None:
    assert recipe(report={"examples": 2}).report.examples == 2


def test_seconds_of_a_fast_model_are_not_all_the_same() -> None:
    m = METRICS["seconds"]
    assert (value_text(m, 0.0062), difference_text(m, 0.0021)) == ("0.006", "+0.002")


def test_what_colours_and_p_mean_stands_at_the_table() -> None:
    page = build_page(recipe(), RunFiles(summary=summary_of(0.2, 0.15, 0.25)))
    assert "p is of Wilcoxon&#39;s signed-rank test, after Holm&#39;s correction" in page
    assert "Coloured, where more is better: the interval leaves out 0 and p is below 0.05" in page


def test_the_run_says_its_policy_data_and_reward() -> None:
    page = build_page(recipe(), RunFiles())
    for name, value in (("policy", recipe().policy.model), ("data", "world"), ("reward", "overton")):
        assert f"<dt>{name}</dt><dd>{value}</dd>" in page


@pytest.mark.parametrize(
    "name, said", [("oracle_set_f1", "F1 of sets"), ("self_bleu", "Self-BLEU"), ("words", "words per answer")]
)
def test_names_keep_their_capitals_within_a_sentence(name: str, said: str) -> None:
    assert label_inside(METRICS[name]) == said
