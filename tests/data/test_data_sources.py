"""Sources `valueprism` and `hub`: rows that were made up here, and a local folder in place of the hub."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from overton.data.hub import _reason, hub_rows
from overton.data.sources import read_source
from overton.data.stage import run
from overton.data.table import read_table
from overton.data.valueprism import valueprism_rows
from overton.errors import DataError, RecipeError
from overton.jsonio import read_jsonl
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.sections import DataPart
from table_files import HEADER, csv_file, jsonl_file

PRISM = ["situation", "vrd", "text", "explanation", "valence"]
ROWS = [
    ["Lying to a friend", "Value", "Honesty", "Lies break trust.", "Opposes"],
    ["lying to a  friend", "Right", "Right to be left alone, always", "Nobody owes an answer.", "Supports"],
    ["Lying to a friend", "Duty", "Duty of care", "It may hurt or help.", "Either"],
    ["Lying to a friend", "Duty", "Duty of care", "It may hurt or help.", "Either"],
    ["Lying to a friend", "Value", "Truth", "From the perspective of truth it is wrong.", "Opposes"],
    ["Reading", "Value", "Learning", "One learns.", "Supports"],
]


def places(rows: list[list[str]], header: list[str] = PRISM) -> list[tuple[str, dict[str, Any]]]:
    return [(f"f, row {n}", dict(zip(header, row, strict=True))) for n, row in enumerate(rows, 1)]


def test_valueprism_by_hand() -> None:
    warnings: list[str] = []
    (row,) = valueprism_rows(places(ROWS), warnings)
    assert row.situation.id == "valueprism-1" and row.situation.text == "Lying to a friend"
    assert [(p.label, p.stance, p.provenance) for p in row.situation.perspectives] == [
        ("Honesty", "-", "gpt-4"),
        ("Right to be left alone always", "+", "gpt-4"),
        ("Duty of care", None, "gpt-4"),
    ]
    assert row.situation.metadata["kinds"]["Duty of care"] == "duty"
    assert "1 rows cannot be used and were left out, the first: f, row 5: `explanation` contains" in warnings[0]
    assert "1 perspectives had the explanation of an earlier one" in warnings[1]
    assert warnings[2] == "1 situations have fewer than two perspectives and were left out"
    assert valueprism_rows(places(ROWS, ["action", *PRISM[1:]]), []) == [row]


def test_one_explanation_under_a_value_a_right_and_a_duty() -> None:
    said = "It may hurt or help."
    rows = [["Lying", kind, f"{kind} of care", said, "Either"] for kind in ("Value", "Right", "Duty")]
    warnings: list[str] = []
    (row,) = valueprism_rows(places([*rows, ["Lying", "Value", "Honesty", "Lies break trust.", "Opposes"]]), warnings)
    assert [p.label for p in row.situation.perspectives] == ["Value of care", "Honesty"]
    assert row.situation.metadata["kinds"] == {"Value of care": "value", "Honesty": "value"}
    assert len(warnings) == 1 and warnings[0].startswith("2 perspectives")
    with pytest.raises(DataError, match="no situation has two perspectives"):
        valueprism_rows(places(rows), [])


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (ROWS, ["id", *PRISM[1:]], "row 1: column 'situation' is missing"),
        (ROWS, [*PRISM[:3], "why", "valence"], "row 1: column 'explanation' is missing"),
        ([["A", "Virtue", "x", "y", "Either"]], PRISM, "row 1: `vrd` must be Value, Right or Duty, found 'Virtue'"),
        ([["", "Value", "x", "y", "Either"]], PRISM, "row 1: `situation` is empty"),
        (ROWS[-1:], PRISM, "no situation has two perspectives"),
    ],
)
def test_broken_valueprism_rows(rows: list[list[str]], header: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        valueprism_rows(places(rows, header), [])


def folder(home: Path, count: int = 12) -> Path:
    """A data set folder of twelve situations, two wordings of the first perspective each."""
    home.mkdir()
    with open(home / "train.jsonl", "w", encoding="utf-8") as file:
        for i in range(count):
            for label, text, group in (
                ("Trust", f"breaks {i}", "t"),
                ("Trust", f"ruins {i}", "t"),
                ("Care", f"aids {i}", ""),
            ):
                row = {"id": i, "question": f"Is {i} right?", "label": label, "explanation": text, "cluster": group}
                file.write(json.dumps(row) + "\n")
    return home


def test_a_data_set_folder_is_read_like_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="needs the extra `train`")
    home = folder(tmp_path / "set")
    columns = {"situation": "question"}
    part = DataPart(source="hub", dataset=str(home), columns=columns)
    assert read_source(part, []) == read_table(home / "train.jsonl", columns)
    rows = [json.loads(line) for line in (home / "train.jsonl").read_text().splitlines()]
    rows = [{"situation": row.pop("question"), "note": None, **row} for row in rows]
    wide = tmp_path / "wide"
    wide.mkdir()
    (wide / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told: list[str] = []
    assert read_source(DataPart(source="hub", dataset=str(wide)), told) == read_source(part, [])
    assert told == ["columns that were left out: 'note'"]
    with pytest.raises(DataError, match=r"set, train, row 1: column 'q' \(data.columns.situation\) is missing"):
        read_source(part.model_copy(update={"columns": {"situation": "q"}}), [])
    for change, message in (
        ({"subset": "big"}, r"data.subset 'big': .*Available: \['default'\]"),
        ({"split": "dev"}, r"data.hub_split 'dev': Unknown split"),
    ):
        with pytest.raises(DataError, match=message):
            hub_rows(str(home), **change)
    (home / "train.jsonl").write_text('{"id": 1}\n{broken')
    with pytest.raises(DataError, match="set: cannot be read"):
        hub_rows(str(home))
    (home / "train.jsonl").unlink()
    with pytest.raises(DataError, match="holds no Parquet, CSV or JSONL files"):
        hub_rows(str(home))
    for name, message in (("", "data.dataset"), (str(tmp_path / "none"), "no such folder")):
        with pytest.raises(DataError, match=message):
            hub_rows(name)


def test_a_folder_of_save_to_disk(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs the extra `train`")
    from datasets import Dataset, DatasetDict

    table = Dataset.from_list([{"id": i, "text": f"Why {i}?"} for i in range(5)])
    table.save_to_disk(tmp_path / "one")
    splits = {"train": table.select(range(3)), "validation": table.select(range(3, 5))}
    DatasetDict(splits).save_to_disk(tmp_path / "two")
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert [row["id"] for _, row in hub_rows(one)] == [0, 1, 2, 3, 4]
    assert [row["id"] for _, row in hub_rows(two)] == [0, 1, 2]
    assert [row["id"] for _, row in hub_rows(two, split="validation+train")] == [3, 4, 0, 1, 2]
    for folder, subset, split, message in (
        (one, "", "test", "the folder holds one data set without splits"),
        (two, "", "test", "no such split; found: train, validation"),
        (two, "en", "train", "has no subsets"),
    ):
        with pytest.raises(DataError, match=message):
            hub_rows(folder, subset, split)


def test_what_the_hub_refuses_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the extra `train`")
    from datasets.exceptions import DatasetNotFoundError

    for error, message in (
        (DatasetNotFoundError("Dataset 'a/b' is a gated dataset on the Hub. Visit the page"), "a/b: is gated"),
        (DatasetNotFoundError("Dataset 'a/b' doesn't exist on the Hub"), "a/b: no such data set"),
        (ConnectionError("Couldn't reach 'a/b' on the Hub"), "a/b: the hub cannot be reached"),
        (RuntimeError("Dataset scripts are no longer supported, but found b.py"), "a/b: needs a script"),
    ):

        def refuse(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(datasets, "load_dataset", refuse)
        with pytest.raises(DataError, match=message):
            hub_rows("a/b")
    assert _reason(ValueError("odd"), "", "train", "data.dataset") == "cannot be read (ValueError: odd)"


def test_both_become_a_stage_side_by_side(tmp_path: Path) -> None:
    pytest.importorskip("datasets", reason="needs the extra `train`")
    with open(tmp_path / "prism.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(PRISM)
        for i in range(9):
            out.writerows(
                [f"Act {i}", vrd, name, f"{name} in {i}.", "Either"]
                for vrd, name in (("Value", "Care"), ("Duty", "Law"))
            )
    parts = {
        "own": {"source": "hub", "dataset": str(folder(tmp_path / "set")), "columns": {"situation": "question"}},
        "prism": {"source": "valueprism", "path": str(tmp_path / "prism.csv")},
    }
    run(parse_recipe({"name": "r", "data": {"source": "several", "parts": parts, "pairs": 4}}), RunDir(tmp_path / "r"))
    card = (tmp_path / "r" / "data" / "README.md").read_text(encoding="utf-8")
    assert "AI2 ImpACT" in card and "a data set of the hub" in card


def test_answers_under_valueprism_are_read_as_those_of_a_table(tmp_path: Path) -> None:
    """OP-GRPO's test set: files of ``prompt`` and ``answer``."""
    files = tmp_path / "set"
    files.mkdir()
    for name in ("test_5p.csv", "test_6p.csv"):
        text = "In the perspective of Care, it helps.\nIn the perspective of Rule of law, it is forbidden."
        csv_file(files, [[f"act {i} of {name}", text] for i in range(3)], name, ["prompt", "answer"])
    one = read_source(DataPart(source="valueprism", path=files / "test_5p.csv"), [])
    own = read_source(DataPart(source="table", path=files / "test_5p.csv"), [])
    for ours, theirs in zip(one, own, strict=True):
        assert ours.situation.text == theirs.situation.text and ours.completion == theirs.completion
        assert [replace(p, provenance="human") for p in ours.situation.perspectives] == [*theirs.situation.perspectives]
        assert {p.provenance for p in (*ours.views, *ours.situation.perspectives)} == {"language models"}
    assert [p.label for p in one[0].situation.perspectives] == ["Care", "Rule of law"]
    both = read_source(DataPart(source="valueprism", path=files), [], prefix="p-")
    assert [row.situation.id for row in both] == [f"p-row-{n}" for n in range(1, 7)]
    assert [row.situation.text for row in both[:3]] == [row.situation.text for row in one]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: holds no \.csv file"):
        read_source(DataPart(source="valueprism", path=tmp_path / "empty"), [])


