"""A bad table in a recipe: one message with file and row, a non-zero exit, and no half-written data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]


def row(name: str = "a", **other: Any) -> str:
    views = [{"label": "A", "explanation": "one view"}, {"label": "B", "explanation": "another view"}]
    return json.dumps({"id": name, "text": f"Is {name} right?", "perspectives": views, **other}, allow_nan=True)


ONE_VIEW = [{"label": "A", "explanation": "one view"}]


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "t.jsonl: the file holds no rows"),
        (row() + "\n" + row()[:-5], "t.jsonl, line 2: broken JSON"),
        (row() + "\n" + row(), "t.jsonl, row 2: id 'a' was used in row 1"),
        (row() + "\n" + row("b", text=""), "t.jsonl, row 2: `text` is empty"),
        (row() + "\n" + row("b", text=float("nan")), "t.jsonl, row 2: `text` is empty"),
        (row() + "\n" + row("b", text=float("inf")), "t.jsonl, line 2: Infinity"),
        (row() + "\n" + row("b", text="word " * 10_001), "t.jsonl, row 2: `text` has 10,001 words"),
        (row() + "\n" + row("b", perspectives=ONE_VIEW), "t.jsonl, row 2: 1 perspective"),
        (row() + "\n" + row("b", colour=1), "colour"),
        ('{"id": "a", "text": "x"}', "t.jsonl"),
    ],
)
def test_a_bad_table(fails: Fails, tmp_path: Path, content: str, wanted: str) -> None:
    Path("t.jsonl").write_text(content)
    Path("mine.yaml").write_text("data: {source: table, path: t.jsonl}\n")
    assert wanted in fails("data", "mine.yaml")
    assert list(Path("runs/mine/data").glob("*.jsonl")) == []


def test_wrong_encoding(fails: Fails) -> None:
    Path("t.csv").write_bytes("id,situation,label,explanation\na,Où?,A,é\n".encode("latin-1"))
    Path("mine.yaml").write_text("data: {source: table, path: t.csv}\n")
    assert "t.csv, line 2: not UTF-8" in fails("data", "mine.yaml")


def test_a_missing_column_and_a_missing_file(fails: Fails) -> None:
    Path("t.csv").write_text("id,situation,label\na,Why?,A\n")
    Path("mine.yaml").write_text("data: {source: table, path: t.csv}\n")
    assert "explanation" in fails("data", "mine.yaml")
    assert "none.csv: no such file" in fails("data", "mine.yaml", "--set", "data.path=none.csv")
    assert "data.path" in fails("data", "mine.yaml", "--set", "data.path=null")
