"""Columns of tables: which are wanted, renamed, left out and refused, and what their cells may hold."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from overton.data import read_situations
from overton.data.cells import cluster_value, stance_value
from overton.data.io import situation_from_row
from overton.data.table import read_table
from overton.errors import DataError
from overton.jsonio import write_jsonl
from table_files import HEADER, csv_file, jsonl_file, views_of


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        (["id", "situation", "label", "reason"], {}, "no column `explanation`"),
        (["ID", "Situation", "Explanations"], {}, "'ID' is written 'id', 'Situation' is written 'situation'. Rename"),
        (["sentence1", "sentence2", "label"], {}, "Labelled pairs of sentences are none of these: .* one `cluster`"),
        (["id", "situation", "label", "explanation", "colour"], {}, "unknown column 'colour'; known columns"),
        (["id", "situation", "label", "explanation", "clutser"], {}, r"'clutser' \(did you mean cluster\?\)"),
        (["id", "situation", "what", "explanation"], {}, r"'label' is missing; .* data.columns: {label: YOUR COLUMN}"),
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


@pytest.mark.parametrize("word", ["None", "<NA>", " nan ", "NULL", "NaT", "none"])
@pytest.mark.parametrize("form", ["csv", "flat", "nested"])
def test_the_words_for_a_missing_cell_are_no_cluster(tmp_path: Path, form: str, word: str) -> None:
    views = [
        {"label": label, "explanation": f"{label} counts.", "cluster": cluster}
        for label, cluster in (("Care", word), ("Trust", word), ("Law", "none of them"))
    ]
    if form == "csv":
        path = csv_file(tmp_path, [["q", "Why?", *view.values()] for view in views], header=HEADER[:5])
    elif form == "flat":
        path = jsonl_file(tmp_path, [{"id": "q", "situation": "Why?", **view} for view in views])
    else:
        path = jsonl_file(tmp_path, [{"id": "q", "text": "Why?", "perspectives": views}])
        assert len(read_situations(path)[0].perspectives) == 3
    (row,) = read_table(path, {})
    assert [p.cluster for p in row.views] == [None, None, "none of them"]
    assert len(row.situation.perspectives) == 3


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


def test_gaps_in_parquet_are_none_in_stances_and_metadata_too(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `train`")
    from pyarrow import parquet

    kinds = {"label": pyarrow.string(), "explanation": pyarrow.string(), "stance": pyarrow.float64()}
    views = [{"label": "A", "explanation": text, "stance": math.nan} for text in ("It helps.", "It hurts.")]
    metadata = {"votes": math.nan, "all": [1.0, math.nan], "more": {"seen": math.nan}}
    own = {"id": ["q"], "text": ["Why?"], "metadata": [metadata]}
    perspectives = pyarrow.array([views], pyarrow.list_(pyarrow.struct(list(kinds.items()))))
    parquet.write_table(pyarrow.table({**own, "perspectives": perspectives}), tmp_path / "t.parquet")
    (row,) = read_table(tmp_path / "t.parquet", {})
    assert [view.stance for view in row.views] == [None, None]
    assert row.situation.metadata == {"votes": None, "all": [1.0, None], "more": {"seen": None}}
    assert write_jsonl(tmp_path / "out.jsonl", [row.situation.to_json()]) == 1
    dated = pyarrow.table({**own, "metadata": [{"asked": {"on": datetime(2020, 1, 2)}}], "perspectives": perspectives})
    parquet.write_table(dated, tmp_path / "dated.parquet")
    with pytest.raises(DataError, match=r"dated\.parquet, row 1: `metadata\.asked\.on` is datetime, which JSON cannot"):
        read_table(tmp_path / "dated.parquet", {})


VIEWS = [{"label": "A", "explanation": text} for text in ("It helps.", "It hurts.")]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"a": [1, {"b": date(2020, 1, 2)}]}, "`metadata.a.b` is date, which JSON cannot hold"),
        ({"a": b"x"}, "`metadata.a` is bytes"),
        ({"a": Decimal(1)}, "`metadata.a` is Decimal"),
        ({"a": math.inf}, "`metadata.a` is infinite"),
        ({"a": {1: "x"}}, "`metadata.a` must have texts as keys, found int"),
    ],
)
def test_metadata_that_json_cannot_hold_is_refused_with_its_key(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        situation_from_row({"id": "q", "text": "Why?", "perspectives": VIEWS, "metadata": metadata}, "t, row 1")
    assert str(caught.value).startswith(f"t, row 1: {message}")


def test_metadata_that_json_can_hold_stays_as_it_is() -> None:
    metadata = {"a": None, "b": True, "c": 1, "d": 0.5, "e": "nan", "f": [], "g": {"h": [{}]}}
    row = {"id": "q", "text": "Why?", "perspectives": VIEWS}
    assert situation_from_row({**row, "metadata": metadata}, "t, row 1").metadata == metadata
    deep: dict[str, Any] = {}
    for _ in range(5000):
        deep = {"a": deep}
    with pytest.raises(DataError, match="t, row 1: `metadata` is nested too deeply"):
        situation_from_row({**row, "metadata": deep}, "t, row 1")


def test_a_stance_may_be_missing_but_not_another() -> None:
    assert [stance_value(value, "t") for value in (math.nan, "nan", "", None, "+")] == [None] * 4 + ["+"]
    with pytest.raises(DataError, match="`stance` must be"):
        stance_value(0.0, "t")


def _one_row_a_perspective(folder: Path, text: str) -> list[Any]:
    rows = [["q", "Why?", "A", "It helps."], ["q", "Why?", "B", text]]
    return read_table(csv_file(folder, rows, header=HEADER[:4]), {})


def _one_row_a_situation(folder: Path, text: str, read: Callable[[Path], list[Any]]) -> list[Any]:
    views = [VIEWS[0], {"label": "B", "explanation": text}]
    return read(jsonl_file(folder, [{"id": "q", "text": "Why?", "perspectives": views}]))


READERS: dict[str, Callable[[Path, str], list[Any]]] = {
    "line 3": _one_row_a_perspective,
    "row 1, perspective 2": lambda folder, text: _one_row_a_situation(folder, text, lambda path: read_table(path, {})),
    "table.jsonl, row 1, perspective 2": lambda folder, text: _one_row_a_situation(folder, text, read_situations),
}


@pytest.mark.parametrize("place", READERS)
@pytest.mark.parametrize("text", ["...", "?", "-", "— _ !", "\U0001f44d"])
def test_an_explanation_without_a_word_is_refused(tmp_path: Path, place: str, text: str) -> None:
    with pytest.raises(DataError) as caught:
        READERS[place](tmp_path, text)
    assert f"{place}: `explanation` has no word, found {text!r}" in str(caught.value)


@pytest.mark.parametrize("place", READERS)
@pytest.mark.parametrize("text", ["它伤害信任。", "これは良い", "ช่วย", "도움", "हाँ", "42"])
def test_words_of_any_script_are_an_explanation(tmp_path: Path, place: str, text: str) -> None:
    (found,) = READERS[place](tmp_path, text)
    situation = getattr(found, "situation", found)
    assert situation.perspectives[1].explanation == text


def test_an_answer_of_punctuation_is_refused(tmp_path: Path) -> None:
    answer = "In the perspective of Trust, it hurts.\nIn the perspective of Care, ..."
    with pytest.raises(DataError, match=r"row 1, perspective 2: `explanation` has no word, found '\.\.\.'"):
        read_table(jsonl_file(tmp_path, [{"prompt": "Why?", "answer": answer}]), {})


def test_perspectives_as_json_text_in_a_csv(tmp_path: Path) -> None:
    views = [{"label": "A", "explanation": "x y.", "cluster": "1"}, {"label": "B", "explanation": "z w."}]
    path = csv_file(tmp_path, [["a", "Why?", json.dumps(views)]], header=["id", "text", "perspectives"])
    (row,) = read_table(path, {})
    assert [(p.label, p.explanation, p.cluster) for p in row.views] == [("A", "x y.", "1"), ("B", "z w.", None)]
    for text in ("[{'label': 'A'}]", '"a"', "{}"):
        broken = csv_file(tmp_path, [["a", "Why?", text]], header=["id", "text", "perspectives"])
        with pytest.raises(DataError, match=r"line 2: `perspectives` must be a list, or one as JSON text"):
            read_table(broken, {})


@pytest.mark.parametrize("as_text", [True, False])
def test_bare_texts_are_perspectives_where_labels_may_be_missing(tmp_path: Path, as_text: bool) -> None:
    views = ["x y.", "z w."]
    path = jsonl_file(tmp_path, [{"id": 1, "text": "Why?", "perspectives": json.dumps(views) if as_text else views}])
    (row,) = read_table(path, {}, labels=False)
    assert [(p.label, p.explanation) for p in row.situation.perspectives] == [("", "x y."), ("", "z w.")]
    with pytest.raises(DataError, match="perspective 1: an object is wanted, with `explanation` and perhaps `label`"):
        read_table(path, {})


@pytest.mark.parametrize(("name", "columns"), [("situation", {}), ("prompt", {}), ("q", {"situation": "q"})])
def test_with_all_perspectives_in_a_row_the_text_may_be_called_situation(
    tmp_path: Path, name: str, columns: dict[str, str]
) -> None:
    views = [{"label": "A", "explanation": "x y."}, {"label": "B", "explanation": "z w."}]
    path = jsonl_file(tmp_path, [{"id": 1, name: "Why?", "perspectives": views}])
    (row,) = read_table(path, columns)
    assert row.situation.text == "Why?"