def parts_without_ids(home: Path, ids: dict[str, list[str]]) -> dict[str, dict[str, str]]:
    """A table with ids and clusters, two of answers and two of ValuePrism; ``ids`` are those of the answers."""
    rows = [[f"{i}", f"Is {i} right?", *view] for i in range(6) for view in (
        ["Trust", f"breaks {i}", "t"], ["Trust", f"ruins {i}", "t"], ["Care", f"aids {i}", ""],
    )]  # fmt: skip
    csv_file(home, rows, "own.csv", HEADER[:5])
    for name in "xy":
        answers = [f"In the perspective of {v}, {v} {i} in {name}." for i in range(4) for v in ("Care", "Law")]
        pairs = [[f"Do {i} in {name}?", "\n".join(answers[2 * i : 2 * i + 2])] for i in range(4)]
        names = ids.get(name)
        table = [[*([names[i]] if names else []), *pair] for i, pair in enumerate(pairs)]
        csv_file(home, table, f"{name}.csv", [*(["id"] if names else []), "situation", "answer"])
    for name in "pq":
        views = [[f"Act {i} in {name}", "Value", v, f"{v} {i} in {name}.", "Either"] for i in range(4) for v in "AB"]
        csv_file(home, views, f"{name}.csv", PRISM)
    sources = {"own": "table", "x": "table", "y": "table", "p": "valueprism", "q": "valueprism"}
    return {name: {"source": source, "path": str(home / f"{name}.csv")} for name, source in sources.items()}


