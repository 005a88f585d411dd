"""JSON as a tree of places in a text. What a model breaks off in the middle of is read as far as it goes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from overton.segment.template import Span

_SPACE = re.compile(r"\s*+")
_NEXT = re.compile(r"\s*+(?P<comma>,?)\s*+")
_COLON = re.compile(r"\s*+:\s*+")
_TEXT = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*+)(?P<close>"?)', re.DOTALL)  # models break lines within a text
_OTHER = re.compile(r"[-+.%\w]++")
_DEPTH = 6  # lists in lists


@dataclass(slots=True)
class Value:
    """A value: the place of a text, or the values of a list or an object, each with the place of its key."""

    span: Span
    kind: str  # " [ { or nothing for numbers
    items: list[tuple[Span, Value]] = field(default_factory=list)
    whole: bool = True

    def texts(self) -> Iterator[Span]:
        """Places of all texts in it."""
        if self.kind == '"':
            yield self.span
        for _, value in self.items:
            yield from value.texts()


def read_values(text: str, place: int, stop: int) -> tuple[list[Value], int]:
    """Lists and objects that stand one after the other, as in JSON lines, and where what is none begins."""
    found: list[Value] = []
    while place < stop and text[place] in "[{" and (value := _value(text, place, stop, _DEPTH)):
        found.append(value)
        after = _NEXT.match(text, value.span[1] if value.whole else stop, stop)
        assert after is not None
        place = after.end()
    return found, place


def _value(text: str, place: int, stop: int, depth: int) -> Value | None:
    """The value that begins at a place; ``None`` where none does."""
    sign = text[place : place + 1] if place < stop else ""
    if sign == '"' and (found := _TEXT.match(text, place, stop)):
        whole = bool(found["close"])
        return Value(found.span("text"), sign, whole=whole) if whole or found.end() == stop else None
    if sign in ("[", "{") and depth:
        return _values(text, place, stop, sign, depth)
    other = _OTHER.match(text, place, stop)
    return Value(other.span(), "") if other else None


def _values(text: str, place: int, stop: int, sign: str, depth: int) -> Value | None:
    node = Value((place, stop), sign)
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


def _broken(node: Value) -> Value:
    node.whole = False
    return node
