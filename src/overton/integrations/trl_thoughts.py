"""Prompts that open a thought: chat templates of some thinking models end with ``<think>``.

The model's text then begins within the thought, and only ``</think>`` tells where the answer begins.
"""

from __future__ import annotations

from typing import Any

from overton.prompting import plain_text
from overton.segment import closes_thought, opens_thought


def ends_in_thought(text: Any, prompt: Any, trainer: Any) -> bool:
    """Whether a completion never ends the thought in which its prompt ended.

    Args:
        text: what the model wrote.
        prompt: text, or messages.
        trainer: TRL's, whose chat template counts for messages; of ``None`` nothing is known. One whose tokenizer
            parses replies hands over answers without thoughts, so its template does not matter.
    """
    return isinstance(text, str) and not closes_thought(text) and opens_thought(_asked(prompt, trainer))


def _asked(prompt: Any, trainer: Any) -> str:
    """The end of what the model read; ``""`` where it is not known."""
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, list) or not prompt:
        return ""
    if prompt[-1].get("role") == "assistant":  # which the model goes on with
        return str(plain_text(prompt[-1].get("content")))
    tokenizer = getattr(trainer, "processing_class", None)
    parses = any(getattr(tokenizer, name, None) for name in ("response_template", "response_schema"))
    if tokenizer is None or parses or not getattr(tokenizer, "chat_template", None):
        return ""
    options = getattr(trainer, "chat_template_kwargs", None) or {}
    return str(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False, **options))
