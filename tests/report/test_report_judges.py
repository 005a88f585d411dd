"""What the page and its Markdown show of language models as judges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from report_fake_run import recipe

from overton.report.files import RunFiles
from overton.report.html import build_page
from overton.report.judges import agreement_rows, pair_rows
from overton.report.markdown import build_markdown

RATE = {"mean": 0.625, "low": 0.5512, "high": 0.7, "n": 78, "unscored": 2}
PAIR = {"a": "grpo", "b": "<b>sft</b>", "win_rate": RATE, "wins": 0.5, "ties": 0.25, "losses": 0.25, "flips": 0.2}
JUDGED = {
    "pairwise": [{**PAIR, "first": None}],
    "agreement": {"depth": {"alpha": 0.41349, "units": 160}, "winner": {"alpha": None, "units": 78}},
}


def judged(files: RunFiles, found: Any) -> RunFiles:
    return replace(files, summary=files.summary | {"judge": found}, notes={})


def test_rows(files: RunFiles) -> None:
    ((pair, cells),) = pair_rows(judged(files, JUDGED))
    assert pair == "grpo against <b>sft</b>"
    assert [cell.text for cell in cells] == ["62.5%", "50.0%", "25.0%", "25.0%", "20.0%", "", "78 of 80"]
    assert cells[0].interval == "55.1–70.0"
    assert agreement_rows(judged(files, JUDGED)) == [("Depth", "0.413", "160"), ("Winner", "", "78")]


def test_they_are_shown_and_escaped(files: RunFiles) -> None:
    page, text = (build(recipe(), judged(files, JUDGED)) for build in (build_page, build_markdown))
    assert "grpo against &lt;b&gt;sft&lt;/b&gt;" in page and "<b>sft" not in page + text
    assert "<td>62.5%<small>55.1–70.0</small></td>" in page
    assert "| Depth | 0.413 | 160 |" in text
    assert "62.5% (55.1–70.0)" in text


def test_without_judges_nothing_is_shown(files: RunFiles) -> None:
    for summary in (files, judged(files, {"pairwise": [], "agreement": {}})):
        assert "Compared by language models" not in build_page(recipe(), summary) + build_markdown(recipe(), summary)


@pytest.mark.parametrize(
    "found", [None, [], "x", {"pairwise": 3, "agreement": []}, {"pairwise": [None, {"a": 1}]}], ids=str
)
def test_a_broken_summary_breaks_nothing(files: RunFiles, found: Any) -> None:
    assert "</html>" in build_page(recipe(), judged(files, found))
    assert build_markdown(recipe(), judged(files, found))
