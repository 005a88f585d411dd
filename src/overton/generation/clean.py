"""From what a model wrote to its answer: thinking and remains of chat templates are removed."""

from __future__ import annotations

import re

from overton.thoughts import THOUGHT_CLOSE, THOUGHT_OPEN

# The beginning of a thought is often part of the prompt, so its end alone tells.
_THOUGHT_END = re.compile(THOUGHT_CLOSE, re.IGNORECASE)
_THOUGHT = re.compile(THOUGHT_OPEN, re.IGNORECASE)
_SPACE = re.compile(r"\s*+")
_SPECIAL = r"(?:<\|[A-Za-z_]{1,40}\|>|</?s>|<(?:start|end)_of_turn>|<[be]os>|\[/?INST\])"
# What opens the model's turn: special tokens, its role on a line or before a colon.
_HEAD = re.compile(
    rf"(?:{_SPECIAL}\s*)+(?:(?:assistant|model)\b\s*:?\s*)?(?:{_SPECIAL}\s*)*"
    r"|(?:assistant|model)[ \t]*:?[ \t]*(?:\n|\Z)|assistant[ \t]*:",
    re.IGNORECASE,
)
# What ends it: a special token, or another turn's role alone on a line; no struck-out words.
_TAIL = re.compile(
    rf"<s>[^<\n]+</s>|(?P<end>{_SPECIAL}|\n[ \t]*(?:assistant|user)[ \t]*:[ \t]*(?=\n|\Z)"
    r"|\n[ \t]*(?-i:assistant|user)[ \t]*(?=\n|\Z))",
    re.IGNORECASE,
)


def clean_answer(text: str) -> str:
    """The answer within a reply.

    - Everything up to the end of the last thought goes (``</think>`` and the like); a reply that was cut off within
      its only thought has no answer, which is ``""``.
    - The head of the model's turn goes (``<|im_start|>assistant``, ``assistant`` alone on a line, ``Assistant:``).
    - The answer ends at the first special token (``<|im_end|>``, ``</s>`` ...), the head of another turn or a thought
      without an end.

    Nothing else is changed: tags of the answer's template stay. Cleaning twice is cleaning once.
    """
    while (shorter := _cleaned(text)) != text:
        text = shorter
    return text


def share(tokens: int, part: str, whole: str) -> int:
    """About how many of a text's tokens a part of it has: those of as many characters, at least one unless empty."""
    if part == whole:
        return tokens
    return max(1, round(tokens * len(part) / len(whole))) if part and whole else 0


def _cleaned(text: str) -> str:
    text = text[max((match.end() for match in _THOUGHT_END.finditer(text)), default=0) :]
    if thought := _THOUGHT.search(text):  # without an end
        text = text[: thought.start()]
    text = text.strip()
    first = start = _after_head(text, 0, len(text))
    stop = _tail(text, start, len(text))
    # By places: of a page of heads, what is left would be copied for each.
    while (after := _after_head(text, start, stop)) > start:
        start = after
    stop = _tail(text, start, stop) if start > first else stop
    return text[start:stop].strip()


def _after_head(text: str, start: int, stop: int) -> int:
    """Where the text goes on after a head of the model's turn and white space before it; ``start`` without a head."""
    space = _SPACE.match(text, start, stop)
    head = _HEAD.match(text, space.end() if space else start, stop)
    return head.end() if head else start


def _tail(text: str, start: int, stop: int) -> int:
    """Where the model's turn ends."""
    return next((match.start() for match in _TAIL.finditer(text, start, stop) if match["end"]), stop)
