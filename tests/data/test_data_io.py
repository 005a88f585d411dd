"""Readers of situations and answers: what they accept and what they refuse, with file and row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overton.data import read_answers, read_situations
from overton.data.table import read_table
from overton.data.world.generate import Splits
from overton.errors import DataError
from overton.jsonio import write_jsonl
from overton.types import Answer

GOOD: dict[str, Any] = {
    "id": "s1",
    "text": "A mother reads a diary.",
    "perspectives": [
        {"label": "Trust", "explanation": "It hurts."},
        {"label": "Safety", "explanation": "It helps."},
    ],
}


def _write(folder: Path, *rows: Any, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def test_situations_come_back_as_written(tmp_path: Path, splits: Splits) -> None:
    path = tmp_path / "test.jsonl"
    write_jsonl(path, (s.to_json() for s in splits.test))
    assert read_situations(path) == list(splits.test)
    assert read_situations(str(path)) == list(splits.test)


def _changed(**changes: Any) -> dict[str, Any]:
    row = {**GOOD, **changes}
    return {k: v for k, v in row.items() if v is not ...}


VIEW = {"label": "Trust", "explanation": "It hurts."}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (_changed(text=...), "'text' is missing"),
        (_changed(question="x"), "unknown column 'question'"),
        (_changed(text="  "), "`text` is empty"),
        (_changed(text=None), "`text` is empty"),
        (_changed(text=3), "`text` must be text"),
        (_changed(text="word " * 10_001), "10,001 words"),
        (_changed(id=""), "`id` is empty"),
        (_changed(id=True), "`id` must be text"),
        (_changed(perspectives="x"), "must be a list"),
        (_changed(perspectives=[]), "0 perspectives; a spectrum needs at least two"),
        (_changed(perspectives=[VIEW]), "1 perspective; a spectrum"),
        (_changed(perspectives=[VIEW, "x"]), "perspective 2: an object is wanted"),
        (_changed(perspectives=[VIEW, {"label": "a"}]), "perspective 2: column 'explanation' is missing"),
        (_changed(perspectives=[VIEW, {"explanation": ""}]), "perspective 2: `explanation` is empty"),
        (_changed(perspectives=[VIEW, {**VIEW, "stance": "pro"}]), "`stance` must be"),
        (_changed(perspectives=[VIEW, {**VIEW, "colour": "red"}]), "unknown column 'colour'"),
        (_changed(metadata=[1]), "`metadata` must be an object"),
    ],
)
def test_a_bad_situation_is_refused_with_its_row(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = _write(tmp_path, {**GOOD, "id": "s0"}, row)
    with pytest.raises(DataError) as caught:
        read_situations(path)
    assert message in str(caught.value) and f"{path}, row 2" in str(caught.value)


def test_perspectives_of_one_cluster_are_one_reference_the_first(tmp_path: Path) -> None:
    views = [{"explanation": text, "cluster": name} for text, name in (("a", "x"), ("b", "y"), ("c", "x"), ("d", None))]
    (found,) = read_situations(_write(tmp_path, _changed(perspectives=views)))
    assert [p.explanation for p in found.perspectives] == ["a", "b", "d"]
    plain = [{"explanation": "a"}, {"explanation": "b"}]  # neither clusters nor labels
    (found,) = read_situations(_write(tmp_path, _changed(perspectives=plain)))
    assert [p.explanation for p in found.perspectives] == ["a", "b"]
    with pytest.raises(DataError, match=r"row 1: all perspectives are in cluster 'x'"):
        read_situations(_write(tmp_path, _changed(perspectives=[views[0], views[2]])))


def test_duplicate_ids_name_both_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: id 's1' was used in row 1"):
        read_situations(_write(tmp_path, GOOD, GOOD))


@pytest.mark.parametrize("read", [read_situations, read_answers])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows"),
        (b"\n \n", "no rows"),
        (b'{"id": "a",\n', "line 1: broken JSON"),
        (b"[1]\n", "line 1: a JSON object is wanted"),
        ('{"id": "ä"}'.encode("latin-1"), "line 1: not UTF-8"),
        (b'{"id": NaN}\n', "line 1: NaN is not a value"),
    ],
)
def test_unreadable_files_are_refused(tmp_path: Path, read: Any, content: bytes, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(path)
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "missing.jsonl")
    with pytest.raises(DataError, match="is a folder"):
        read(tmp_path)


def test_answers_are_read_with_what_is_known_of_them(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "answer": "yes", "system": "sft", "tokens": 3, "seconds": 0.5, "finished": False},
        {"id": "a", "answer": "no", "system": "grpo"},
        {"prompt": "Why?", "answer": ""},
        {"id": 7, "prompt": "Who?", "answer": "me"},
    ]
    first, second, third, fourth = read_answers(_write(tmp_path, *rows))
    assert (first.system, first.tokens, first.seconds, first.finished) == ("sft", 3, 0.5, False)
    assert (second.id, second.finished, second.tokens) == ("a", True, None)
    assert (third.id, third.prompt, third.answer) == ("Why?", "Why?", "")
    assert (fourth.id, fourth.prompt) == ("7", "Who?")


def test_long_answers_are_read_and_absurd_ones_refused(tmp_path: Path) -> None:
    (answer,) = read_answers(_write(tmp_path, {"id": "a", "answer": "word " * 10_000}))
    assert len(answer.answer.split()) == 10_000
    with pytest.raises(DataError, match=r"row 1: the answer has 200,001 characters"):
        read_answers(_write(tmp_path, {"id": "a", "answer": "x" * 200_001}))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"id": "b"}, "'answer' is missing"),
        ({"answer": "x"}, "neither `id` nor `prompt`"),
        ({"id": "b", "answer": None}, "`answer` is missing"),
        ({"id": "b", "answer": ["x"]}, "`answer` must be text"),
        ({"id": "b", "answer": "x", "score": 1}, "unknown column 'score'"),
        ({"id": "b", "answer": "x", "tokens": "many"}, "`tokens` must be a number"),
        ({"id": "b", "answer": "x", "tokens": 1.5}, "`tokens` must be a number"),
        ({"id": "b", "answer": "x", "seconds": 10**400}, "`seconds` must be a number"),
        ({"id": "b", "answer": "x", "finished": "yes"}, "`finished` must be true or false"),
        ({"id": "a", "answer": "x"}, "was used in row 1"),
    ],
)
def test_a_bad_answer_is_refused_with_its_row(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = _write(tmp_path, {"id": "a", "answer": "x"}, row)
    with pytest.raises(DataError) as caught:
        read_answers(path)
    assert message in str(caught.value) and "row 2" in str(caught.value)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=4))
def test_whatever_a_row_holds_the_answer_is_a_situation_or_a_data_error(value: Any) -> None:
    from overton.data.io import situation_from_row

    for key in GOOD:
        try:
            situation = situation_from_row({**GOOD, key: value}, "here")
        except DataError as error:
            assert "here" in str(error)
        else:
            assert len(situation.perspectives) >= 2 and situation.text


LONG = "x" * 1_000_000


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_a_megabyte_of_text_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    rows = [{"id": "a", "situation": "May I?", "label": "Care", "explanation": text} for text in ("It helps.", LONG)]
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text("\n".join(",".join(row.values()) for row in [dict(zip(rows[0], rows[0], strict=True)), *rows]))
    elif name.endswith("jsonl"):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `train`")
        from pyarrow import parquet

        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    with pytest.raises(DataError, match=rf"{name}, (line 3|row 2): .*(100,000|131,072) "):
        read_table(path, {})


@pytest.mark.parametrize("name", ["t.csv", "t.jsonl", "t.parquet"])
def test_mixed_encodings_are_refused_with_their_place(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    texts = [b"It helps.", "café".encode(), "café".encode("latin-1")]
    if name.endswith("csv"):
        path.write_bytes(b"\n".join([b"id,situation,label,explanation", *(b"a,May I?,Care," + t for t in texts)]))
    elif name.endswith("jsonl"):
        path.write_bytes(b"".join(b'{"id": "a", "explanation": "%s"}\n' % t for t in texts))
    else:
        pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `train`")
        from pyarrow import parquet

        broken = pyarrow.Array.from_buffers(pyarrow.string(), 3, pyarrow.array(texts, pyarrow.binary()).buffers())
        parquet.write_table(pyarrow.table({"explanation": broken}), path)
    with pytest.raises(DataError, match=rf"{name}, (line 4|line 3|row 3): not UTF-8"):
        read_table(path, {})


def test_empty_clusters_are_none(tmp_path: Path) -> None:
    lines = ["id,situation,label,explanation,cluster", "a,May I?,Care,It helps.,", "a,May I?,Law,It is allowed.,  "]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    (row,) = read_table(tmp_path / "t.csv", {})
    assert [v.cluster for v in row.views] == [None, None] and len(row.situation.perspectives) == 2


def test_what_generation_says_of_an_answer_comes_back(tmp_path: Path) -> None:
    plain = Answer("q1", "May I?", "Yes.", "a", tokens=2, seconds=0.5)
    assert list(plain.to_json()) == ["id", "prompt", "answer", "system", "tokens", "seconds", "finished"]
    full = Answer(
        *("q2", "May I?", "", "a", None, None, False, "explicit", "m", "explicit@1a2b3c4d", 4, 100, 20, 0.001, 3),
        raw=" <think>",
        reason="the reply is empty",
    )
    write_jsonl(tmp_path / "a.jsonl", [plain.to_json(), full.to_json()])
    assert read_answers(tmp_path / "a.jsonl") == [plain, full]
    for name, value in (("calls", "4"), ("cost", True), ("raw", 5), ("retries", 0.5)):
        write_jsonl(tmp_path / "b.jsonl", [{**plain.to_json(), name: value}])
        with pytest.raises(DataError, match=name):
            read_answers(tmp_path / "b.jsonl")