def several(parts: dict[str, dict[str, str]], home: Path) -> set[str]:
    """Ids of all splits of a run."""
    run(parse_recipe({"name": "r", "data": {"source": "several", "parts": parts, "pairs": 4}}), RunDir(home))
    return {row["id"] for name in ("train", "dev", "test") for row in read_jsonl(home / "data" / f"{name}.jsonl")}


def test_ids_that_were_made_up_have_the_name_of_their_part(tmp_path: Path) -> None:
    own = {str(i) for i in range(6)}
    made = {f"{part}-{kind}-{n}" for part, kind in zip("xypq", ("row", "row", *["valueprism"] * 2), strict=True)
            for n in range(1, 5)}  # fmt: skip
    assert several(parts_without_ids(tmp_path, {}), tmp_path / "r") == own | made
    # An id that was given stays, whatever it looks like.
    given = [f"row-{n}" for n in range(1, 5)]
    kept = {name for name in made if name[0] != "x"} | set(given)
    assert several(parts_without_ids(tmp_path, {"x": given}), tmp_path / "given") == own | kept
    parts = parts_without_ids(tmp_path, {"x": given, "y": ["a", "b", "c", "row-4"]})
    with pytest.raises(DataError, match="id 'row-4' is in x and in y; rename it in one"):
        several(parts, tmp_path / "both")


def test_made_up_ids_do_not_hide_that_an_id_is_there_twice(tmp_path: Path) -> None:
    answer = "In the perspective of A, x.\nIn the perspective of B, y."
    path = jsonl_file(tmp_path, [{"situation": "Why?", "answer": answer, "id": name} for name in (None, "m-row-1")])
    part = DataPart(source="table", path=path)
    assert [row.situation.id for row in read_source(part, [])] == ["row-1", "m-row-1"]
    with pytest.raises(DataError, match="row 2: id 'm-row-1' was used in row 1 already"):
        read_source(part, [], prefix="m-")


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"source": "hub"}, "data.dataset: name the data set"),
        ({"source": "hub", "path": "x"}, "data.path: source `hub` reads data.dataset"),
        ({"source": "table"}, "data.path: source `table` needs the path"),
        ({"source": "table", "path": "x", "dataset": "y"}, "data.dataset: source `table` reads files"),
        ({"source": "argkp", "path": "none"}, "none: no such folder"),
        ({"source": "valueprism", "path": "x", "dataset": "y"}, "reads one of them"),
        ({"source": "valueprism", "path": "x.csv", "columns": {"id": "y"}}, "knows its columns"),
    ],
)
def test_keys_that_do_not_belong_together(part: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_source(DataPart.model_validate(part), [])


def test_parts_have_the_paths() -> None:
    parts = {"a": {"source": "table", "path": "x"}}
    with pytest.raises(RecipeError, match="belong to each of `parts`"):
        parse_recipe({"name": "r", "data": {"source": "several", "parts": parts, "dataset": "a/b"}})
