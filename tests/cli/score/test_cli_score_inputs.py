"""What `overton score` reads, refuses and warns of."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_material import ANSWER, ONE, TWO, situation, write_rows

from overton.commands.scoring import score_files
from overton.jsonio import read_jsonl

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]


def test_ids_of_another_file_are_noticed(overton: Call, tmp_path: Path, refs: Path, encoder: Path) -> None:
    path = write_rows(tmp_path / "a.jsonl", [{"id": "a", "prompt": "Something else?", "answer": ANSWER}])
    _, out, _ = overton("score", path, "--references", refs, "--estimator", encoder, "--json")
    assert any("joined by `id` to a reference whose text is not" in n for n in json.loads(out)["notes"])


def test_references_need_no_labels(
    overton: Call, fails: Fails, tmp_path: Path, answers: Path, refs: Path, calibrated: Path
) -> None:
    import shutil

    rows = read_jsonl(refs)
    for row in rows:
        row["perspectives"] = [{"explanation": p["explanation"]} for p in row["perspectives"]]
    bare = write_rows(tmp_path / "bare.jsonl", rows)
    assert (
        score_files(answers, bare, estimator=str(calibrated)).rows
        == score_files(answers, refs, estimator=str(calibrated)).rows
    )
    (tmp_path / "tables").mkdir()
    shutil.copy(bare, tmp_path / "tables")
    for references in (bare, tmp_path / "tables"):
        given = ("--references", references, "--estimator", calibrated)
        assert overton("compare", answers, *given, "--keep-labels")[0] == 0
    assert overton("questions", "table", bare, "--output", "q.jsonl")[0] == 0
    recipe = tmp_path / "train.yaml"
    recipe.write_text(f"data: {{source: table, path: {bare}}}\n")
    assert "`label` is empty; each perspective of data to train on needs one" in fails("data", recipe)


def test_references_may_be_a_table(overton: Call, tmp_path: Path, calibrated: Path) -> None:
    csv = tmp_path / "refs.csv"
    csv.write_text(f"id,situation,label,explanation\nq,Why?,A,{ONE}\nq,Why?,B,{TWO}\n")
    path = write_rows(tmp_path / "a.jsonl", [{"id": "q", "answer": ANSWER}])
    _, out, _ = overton("score", path, "--references", csv, "--estimator", calibrated, "--json")
    assert json.loads(out)["systems"][""]["coverage"]["mean"] == 1.0


GOOD = '{"id": "a", "answer": "Some say yes."}'


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("", "holds no rows"),
        (GOOD + "\n{", "line 2: broken JSON"),
        (GOOD + '\n{"id": "b"}', "row 2: column 'answer' is missing"),
        (GOOD + '\n{"answer": "x"}', "row 2"),
        (GOOD + '\n{"id": "b", "answer": "x", "colour": 1}', "row 2: unknown column 'colour'"),
        (GOOD + '\n{"id": "b", "answer": NaN}', "line 2: NaN"),
        (GOOD + '\n{"id": "b", "answer": 5}', "row 2: `answer` must be text"),
        (GOOD + "\n" + GOOD, "row 2: id 'a' was used in row 1"),
        (
            GOOD + '\n{"prompt": "Is it right to lie?", "answer": "x"}',
            "answers 'a' and 'Is it right to lie?' both belong to 'a'",
        ),
        ('{"id": "zzz", "answer": "x"}', "none of its 1 answers belongs to a row of"),
    ],
)
def test_bad_answers_are_one_message_and_nothing_is_written(
    fails: Fails, tmp_path: Path, refs: Path, content: str, wanted: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    message = fails("score", path, "--references", refs, "--output", "o.jsonl")
    assert wanted in message
    assert not Path("o.jsonl").exists()


def test_bad_files_and_models_are_one_message(fails: Fails, tmp_path: Path, answers: Path, refs: Path) -> None:
    assert "none.jsonl: no such file" in fails("score", "none.jsonl", "--references", refs)
    assert "none.jsonl: no such file" in fails("score", answers, "--references", "none.jsonl")
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes('{"id": "a", "answer": "é"}'.encode("latin-1"))
    assert "latin.jsonl, line 1: not UTF-8" in fails("score", latin, "--references", refs)
    (tmp_path / "answers.csv").write_text("id,text\na,b\n")
    assert "line 2: column 'answer' is missing" in fails("score", "answers.csv", "--references", refs)
    one = write_rows(tmp_path / "one.jsonl", [situation("a", "Why?", ONE)])
    assert "row 1: 1 perspective" in fails("score", answers, "--references", one)
    (tmp_path / "no model").mkdir()
    assert "no model" in fails("score", answers, "--references", refs, "--estimator", "no model")
    assert "./nowhere" in fails("score", answers, "--references", refs, "--estimator", "./nowhere")
    assert "config.json" in fails("score", answers, "--references", refs, "--nli-model", "no model")


def test_rows_are_json_lines_whatever_the_name_says(
    overton: Call, fails: Fails, tmp_path: Path, answers: Path, refs: Path, encoder: Path
) -> None:
    asked = ("score", answers, "--references", refs, "--estimator", encoder, "--output")
    assert "o.csv: JSON lines are written" in fails(*asked, "o.csv")
    assert not (tmp_path / "o.csv").exists()
    assert overton(*asked, tmp_path / "o.jsonl.gz")[0] == 0
    assert [row["id"] for row in read_jsonl(tmp_path / "o.jsonl.gz")] == ["a", "b", "x"]


def test_a_calibration_of_another_model_is_refused(fails: Fails, answers: Path, refs: Path, calibrated: Path) -> None:
    from overton.testing import tiny_encoder

    tiny_encoder(calibrated / "estimator" / "model", seed=1)
    assert "another model" in fails("score", answers, "--references", refs, "--estimator", calibrated)


GERMAN = (
    "Noten müssen für alle Kinder gleich gerecht sein.",
    "Eine Mutter will ihr eigenes Kind vor Schaden schützen.",
)


CHINESE = (
    "日记是病人写给自己看的私人物品，护士不能没有许可就随便翻看。",
    "护士如果怀疑病人有危险，及时查看日记也许能够挽救病人的生命。",
)


@pytest.mark.parametrize("views", [GERMAN, CHINESE])
def test_a_threshold_of_english_texts_is_told_where_questions_are_not_in_english(
    tmp_path: Path, refs: Path, views: tuple[str, str], calibrated: Path
) -> None:
    rows = [*read_jsonl(refs), situation("d", "?!", *views)]
    references = write_rows(tmp_path / "mixed.jsonl", rows)
    answers = write_rows(tmp_path / "said.jsonl", [{"id": i, "answer": f"- {ONE}"} for i in ("a", "b", "d")])
    told = "1 of 3 questions are not in English, but the threshold of untuned all-MiniLM-L6-v2"
    assert any(told in note for note in score_files(answers, references).notes)
    own = score_files(answers, references, estimator=str(calibrated)).notes
    assert not any("English" in note for note in [*own, *score_files(answers, refs).notes])


@pytest.mark.parametrize("views", [GERMAN, CHINESE])
def test_answers_in_another_language_than_their_references_are_counted(
    tmp_path: Path, refs: Path, views: tuple[str, str], calibrated: Path
) -> None:
    said = "\n".join(f"- {view}" for view in views)
    rows = [{"id": i, "answer": said, "system": "foreign"} for i in ("a", "b")]
    rows += [{"id": "a", "answer": f"- {ONE}", "system": "english"}, {"id": "b", "answer": "", "system": "english"}]
    answers = write_rows(tmp_path / "said.jsonl", rows)
    told = "2 answers are not in English, but their references are (foreign 2): "
    assert any(told in note for note in score_files(answers, refs).notes)
    assert not any("English" in note for note in score_files(answers, refs, estimator=str(calibrated)).notes)
