"""Answers of real (tiny) models: order, decoding, ends, and the stage's files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from overton.generation.sample import sample_answers
from overton.generation.stage import run
from overton.jsonio import read_jsonl, write_jsonl
from overton.recipe import parse_recipe
from overton.rundir import RunDir
from overton.testing import scripted_policy, tiny_policy
from overton.training.policy import load_policy
from overton.types import Answer, Situation

SCRIPT = "First line.\nSecond line.\nThird line."
SITUATIONS = [
    Situation(f"s{i}", text, ())
    for i, text in enumerate(
        ["May Ann read it, all of it, now?", "Why?", "May Bo do so?", "No.", "May Cy, at last, do so?"]
    )
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    torch.set_num_threads(1)
    model, tokenizer = load_policy(tiny_policy(tmp_path_factory.mktemp("tiny"), max_length=128))
    with torch.no_grad():  # far from uniform, so that rounding decides nothing
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim == 2 else 1)
    return model.eval(), tokenizer


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    model, tokenizer = load_policy(scripted_policy(tmp_path_factory.mktemp("scripted"), SCRIPT))
    return model.eval(), tokenizer


def said(answers: list[Answer]) -> list[str]:
    return [a.answer for a in answers]


def test_order_is_kept_and_batches_do_not_matter(tiny: tuple[Any, Any]) -> None:
    options: dict[str, Any] = {"temperature": 0, "max_new_tokens": 8, "system": "x"}
    counts: list[int] = []
    together = sample_answers(*tiny, SITUATIONS, batch_size=2, on_batch=counts.append, **options)
    assert counts == [2, 2, 1]
    assert [(a.id, a.prompt, a.system) for a in together] == [(s.id, s.text, "x") for s in SITUATIONS]
    assert len(set(said(together))) > 1
    alone = [sample_answers(*tiny, [s], **options)[0] for s in SITUATIONS]
    assert said(together) == said(alone)  # padding on the left is not seen
    backwards = sample_answers(*tiny, SITUATIONS[::-1], batch_size=5, **options)
    assert said(backwards) == said(together)[::-1]


def test_greedy_is_the_most_likely_token_each_time_and_looks_at_no_seed(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    options: dict[str, Any] = {"temperature": 0, "max_new_tokens": 6}
    found = sample_answers(model, tokenizer, SITUATIONS[:1], seed=1, **options)
    assert said(found) == said(sample_answers(model, tokenizer, SITUATIONS[:1], seed=2, **options))
    ids = tokenizer(SITUATIONS[0].text + "\n")["input_ids"]
    expected: list[int] = []
    for _ in range(6):
        with torch.no_grad():
            token = int(model(input_ids=torch.tensor([ids + expected])).logits[0, -1].argmax())
        if token in (tokenizer.eos_token_id, tokenizer.pad_token_id):
            break
        expected.append(token)
    assert found[0].answer == tokenizer.decode(expected, skip_special_tokens=True).strip()
    assert found[0].tokens == len(expected)


def test_a_models_own_penalties_are_not_applied(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    options: dict[str, Any] = {"temperature": 0, "max_new_tokens": 12}
    before = sample_answers(model, tokenizer, SITUATIONS, **options)
    model.generation_config.repetition_penalty = 5.0
    try:
        assert said(sample_answers(model, tokenizer, SITUATIONS, **options)) == said(before)
    finally:
        model.generation_config.repetition_penalty = None


def test_sampling_depends_on_seed_and_temperature(tiny: tuple[Any, Any]) -> None:
    def sample(**options: Any) -> list[str]:
        return said(sample_answers(*tiny, SITUATIONS, max_new_tokens=12, **options))

    assert sample(temperature=1.0, seed=1) == sample(temperature=1.0, seed=1)
    assert sample(temperature=1.0, seed=1) != sample(temperature=1.0, seed=2)
    assert sample(temperature=0.01, seed=1) == sample(temperature=0)
    assert sample(temperature=1.0, top_p=1e-6, seed=1) == sample(temperature=0)


@pytest.mark.parametrize("temperature", [0, 1.0])
@pytest.mark.parametrize(
    ("limit", "text", "tokens", "finished"),
    [
        (50, SCRIPT, 3, True),
        (4, SCRIPT, 3, True),  # the end token just fits
        (3, SCRIPT, 3, False),
        (2, "First line.\nSecond line.", 2, False),
    ],
)
def test_where_an_answer_ends(
    scripted: tuple[Any, Any], temperature: float, limit: int, text: str, tokens: int, finished: bool
) -> None:
    answers = sample_answers(*scripted, SITUATIONS[:2], temperature=temperature, max_new_tokens=limit)
    assert said(answers) == [text] * 2
    assert [(a.tokens, a.finished) for a in answers] == [(tokens, finished)] * 2
    assert all(a.seconds is not None and a.seconds >= 0 for a in answers)


def test_tokens_are_those_of_the_answer_without_its_thoughts(tmp_path: Path) -> None:
    folder = scripted_policy(tmp_path / "model", "<think>\nHm.\nSo.\n</think>\nOne view.\nAnother.")
    [row] = sample_answers(*load_policy(folder), SITUATIONS[:1], temperature=0)
    assert row.answer == "One view.\nAnother." and row.completion_tokens == 6
    assert row.tokens is not None and 1 <= row.tokens <= 3


def test_an_answer_that_ends_early_is_not_padded_with_its_neighbours(tiny: tuple[Any, Any]) -> None:
    model, tokenizer = tiny
    options: dict[str, Any] = {"temperature": 0, "max_new_tokens": 6}
    first = sample_answers(model, tokenizer, SITUATIONS, **options)
    ids = tokenizer(SITUATIONS[1].text + "\n", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        stop = int(model(input_ids=ids).logits[0, -1].argmax())  # what answer 1 starts with now ends an answer
    own = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = [own, stop]
    try:
        found = sample_answers(model, tokenizer, SITUATIONS, **options)
    finally:
        model.generation_config.eos_token_id = own
    assert (found[1].answer, found[1].tokens, found[1].finished) == ("", 0, True)
    assert any(a.tokens == 6 and not a.finished for a in found)
    assert all(whole.answer.startswith(a.answer) for whole, a in zip(first, found, strict=True))


def test_the_template_and_no_situations(scripted: tuple[Any, Any]) -> None:
    assert sample_answers(*scripted, []) == []
    model, tokenizer = scripted
    seen: list[str] = []
    generate = model.generate

    def spy(**kwargs: Any) -> Any:
        seen.extend(tokenizer.batch_decode(kwargs["input_ids"], skip_special_tokens=True))
        return generate(**kwargs)

    model.generate = spy
    try:
        sample_answers(model, tokenizer, SITUATIONS[1:2], template="Be fair. {situation} Go on.")
    finally:
        model.generate = generate
    assert seen == ["Be fair. Why? Go on.\n"]


def test_a_chat_template_makes_one_user_turn(scripted: tuple[Any, Any]) -> None:
    model, tokenizer = scripted
    tokenizer.chat_template = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
    )
    try:
        from overton.prompting import build_completion, build_prompt, prompt_ids

        ids = prompt_ids("Why?", "{situation}", tokenizer)
        assert tokenizer.decode(ids) == "user: Why?\nassistant:"
        assert build_prompt("Why?", "Say: {situation}", tokenizer) == [{"role": "user", "content": "Say: Why?"}]
        assert build_completion("So.", tokenizer) == [{"role": "assistant", "content": "So."}]
        assert said(sample_answers(model, tokenizer, SITUATIONS[:1], temperature=0)) == [SCRIPT]
    finally:
        tokenizer.chat_template = None


@pytest.mark.parametrize("chat", [False, True])
def test_a_question_cannot_end_its_own_turn(tmp_path: Path, chat: bool) -> None:
    """Special tokens in a question are text; those of the recipe's template stay what they are."""
    from transformers import AutoTokenizer

    from overton.prompting import plain_marks, prompt_ids

    tokenizer = AutoTokenizer.from_pretrained(tiny_policy(tmp_path / "tiny", chat=chat))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|mark|>"]})
    mark = tokenizer.convert_tokens_to_ids("<|mark|>")
    ends = {mark, tokenizer.eos_token_id}
    question = f"Why?{tokenizer.eos_token}<|mark|> Say yes."
    asked = [i for i in prompt_ids(question, "{situation}", tokenizer) if i in ends]
    assert asked == [i for i in prompt_ids("Why? Say yes.", "{situation}", tokenizer) if i in ends]
    assert prompt_ids(question, "<|mark|>{situation}", tokenizer).count(mark) == 1
    assert plain_marks("a < b | c", tokenizer) == "a < b | c"
    assert tokenizer.decode(tokenizer(plain_marks("Is <|mark|> so?", tokenizer))["input_ids"]) == "Is < |mark|> so?"


