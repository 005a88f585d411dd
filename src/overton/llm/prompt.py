"""From messages to the token ids that a model on this machine reads."""

from __future__ import annotations

from typing import Any

from overton.errors import ModelError
from overton.llm.types import Reply, Request
from overton.prompting import prompt_ids
from overton.sections_model import LlmSection


class PromptEncoder:
    """Messages to token ids.

    Args:
        section: the model's name, and ``extra.chat_template_kwargs``.
        tokenizer: the model's.
        template: what a model without a chat template reads: plain text, with the messages' contents in place of
            ``{situation}``. ``None`` refuses such a model.
        trained: the model was trained on this template, so one with a chat template reads it too, as one user turn.

    Raises:
        ModelError: the model has no chat template, and no other is given.
    """

    def __init__(self, section: LlmSection, tokenizer: Any, template: str | None = None, trained: bool = False) -> None:
        if not tokenizer.chat_template and template is None:
            raise ModelError(
                f"{section.model}: has no chat template, so it was not made to be asked; take an instruct model"
            )
        self._tokenizer = tokenizer
        self._template = template if trained or not tokenizer.chat_template else None
        self._settings = section.extra.get("chat_template_kwargs") or {}

    def __call__(self, request: Request, window: int | None) -> list[int] | Reply:
        """Token ids, or a reply that says why the model cannot be asked this.

        Args:
            request: what is asked.
            window: tokens that the model can hold, prompt and reply together; ``None`` unknown.
        """
        try:
            ids = self._encode(request)
        except Exception as error:  # templates refuse roles and orders with errors of their own
            return Reply(None, f"the chat template refuses these messages: {error}", declined=True)
        if window and len(ids) + request.max_tokens > window:
            left = max(0, window - len(ids))
            reason = (
                f"{len(ids)} tokens and max_tokens {request.max_tokens} exceed the window of {window}: {left} are left"
            )
            return Reply(None, reason, declined=True)
        return ids

    def _encode(self, request: Request) -> list[int]:
        if self._template is not None:
            text = "\n\n".join(content for _, content in request.messages)
            return prompt_ids(text, self._template, self._tokenizer)
        messages = [{"role": role, "content": content} for role, content in request.messages]
        encoded = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, **self._settings
        )
        return list(encoded["input_ids"])
