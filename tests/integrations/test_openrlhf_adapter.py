"""The function that OpenRLHF calls; OpenRLHF itself calls it in tests/contract/frameworks."""

from __future__ import annotations

import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from adapter_material import FORMS, GOOD, HALF, REFERENCES, SITUATION, SITUATIONS, TERMS, expected, prepare

import overton.integrations.openrlhf as adapter
from overton.errors import DataError, ModelError, RecipeError
from overton.integrations.openrlhf import response_text, reward_func

PROMPT = f"<|im_start|>user\n{SITUATION.text}<|im_end|>\n<|im_start|>assistant\n"
LABEL = {"situation": SITUATION.text, "references": REFERENCES}


def test_one_tensor_entry_an_answer_with_every_term() -> None:
    answers = [GOOD, HALF, ""]
    found = reward_func([PROMPT + a + "<|im_end|>" for a in answers], [PROMPT] * 3, [LABEL] * 3)
    wanted = [expected(a) for a in answers]
    assert set(found) == {"rewards", "scores", "extra_logs"}
    assert found["rewards"].tolist() == pytest.approx([s.value for s in wanted], abs=1e-6)
    assert found["scores"].tolist() == pytest.approx([max(0.0, s.value) for s in wanted], abs=1e-6)
    assert set(found["extra_logs"]) == TERMS | {"unscored"}
    for name in TERMS:
        assert found["extra_logs"][name].tolist() == pytest.approx([s.terms[name] for s in wanted], abs=1e-6)
    assert found["extra_logs"]["unscored"].tolist() == [0, 0, 0]


def test_a_thought_that_the_prompt_opened_and_nothing_ends_is_no_answer() -> None:
    prompt = PROMPT + "<think>\n"
    found = reward_func([f"{prompt}Let me see. {GOOD}", f"{prompt}Hm.</think>\n{GOOD}"], [prompt] * 2, [LABEL] * 2)
    empty, good = expected(""), expected(GOOD)
    assert found["rewards"].tolist() == pytest.approx([empty.value, good.value], abs=1e-6)
    assert found["extra_logs"]["perspectives"].tolist() == [0, good.terms["perspectives"]]


def test_the_channels_of_gpt_oss_are_read_before_their_tokens_go() -> None:
    prompt = f"<|start|>user<|message|>{SITUATION.text}<|end|><|start|>assistant"
    thought = f"<|channel|>analysis<|message|>let me see. {GOOD}"
    texts = [thought, f"{thought}<|end|><|start|>assistant<|channel|>final<|message|>{HALF}<|return|>"]
    texts.append(f"<|channel|>final<|message|>{HALF}<|return|>")
    found = reward_func([prompt + text for text in texts], [prompt] * 3, [LABEL] * 3)
    wanted = [expected(text).value for text in ("", HALF, HALF)]
    assert found["rewards"].tolist() == pytest.approx(wanted, abs=1e-6)


def test_no_answers() -> None:
    found = reward_func([], [], [])
    assert found["rewards"].shape == found["scores"].shape == (0,)
    assert set(found["extra_logs"]) == TERMS | {"unscored"}
    assert all(column.shape == (0,) for column in found["extra_logs"].values())


@pytest.mark.parametrize("references", FORMS)
def test_labels_in_every_form(references: Any) -> None:
    whole = {"situation": SITUATION.text, "references": references}
    found = reward_func([PROMPT + HALF] * 2, [PROMPT] * 2, [whole, json.dumps(whole)])
    assert found["rewards"].tolist() == pytest.approx([expected(HALF).value] * 2, abs=1e-6)
    # References alone: the words of the prompt are masked instead, and those are nearly the same.
    for label in (references, *({"situation": empty, "references": references} for empty in (None, "", " "))):
        alone = reward_func([SITUATION.text + HALF], [SITUATION.text], [label])
        assert alone["rewards"].tolist() == pytest.approx([expected(HALF).value], abs=1e-6)