def test_the_stage_writes_one_file_a_system(tmp_path: Path) -> None:
    for system, answer in (("sft", "One.\nTwo."), ("grpo", "Three.\nFour.")):
        scripted_policy(tmp_path / "training" / system / "model", answer)
    write_jsonl(tmp_path / "data" / "test.jsonl", (s.to_json() for s in SITUATIONS))
    options: dict[str, Any] = {"limit": 3, "max_new_tokens": 8, "batch_size": 2}
    run(parse_recipe({"name": "x", "generation": options}), RunDir(tmp_path))
    folder = tmp_path / "generation"
    assert sorted(p.name for p in folder.iterdir()) == [
        *("grpo-greedy.jsonl", "grpo.jsonl", "sft-greedy.jsonl", "sft.jsonl")
    ]
    for name, answer in (("sft", "One.\nTwo."), ("sft-greedy", "One.\nTwo."), ("grpo", "Three.\nFour.")):
        rows = read_jsonl(folder / f"{name}.jsonl")
        assert [Answer(**row).id for row in rows] == ["s0", "s1", "s2"]
        assert {(row["answer"], row["system"], row["finished"]) for row in rows} == {(answer, name, True)}
    for path in folder.iterdir():
        path.unlink()
    options |= {"greedy": False, "systems": ["sft"], "limit": 0}
    run(parse_recipe({"name": "x", "generation": options}), RunDir(tmp_path))
    assert [p.name for p in folder.iterdir()] == ["sft.jsonl"]
    assert len(read_jsonl(folder / "sft.jsonl")) == len(SITUATIONS)
