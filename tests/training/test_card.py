"""The card of a trained policy: what the hub reads, and code that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from overton.recipe import parse_recipe
from overton.testing import tiny_policy
from overton.training.card import write_card


@pytest.mark.parametrize("chat", [True, False])
def test_the_code_of_the_card_runs_and_asks_as_the_policy_was_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], chat: bool
) -> None:
    folder = tiny_policy(tmp_path / "model", chat=chat)
    policy = {"model": str(folder), "prompt_template": 'Say "all":\n{situation}'}
    write_card(folder, parse_recipe({"name": "t", "policy": policy, "generation": {"max_new_tokens": 8}}), "grpo")
    card = ModelCard.load(folder / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("transformers", "text-generation")
    assert card.data.base_model is None and str(tmp_path) not in card.content  # a path is nobody else's
    assert "From ./model, by supervised fine-tuning and OP-GRPO" in card.text and "preset `overton`" in card.text
    known: dict[str, object] = {}
    exec(card.text.split("```python\n")[1].split("```")[0].replace("FOLDER", str(folder)), known)
    said = 'Say "all":\nA nurse reads the diary of a patient in secret.'
    assert known["prompt"] == ([{"role": "user", "content": said}] if chat else said + "\n")
    drawn = {"temperature": 0.7, "top_p": 0.9, "top_k": 0, "repetition_penalty": 1.0}  # as overton generate draws
    assert known["settings"] == {"max_new_tokens": 8, "do_sample": True, **drawn}
    assert capsys.readouterr().out


def test_a_base_of_the_hub_is_named_and_random_weights_are_none(tmp_path: Path) -> None:
    for model, base in (("Qwen/Qwen2.5-3B-Instruct",) * 2, ("scratch", None)):
        write_card(tmp_path, parse_recipe({"name": "t", "policy": {"model": model}}), "sft")
        card = ModelCard.load(tmp_path / "README.md")
        assert card.data.base_model == base and card.data.tags == ["overton", "sft"]
        assert f"From {base or 'random weights'}, by supervised fine-tuning with" in card.text
