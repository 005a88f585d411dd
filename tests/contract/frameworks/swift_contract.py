"""ms-swift 4.6.0: its command line trains a tiny model with our rewards; its reward computation; its plugins."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from contract_parts import BAD, EXAMPLES, REWARD, SITUATIONS, answers, expected, good_answer, row_of, run_example
from swift.rewards import orms
from swift.rl_core.data import GRPOSample
from swift.rl_core.grpo_algorithm import compute_rewards_per_func
from swift.utils import import_external_file
from transformers import AutoTokenizer

import overton
from overton.errors import DataError, ModelError, RecipeError
from overton.segment import format_answer
from overton.testing import scripted_policy, tiny_policy
from overton.types import Group

import_external_file(str(EXAMPLES / "swift" / "plugin.py"))
SMALL = (
    *("--model_type", "qwen2", "--template", "dummy", "--max_steps", "2", "--max_completion_length", "200"),
    *("--num_generations", "4", "--per_device_train_batch_size", "4", "--report_to", "none"),
)


def sample(prompt_id: str, answer: str, finish_reason: str = "stop", **columns: Any) -> GRPOSample:
    return GRPOSample.from_row(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "What of it?"},
                {"role": "assistant", "content": answer},
            ],
            "prompt_id": prompt_id,
            "request_id": f"{prompt_id} {answer[:9]}",
            "finish_reason": finish_reason,
            **columns,
        }
    )


def rewards(samples: list[GRPOSample], *names: str, **settings: Any) -> list[list[float]]:
    """What ms-swift makes of the answers: one row each, one column a reward."""
    functions = [orms[name](args=None, **settings) for name in names]
    return compute_rewards_per_func(samples, functions, [None] * len(functions), torch.device("cpu")).tolist()


def rows_of(folder: Path, name: str) -> list[dict[str, Any]]:
    (path,) = folder.glob(f"output/*/{name}")
    with path.open(encoding="utf-8") as lines:  # what a random model writes has other line breaks in it
        return [json.loads(line) for line in lines]


# ------------------------------------------------------------------ training


def test_the_example_trains_and_its_rewards_are_ours(tmp_path: Path) -> None:
    model = tiny_policy(tmp_path / "model", max_length=512, chat=True)
    run_example("swift", tmp_path, *SMALL, MODEL=str(model), USE_HF="1")
    steps = [row for row in rows_of(tmp_path, "logging.jsonl") if "reward" in row]
    assert len(steps) == 2
    known = {situation.text: situation for situation in SITUATIONS}
    tables = {table["step"][0]: table for table in rows_of(tmp_path, "completions.jsonl")}  # the last one comes twice
    for step, table in zip(steps, tables.values(), strict=True):
        found = [expected(known[p], c) for p, c in zip(table["prompt"], table["completion"], strict=True)]
        # Whether the limit ended an answer the table does not say; it costs half a point.
        for reward, score in zip(table["Overton"], found, strict=True):
            assert min(abs(reward - score.value), abs(reward - score.value + 0.5)) < 1e-5
        assert step["reward"] == pytest.approx(sum(table["Overton"]) / 4, abs=1e-5)
    assert any(step["reward_std"] > 0 and step["grad_norm"] > 0 for step in steps)


def test_coverage_and_uniqueness_apart_with_a_model_of_which_we_know_what_it_says(tmp_path: Path) -> None:
    situation = SITUATIONS[0]
    said, twice = situation.perspectives[0], situation.perspectives[1]
    rows = [json.dumps({"id": situation.id, "text": situation.text, "perspectives": [vars_of(said), vars_of(twice)]})]
    (tmp_path / "one.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    model = scripted_policy(tmp_path / "model", format_answer([said], f"{said.label}."))
    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    tokenizer.save_pretrained(model)
    gdpo = ("--reward_funcs", "overton_coverage", "overton_uniqueness", "--scale_rewards", "gdpo")
    one = ("--num_train_epochs", "1", "--max_steps", "1")
    run_example(
        "swift", tmp_path, *SMALL, *one, *gdpo, MODEL=str(model), SITUATIONS=str(tmp_path / "one.jsonl"), USE_HF="1"
    )
    (step,) = [row for row in rows_of(tmp_path, "logging.jsonl") if "reward" in row]
    assert step["rewards/OvertonCoverage/mean"] == pytest.approx(0.5)
    assert step["rewards/OvertonUniqueness/mean"] == pytest.approx(1.0)
    assert step["completions/clipped_ratio"] == 0


def vars_of(perspective: Any) -> dict[str, str]:
    return {"label": perspective.label, "explanation": perspective.explanation}


# ------------------------------------------------------------------ one call


def test_ms_swift_gets_our_scores_in_order_whatever_the_batch_looks_like() -> None:
    pairs = [(situation, text) for text in range(4) for situation in SITUATIONS[:3]]  # the groups are interleaved
    samples = [sample(s.id, answers(s)[text], **row_of(s)) for s, text in pairs]
    found = rewards(samples, "overton", "overton_coverage", "overton_uniqueness")
    for row, (situation, text) in zip(found, pairs, strict=True):
        score = expected(situation, answers(situation)[text])
        wanted = [score.value, score.terms["coverage"], score.terms["uniqueness"]]
        assert row == pytest.approx(wanted, abs=1e-6)
    assert rewards([], "overton") == []


def test_the_answers_of_one_prompt_are_one_group() -> None:
    """Novelty looks at the siblings; a prompt's id tells them from those of an equal situation asked otherwise."""
    situation = SITUATIONS[0]
    texts = answers(situation)[:2]
    names = ["a", "a", "b"]
    samples = [sample(name, text, **row_of(situation)) for name, text in zip(names, [*texts, texts[0]], strict=True)]
    settings = {"novelty_weight": 1.0}
    found = [row[0] for row in rewards(samples, "overton", overrides=settings)]
    novel = type(REWARD)(REWARD.estimator, **settings)
    group = Group(situation.text, situation.perspectives, tuple(texts), (True, True))
    wanted = [score.value for score in novel.score([group])[0]]
    assert found[:2] == pytest.approx(wanted, abs=1e-6)
    assert found[2] < found[0]  # without a sibling nothing is novel


