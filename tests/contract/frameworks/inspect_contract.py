"""Inspect: its command finds the task, a tiny model answers, and the log holds our scores."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from harness_parts import ANSWER, ROWS, expected, write_policy, write_questions
from inspect_ai.log import list_eval_logs, read_eval_log

from overton.tasks import FOLDER
from overton.tasks.inspect import overton
from overton.tasks.measure import METRICS, Evaluator, check_evaluator
from overton.testing import tiny_nli


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inspect")
    write_policy(folder)
    write_questions(folder)
    return folder


def evaluate(folder: Path, logs: str, *arguments: str) -> Any:
    """`inspect eval overton/overton` in a process of its own; the log it wrote."""
    command = [Path(sys.executable).with_name("inspect"), "eval", "overton/overton", "--model", "hf/tiny"]
    command += ["-M", f"model_path={folder / 'policy'}", "-M", "do_sample=false", "--max-tokens", "200"]
    command += ["--display", "none"]
    command += ["--log-dir", str(folder / logs), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env={**os.environ})
    assert done.returncode == 0, done.stdout + done.stderr
    (log,) = list_eval_logs(str(folder / logs))
    return read_eval_log(log)


def test_scores_are_those_without_inspect(folder: Path) -> None:
    log = evaluate(folder, "encoder", "-T", f"references={folder / 'questions.csv'}")
    assert log.status == "success"
    assert log.eval.metadata["evaluator"] == check_evaluator(Evaluator())
    assert all(s.scores["spectrum"].metadata == log.eval.metadata for s in log.samples)
    wanted = expected(folder / "questions.csv")
    assert {s.id for s in log.samples} == set(wanted)
    assert all(s.scores["spectrum"].value == pytest.approx(wanted[s.id]) for s in log.samples)
    assert {s.input for s in log.samples} == set(ROWS)
    assert all(s.output.completion == ANSWER for s in log.samples)
    found = {score.name: score.metrics["mean"].value for score in log.results.scores}
    assert found == pytest.approx({m: mean(row[m] for row in wanted.values()) for m in METRICS})
    assert wanted["q0"]["coverage"] == 1.0 > wanted["q1"]["coverage"]
    assert wanted["q0"]["uniqueness"] == pytest.approx(2 / 3)


def test_entailment_judges_instead_and_the_question_can_ask_for_all_views(folder: Path) -> None:
    nli = tiny_nli(folder / "nli")
    log = evaluate(
        folder,
        "entailment",
        *("-T", f"references={folder / 'questions.csv'}", "-T", f"nli_model={nli}", "-T", "prompt=explicit"),
    )
    wanted = expected(folder / "questions.csv", str(nli))
    assert log.eval.metadata["evaluator"] == check_evaluator(Evaluator(nli_model=str(nli)))
    for sample in log.samples:
        for name, value in sample.scores["spectrum"].value.items():
            want = wanted[sample.id][name]
            assert math.isnan(value) if want is None else value == pytest.approx(want, abs=1e-5)
        assert len(sample.input) > len(next(text for text in ROWS if text in sample.input))


def test_without_a_file_the_bundled_world_is_asked(folder: Path) -> None:
    log = evaluate(folder, "world", "--limit", "2")
    assert log.eval.dataset.samples == 200
    assert len(log.samples) == 2 and log.status == "success"


def test_answers_are_asked_as_in_the_other_harness() -> None:
    task = overton()
    assert (task.config.temperature, task.config.max_tokens) == (0, 1024)
    given = FOLDER.joinpath("overton.yaml").read_text(encoding="utf-8")
    assert "max_gen_toks: 1024\n" in given and "do_sample: false\n" in given
    assert f"version: {task.version}\n" in given
