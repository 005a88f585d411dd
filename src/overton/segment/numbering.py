"""Numbers and letters that count items, in several scripts: 1. 1) (1) １． ① a) i. 一、 (一) 가. ١. "View 1:"."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

_HAN = "一二三四五六七八九十"
_ROMANS = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix", "x")
# Letters count from the first of one of these: "A. Smith" alone is no item.
_ALPHABETS = (
    *(
        "abcdefghijkl",
        "αβγδεζη",
        "абвгдежз",
        "가나다라마바사",
        "אבגדהוז",
        "أبجده",
        "ابجده",
        "कखगघ",
        "กขคง",
        "アイウエオ",
    ),
    _ROMANS,
)
# What is counted by name: "Perspective 2: Privacy", "观点二：".
_NAMES = (
    "perspective|view|viewpoint|point of view|position|stance|standpoint|opinion|argument|side|reason"
    "|perspektive|sichtweise|standpunkt|point de vue|perspectiva|punto de vista|opinião|opinión|posição"
    "|точка зрения|мнение|позиция|관점|입장|견해"
)
_NUMBER = re.compile(
    rf"(?i:(?:{_NAMES})\s)(?P<named>\d{{1,2}}|[A-Ha-h])(?:[:：.)]|[ \t]*+[-–—](?=[ \t]))[ \t]*+(?=[^\s*_])"
    rf"|(?:观点|觀點|视角|視角|視点|立场|立場|角度)(?P<hannamed>\d{{1,2}}|[{_HAN}]{{1,3}})[:：、．][ \t]*+(?=[^\s*_])|"
    r"(?P<digits>\d{1,3})(?:[.．](?![\d.．])|[)）、](?!\d)|[-–:：](?=[ \t])|\u20e3)[ \t]*+"
    r"|[(（\[【](?P<bracketed>\d{1,3})[)）\]】][ \t]*+"
    r"|(?P<circled>[①-⑳❶-❿➀-➓㈠-㈩⑴-⒇])[ \t]*+"
    r"|(?P<parts>\d{1,2}(?:\.\d{1,2}){1,3}+)[.)]?(?=[ \t])[ \t]*+"
    rf"|(?P<han>第?[{_HAN}]{{1,3}})[、．.)），,：:][ \t]*+"
    rf"|[(（【](?P<hanbracketed>[{_HAN}]{{1,3}})[)）】][ \t]*+"
    r"|(?P<letter>[ivxIVX]{2,5}|[^\W\d_])[.)）](?=[ \t])[ \t]*+"
    r"|[(（](?P<letterbracketed>[ivx]{2,5}|[^\W\d_])[)）][ \t]*+"
)


NAMED = "view"  # kind with a word before the number


class Number(NamedTuple):
    """A number or letter before an item.

    Attributes:
        kind: script and shape; the items of one list share it.
        value: what it counts; 0 when unknown.
        end: where the text after it begins.
    """

    kind: str
    value: int
    end: int


def read_number(text: str, start: int, end: int) -> Number | None:
    """The number that the item at ``start`` begins with."""
    sign = text[start : start + 1]
    if start >= end or not (sign.isalnum() or sign in "([（【"):
        return None
    match = _NUMBER.match(text, start, end)
    return Number(*_count(match), match.end()) if match else None


def _count(match: re.Match[str]) -> tuple[str, int]:
    """Kind and value."""
    kind = match.lastgroup or ""
    sign = match[kind]
    if kind in ("digits", "bracketed"):
        half = match.group().rstrip()[-1] in ")）"
        return "(" if kind == "bracketed" else ")" if half else "1", int(sign)
    if kind == "named" or (kind == "hannamed" and sign.isdigit()):
        return NAMED, int(sign) if sign.isdigit() else ord(sign.lower()) - ord("a") + 1
    if kind == "circled":
        return "①", int(unicodedata.numeric(sign))
    if kind == "parts":
        section, _, last = sign.rpartition(".")
        return f"{section}.", int(last)
    if kind in ("han", "hanbracketed", "hannamed"):
        tens, ten, ones = sign.lstrip("第").rpartition("十")
        value = (_HAN.find(tens) + 1 if tens else 1) * 10 * bool(ten) + _HAN.find(ones) + bool(ones)
        return NAMED if kind == "hannamed" else f"一{kind[3:]}", value
    letter = sign.lower()
    value = next((a.index(letter) + 1 for a in (_ROMANS, *_ALPHABETS) if letter in a), 0)
    return f"a{kind[6:]}{'.' if '.' in match.group() else ')'}", value
