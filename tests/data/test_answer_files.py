"""Answers in the files that people have: JSON lines, CSV, TSV and Parquet."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from overton.commands.comparing_files import read_saved
from overton.data import read_answers
from overton.data.answer_files import answer_rows
from overton.errors import DataError
from overton.jsonio import write_jsonl
from overton.types import Answer

ANSWERS = [
    Answer("1", "Is it fine to lie?", 'A line, "quoted".\nAnother line.', "a", tokens=12, seconds=0.5, calls=2),
    Answer("2", "May one steal?", "", "a", finished=False, cost=0.25, reason="the reply is empty"),
    Answer("3", "Who owns the sea?", "NaN", "b", model="m", raw="NaN"),
]
ENDINGS = ("jsonl", "jsonl.gz", "csv", "tsv", "parquet")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix in (".jsonl", ".gz"):
        write_jsonl(path, rows)
    elif path.suffix == ".parquet":
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    else:
        names = list(dict.fromkeys(name for row in rows for name in row))
        with open(path, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, names, delimiter="\t" if path.suffix == ".tsv" else ",")
            table.writeheader()
            table.writerows(rows)
    return path


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_kind_of_file_holds_the_same_answers(tmp_path: Path, ending: str) -> None:
    names = dict.fromkeys(name for answer in ANSWERS for name in answer.to_json())
    rows = [{name: answer.to_json().get(name) for name in names} for answer in ANSWERS]
    path = write(tmp_path / f"mine.{ending}", rows)
    assert read_answers(path) == ANSWERS
    assert [saved.answer.system for saved in read_saved([path])] == ["a", "a", "b"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_system_without_a_name_is_called_like_its_file(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path / f"model-1.5.{ending}", [{"id": 1, "split": "5p", "answer": "Yes."}])
    (saved,) = read_saved([path])
    assert (saved.answer.system, saved.split, saved.answer.id) == ("model-1.5", "5p", "1")


def test_tables_of_data_frames(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(",id,answer,tokens,finished\n0,q1,Yes.,12.0,True\n1,q2,,,False\n2,q3,No.,NaN,\n")
    read = read_answers(tmp_path / "a.csv")
    assert [(a.id, a.answer, a.tokens, a.finished) for a in read] == [
        ("q1", "Yes.", 12, True),
        ("q2", "", None, False),
        ("q3", "No.", None, True),
    ]
    nan = float("nan")
    rows = [{"id": "q", "answer": "Yes.", "tokens": nan, "cost": 0.5, "__index_level_0__": 7}]
    (answer,) = read_answers(write(tmp_path / "a.parquet", rows))
    assert (answer.tokens, answer.cost) == (None, 0.5)


def test_the_published_log_may_be_parquet(tmp_path: Path) -> None:
    rows = [{"system": "s", "split": "5p", "prompt": "Why?", "response_sentences": ["One.", "Two."]}]
    (saved,) = read_saved([write(tmp_path / "log.parquet", rows)])
    assert (saved.answer.system, saved.split, saved.sentences) == ("s", "5p", ("One.", "Two."))


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("a.csv", "id,answer\nq,Yes.\nq,No.\n", "row 2: id 'q' was used in row 1 already"),
        ("a.csv", "id,text\nq,Yes.\n", "line 2: column 'answer' is missing; found: id, text"),
        ("a.csv", "id;answer\nq;Yes.\n", "separated by a comma, the header has ';'"),
        ("a.csv", "id,answer,tokens\nq,Yes.,many\n", "line 2: `tokens` must be a number, found 'many'"),
        ("a.csv", "id,answer,finished\nq,Yes.,perhaps\n", "line 2: `finished` must be true or false"),
        ("a.csv", "answer\nYes.\n", "line 2: neither `id` nor `prompt`"),
        ("a.csv", "id,answer\n", "the file holds no rows"),
        ("a.parquet", "id,answer\nq,Yes.\n", "not a Parquet file"),
        ("a.jsonl", '{"id": "q", "answer": null}\n', "row 1: `answer` is missing; write an empty text if"),
        ("a.jsonl", '{"id": "q"}\n', "row 1: column 'answer' is missing"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, name: str, rows: str, message: str) -> None:
    (tmp_path / name).write_text(rows)
    for read in (read_answers, lambda path: read_saved([path])):
        with pytest.raises(DataError, match=message) as caught:
            read(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))


def test_a_missing_answer_of_a_data_frame(tmp_path: Path) -> None:
    for missing in (None, float("nan")):
        path = write(tmp_path / "a.parquet", [{"id": "q", "answer": missing}])
        with pytest.raises(DataError, match="row 1: `answer` is missing"):
            read_answers(path)


def test_a_cell_too_long_for_csv_is_refused_with_the_limit(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"situation,answer\nOne.,{'x' * 131_073}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.csv, line 2: a cell of more than 131,072 characters, the most"):
        answer_rows(tmp_path / "a.csv")
