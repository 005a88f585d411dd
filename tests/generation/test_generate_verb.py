"""``overton generate`` without a recipe: questions of any shape, kills, resuming, and faults that are named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from llm_server import Answer, completion, serving
from systems_material import TEMPLATE, local_model, wise

from overton.cli import main
from overton.data import read_answers
from overton.data.questions import questions_of
from overton.errors import DataError
from overton.jsonio import read_jsonl, write_jsonl, write_text


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def questions_file(folder: Path, count: int = 3) -> Path:
    write_jsonl(folder / "q.jsonl", ({"id": f"q{i}", "text": f"May Ann do thing {i}?"} for i in range(count)))
    return folder / "q.jsonl"


def generate(folder: Path, *arguments: str, questions: Path | None = None) -> int:
    questions = questions or questions_file(folder)
    return main(["generate", "--questions", str(questions), "--output", str(folder / "a.jsonl"), *arguments])


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("q.jsonl", '{"id": 7, "text": "May I?"}\n{"id": "b", "text": "Why?"}\n', [("7", "May I?"), ("b", "Why?")]),
        ("q.jsonl", '{"prompt": "May I?"}\n', [("May I?", "May I?")]),
        ("q.csv", "id,question\n1,May I?\n2,Why?\n", [("1", "May I?"), ("2", "Why?")]),
        # A row a perspective, and a situation of a run.
        ("q.csv", "id,situation,label,explanation\n1,May I?,A,b\n1,May I?,C,d\n", [("1", "May I?")]),
        ("q.jsonl", '{"id": "a", "text": "May I?", "perspectives": [], "metadata": {}}\n', [("a", "May I?")]),
    ],
)
def test_questions_are_read(tmp_path: Path, name: str, text: str, wanted: list[tuple[str, str]]) -> None:
    assert [(q.id, q.text) for q in questions_of(write(tmp_path / name, text))] == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            '{"id": 1, "words": "May I?"}',
            "row 1: no column with a question (text, situation, prompt, question); found: id",
        ),
        ('{"id": 1, "text": " "}', "row 1: `text` is empty"),
        ('{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}', "row 2: id '1' belongs to another question"),
        ('{"id": 1, "text": NaN}', "row 1: `text` is empty"),
        ('{"id": 1, "text": Infinity}', "line 1: Infinity is not a value"),
        ("", "holds no rows"),
    ],
)
def test_questions_that_cannot_be_asked_are_named(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(DataError) as caught:
        questions_of(write(tmp_path / "q.jsonl", text))
    assert wanted in str(caught.value)


def test_a_model_at_an_endpoint_answers_a_file(tmp_path: Path, capsys: Any) -> None:
    with serving(Answer(wise)) as endpoint:
        code = generate(tmp_path, "--model", "org/m", "--base-url", endpoint.url, "--strategy", "explicit")
    assert code == 0
    assert f"3 answers of m-explicit: {tmp_path / 'a.jsonl'}" in capsys.readouterr().out
    rows = read_answers(tmp_path / "a.jsonl")
    assert [(row.id, row.system, row.strategy, row.calls) for row in rows] == [
        (f"q{i}", "m-explicit", "explicit", 1) for i in range(3)
    ]
    assert all("<|im_end|>" not in row.answer and row.raw and "<think>" in row.raw for row in rows)


def test_a_model_here_and_the_run_it_was_trained_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_text(tmp_path / "runs/a/recipe.yaml", "name: a\npolicy: {prompt_template: 'Case: {situation}'}\n")
    local_model(tmp_path / "runs/a/training/grpo/model", chat=False)
    assert generate(tmp_path, "--model", "runs/a", "--limit", "2") == 0
    rows = read_answers(tmp_path / "a.jsonl")
    assert [(row.id, row.answer) for row in rows] == [("q0", TEMPLATE), ("q1", TEMPLATE)]
    assert rows[0].model == "runs/a/training/grpo/model"
    [reply, _] = read_jsonl(tmp_path / "a.llm" / "replies.jsonl")
    assert reply["model"].startswith("runs/a/training/grpo/model@"), "new weights get a cache of their own"


def test_the_default_name_tells_the_strategy_that_set_gives(tmp_path: Path) -> None:
    with serving(Answer(wise)) as endpoint:
        keys = ["--set", "model=other", "--set", "strategy=explicit"]
        assert generate(tmp_path, "--model", "m", "--base-url", endpoint.url, *keys) == 0
    [row, *_] = read_jsonl(tmp_path / "a.jsonl")
    assert (row["system"], row["strategy"], row["model"]) == ("other-explicit", "explicit", "other")


def test_further_keys_of_the_system_and_a_community(tmp_path: Path) -> None:
    with serving(Answer(wise)) as endpoint:
        member = f"{{base_url: '{endpoint.url}', model: c}}"
        keys = [f"community=[{member}, {member}]", "input_price=3", "concurrency=1"]
        changes = [part for key in keys for part in ("--set", key)]
        code = generate(tmp_path, "--model", "m", "--base-url", endpoint.url, "--strategy", "modular", *changes)
        assert code == 0
        assert endpoint.most_at_once == 1 or len(endpoint.bodies) == 9
        assert [body["model"] for body in endpoint.bodies].count("c") == 6


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--strategy", "explict"], "generation.systems.0.strategy"),
        (
            ["--set", "sampels=3"],
            "generation.systems.0.sampels: unknown key; did you mean generation.systems.0.samples?",
        ),
        (["--strategy", "modular"], "`community` goes with strategy `modular`"),
        (["--set", "samples=8"], "`samples` goes with strategy `parallel` or `verbalized`, not with `implicit`"),
        (["--base-url", "http://example.org/v1"], "another machine"),
        (["--set", "api_key_env=sk-secret-key"], "never the key itself"),
        (["--set", "nothing"], "write KEY=VALUE, for example --set samples=8"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, capsys: Any, arguments: list[str], wanted: str) -> None:
    assert generate(tmp_path, "--model", "m", *arguments) == 1
    err = capsys.readouterr().err
    assert wanted in err and "sk-secret" not in err
    assert not (tmp_path / "a.jsonl").exists()


def test_a_recipe_or_a_model_and_not_half_of_either() -> None:
    assert main(["generate"]) == 2
    assert main(["generate", "--model", "m", "--output", "x.jsonl"]) == 2


@pytest.mark.parametrize(
    "options",
    [
        ["--model", "m"],
        ["--output", "x.jsonl"],
        ["--limit", "1", "--strategy", "explicit"],
        ["--temperature", "0.7"],  # also where it is the default
        ["--top-p", "0.5", "--max-new-tokens", "9", "--format-retries", "1", "--name", "n", "--seed", "3"],
        ["--base-url", "http://localhost:1/v1", "--dry-run"],
    ],
    ids=" ".join,
)
def test_an_option_that_a_recipe_would_ignore_is_refused(tmp_path: Path, capsys: Any, options: list[str]) -> None:
    recipe = write(tmp_path / "r.yaml", "name: a\n")
    assert main(["generate", str(recipe), "--run-dir", str(tmp_path / "run"), *options]) == 2
    said = " ".join(capsys.readouterr().err.replace("│", "").split())
    assert all(option in said for option in options if option.startswith("--") and option != "--dry-run")
    assert "leave --dry-run" not in said and "--set generation.limit" in said


def test_the_questions_are_not_overwritten(tmp_path: Path, capsys: Any) -> None:
    questions = questions_file(tmp_path)
    before = questions.read_bytes()
    assert main(["generate", "--model", "m", "--questions", str(questions), "--output", str(questions)]) == 1
    assert "would be overwritten" in capsys.readouterr().err
    assert questions.read_bytes() == before


def test_an_error_that_is_not_about_the_question_is_no_answer(tmp_path: Path, capsys: Any) -> None:
    empty = Answer({"error": {"message": "Your credit balance is too low"}}, 400)
    held = Answer({"error": {"code": "content_filter", "message": "filtered"}}, 400)
    with serving(Answer(wise), empty, held) as endpoint:
        arguments = ["--model", "m", "--base-url", endpoint.url, "--set", "concurrency=1"]
        assert generate(tmp_path, *arguments) == 1
    assert "1 of 3 questions have no answer: 1 x HTTP 400" in capsys.readouterr().err
    rows = read_answers(tmp_path / "a.jsonl")
    assert [(row.id, bool(row.answer)) for row in rows] == [("q0", True), ("q2", False)]


def test_a_compressed_file_is_one_and_another_kind_is_refused(tmp_path: Path, capsys: Any) -> None:
    questions = ["--questions", str(questions_file(tmp_path)), "--output"]
    with serving(Answer(wise)) as endpoint:
        arguments = ["generate", "--model", "m", "--base-url", endpoint.url, *questions]
        assert main([*arguments, str(tmp_path / "a.jsonl.gz")]) == 0
        assert [row.id for row in read_answers(tmp_path / "a.jsonl.gz")] == ["q0", "q1", "q2"]
        assert main([*arguments, str(tmp_path / "a.jsonl")]) == 0  # the replies are those of a.jsonl.gz
        assert read_answers(tmp_path / "a.jsonl") == read_answers(tmp_path / "a.jsonl.gz")
        for name in ("a.csv", "a.parquet", "a.gz", "a"):
            assert main([*arguments, str(tmp_path / name)]) == 1
            assert f"{name}: JSON lines are written" in capsys.readouterr().err
            assert not (tmp_path / name).exists()
        assert len(endpoint.bodies) == 3


def test_what_failed_is_said_and_asked_again(tmp_path: Path, capsys: Any) -> None:
    with serving(Answer(wise), Answer("oh", 500), Answer(wise)) as endpoint:
        arguments = ["--model", "m", "--base-url", endpoint.url, "--set", "retries=0", "--set", "concurrency=1"]
        assert generate(tmp_path, *arguments) == 1
        err = capsys.readouterr().err
        assert "m-implicit: 1 of 3 questions have no answer: 1 x HTTP 500" in err
        assert "run the same command again" in err
        assert [row.id for row in read_answers(tmp_path / "a.jsonl")] == ["q0", "q2"]
        assert generate(tmp_path, *arguments) == 0
        assert len(endpoint.bodies) == 4
    assert [row.id for row in read_answers(tmp_path / "a.jsonl")] == ["q0", "q1", "q2"]


def test_429_and_500_are_tried_again_within_a_call(tmp_path: Path) -> None:
    busy = Answer({"error": {"message": "slow down"}}, 429, {"Retry-After": "0.1"})
    with serving(busy, Answer("oh", 500), Answer(wise)) as endpoint:
        assert generate(tmp_path, "--model", "m", "--base-url", endpoint.url) == 0
        assert len(endpoint.bodies) == 5
    assert all(row.answer and row.calls == 1 for row in read_answers(tmp_path / "a.jsonl"))


def test_a_dry_run_prints_calls_tokens_and_dollars_and_writes_nothing(tmp_path: Path, capsys: Any) -> None:
    with serving(Answer(wise)) as endpoint:
        arguments = ["--model", "m", "--base-url", endpoint.url, "--set", "output_price=1000000", "--dry-run"]
        assert generate(tmp_path, *arguments, "--max-new-tokens", "10") == 0
        assert endpoint.bodies == []
    err = capsys.readouterr().err
    assert "dry run: 3 calls to m" in err and "at most 30 to write, at most about $30.00" in err
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize("strategy", ["explicit", "self-refine"])
def test_a_killed_call_goes_on_where_it_was(tmp_path: Path, strategy: str) -> None:
    count, steps = 9, {"explicit": 1, "self-refine": 3}[strategy]
    questions = questions_file(tmp_path, count)
    with serving(Answer(wise, wait=0.3 / steps)) as endpoint:
        arguments = ["generate", "--questions", str(questions), "--output", str(tmp_path / "a.jsonl")]
        arguments += ["--model", "m", "--base-url", endpoint.url, "--strategy", strategy, "--set", "concurrency=1"]
        child = subprocess.Popen([sys.executable, "-m", "overton", *arguments], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while len(endpoint.bodies) < count * steps // 3 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert not (tmp_path / "a.jsonl").exists()
        asked = len(endpoint.bodies)
        endpoint.answers = [Answer(wise)]
        assert main(arguments) == 0
        assert len(endpoint.bodies) - count * steps in (0, 1), "only the call that the kill cut off is made twice"
        assert asked < count * steps
        rows = read_answers(tmp_path / "a.jsonl")
        other = [*arguments[:4], str(tmp_path / "b.jsonl"), *arguments[5:]]
        assert main(other) == 0
    assert [(row.id, row.answer, row.calls) for row in rows] == [
        (row.id, row.answer, row.calls) for row in read_answers(tmp_path / "b.jsonl")
    ]
    assert not list(tmp_path.glob(".*"))


def test_rubbish_costs_only_its_own_answer(tmp_path: Path) -> None:
    rubbish = [Answer("<html>"), Answer({"choices": []}), Answer(completion(None))]
    with serving(Answer(wise), *rubbish, Answer(wise)) as endpoint:
        questions = questions_file(tmp_path, 5)
        arguments = ["--model", "m", "--base-url", endpoint.url, "--set", "retries=0", "--set", "concurrency=1"]
        assert generate(tmp_path, *arguments, questions=questions) == 1
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(row["id"], bool(row["answer"])) for row in rows] == [("q0", True), ("q3", False), ("q4", True)]
    assert "the reply is empty" in rows[1]["reason"]
