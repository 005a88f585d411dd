"""JSON to pieces: a list of texts or of objects, the lists of an object, or an object whose keys are the labels.

What a model breaks off in the middle of is read as far as it goes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from overton.segment import lists
from overton.segment.cues import beginning
from overton.segment.marks import MAX_WORDS, count_words
from overton.segment.masking import WORD
from overton.segment.prose import read as prose
from overton.segment.template import MAX_LABEL, Piece, trim

Span = tuple[int, int]
# Words of keys: of what names a view, of what else is said about one, of what stands beside the views, and fillers.
_LABELS = re.compile(
    "label|perspective|name|title|view|viewpoint|position|stance|side|value|theme|group|holder|heading"
)
_FIELDS = re.compile(
    f"{_LABELS.pattern}|explanation|text|description|argument|reason|reasoning|rationale|content|detail"
)
_BESIDE = re.compile("id|question|prompt|situation|topic|introduction|intro|summary|conclusion|note")
_FILL = re.compile("core|main|short|full|of|the|overall|final")
_FENCE = re.compile(r"```[ \t]*+(?:json\w*)?[ \t]*+\n")
_SPACE = re.compile(r"\s*+")
_NEXT = re.compile(r"\s*+(?P<comma>,?)\s*+")
_COLON = re.compile(r"\s*+:\s*+")
_TEXT = re.compile(r'"(?P<text>(?:[^"\\\n]|\\.)*+)(?P<close>"?)')
_OTHER = re.compile(r"[-+.\w]++")
_KEY_WORD = re.compile(r"[^\W_]+")
_DEPTH = 6  # lists in lists


@dataclass(slots=True)
class _Node:
    """A value: the place of a text, or the values of a list or an object, each with the place of its key."""

    span: Span
    kind: str  # " [ { or nothing for numbers
    items: list[tuple[Span, _Node]] = field(default_factory=list)
    whole: bool = True


def read(text: str, start: int, stop: int) -> list[Piece]:
    """Pieces of a text that is JSON, perhaps in a fence; none where more is beside it than in it.

    Args:
        text: the visible text.
        start: beginning of what is read.
        stop: its end.
    """
    place, end = trim(text, start, stop)
    if text[place : place + 1] not in ("[", "{"):
        fence = _FENCE.search(text, place, end)
        if not fence:
            return []
        place, _ = trim(text, fence.end(), end)
        whole, closed = end, text.find("```", place, end)
        end = whole if closed < 0 else closed
        if (end - place) * 2 < whole - trim(text, start, stop)[0]:
            return []
    if text[place : place + 1] not in ("[", "{"):
        return []
    node = _value(text, place, end, _DEPTH)
    if node is None or (node.whole and text[node.span[1] : end].strip()):
        return []
    return list(_pieces(text, node))


def _value(text: str, place: int, stop: int, depth: int) -> _Node | None:
    """The value that begins at a place; ``None`` where none does."""
    sign = text[place : place + 1] if place < stop else ""
    if sign == '"' and (found := _TEXT.match(text, place, stop)):
        whole = bool(found["close"])
        return _Node(found.span("text"), sign, whole=whole) if whole or found.end() == stop else None
    if sign in ("[", "{") and depth:
        return _values(text, place, stop, sign, depth)
    other = _OTHER.match(text, place, stop)
    return _Node(other.span(), "") if other else None


def _values(text: str, place: int, stop: int, sign: str, depth: int) -> _Node | None:
    node = _Node((place, stop), sign)
    at, comma = _SPACE.match(text, place + 1, stop).end(), True  # type: ignore[union-attr]
    while at < stop:
        if text[at] in "]}":
            node.span = (place, at + 1)
            return node if text[at] == ("]" if sign == "[" else "}") else None
        key = (at, at)
        if not comma:
            return None
        if sign == "{":
            name = _TEXT.match(text, at, stop)
            colon = _COLON.match(text, name.end(), stop) if name else None
            if not name or not colon:
                return _broken(node) if name and name.end() == stop else None
            key, at = name.span("text"), colon.end()
            if at == stop:
                break
        value = _value(text, at, stop, depth - 1)
        if value is None:
            return None
        node.items.append((key, value))
        if not value.whole:
            break
        after = _NEXT.match(text, value.span[1] + (value.kind == '"'), stop)
        assert after is not None
        at, comma = after.end(), bool(after["comma"])
    return _broken(node)


def _broken(node: _Node) -> _Node:
    node.whole = False
    return node


def _among(names: re.Pattern[str], text: str, key: Span) -> bool:
    """Whether a key is made of these words ("core_perspective", "View name"; not "Religious perspective")."""
    words = [word for word in _KEY_WORD.findall(text[slice(*key)].lower()) if not _FILL.fullmatch(word)]
    return bool(words) and all(names.fullmatch(word) for word in words)


def _pieces(text: str, node: _Node) -> Iterator[Piece]:
    """The views that a list or an object holds."""
    if node.kind == "[":
        for _, value in node.items:
            yield from _item(text, value)
        return
    nested = [(key, value) for key, value in node.items if value.items]
    for key, value in nested:
        one = value.kind == "{" and any(_among(_FIELDS, text, name) for name, _ in value.items)
        yield from _object(text, value, key) if one else _pieces(text, value)
    if nested:
        return
    texts = [(key, value.span) for key, value in node.items if value.kind == '"']
    said = [(key, span) for key, span in texts if not _among(_BESIDE, text, key)]
    if len(said) == 1:
        yield from lists.read(text, *said[0][1]) or prose(text, *said[0][1])
    elif any(_among(_FIELDS, text, key) for key, _ in said):
        yield from _object(text, node, node.span[:1] * 2)
    else:
        yield from (Piece(key[0], key, *trim(text, *span)) for key, span in said)


def _item(text: str, node: _Node) -> Iterator[Piece]:
    if node.kind == '"':
        first, last = trim(text, *node.span)
        view = beginning(text, first, last)
        yield Piece(first, view.label, view.body, last)
    elif node.kind == "{":
        yield from _object(text, node, node.span[:1] * 2)
    elif node.kind == "[":
        yield from _pieces(text, node)


def _object(text: str, node: _Node, label: Span) -> Iterator[Piece]:
    """One view of an object: its longest text, and what names it."""
    texts = [(key, value.span) for key, value in node.items if value.kind == '"' and WORD.search(text, *value.span)]
    if not texts:
        for _, value in node.items:
            if value.items:
                yield from _pieces(text, value)
        return
    said = max((span for _, span in texts), key=lambda span: span[1] - span[0])
    for key, span in texts:
        short = span[1] - span[0] <= MAX_LABEL and count_words(text, *span) <= MAX_WORDS
        if label[0] == label[1] and span != said and short and _among(_LABELS, text, key):
            label = trim(text, *span)
    if len(texts) == 1 and label[0] == label[1] and not _among(_FIELDS, text, texts[0][0]):
        label = texts[0][0]
    first, last = trim(text, *said)
    if label[0] == label[1]:
        view = beginning(text, first, last)
        yield Piece(first, view.label, view.body, last)
    else:
        yield Piece(min(label[0], first), label, first, last)
