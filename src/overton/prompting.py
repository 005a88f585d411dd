"""From a situation to what the policy reads. Shared by training, generation and ``overton ask``."""

from __future__ import annotations

from typing import Any

Message = dict[str, str]


def build_prompt(situation: str, template: str, tokenizer: Any) -> str | list[Message]:
    """The prompt in the form TRL expects: text, or messages for a model with a chat template.

    Args:
        situation: the bare question.
        template: ``policy.prompt_template``; ``{situation}`` is replaced.
        tokenizer: with a chat template, the prompt becomes one user turn; without, the text and a line break.
    """
    text = template.replace("{situation}", situation)
    if getattr(tokenizer, "chat_template", None):
        return [{"role": "user", "content": text}]
    return text + "\n"


def build_completion(answer: str, tokenizer: Any) -> str | list[Message]:
    """The completion that goes with :func:`build_prompt` in supervised fine-tuning."""
    if getattr(tokenizer, "chat_template", None):
        return [{"role": "assistant", "content": answer}]
    return answer


def completion_text(completion: str | list[Message]) -> str:
    """The text of a completion as TRL hands it over (text, or a list of messages)."""
    return completion if isinstance(completion, str) else completion[-1].get("content") or ""


def prompt_ids(situation: str, template: str, tokenizer: Any) -> list[int]:
    """Token ids of the prompt, ready for generation."""
    prompt = build_prompt(situation, template, tokenizer)
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    encoded = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)
    return list(encoded["input_ids"])
