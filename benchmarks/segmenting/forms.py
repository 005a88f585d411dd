"""Known perspectives written in many forms, with the place of each."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from segmenting.logs import View


class Place(NamedTuple):
    """Where a perspective stands, its mark and label included, and the label that can be read there."""

    start: int
    end: int
    label: str


class Text:
    """A text that is put together, and the places of its perspectives."""

    def __init__(self) -> None:
        self.text = ""
        self.places: list[Place] = []

    def add(self, text: str) -> None:
        """Text that is no perspective."""
        self.text += text

    def view(self, text: str, label: str = "") -> None:
        """Text that is one, without space at its ends."""
        self.places.append(Place(len(self.text), len(self.text) + len(text), label))
        self.text += text


Form = Callable[[list[View], random.Random], Text]
FORMS: dict[str, tuple[str, Form]] = {}  # name -> group, form

_CONTRASTS = ("However, ", "On the other hand, ", "Others argue that ", "Some people hold that ", "Critics say that ")
_COUNTS = ("First, ", "Second, ", "Third, ", "Fourth, ", "Fifth, ", "Another view is that ", "Finally, ")
_SIDES = (
    "From the standpoint of {0}, ",
    "From the viewpoint of {0}, ",
    "From the point of view of {0}, ",
    "From a {0} perspective, ",
)
_INTRODUCTIONS = ("There are many ways to look at this. Here are some:", "Several perspectives matter here:", "Views:")
_CLOSINGS = (
    "In conclusion, each of these deserves to be weighed with care.",
    "Overall, the right choice depends on the people involved.",
    "Ultimately, nobody can decide this for somebody else.",
    "Whoever has to decide should listen to all of them.",
    "These perspectives can pull in different directions.",
)


def _form(group: str, name: str, form: Form) -> None:
    FORMS[name] = group, form


def _lower(text: str) -> str:
    return text[0].lower() + text[1:]


def _lines(mark: Callable[[int], str], between: str = "\n", label: str = "", before: str = "") -> Form:
    """A form with a mark before each perspective; ``label`` is the pattern of label and text."""

    def form(found: list[View], _: random.Random) -> Text:
        out = Text()
        for number, view in enumerate(found):
            out.add((between if number else "") + before)
            said = label.format(view.label, view.text) if label else view.text
            out.view(f"{mark(number)}{said}", view.label if label else "")
        return out

    return form


def _framed(form: Form) -> Form:
    """A form with an introduction and a closing paragraph."""

    def framed(found: list[View], choice: random.Random) -> Text:
        inner, out = form(found, choice), Text()
        out.add(choice.choice(_INTRODUCTIONS) + "\n\n")
        for place in inner.places:
            out.places.append(Place(place.start + len(out.text), place.end + len(out.text), place.label))
        out.add(inner.text + "\n\n" + choice.choice(_CLOSINGS))
        return out

    return framed


def _nested(mark: Callable[[int], str], sub: str, head: str, deep: str) -> Form:
    def form(found: list[View], _: random.Random) -> Text:
        out = Text()
        for number, view in enumerate(found):
            out.add("\n" if number else "")
            points = [p for s in view.sentences for p in _halves(s)]
            out.view(mark(number) + head.format(view.label) + "".join(f"\n{deep}{sub}{p}" for p in points), view.label)
        return out

    return form


def _halves(sentence: str) -> Iterator[str]:
    """A sentence at its first comma, so that even a short perspective has sub-points."""
    first, comma, rest = sentence.partition(", ")
    yield from (f"{first}.", rest[:1].upper() + rest[1:]) if comma and len(rest) > 20 else (sentence,)


def _table(found: list[View], _: random.Random) -> Text:
    out = Text()
    out.add("| Perspective | Explanation |\n|---|---|\n")
    for view in found:
        out.view(f"| {view.label} | {view.text}", view.label)
        out.add(" |\n")
    return out


def _html_table(found: list[View], _: random.Random) -> Text:
    out = Text()
    out.add("<table>\n<tr><th>Perspective</th><th>Explanation</th></tr>\n")
    for view in found:
        out.add("<tr>")
        out.view(f"<td>{view.label}</td><td>{view.text}", view.label)
        out.add("</td></tr>\n")
    out.add("</table>")
    return out


def _json(objects: bool) -> Form:
    """A fenced list of texts, or an object with a list of objects."""

    def form(found: list[View], _: random.Random) -> Text:
        out = Text()
        out.add('```json\n{"perspectives": [\n')
        for number, view in enumerate(found):
            label, said = (json.dumps(text, ensure_ascii=False)[1:-1] for text in (view.label, view.text))
            out.add((",\n" if number else "") + ('{"label": "' if objects else '"'))
            out.view(f'{label}", "explanation": "{said}' if objects else said, view.label if objects else "")
            out.add('"}' if objects else '"')
        out.add("]}\n```")
        return out

    return form


def _paragraphs(found: list[View], _: random.Random) -> Text:
    out = Text()
    for number, view in enumerate(found):
        out.add("\n\n" if number else "")
        out.view(view.text)
    return out


def _prose(starts: tuple[str, ...], named: bool = False, random_order: bool = True) -> Form:
    """One paragraph; each perspective begins with one of some phrases."""

    def form(found: list[View], choice: random.Random) -> Text:
        out = Text()
        for number, view in enumerate(found):
            start = choice.choice(starts) if random_order else starts[min(number, len(starts) - 1)]
            start = "" if not number and not named else start.format(_lower(view.label))
            out.add(" " if number else "")
            out.view(start + (_lower(view.text) if start else view.text), _lower(view.label) if named else "")
        return out

    return form


def _replaced(form: Form, *pairs: tuple[str, str]) -> Form:
    """A form in which characters are replaced by others of the same length."""

    def replaced(found: list[View], choice: random.Random) -> Text:
        out = form(found, choice)
        for old, new in pairs:
            out.text = out.text.replace(old, new)
        return out

    return replaced


def _thought(before: str, form: Form) -> Form:
    def thought(found: list[View], choice: random.Random) -> Text:
        inner, out = form(found, choice), Text()
        out.add(before)
        out.places += [Place(p.start + len(before), p.end + len(before), p.label) for p in inner.places]
        out.add(inner.text)
        return out

    return thought


def _counted(signs: str, after: str) -> Callable[[int], str]:
    return lambda number: f"{signs[number]}{after}"


def _digits(pattern: str, zero: str = "0") -> Callable[[int], str]:
    table = {ord("0") + i: chr(ord(zero) + i) for i in range(10)}
    return lambda number: pattern.format(str(number + 1).translate(table))


_HAN = tuple("一二三四五六七八九十") + tuple(f"十{c}" for c in "一二三四五六七八九")
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii")
_ONE = _digits("{}. ")
_LABELED = "**{}**: {}"

for _name, _mark in {
    "1.": _ONE,
    "1)": _digits("{}) "),
    "(1)": _digits("({}) "),
    "a)": lambda n: f"{chr(ord('a') + n)}) ",
    "i.": lambda n: f"{_ROMAN[n]}. ",
    "①": lambda n: chr(ord("①") + n) + " ",
}.items():
    _form("numbered", _name, _lines(_mark))
_form("numbered", "1. with empty lines", _lines(_ONE, "\n\n"))
_form("numbered", "(1) within a paragraph", _lines(_digits("({}) "), " "))
for _sign in "-*•–—":
    _form("bulleted", _sign, _lines(lambda _, s=_sign: f"{s} "))  # type: ignore[misc]
for _name, _pattern in {
    "**L**: text": "**{}**: {}",
    "**L:** text": "**{}:** {}",
    "**L** - text": "**{}** - {}",
    "**L** on its own line": "**{}**\n{}",
}.items():
    _form("bold", _name, _lines(lambda _: "", "\n\n", _pattern))
_form("bold", "* **L:** text", _lines(lambda _: "* ", "\n", "**{}:** {}"))
_form("bold", "1. **L**: text", _lines(_ONE, "\n", _LABELED))
_form("bold", "1. **L** - text", _lines(_ONE, "\n\n", "**{}** - {}"))
_form("headed", "## L", _lines(lambda _: "## ", "\n\n", "{}\n{}"))
_form("headed", "### 1. L", _lines(lambda n: f"### {n + 1}. ", "\n\n", "{}\n\n{}"))
_form("headed", "L: on its own line", _lines(lambda _: "", "\n\n", "{}:\n{}"))
_form("headed", "L: text", _lines(lambda _: "", "\n", "{}: {}"))
_form("headed", "1. L: text", _lines(_ONE, "\n", "{}: {}"))
_form("headed", "table", _table)
_form("structured", "HTML table", _html_table)
_form("structured", "lines with <br>", _lines(_ONE, "<br>", _LABELED))
_form("structured", "JSON, texts", _json(objects=False))
_form("structured", "JSON, objects", _json(objects=True))
_form("nested", "1. **L** with -", _nested(_ONE, "- ", "**{}**", "   "))
_form("nested", "- **L:** with *", _nested(lambda _: "- ", "* ", "**{}:**", "  "))
_form("nested", "## L with -", _nested(lambda _: "## ", "- ", "{}", ""))
for _name in ("1.", "-", "1. **L**: text", "**L** on its own line", "## L", "L: text", "1. **L** with -"):
    _form("with introduction and closing", f"{_name}, framed", _framed(FORMS[_name][1]))
_form("prose", "paragraphs", _paragraphs)
_form("prose", "paragraphs, framed", _framed(_paragraphs))
_form("prose", "contrasts", _prose(_CONTRASTS))
_form("prose", "counted", _prose(_COUNTS, random_order=False))
_form("prose", "named standpoints", _prose(_SIDES, named=True))
for _name, _mark in {
    "１．": _digits("{}．", "０"),
    "（1）": _digits("（{}）"),
    "一、": lambda n: f"{_HAN[n]}、",
    "１、": _digits("{}、", "０"),
    "・": lambda _: "・",
    "١.": _digits("{}. ", "٠"),
    "१.": _digits("{}. ", "०"),
    "๑.": _digits("{}. ", "๐"),
    "а)": _counted("абвгдежзиклмнопрстуф", ") "),
    "가.": _counted("가나다라마바사아자차카타파하거너더러머버", ". "),
}.items():
    _form("marks of other scripts", _name, _lines(_mark))
for _name, _stop in {"。": "。", "।": "। ", "؟": "؟ "}.items():
    _form(
        "marks of other scripts", f"paragraphs that end with {_name}", _replaced(_paragraphs, (".\n", f"{_stop[0]}\n"))
    )
_form("odd characters", "1. with no-break spaces", _replaced(_lines(_ONE), (". ", ".\u00a0")))
_form("odd characters", "**L**: text, zero-width", _replaced(FORMS["**L**: text"][1], ("**: ", "**:\u200b")))
_form("odd characters", "1. with line separators", _replaced(_lines(_ONE), ("\n", "\u2028")))
_form("thoughts", "<think>", _thought("<think>\n1. Perhaps.\n2. Perhaps not.\n</think>\n\n", FORMS["1."][1]))
_form("thoughts", "</think> alone", _thought("- Perhaps.\n- Perhaps not.\n</think>\n\n", FORMS["## L"][1]))
