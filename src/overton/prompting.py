"""From a situation to what the policy reads, where its answer ends, and the answers that it learns from.

Shared by training, generation and ``overton ask``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from overton.errors import DataError
from overton.jsonio import read_jsonl

Message = dict[str, str]


def read_sft_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of ``data/sft.jsonl``, made by the data stage or put there: ``prompt`` and ``completion``, and what else.

    Args:
        path: the file. Both are bare text, of which :func:`build_prompt` and :func:`build_completion` make messages. An
            empty completion teaches to say nothing.

    Raises:
        DataError: as for :func:`~overton.jsonio.read_jsonl`, or a row lacks one of the two, or it is no text, or the
            prompt is empty.
    """
    rows = read_jsonl(path)
    for number, row in enumerate(rows, 1):
        for name in ("prompt", "completion"):
            value = row.get(name)
            if not isinstance(value, str) or (name == "prompt" and not value.strip()):
                found = f"found {value!r:.40}" if name in row else "there is no such column"
                wanted = "text that is not empty" if name == "prompt" else "text"
                raise DataError(
                    f"{path}, row {number}: `{name}` must be {wanted}, {found}; fill it in or leave the row out"
                )
    return rows


def build_prompt(situation: str, template: str, tokenizer: Any) -> str | list[Message]:
    """The prompt in the form TRL expects: text, or messages for a model with a chat template.

    Args:
        situation: the bare question; special tokens in it are read as text (:func:`plain_marks`).
        template: ``policy.prompt_template``; ``{situation}`` is replaced.
        tokenizer: with a chat template, the prompt becomes one user turn; without, the text and a line break.
    """
    text = template.replace("{situation}", plain_marks(situation, tokenizer))
    if getattr(tokenizer, "chat_template", None):
        return [{"role": "user", "content": text}]
    return text + "\n"


def plain_marks(text: str, tokenizer: Any) -> str:
    """A text whose special tokens are none any more: in a question one would end the user's turn, in an answer that is
    judged the quotation."""
    return _marks(tokenizer).sub(lambda match: f"{match.group()[0]} {match.group()[1:]}", text)


@lru_cache(maxsize=8)
def _marks(tokenizer: Any) -> re.Pattern[str]:
    """The special tokens of a tokenizer, longest first; what never matches where it has none."""
    marks = {token.content for token in getattr(tokenizer, "added_tokens_decoder", {}).values() if token.special}
    return re.compile("|".join(map(re.escape, sorted(marks, key=len, reverse=True))) or r"(?!)")


def build_completion(answer: str, tokenizer: Any) -> str | list[Message]:
    """The completion that goes with :func:`build_prompt` in supervised fine-tuning."""
    if getattr(tokenizer, "chat_template", None):
        return [{"role": "assistant", "content": answer}]
    return answer


def completion_text(completion: Any) -> Any:
    """What a completion as TRL hands it over says: its text, or the content of the last of its messages, ``""`` when
    that has none or is not the model's own (a tool's output). What is neither, or no message at all, gives ``None``."""
    if isinstance(completion, str):
        return completion
    try:
        last = completion[-1]
        return (last.get("content") or "") if last.get("role", "assistant") == "assistant" else ""
    except (AttributeError, IndexError, KeyError, TypeError):
        return None


def plain_text(content: Any) -> Any:
    """A message's content without what is no text (images), ``""`` where there is none."""
    if isinstance(content, Mapping):  # one part that is in no list
        content = [content]
    if isinstance(content, list):
        texts = (part if isinstance(part, str) else _text_of_part(part) for part in content)
        return "\n".join(text for text in texts if text is not None)
    return content or ""


def _text_of_part(part: Any) -> str | None:
    return (part.get("text") or "") if isinstance(part, Mapping) and part.get("type") == "text" else None


def marks_channels(tokenizer: Any) -> bool:
    """Whether special tokens tell a model's answer from its thoughts, as in gpt-oss, so that they have to be read."""
    return tokenizer.convert_tokens_to_ids("<|channel|>") not in (None, tokenizer.unk_token_id)


def answer_text(ids: Sequence[int], tokenizer: Any) -> str:
    """What a model wrote, without special tokens unless they mark its channels."""
    return str(tokenizer.decode(ids, skip_special_tokens=not marks_channels(tokenizer)))


def prompt_ids(situation: str, template: str, tokenizer: Any) -> list[int]:
    """Token ids of the prompt, ready for generation."""
    prompt = build_prompt(situation, template, tokenizer)
    if isinstance(prompt, str):
        return list(tokenizer(prompt)["input_ids"])
    encoded = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)
    return list(encoded["input_ids"])


def turn_end(tokenizer: Any) -> int | None:
    """The token that ends an answer in the chat template; ``None`` without one, or where no token of its own does.

    A base model's end of text is often another one (``<|endoftext|>`` beside ChatML's ``<|im_end|>``). A model that was
    fine-tuned with the template ends its answers with this token, so generation has to end there too.
    """
    if not getattr(tokenizer, "chat_template", None):
        return None
    answer = "It depends."
    messages = [{"role": "user", "content": "May I?"}, {"role": "assistant", "content": answer}]
    try:
        rest = tokenizer.apply_chat_template(messages, tokenize=False).rpartition(answer)[2]
    except Exception:  # templates refuse with errors of their own; prompts will say what is wrong
        return None
    ids = tokenizer(rest.lstrip(), add_special_tokens=False)["input_ids"]
    return int(ids[0]) if ids and ids[0] in tokenizer.added_tokens_decoder else None


def end_turns(model: Any, tokenizer: Any) -> None:
    """Let the model's generation end where its chat template ends a turn, beside where it ended before."""
    end = turn_end(tokenizer)
    known = model.generation_config.eos_token_id
    known = [] if known is None else [known] if isinstance(known, int) else list(known)
    if end is not None and end not in known:
        model.generation_config.eos_token_id = [*known, end]


def longest_prompt(prompts: Sequence[str | list[Message]], tokenizer: Any) -> int:
    """Tokens of the longest prompt, in the form of :func:`build_prompt`; 0 without prompts."""
    if not prompts:
        return 0
    if isinstance(prompts[0], str):
        return max(map(len, tokenizer(list(prompts))["input_ids"]))
    encoded = tokenizer.apply_chat_template(list(prompts), add_generation_prompt=True, tokenize=True, return_dict=True)
    return max(map(len, encoded["input_ids"]))
