"""Labels of a table: kept where an answer can name them, changed and told where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from overton.data.rows import view_of
from overton.data.sft import table_sft
from overton.data.table import read_table
from overton.data.valueprism import valueprism_rows
from overton.errors import DataError
from overton.segment import segment
from table_files import HEADER, csv_file, jsonl_file

KEPT = ["U.S. law", "St. John's Church", "Rule 3.5", "U.S.", "Dr. King", "J.R.R. Tolkien", "Rights (b. 1689)"]
CHANGED = {
    "Honesty.": "Honesty",
    "U.S. law.": "U.S. law",
    "Honesty. Duty": "Honesty Duty",
    "Node.js": "Node js",
    "Wait...what": "Wait what",
    "Rule 3.5: U.S. law": "Rule 3.5 U.S. law",
    "Rule 3.5, Duty. Law": "Rule 3 5 Duty Law",
    "Care, always": "Care always",
    "Care\r\nand law": "Care and law",
    "Care\u2028and law": "Care and law",
}


@pytest.mark.parametrize(("label", "name"), [*zip(KEPT, KEPT, strict=True), *CHANGED.items()])
def test_a_label_reads_back_from_the_answer_made_of_it(tmp_path: Path, label: str, name: str) -> None:
    views = [{"label": label, "explanation": "x y."}, {"label": "B", "explanation": "z w."}]
    warnings: list[str] = []
    rows = read_table(jsonl_file(tmp_path, [{"id": 1, "text": "Why?", "perspectives": views}]), {}, warnings)
    assert [view.label for view in rows[0].views] == [name, "B"]
    assert [part.label for part in segment(table_sft(rows, 0)[0]["completion"])] == [name, "B"]
    assert bool(warnings) == (label in CHANGED)


def test_what_was_changed_is_told_once(tmp_path: Path) -> None:
    rows = [["a", "Why?", label, f"{label} counts"] for label in ("Care. Always", "U.S. law", "Truth:")]
    path, warnings = csv_file(tmp_path, rows, header=HEADER[:4]), list[str]()
    read_table(path, {}, warnings)
    (told,) = warnings
    assert told.startswith("2 labels had punctuation") and told.endswith("line 2: 'Care. Always' is 'Care Always'")


def test_of_valueprism_too_where_the_row_is_used() -> None:
    texts = [("Right to life, always", "Life."), ("U.S. law", "Law."), ("Truth.", "From the perspective of A, no.")]
    rows = [
        (f"f, row {n}", {"situation": "Why?", "vrd": "Value", "text": text, "explanation": said, "valence": "Either"})
        for n, (text, said) in enumerate(texts, 1)
    ]
    warnings: list[str] = []
    (row,) = valueprism_rows(rows, warnings)
    assert [view.label for view in row.views] == ["Right to life always", "U.S. law"]
    assert warnings[-1].startswith("1 labels") and "row 1: 'Right to life, always'" in warnings[-1]


@pytest.mark.parametrize("label", [".", "..,", ": :"])
def test_punctuation_alone_is_no_label(label: str) -> None:
    with pytest.raises(DataError, match="`label` must have 1 to 120 characters beside punctuation"):
        view_of(label, "x", None, None, "f, row 1")


@pytest.mark.timeout(5)  # what tries white space from each of its places takes longer
def test_a_label_of_white_space_is_refused_quickly() -> None:
    with pytest.raises(DataError, match="1 to 120 characters"):
        view_of("a" + " " * 90_000 + "b", "It is said.", None, None, "row 1")
