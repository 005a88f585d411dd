"""From messages to the token ids that a model on this machine reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from overton.errors import ModelError
from overton.llm.types import Reply, Request
from overton.progress import say
from overton.prompting import plain_marks, prompt_ids
from overton.sections_model import LlmSection

LEAST_ROOM = 8  # tokens; with fewer left for the reply, nothing is asked


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
        self._name = section.model
        self._noted = False

    def __call__(self, request: Request, window: int | None) -> tuple[list[int], Request] | Reply:
        """Token ids and the request, or a reply that says why the model cannot be asked this.

        The request's ``max_tokens`` is at most what the prompt leaves of the window; the first time that it is less
        than was asked for, a line says so.

        Args:
            request: what is asked.
            window: tokens that the model can hold, prompt and reply together; ``None`` unknown.
        """
        try:
            ids = self._encode(request)
        except Exception as error:  # templates refuse roles and orders with errors of their own
            return Reply(None, f"the chat template refuses these messages: {error}", declined=True)
        left = max(0, window - len(ids)) if window else request.max_tokens
        if left >= request.max_tokens:
            return ids, request
        if left < min(LEAST_ROOM, request.max_tokens):
            reason = f"the prompt's {len(ids)} tokens leave {left} of the window of {window}, too few for a reply"
            return Reply(None, reason, declined=True)
        if not self._noted:
            say(
                f"{self._name}: a prompt of {len(ids)} tokens leaves {left} of the window of {window}: its reply "
                f"ends there, before {request.max_tokens} tokens, and so may others"
            )
            self._noted = True
        return ids, replace(request, max_tokens=left)

    def _encode(self, request: Request) -> list[int]:
        if self._template is not None:
            text = "\n\n".join(content for _, content in request.messages)
            return prompt_ids(text, self._template, self._tokenizer)
        messages = [
            {"role": role, "content": plain_marks(content, self._tokenizer)} for role, content in request.messages
        ]
        encoded = self._tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=True, return_dict=True, **self._settings
        )
        return list(encoded["input_ids"])
