"""Source `table`: its three forms, its errors, its splits and pairs."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from overton.data.pairs import table_pairs, table_triplets
from overton.data.sft import table_sft
from overton.data.splits import split_table
from overton.data.table import read_table
from overton.errors import DataError
from overton.segment import layout, segment
from table_files import HEADER, csv_file, jsonl_file, views_of


def test_one_row_a_perspective(tmp_path: Path) -> None:
    (row,) = read_table(csv_file(tmp_path, views_of("a")), {})
    assert row.situation.text == "Question a, is it right?"
    assert [p.explanation for p in row.situation.perspectives] == [
        "It breaks trust in a.", "It builds trust in a.", "It keeps a safe.",
    ]  # fmt: skip
    assert len(row.views) == 4 and row.views[3].cluster is None and row.views[0].stance == "-"


def test_tsv_columns_and_a_byte_order_mark(tmp_path: Path) -> None:
    path = csv_file(tmp_path, [r[:4] for r in views_of("a")], "t.tsv", ["nr", "frage", "wert", "grund"])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    names = {"id": "nr", "situation": "frage", "label": "wert", "explanation": "grund"}
    (row,) = read_table(path, names)
    assert row.situation.id == "a" and len(row.situation.perspectives) == 4


def test_situation_rows(tmp_path: Path) -> None:
    views = [{"label": "A", "explanation": "x y."}, {"label": "B", "explanation": "z\nw."}]
    path = jsonl_file(tmp_path, [{"id": 1, "text": "Why?", "perspectives": views, "metadata": {"k": 2}}])
    (row,) = read_table(path, {})
    assert row.situation.id == "1" and row.situation.metadata == {"k": 2}
    assert row.situation.perspectives[1].explanation == "z w."


@pytest.mark.parametrize("label", [None, "", " "])
def test_labels_may_be_missing_where_only_explanations_are_compared(tmp_path: Path, label: str | None) -> None:
    views = [{"label": label, "explanation": "x y."}, {"label": "B, C", "explanation": "z w."}]
    path = jsonl_file(tmp_path, [{"id": 1, "text": "Why?", "perspectives": views}])
    (row,) = read_table(path, {}, labels=False)
    assert [(p.label, p.explanation) for p in row.situation.perspectives] == [("", "x y."), ("B C", "z w.")]
    with pytest.raises(DataError, match="row 1, perspective 1: `label` is empty"):
        read_table(path, {})


@pytest.mark.parametrize("header", [["id", "situation", "explanation"], HEADER[:4]])
def test_a_row_a_perspective_without_labels(tmp_path: Path, header: list[str]) -> None:
    rows = [["a", "Why?", *given, text] for given, text in zip(([""], ["nan"]), ("x y.", "z w."), strict=True)]
    path = csv_file(tmp_path, [row[:2] + row[-1:] if len(header) == 3 else row for row in rows], header=header)
    (row,) = read_table(path, {}, labels=False)
    assert [(p.label, p.explanation) for p in row.situation.perspectives] == [("", "x y."), ("", "z w.")]
    with pytest.raises(DataError, match=r"`?label`?.* is (missing|empty|NaN)"):
        read_table(path, {})


ANSWER = "In the perspective of Trust, it hurts.\nFrom the perspective of Duty of care, it helps."


@pytest.mark.parametrize("columns", [["prompt", "answer"], ["situation", "answer"]])
def test_one_row_an_answer(tmp_path: Path, columns: list[str]) -> None:
    (row,) = read_table(csv_file(tmp_path, [["Why?", ANSWER]], header=columns), {})
    assert [(p.label, p.explanation) for p in row.views] == [
        ("Trust", "it hurts."),
        ("Duty of care", "it helps."),
    ]
    assert row.completion == ""


def test_an_answer_in_the_template_is_kept_for_fine_tuning(tmp_path: Path) -> None:
    whole = f"<core perspectives>\n{ANSWER}\n</core perspectives>\n\n<summary>\nBoth count.\n</summary>"
    rows = read_table(jsonl_file(tmp_path, [{"id": "a", "prompt": "Why?", "answer": whole}]), {})
    assert rows[0].completion == whole == table_sft(rows, 0)[0]["completion"]


def test_punctuation_in_a_label_cannot_break_the_template(tmp_path: Path) -> None:
    rows = [["a", "Why?", "Life, liberty: all.", "x."], ["a", "Why?", "Trust", "y."]]
    found = read_table(csv_file(tmp_path, rows, header=HEADER[:4]), {})
    answer = table_sft(found, 0)[0]["completion"]
    assert [s.label for s in segment(answer)] == ["Life liberty all", "Trust"] and layout(answer).valid


GOOD = ["a", "Why?", "Trust", "it hurts"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (["a", "", "Safety", "x"], "`situation` is empty"),
        (["a", "Why?", "", "x"], "`label` is empty"),
        (["a", "Why?", "Safety", "  "], "`explanation` is empty"),
        (["", "Why?", "Safety", "x"], "`id` is empty"),
        (["a", "Why?", "Safety", "nan"], "`explanation` is NaN"),
        (["a", "Why?", "Safety", "w " * 10_001], "10,001 words"),
        (["a", "Who?", "Safety", "x"], "id 'a' was used for another situation"),
        (["a", "Why?", "Safety"], "3 cells, the header has 4"),
        (["a", "Why?", ",,", "x"], "`label` must have 1 to 120"),
        (["a", "Why?", "Safety", "see <summary> here"], "part of the answer's template"),
        (["a", "Why?", "Safety", "In the perspective of Safety, x"], "the name of the view as `label`"),
    ],
)
def test_a_bad_row_is_refused_with_file_and_line(tmp_path: Path, bad: list[str], message: str) -> None:
    path = csv_file(tmp_path, [GOOD, bad], header=HEADER[:4])
    with pytest.raises(DataError) as caught:
        read_table(path, {})
    assert message in str(caught.value) and f"{path}, line 3" in str(caught.value)


def test_one_explanation_under_two_labels_is_one_perspective(tmp_path: Path) -> None:
    views = [
        {"label": "Care", "explanation": "It helps.", "stance": "+"},
        {"label": "Duty", "explanation": "it  helps.", "stance": "-", "cluster": "c"},
        {"label": "Care", "explanation": "It is of use.", "cluster": "c"},
        {"label": "Trust", "explanation": "It hurts.", "cluster": "d"},
        {"label": "Trust", "explanation": "It does harm.", "cluster": "d"},
    ]
    flat = jsonl_file(tmp_path, [{"id": "q", "situation": "May I?", **view} for view in views])
    notes: list[str] = []
    (row,) = read_table(flat, {}, notes)
    assert [(p.label, p.explanation, p.cluster, p.stance) for p in row.situation.perspectives] == [
        ("Care", "It helps.", "c", None), ("Trust", "It hurts.", "d", None),
    ]  # fmt: skip
    assert "1 perspectives had the explanation of an earlier one" in notes[0] and "it  helps" not in notes[0]
    assert read_table(jsonl_file(tmp_path, [{"id": "q", "text": "May I?", "perspectives": views}]), {}) == [row]
    pairs = table_pairs([row], 0, "train", 0, [])
    assert len(pairs) == 6 and sum(p["label"] for p in pairs) == 2
    views[0]["cluster"] = "d"
    for rows in (
        [{"id": "q", "text": "May I?", "perspectives": views}],
        [{"id": "q", "situation": "May I?", **view} for view in views],
    ):
        with pytest.raises(DataError, match=r"'it helps\.' is in cluster 'd' and in 'c'"):
            read_table(jsonl_file(tmp_path, rows), {})


def test_an_answer_that_repeats_itself_is_not_learnt(tmp_path: Path) -> None:
    lines = f"{ANSWER}\nIn the perspective of Love, it hurts."
    whole = f"<core perspectives>\n{lines}\n</core perspectives>\n\n<summary>\nAll count.\n</summary>"
    rows = read_table(jsonl_file(tmp_path, [{"id": "a", "prompt": "Why?", "answer": whole}]), {})
    assert [p.label for p in rows[0].views] == ["Trust", "Duty of care"]
    assert table_sft(rows, 0)[0]["completion"].count("it hurts") == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "no rows"),
        ("t.csv", b"id,situation,label,explanation\n", "no rows"),
        ("t.csv", "id,situation\na,b\nä,c\n".encode("latin-1"), "line 3: not UTF-8"),
        ("t.csv", b'id,situation,label,explanation\na,b,c,"d\n', "broken CSV"),
        (
            "t.csv",
            b"id;situation;label;explanation\na;b;c;d\n",
            "separated by a comma, the header has ';'. Save it with a comma",
        ),
        ("t.csv", b"id\tsituation\tlabel\texplanation\na\tb\tc\td\n", "between cells, or name it .tsv"),
        ("t.tsv", b"id,situation,label,explanation\na,b,c,d\n", "separated by a tab, the header has ','"),
        ("t.jsonl", b"", "no rows"),
        ("t.jsonl", b'{"id": 1,\n', "line 1: broken JSON"),
        ("t.jsonl", b'{"id": 1, "situation": Infinity}\n', "line 1: Infinity"),
        ("t.xlsx", b"PK", "t.xlsx: a .jsonl, .parquet, .csv or .tsv file is wanted"),
    ],
)
def test_unreadable_tables(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_table(path, {})
    with pytest.raises(DataError, match="no such file"):
        read_table(tmp_path / f"missing-{name}", {}) if not name.endswith("xlsx") else read_table(
            tmp_path / "m.csv", {}
        )


def test_one_perspective_is_no_spectrum(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"id 'a': 1 perspective; a spectrum needs at least two"):
        read_table(csv_file(tmp_path, [GOOD], header=HEADER[:4]), {})
    same = [["a", "Why?", "Trust", t, "t", "-"] for t in ("x", "y")]
    with pytest.raises(DataError, match="all perspectives are in cluster 't'"):
        read_table(csv_file(tmp_path, same), {})


def test_bad_answers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: id 'a' was used in row 1"):
        read_table(jsonl_file(tmp_path, [{"id": "a", "prompt": "Why?", "answer": ANSWER}] * 2), {})
    with pytest.raises(DataError, match="perspective 1 of `answer` is not"):
        read_table(jsonl_file(tmp_path, [{"prompt": "Why?", "answer": "It is good. It is bad."}]), {})
    with pytest.raises(DataError, match="1 perspective"):
        read_table(jsonl_file(tmp_path, [{"prompt": "Why?", "answer": ANSWER.splitlines()[0]}]), {})


def _table(tmp_path: Path, count: int) -> list[Any]:
    return read_table(csv_file(tmp_path, [r for i in range(count) for r in views_of(f"q{i}")]), {})


def test_split_by_seed_into_the_wanted_sizes(tmp_path: Path) -> None:
    rows = _table(tmp_path, 60)
    notes: list[str] = []
    found = split_table(rows, 30, 10, 10, 0, notes)
    assert [len(found[s]) for s in ("train", "dev", "test")] == [30, 10, 10]
    assert "10 of the table's 60 situations are not used" in notes[0]
    names = [r.situation.id for rows in found.values() for r in rows]
    assert len(set(names)) == 50
    assert split_table(rows, 30, 10, 10, 0, []) == found != split_table(rows, 30, 10, 10, 1, [])


def test_a_small_table_is_divided_in_proportion(tmp_path: Path) -> None:
    notes: list[str] = []
    found = split_table(_table(tmp_path, 10), 4000, 300, 300, 0, notes)
    assert [len(found[s]) for s in ("train", "dev", "test")] == [8, 1, 1]
    assert "4600 situations wanted, the table has 10" in notes[0]
    with pytest.raises(DataError, match="2 different situations"):
        split_table(_table(tmp_path, 2), 4, 3, 3, 0, [])


def test_the_same_text_never_lands_in_two_splits(tmp_path: Path) -> None:
    rows = read_table(csv_file(tmp_path, [r for i in range(40) for r in views_of(f"q{i}", f"Text {i % 10}?")]), {})
    found = split_table(rows, 400, 100, 100, 0, [])
    texts = [{r.situation.text for r in rows} for rows in found.values()]
    assert sum(map(len, found.values())) == 40
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]


def test_paraphrases_reach_every_split(tmp_path: Path) -> None:
    rows = [r for i in range(30) for r in (views_of(f"q{i}") if i < 3 else views_of(f"q{i}")[2:])]
    found = split_table(read_table(csv_file(tmp_path, rows), {}), 20, 5, 5, 0, [])
    for name in ("train", "dev", "test"):
        assert sum(len(r.views) == 4 for r in found[name]) == 1


def test_triplets_come_from_clusters(tmp_path: Path) -> None:
    rows = _table(tmp_path, 5)
    found = table_triplets(rows, 100, 0)
    assert len(found) == 5 * 2 * 2
    for row in found:
        assert {row["anchor"][:8], row["positive"][:8]} == {"It break", "Nobody c"}
        assert row["negative"][:8] in ("It build", "It keeps")
    assert len(table_triplets(rows, 3, 0)) == 3


def test_pairs_are_half_positive(tmp_path: Path) -> None:
    notes: list[str] = []
    found = table_pairs(_table(tmp_path, 20), 20, "dev", 0, notes)
    assert sum(r["label"] for r in found) == 10 and len(found) == 20 and not notes
    assert {r["relation"] for r in found} == {"same", "opposite", "other"}
    assert all((r["label"] == 1) == (r["relation"] == "same") for r in found)
    assert len(table_pairs(_table(tmp_path, 20), 500, "dev", 0, notes)) == 40 and "gives 40" in notes[0]


def test_pairs_are_drawn_from_each_part(tmp_path: Path) -> None:
    rows = _table(tmp_path, 24)
    bare = [replace(row, views=row.situation.perspectives) for row in rows]
    mixed = [
        replace(row, part=part)
        for part, own in (("small", rows[:4]), ("bare", bare[4:14]), ("large", rows[14:]))
        for row in own
    ]
    notes: list[str] = []
    found = table_pairs(mixed, 8, "dev", 0, notes)
    assert Counter((r["set"], r["label"]) for r in found) == {
        ("small", 0): 4, ("small", 1): 4, ("large", 0): 4, ("large", 1): 4,
    }  # fmt: skip
    assert len(notes) == 1 and "pairs.dev of bare" in notes[0]
    assert {r["set"] for r in table_pairs(mixed, 0, "train", 0, [])} == {"small", "bare", "large"}


@pytest.mark.parametrize(("split", "n"), [("train", 0), ("dev", 0), ("test", 8)])
def test_a_part_where_nothing_says_what_is_the_same_gives_no_pairs(tmp_path: Path, split: str, n: int) -> None:
    rows = [replace(row, part="told") for row in _table(tmp_path, 6)]
    bare = read_table(csv_file(tmp_path, [r[:4] for i in range(6) for r in views_of(f"b{i}")], header=HEADER[:4]), {})
    notes: list[str] = []
    found = table_pairs([*rows, *(replace(row, part="bare") for row in bare)], n, split, 0, notes)
    assert found == table_pairs(rows, n, split, 0, [])
    assert len(notes) == 1 and f"pairs.{split} of bare: none" in notes[0]


def test_without_clusters_the_error_says_what_to_add(tmp_path: Path) -> None:
    rows = read_table(csv_file(tmp_path, [r[:4] for i in range(5) for r in views_of(f"q{i}")], header=HEADER[:4]), {})
    with pytest.raises(DataError, match="`cluster` column"):
        table_triplets(rows, 10, 0)
    with pytest.raises(DataError, match=r"dev split.*`cluster` column"):
        table_pairs(rows, 10, "dev", 0, [])


def test_parquet_is_read_like_jsonl(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `train`")
    from pyarrow import parquet

    views = [
        {"label": "Care", "explanation": "It helps.", "cluster": "c", "stance": "+"},
        {"label": "Trust", "explanation": "It breaks it.", "cluster": None, "stance": None},
    ]
    rows = [{"id": f"q{i}", "text": f"May {i}?", "perspectives": views} for i in range(3)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    assert read_table(tmp_path / "t.parquet", {}) == read_table(tmp_path / "t.jsonl", {})
    flat = [{"id": 1, "situation": "May I?", "label": "Care", "explanation": None}]
    parquet.write_table(pyarrow.Table.from_pylist(flat), tmp_path / "flat.parquet")
    with pytest.raises(DataError, match=r"flat\.parquet, row 1: `explanation` is empty"):
        read_table(tmp_path / "flat.parquet", {})
    parquet.write_table(pyarrow.table({"id": pyarrow.array([], pyarrow.string())}), tmp_path / "empty.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    for name, message in (("empty", "holds no rows"), ("broken", "not a Parquet file"), ("none", "no such file")):
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / f"{name}.parquet", {})
