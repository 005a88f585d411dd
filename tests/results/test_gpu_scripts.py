"""benchmarks/gpu and benchmarks/step_overhead.py: whole on a CPU with tiny models, skipped without a GPU."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import preloaded
from overton.jsonio import read_json
from overton.precision import has_fast_bf16

ROOT = Path(__file__).parents[2]
QUESTIONS = ("Reading a friend's diary", "Skipping a vote", "Eating meat", "Lying to save a life")
VIEWS = (
    "In the perspective of Duty, people owe {q} some thought before they act.",
    "In the perspective of Liberty, nobody else may decide about {q}.",
    "In the perspective of Care, somebody may be hurt by {q} and should be asked.",
    "In the perspective of Tradition, {q} was judged long before our time.",
    "In the perspective of Fairness, {q} must be open to all or to none.",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Situations and logged answers in the form of the published files."""
    folder = tmp_path_factory.mktemp("data")
    logs = []
    for split in ("5p", "6p", "7p"):
        with open(folder / f"test_{split}.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["prompt", "answer"])
            for question in QUESTIONS:
                prompt = f"{question} ({split})"
                lines = [view.format(q=question.lower()) for view in VIEWS]
                writer.writerow([prompt, "\n".join(lines)])
                for number, system in enumerate(("op-grpo-qwen2.5-3b-implicit", "qwen3-8b-implicit")):
                    said = [line.removesuffix(".") for line in lines[number:]]
                    logs.append({"system": system, "split": split, "prompt": prompt, "response_sentences": said})
    with gzip.open(folder / "responses.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in logs)
    return folder


def run(script: str, *options: str | Path) -> str:
    environment = os.environ | {"PYTHONWARNINGS": "ignore", "CUDA_VISIBLE_DEVICES": ""}
    done = preloaded.run([str(ROOT / "benchmarks" / script), *map(str, options)], env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def material(data: Path, out: Path) -> list[str | Path]:
    return ["--references", data, "--responses", data / "responses.jsonl.gz", "--out", out]


@pytest.mark.parametrize("script", ["gpu/policy_step.py", "gpu/estimator_speed.py"])
@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there, so nothing is skipped")
def test_without_a_gpu_nothing_is_measured_and_it_says_so(script: str, data: Path, tmp_path: Path) -> None:
    assert "there is no GPU" in run(script, *material(data, tmp_path / "out.json"))
    assert not (tmp_path / "out.json").exists()


@pytest.mark.slow
def test_policy_steps(data: Path, tmp_path: Path) -> None:
    run("gpu/policy_step.py", *material(data, tmp_path / "out.json"), "--tiny")
    report = read_json(tmp_path / "out.json")
    assert [(row["trained"], row["way"].split(",")[0]) for row in report["rows"]] == [
        ("all weights", "TRL"),
        ("all weights", "Overton"),
        ("LoRA", "TRL"),
        ("LoRA", "Overton"),
    ]
    for row in report["rows"]:
        shares = [row[f"share_of_{part}"] for part in ("generation", "reward", "update")]
        assert sum(shares) == pytest.approx(1, abs=0.001) and all(share >= 0 for share in shares)
        assert (row["share_of_reward"] > 0) is row["way"].startswith("Overton")
        assert row["generated_tokens_a_second"] > 0 and row["updated_tokens_a_second"] > 0
        done = sum(row["flops"][part] for part in ("generation", "update")) / row["seconds"]["step"]
        share = row["utilisation"]["of_measured_product"]["step"]
        assert share * report["measured_product_tflops"] * 1e12 == pytest.approx(done, rel=0.05)
    assert set(report["ratios"]) == {"all weights", "LoRA"}


@pytest.mark.slow
def test_estimator_speed(data: Path, tmp_path: Path) -> None:
    run("gpu/estimator_speed.py", *material(data, tmp_path / "out.json"), "--tiny")
    # How fast a busy machine was says nothing, but each figure must follow from those it is made of.
    for found in read_json(tmp_path / "out.json")["results"].values():
        for row in (*found["encoding"], found["training"]):
            assert row["sentences"] > 0 and row["limit_tflops"] > 0
            if "not_measured" in row:
                assert row is found["training"] and row["seconds"] <= 0
                continue
            assert row["sentences_a_second"] == pytest.approx(row["sentences"] / row["seconds"], rel=0.02)
            assert row["tflops"] == pytest.approx(row["share_of_limit"] * row["limit_tflops"], rel=0.1, abs=2e-4)


@pytest.mark.slow
def test_overhead_of_a_step(data: Path, tmp_path: Path) -> None:
    sizes = {"hidden-size": 32, "layers": 1, "heads": 2, "kv-heads": 2, "intermediate-size": 32}
    sizes |= {"tokens": 40, "vocab-size": 300, "blocks": 2}
    options = [part for name, value in sizes.items() for part in (f"--{name}", str(value))]
    run("step_overhead.py", *material(data, tmp_path / "out.json"), *options)
    ((name, row),) = read_json(tmp_path / "out.json")["results"].items()
    assert name == f"larger, {'bfloat16' if has_fast_bf16('cpu') else 'float32'}"
    assert row["steps"] == 4 and all(len(seconds) == 2 for seconds in row["cpu_seconds_of_blocks"].values())
    assert len(set(row["tokens"].values())) == 1  # every way had the same answers
    for way, seconds in row["cpu_seconds_of_reward"].items():
        assert (sum(seconds) > 0) is not way.endswith("constant")
    assert len(row["pairs"]) == 3


def test_model_flops_by_hand() -> None:
    from gpu.policy_step import rates, step_flops

    class Model:
        class config:
            num_hidden_layers, num_attention_heads, hidden_size = 2, 4, 8

        @staticmethod
        def num_parameters() -> int:
            return 1000

    full = step_flops(Model, False, prompt=10, answer=30, longest=50, answers=2)
    # Two answers of 40 tokens; attention 4 x 2 layers x width 8 a pair of tokens, 40 x 40 / 2 pairs.
    assert full["generation"] == 2 * (2 * 1000 * 40 + 64 * 800)
    assert full["update"] == 3 * full["generation"]
    lora = step_flops(Model, True, prompt=10, answer=30, longest=50, answers=2)
    assert lora["update"] == 2 * (4 * 1000 * 40 + 3 * 64 * 800)
    row: dict[str, Any] = {
        "seconds": {"step": 4.0, "generation": 2.0, "reward": 1.0},
        "answers": 2,
        "prompt_tokens": 10,
        "answer_tokens": 30,
        "flops": {"generation": 4.0, "update": 8.0},
    }
    found = rates(row, peak=8.0, product=4.0)
    assert found["generated_tokens_a_second"] == 30 and found["updated_tokens_a_second"] == 80
    assert found["utilisation"]["of_peak"] == {"generation": 0.25, "update": 1.0, "step": 0.375}


def test_ratio_of_steps_and_its_interval() -> None:
    import step_overhead

    seconds = {"constant": [2.0, 4.0], "dearer": [2.2, 4.4], "even": [1.0, 1.0], "uneven": [1.0, 3.0]}
    same = step_overhead.ratio(seconds, "dearer", "constant")
    assert (same["ratio"], same["low"], same["high"]) == (1.1, 1.1, 1.1)
    wide = step_overhead.ratio(seconds, "uneven", "even")
    assert (wide["ratio"], wide["low"], wide["high"]) == (2.0, 1.0, 3.0)
    assert (wide["way"], wide["against"]) == ("uneven", "even")


@pytest.mark.parametrize("ways", [2, 4])
def test_what_runs_before_a_scored_and_a_constant_reward_is_alike(ways: int) -> None:
    import step_overhead

    orders = step_overhead.ORDERS[ways]
    assert [sorted(order) for order in orders] == [list(range(ways))] * ways
    turns = [place for order in orders for place in order]
    before: dict[int, Counter[int]] = {place: Counter() for place in range(ways)}
    for place, earlier in zip(turns, turns[-1:] + turns[:-1], strict=True):
        before[place][earlier] += 1
    for constant in range(0, ways, 2):  # of one trainer, the scored one is the next
        swapped = {constant: constant + 1, constant + 1: constant}
        assert before[constant + 1] == {swapped.get(place, place): n for place, n in before[constant].items()}


def test_the_page_shows_what_was_measured() -> None:
    import step_overhead
    from pages import filled

    text = step_overhead.PAGE.read_text(encoding="utf-8")
    found = filled(text, "step", step_overhead.table(read_json(step_overhead.RESULTS)["results"]))
    assert found == text, "run python benchmarks/step_overhead.py --page"
