"""Columns of tables: which are wanted, renamed, left out and refused, and what a cell of a cluster may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from overton.data.io import cluster_value
from overton.data.table import read_table
from overton.errors import DataError
from table_files import HEADER, csv_file, jsonl_file, views_of


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        (["id", "situation", "label", "reason"], {}, "no column `explanation`"),
        (["sentence1", "sentence2", "label"], {}, "Labelled pairs of sentences are none of these: .* one `cluster`"),
        (["id", "situation", "label", "explanation", "colour"], {}, "unknown column 'colour'; known columns"),
        (["id", "situation", "label", "explanation", "clutser"], {}, r"'clutser' \(did you mean cluster\?\)"),
        (["id", "situation", "what", "why"], {}, "no column `explanation`, `answer` or `perspectives`"),
        (
            ["id", "situation", "label", "why"],
            {"explanation": "reason"},
            r"'reason' \(data.columns.explanation\)",
        ),
        (["id", "situation", "label", "why"], {"explantion": "why"}, "did you mean explanation"),
        (["id", "situation", "label", "why"], {"zzzz": "why"}, "known names"),
        (["id", "situation", "label", "label"], {}, "twice in the header"),
    ],
)
def test_missing_and_unknown_columns(tmp_path: Path, header: list[str], columns: dict[str, str], message: str) -> None:
    path = csv_file(tmp_path, [[f"c{i}" for i in range(len(header))]], header=header)
    with pytest.raises(DataError, match=message):
        read_table(path, columns)


def test_with_columns_named_all_others_are_left_out_and_told(tmp_path: Path) -> None:
    header = ["question", "why", "label", "value", "clutser", "answer", "note"]
    rows = [["May I?", f"It {v}.", "unused", v, "c", "yes", "nan"] for v in ("helps", "hurts")]
    columns = {"id": "question", "situation": "question", "explanation": "why", "label": "value"}
    notes: list[str] = []
    (row,) = read_table(csv_file(tmp_path, rows, header=header), columns, notes)
    assert row.situation.id == row.situation.text == "May I?"
    assert [(p.label, p.explanation, p.cluster) for p in row.views] == [
        ("helps", "It helps.", None), ("hurts", "It hurts.", None),
    ]  # fmt: skip
    assert notes == ["columns that were left out: 'label', 'clutser' (did you mean cluster?), 'answer', 'note'"]


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "index", "__index_level_0__"])
def test_row_numbers_of_a_data_frame_are_no_column(tmp_path: Path, name: str) -> None:
    rows = [[str(i), *row] for i, row in enumerate(views_of("a"))]
    notes: list[str] = []
    found = read_table(csv_file(tmp_path, rows, header=[name, *HEADER]), {}, notes)
    assert found == read_table(csv_file(tmp_path, views_of("a")), {})
    assert notes == [f"columns that were left out: {name!r}"]


@pytest.mark.parametrize(("value", "name"), [(3, "3"), ("c", "c"), (" ", None), (None, None)])
def test_a_cluster_is_a_text_or_a_number_in_every_form(tmp_path: Path, value: Any, name: str | None) -> None:
    views = [{"label": "A", "explanation": e, "cluster": value} for e in ("x", "y")]
    views.append({"label": "A", "explanation": "z"})
    if name is None:
        views.append({"label": "A", "explanation": "w"})
    nested = jsonl_file(tmp_path, [{"id": "q", "text": "Why?", "perspectives": views}])
    (row,) = read_table(nested, {})
    assert [p.cluster for p in row.views[:2]] == [name, name]
    flat = jsonl_file(tmp_path, [{"id": "q", "situation": "Why?", **view} for view in views])
    assert read_table(flat, {}) == [row]


@pytest.mark.parametrize("form", ["flat", "nested"])
def test_nan_in_jsonl_is_a_missing_cell(tmp_path: Path, form: str) -> None:
    gap = float("nan")
    views = [{"label": "A", "explanation": e, "cluster": c, "stance": gap} for e, c in (("x", 1), ("y", gap))]
    rows: list[dict[str, Any]] = [{"id": "q", "situation": "Why?", **view} for view in views]
    if form == "nested":
        rows = [{"id": "q", "text": "Why?", "perspectives": views, "metadata": {"votes": gap}}]
    (row,) = read_table(jsonl_file(tmp_path, rows), {})
    assert [(p.cluster, p.stance) for p in row.views] == [("1", None), (None, None)]
    assert row.situation.metadata == ({"votes": None} if form == "nested" else {})
    (rows[0] if form == "flat" else views[0])["explanation"] = gap
    with pytest.raises(DataError, match=r"row 1.*`explanation` is empty"):
        read_table(jsonl_file(tmp_path, rows), {})


@pytest.mark.parametrize("value", [True, 1.5, ["c"], float("inf")])
def test_what_is_no_cluster_is_refused(value: Any) -> None:
    with pytest.raises(DataError, match=r"t, row 1: `cluster` must be text"):
        cluster_value(value, "t, row 1")


def test_numbers_with_gaps_as_data_frames_save_them(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `train`")
    from pyarrow import parquet

    explanations, clusters = ["x", "y", "z"], [1.0, 1.0, float("nan")]
    cells = {"id": ["q"] * 3, "situation": ["Why?"] * 3, "label": ["A"] * 3, "explanation": explanations}
    parquet.write_table(pyarrow.table({**cells, "cluster": clusters}), tmp_path / "flat.parquet")
    (row,) = read_table(tmp_path / "flat.parquet", {})
    assert [p.cluster for p in row.views] == ["1", "1", None]
    views = [{"label": "A", "explanation": e, "cluster": c} for e, c in zip(explanations, clusters, strict=True)]
    nested = pyarrow.Table.from_pylist([{"id": "q", "text": "Why?", "perspectives": views}])
    parquet.write_table(nested, tmp_path / "nested.parquet")
    assert read_table(tmp_path / "nested.parquet", {}) == [row]
