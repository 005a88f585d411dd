from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path

import pytest
from cli_material import ANSWER

from overton.commands.ask import Reply, find_model, to_text
from overton.errors import ModelError
from overton.jsonio import read_jsonl
from overton.sections_training import PolicySection
from overton.testing import scripted_policy, tiny_policy
from overton.training.adapters import lora_config
from overton.training.policy import load_policy
from overton.types import Answer, Perspective

Call = Callable[..., tuple[int, str, str]]
Fails = Callable[..., str]


@pytest.fixture
def run_folder(tmp_path: Path, policy: Path) -> Path:
    """A run whose template is not the bare question."""
    folder = tmp_path / "runs" / "mine"
    shutil.copytree(policy, folder / "training" / "grpo" / "model")
    (folder / "recipe.yaml").write_text(
        "name: mine\nrenamed_since: 1\npolicy: {prompt_template: 'Consider this. {situation}'}\n"
    )
    return folder


def test_it_prints_perspectives_and_summary(overton: Call, policy: Path) -> None:
    code, out, _ = overton("ask", "Is it right to lie to a friend?", "--model", policy)
    assert code == 0
    assert out == (
        "1. Honesty: the truth matters between friends.\n"
        "2. Duty of care: the child should be kept safe.\n"
        "\n"
        "Summary: Honesty and the duty of care both count.\n"
    )


def test_json_holds_everything(overton: Call, policy: Path) -> None:
    code, out, _ = overton("ask", " Why? ", "--model", policy, "--json", "--temperature", "0")
    reply = json.loads(out)
    assert code == 0
    assert reply["question"] == "Why?"
    assert reply["answer"] == ANSWER
    assert reply["perspectives"][0] == {
        "label": "Honesty",
        "explanation": "the truth matters between friends.",
    }
    assert reply["summary"] == "Honesty and the duty of care both count."
    assert reply["valid_tags"] is True
    assert reply["finished"] is True


def test_a_cut_off_answer_says_so(overton: Call, policy: Path) -> None:
    code, out, _ = overton("ask", "Why?", "--model", policy, "--max-new-tokens", "3")
    assert code == 0
    assert "1. Honesty" in out
    assert "cut off at the token limit" in out


def test_an_answer_without_the_template_is_still_shown(overton: Call, tmp_path: Path) -> None:
    prose = scripted_policy(tmp_path / "prose", "Some say yes.\nOthers say no.")
    code, out, _ = overton("ask", "Why?", "--model", prose)
    assert (code, out) == (0, "1. Some say yes.\n2. Others say no.\n")


def test_an_empty_answer_is_not_an_error(overton: Call, tmp_path: Path) -> None:
    silent = scripted_policy(tmp_path / "silent", "<summary>")
    code, out, _ = overton("ask", "Why?", "--model", silent)
    assert code == 0
    assert "stated no perspective" in out


def test_an_answer_cut_off_before_its_first_perspective_says_so(overton: Call, tmp_path: Path) -> None:
    slow = scripted_policy(tmp_path / "slow", "<core perspectives>\nOne view.\nAnother.")
    code, out, _ = overton("ask", "Why?", "--model", slow, "--max-new-tokens", "1")
    assert code == 0
    assert "stated no perspective" in out
    assert out.endswith("(cut off at the token limit; raise --max-new-tokens)\n")


def test_an_empty_answer_gives_its_reason(overton: Call, tmp_path: Path) -> None:
    lost = scripted_policy(tmp_path / "lost", "<think>Let me see.\nOne view.\nAnother.")
    code, out, _ = overton("ask", "Why?", "--model", lost, "--max-new-tokens", "2")
    assert code == 0
    assert "(empty: nothing but thinking" in out
    assert "cut off" in out


def test_what_a_terminal_would_obey_is_dropped_and_letters_stay() -> None:
    kept = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \U0001f468\u200d\U0001f469\u200d\U0001f467 10\u00a0km"
    written = f"{kept}\tand \u202emore\u2069 \x1b[31mred\x9b\x07\r\nnext"
    shown = f"{kept} and more [31mred\nnext"
    unstated = Reply("Why?", "m", Answer("q", "Why?", written), (), "", False)
    assert to_text(unstated).endswith(f":\n{shown}")
    stated = Reply("Why?", "m", Answer("q", "Why?", ""), (Perspective(written, "so"),), written, True)
    assert to_text(stated) == f"1. {shown}: so\n\nSummary: {shown}"


def test_the_seed_decides(overton: Call, tmp_path: Path) -> None:
    model = tiny_policy(tmp_path / "model")
    said = [overton("ask", "Why?", "--model", model, "--json", "--seed", seed)[1] for seed in (1, 1, 2)]
    answers = [json.loads(text)["answer"] for text in said]
    assert answers[0] == answers[1] != answers[2]


