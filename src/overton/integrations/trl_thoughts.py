"""What a model read before it wrote: chat templates of some thinking models end with ``<think>``."""

from __future__ import annotations

from typing import Any

from overton.prompting import plain_text


def prompt_end(prompt: Any, trainer: Any) -> str:
    """A text that ends as what the model read; ``""`` where that is not known.

    Args:
        prompt: text, or messages.
        trainer: TRL's, whose chat template counts for messages; of ``None`` nothing is known. One whose tokenizer
            parses replies hands over answers without thoughts, so its template does not matter.
    """
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
