"""``overton data --export verl``: parquet files of a run or of a file of situations, and clear errors."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from datasets import load_dataset

from overton.cli import main
from overton.data import read_situations
from overton.jsonio import read_jsonl

EXAMPLE = Path(__file__).parents[2] / "examples" / "situations.jsonl"
RECIPE = """
name: tiny
data: {train: 40, grpo_only: 8, dev: 12, test: 12, triplets: 20, pairs: 20, nli_pairs: 100}
policy: {prompt_template: "{situation} What do you think?"}
"""


def rows_of(file: Path, cache: Path) -> list[dict[str, Any]]:
    return list(load_dataset("parquet", data_files=str(file), cache_dir=str(cache))["train"])


def test_a_recipe_gives_what_grpo_asks_and_the_dev_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    run = tmp_path / "run"
    assert main(["data", str(tmp_path / "recipe.yaml"), "--run-dir", str(run), "--export", "verl"]) == 0
    folder = run / "export" / "verl"
    assert f"{folder / 'train'}.parquet: 16 rows" in capsys.readouterr().out
    answered = {row["id"] for row in read_jsonl(run / "data" / "sft.jsonl")}
    trained = rows_of(folder / "train.parquet", tmp_path)
    assert sum(row["reward_model"]["ground_truth"] not in answered for row in trained) == 8
    dev = read_jsonl(run / "data" / "dev.jsonl")
    found = rows_of(folder / "val.parquet", tmp_path)
    assert len(found) == len(dev) == 12
    for row, situation in zip(found, dev, strict=True):
        assert row["prompt"] == [{"role": "user", "content": f"{situation['text']} What do you think?"}]
        assert row["extra_info"]["situation"] == situation["text"]
        wanted = [{"label": p["label"], "explanation": p["explanation"]} for p in situation["perspectives"]]
        assert row["extra_info"]["references"] == wanted
        assert (row["data_source"], row["reward_model"]["ground_truth"]) == ("overton", situation["id"])
    # The stage is up to date, and what stands beside it stays.
    assert main(["data", str(tmp_path / "recipe.yaml"), "--run-dir", str(run)]) == 0
    assert (folder / "train.parquet").is_file()


def test_a_file_of_situations_needs_no_recipe(tmp_path: Path) -> None:
    assert main(["data", str(EXAMPLE), "--export", "verl", "--output", str(tmp_path / "new")]) == 0
    for name in ("train", "val"):
        rows = rows_of(tmp_path / "new" / f"{name}.parquet", tmp_path)
        assert [row["extra_info"]["situation"] for row in rows] == [s.text for s in read_situations(EXAMPLE)]


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
def test_two_wordings_of_one_cluster_are_one_reference(suffix: str, tmp_path: Path) -> None:
    views = [("It is hers.", "p"), ("It must stay private.", "p"), ("It may warn.", "s")]
    perspectives = [{"label": "L", "explanation": text, "cluster": name} for text, name in views]
    file = tmp_path / f"s{suffix}"
    with (gzip.open if suffix.endswith(".gz") else open)(file, "wt", encoding="utf-8") as out:
        out.write(json.dumps({"id": "q", "text": "He reads it.", "perspectives": perspectives}) + "\n")
    assert main(["data", str(file), "--export", "verl", "--output", str(tmp_path / "new")]) == 0
    (found,) = rows_of(tmp_path / "new" / "train.parquet", tmp_path)
    assert [p["explanation"] for p in found["extra_info"]["references"]] == ["It is hers.", "It may warn."]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--export", "verl"], "say with --output"),
        (["--export", "verl", "--output", "x", "--set", "seed=1"], "this is a file of situations"),
        (["--export", "openrlhf"], "there is only verl"),
        (["--output", "x"], "--output goes with --export"),
    ],
)
def test_wrong_use_is_one_message(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", str(EXAMPLE), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("error: ") == 1


def test_a_bad_row_is_named_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.jsonl").write_text('{"id": "a", "text": "", "perspectives": []}\n', encoding="utf-8")
    assert main(["data", str(tmp_path / "s.jsonl"), "--export", "verl", "--output", str(tmp_path / "new")]) == 1
    assert "row 1" in capsys.readouterr().err and not (tmp_path / "new").exists()