def test_bad_rows_are_zero_and_flagged_and_leave_the_others_alone(caplog: pytest.LogCaptureFixture) -> None:
    labels: list[Any] = [None, "", "no JSON", 7, {}, {"references": []}, [1], {"situation": 3, "references": ["a"]}]
    queries: list[Any] = [PROMPT + GOOD] * len(labels) + [None, "something else", PROMPT + GOOD]
    labels += [LABEL, LABEL, LABEL]
    with caplog.at_level(logging.WARNING):
        found = reward_func(queries, [PROMPT] * len(queries), labels)
    assert found["extra_logs"]["unscored"].tolist() == [1.0] * 10 + [0.0]
    assert found["rewards"].tolist() == pytest.approx([0.0] * 10 + [expected(GOOD).value], abs=1e-6)
    assert "does not begin with its prompt" in caplog.text


def test_a_data_set_of_which_no_row_can_be_read_is_an_error(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(DataError, match="not one row of the data set could be read so far; the last one: label"):
        for _ in range(32):
            reward_func([PROMPT + GOOD], [PROMPT], ["4"])
    assert "training cannot go on" in caplog.text


def test_lists_of_different_length_and_wrong_settings_are_errors_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(DataError, match="2 queries, 1 prompts and 1 labels"):
        reward_func(["a", "b"], ["a"], ["c"])
    monkeypatch.setenv("OVERTON_REWARD", "/nowhere/estimator")
    with pytest.raises(ModelError):
        reward_func([PROMPT + GOOD], [PROMPT], [LABEL])
    assert [record.levelname for record in caplog.records] == ["ERROR", "ERROR"]
    assert "training cannot go on" in caplog.records[1].getMessage()


def test_what_compares_the_answers_of_a_group_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "reward.yaml").write_text("preset: quality-diversity\n", encoding="utf-8")
    monkeypatch.setenv("OVERTON_REWARD", str(tmp_path / "reward.yaml"))
    with pytest.raises(RecipeError, match="OpenRLHF shows one answer at a time"):
        reward_func([PROMPT + GOOD], [PROMPT], [LABEL])


@pytest.mark.parametrize(
    ("query", "prompt", "answer"),
    [
        ("Q A", "Q", "A"),
        (PROMPT + GOOD + "<|im_end|>", PROMPT, GOOD),
        (PROMPT + GOOD + "</s><pad><pad>", PROMPT, GOOD),
        (f"<s> [INST] Why? [/INST] {GOOD}</s>", "<s>[INST] Why? [/INST]", GOOD),  # decoding moved the spaces
        ("why so? [/INST] Yes.", "Since it is so, [INST] why so? [/INST]", "Yes."),  # cut on the left
        ("<think>no</think> a <| b |> [3]", "", "<think>no</think> a <| b |> [3]"),  # no special tokens
        ("Q<|eot_id|>", "Q", ""),
        ("Q<｜end▁of▁sentence｜>", "Q", ""),
    ],
)
def test_the_answer_is_told_from_the_prompt(query: str, prompt: str, answer: str) -> None:
    assert response_text(query, prompt) == answer


def test_a_few_letters_that_agree_are_no_prompt() -> None:
    for query in ("answer", "er", ""):
        with pytest.raises(DataError, match="does not begin with its prompt"):
            response_text(query, "May the nurse read the diary of the prisoner")


def test_the_file_is_loaded_by_its_path_as_openrlhf_does() -> None:
    spec = importlib.util.spec_from_file_location("reward_func", adapter.__file__)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.reward_func([PROMPT + GOOD], [PROMPT], [LABEL])
    assert torch.equal(found["rewards"], reward_func([PROMPT + GOOD], [PROMPT], [LABEL])["rewards"])


def test_the_rows_of_the_example_score_as_they_should(tmp_path: Path) -> None:
    prepare("openrlhf", tmp_path / "train.jsonl")
    lines = (tmp_path / "train.jsonl").read_text(encoding="utf-8").splitlines()
    for line, situation in zip(lines, SITUATIONS, strict=True):
        row = json.loads(line)
        assert row["input"] == [{"role": "user", "content": situation.text}]
        found = reward_func([situation.text + GOOD], [situation.text], [row["label"]])
        assert found["rewards"].item() == pytest.approx(expected(GOOD, situation).value, abs=1e-6)
