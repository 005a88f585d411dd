"""lm-evaluation-harness: its command finds the task, a tiny model answers, and its results hold our scores."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from harness_parts import ANSWER, ROWS, expected, write_policy, write_questions

from overton.tasks.measure import METRICS, Evaluator, check_evaluator
from overton.testing import tiny_nli


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lm_eval")
    write_policy(folder)
    write_questions(folder)
    return folder


def evaluate(folder: Path, name: str, metadata: dict[str, Any], *arguments: str) -> tuple[Any, list[Any]]:
    """`lm_eval run --tasks overton` in a process of its own; its results and samples."""
    where = subprocess.run([sys.executable, "-m", "overton.tasks"], capture_output=True, text=True, check=True)
    command = [Path(sys.executable).with_name("lm_eval"), "run", "--include_path", where.stdout.strip()]
    command += ["--tasks", "overton", "--model", "hf", "--device", "cpu", "--batch_size", "2"]
    command += ["--model_args", f"pretrained={folder / 'policy'},dtype=float32,max_length=512"]
    command += ["--gen_kwargs", "max_gen_toks=200", "--log_samples", "--output_path", str(folder / name)]
    command += ["--metadata", json.dumps(metadata), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = (folder / name).rglob("results_*.json")
    (samples,) = (folder / name).rglob("samples_*.jsonl")
    lines = samples.read_text(encoding="utf-8").splitlines()
    return json.loads(results.read_text(encoding="utf-8"))["results"]["overton"], [json.loads(line) for line in lines]


def means(wanted: dict[str, dict[str, float]]) -> dict[str, float]:
    """Mean of what has a value."""
    return {m: mean(v for row in wanted.values() if (v := row[m]) is not None) for m in METRICS}


def test_scores_are_those_without_the_harness(folder: Path) -> None:
    results, samples = evaluate(folder, "encoder", {"references": str(folder / "questions.csv")})
    wanted = expected(folder / "questions.csv")
    assert {s["doc"]["id"] for s in samples} == set(wanted)
    assert all(json.loads(s["doc"]["evaluator"]) == check_evaluator(Evaluator()) for s in samples)
    assert all({m: s[m] for m in METRICS} == pytest.approx(wanted[s["doc"]["id"]]) for s in samples)
    assert {s["doc"]["prompt"] for s in samples} == set(ROWS)
    assert all(s["resps"] == [[ANSWER]] for s in samples)
    assert {m: results[f"{m},none"] for m in METRICS} == pytest.approx(means(wanted))
    assert wanted["q0"]["coverage"] == 1.0 > wanted["q1"]["coverage"]


def test_entailment_judges_instead_and_a_chat_template_is_used(folder: Path) -> None:
    nli = tiny_nli(folder / "nli")
    metadata = {"references": str(folder / "questions.csv"), "nli_model": str(nli), "prompt": "explicit"}
    results, samples = evaluate(folder, "entailment", metadata, "--apply_chat_template")
    wanted = expected(folder / "questions.csv", str(nli))
    assert {m: results[f"{m},none"] for m in METRICS} == pytest.approx(means(wanted), abs=1e-5)
    assert not {s["doc"]["prompt"] for s in samples} & set(ROWS)


def test_without_a_file_the_bundled_world_is_asked(folder: Path) -> None:
    results, samples = evaluate(folder, "world", {}, "--limit", "2")
    assert len(samples) == 2
    assert 0 <= results["coverage,none"] <= 1