def test_what_cannot_be_scored_is_not_a_number_and_cut_off_answers_pay() -> None:
    situation = SITUATIONS[0]
    text = good_answer(situation)
    samples = [
        sample("a", text, **row_of(situation)),
        sample("a", text, "length", **row_of(situation)),
        sample("b", text, situation="?", references=[]),
        sample("c", text, situation="?", references=None),
        sample("d", BAD, references=["It is what it is"]),  # the last message of the user is the situation
    ]
    found = [row[0] for row in rewards(samples, "overton")]
    assert found[0] == pytest.approx(expected(situation, text).value)
    assert found[1] == pytest.approx(found[0] - 0.5)
    assert [math.isnan(value) for value in found] == [False, False, True, True, False]


def test_a_data_set_without_references_and_wrong_settings_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="column `references`"):
        rewards([sample("a", "x", situation="?")], "overton")
    with pytest.raises(RecipeError, match="no such field"):
        orms["overton"](args=None, overrides={"betta": 1.0})
    monkeypatch.setenv("OVERTON_REWARD", "/nowhere/estimator")
    with pytest.raises(ModelError):
        orms["overton"](args=None)


# ------------------------------------------------------------------ what ms-swift does, and we rely on or warn of


def test_the_folder_of_a_plugin_comes_onto_the_path_so_ours_is_refused() -> None:
    ours = Path(overton.__file__).parent / "integrations" / "swift.py"
    code = (
        "import sys\n"
        "from swift.utils import import_external_file\n"
        f"plugin, ours = {str(EXAMPLES / 'swift' / 'plugin.py')!r}, {str(ours)!r}\n"
        "import_external_file(plugin)\n"
        "print(sys.path[0])\n"
        "from swift.rewards import orms\n"
        "print(sorted(name for name in orms if name.startswith('overton')))\n"
        "import_external_file(ours)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    folder, names = done.stdout.splitlines()[-2:]
    assert folder == str(EXAMPLES / "swift")
    assert names == "['overton', 'overton_coverage', 'overton_uniqueness']"
    assert done.returncode == 1 and "give a file of your own" in done.stderr