def test_a_run_directory_means_its_best_model_and_its_template(
    overton: Call, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    import overton.generation.sample as sample

    real = sample.prompt_ids
    monkeypatch.setattr(
        sample, "prompt_ids", lambda text, template, tok: seen.append(template) or real(text, template, tok)
    )
    for name in (run_folder, run_folder / "training" / "grpo", run_folder / "training" / "grpo" / "model"):
        assert overton("ask", "Why?", "--model", name)[0] == 0
    assert overton("ask", "Why?", "--model", run_folder, "--template", "Q: {situation}")[0] == 0
    assert seen == ["Consider this. {situation}"] * 3 + ["Q: {situation}"]


def test_grpo_comes_before_sft(tmp_path: Path) -> None:
    for part in ("sft", "grpo"):
        folder = tmp_path / "training" / part / "model"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    assert find_model(str(tmp_path)) == tmp_path / "training" / "grpo" / "model"
    shutil.rmtree(tmp_path / "training" / "grpo")
    assert find_model(str(tmp_path)) == tmp_path / "training" / "sft" / "model"
    assert find_model("Qwen/Qwen2.5-3B-Instruct") == "Qwen/Qwen2.5-3B-Instruct"
    with pytest.raises(ModelError, match="no such folder"):
        find_model("./nowhere")


def test_a_lora_adapter_answers(overton: Call, policy: Path, tmp_path: Path) -> None:
    from peft import get_peft_model

    model, tokenizer = load_policy(policy)
    adapted = get_peft_model(model, lora_config(PolicySection(model="m", lora_rank=2)))
    adapted.save_pretrained(tmp_path / "adapter")
    tokenizer.save_pretrained(tmp_path / "adapter")
    code, out, _ = overton("ask", "Why?", "--model", tmp_path / "adapter", "--json", "--temperature", "0")
    assert code == 0 and json.loads(out)["answer"] == ANSWER  # a new adapter changes nothing
    (tmp_path / "q.jsonl").write_text('{"id": "a", "text": "Why?"}\n')
    files = ("--questions", tmp_path / "q.jsonl", "--output", tmp_path / "answers.jsonl")
    assert overton("generate", "--model", tmp_path / "adapter", "--strategy", "implicit", *files)[0] == 0
    assert read_jsonl(tmp_path / "answers.jsonl")[0]["answer"] == ANSWER


def test_a_lora_adapter_wants_peft(fails: Fails, policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in policy.glob("tokenizer*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "q.jsonl").write_text('{"id": "a", "text": "Why?"}\n')
    real = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name, *more: None if name == "peft" else real(name, *more))
    asked = ("--model", tmp_path, "--strategy", "implicit", "--questions", tmp_path / "q.jsonl", "--output", "a.jsonl")
    for said in (fails("ask", "Why?", "--model", tmp_path), fails("generate", *asked)):
        assert "a LoRA adapter needs peft: pip install 'overton[train]'" in said


def test_an_empty_and_an_endless_question(fails: Fails, policy: Path) -> None:
    assert "the question is empty" in fails("ask", "  ", "--model", policy)
    assert "20,000 words" in fails("ask", "why " * 20_000, "--model", policy)


def test_a_question_from_standard_input(
    overton: Call, fails: Fails, policy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(piped: bytes) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(piped)))
        return ["ask", "-", "--model", str(policy), "--json"]

    code, out, _ = overton(*ask("Darf man lügen?\nIrgendwann?\n".encode()))
    assert code == 0 and json.loads(out)["question"] == "Darf man lügen?\nIrgendwann?"
    assert "the question is empty" in fails(*ask(b""))
    assert "not text in UTF-8 at character 11" in fails(*ask("Darf man lügen?".encode("latin-1")))


def test_text_of_another_encoding(fails: Fails, policy: Path) -> None:
    broken = os.fsdecode("lügen".encode("latin-1"))
    assert "the question is not text in UTF-8 at character 2" in fails("ask", broken, "--model", policy)
    template = f"{broken} {{situation}}"
    assert "--template is not text in UTF-8" in fails("ask", "Why?", "--model", policy, "--template", template)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(overton: Call, seed: int) -> None:
    asked = ["generate", "--model", "m", "--questions", "q.jsonl", "--output", "a.jsonl"]
    for verb in (["ask", "Why?", "--model", "m"], asked):
        code, _, err = overton(*verb, "--seed", seed)
        assert code == 2 and "--seed" in err


def test_a_question_longer_than_the_model_reads(fails: Fails, policy: Path) -> None:
    assert "at most 256" in fails("ask", "why " * 500, "--model", policy)


def test_a_template_without_the_question(fails: Fails, policy: Path) -> None:
    assert "{situation} is missing" in fails("ask", "Why?", "--model", policy, "--template", "hello")


@pytest.mark.parametrize(
    "damage", ["empty folder", "weights", "config", "no weights", "no tokenizer", "file", "missing"]
)
def test_an_unreadable_model_is_one_message(fails: Fails, tmp_path: Path, policy: Path, damage: str) -> None:
    folder = tmp_path / "model"
    if damage not in ("empty folder", "file", "missing"):
        shutil.copytree(policy, folder)
    if damage == "empty folder":
        folder.mkdir()
    elif damage == "weights":
        (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    elif damage == "config":
        (folder / "config.json").write_text("{")
    elif damage == "no weights":
        (folder / "model.safetensors").unlink()
    elif damage == "no tokenizer":
        for path in folder.glob("tokenizer*"):
            path.unlink()
    elif damage == "file":
        folder.write_text("x")
    assert str(folder) in fails("ask", "Why?", "--model", folder)


def test_a_hub_name_out_of_reach_fails_soon(fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "hub name that this machine can reach" in fails("ask", "Why?", "--model", "nobody/nothing-at-all")
