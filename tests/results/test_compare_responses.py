"""The page on evaluation holds the tables that the stored measurement gives."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import compare_responses  # noqa: E402  (benchmarks are scripts, no package)


def test_the_page_shows_the_stored_figures(capsys: pytest.CaptureFixture[str]) -> None:
    result = compare_responses.read_json(compare_responses.RESULT)
    compare_responses.print_tables(result)
    page = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for table in capsys.readouterr().out.strip().split("\n\n"):
        assert table in page


def test_the_result_holds_no_more_than_a_few_words_of_an_answer() -> None:
    result = compare_responses.read_json(compare_responses.RESULT)
    for own in result["faults"].values():
        assert all(len(row["example"].split()) <= compare_responses.WORDS for row in own.values())
