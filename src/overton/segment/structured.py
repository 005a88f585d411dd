"""JSON to pieces: a list of texts or of objects, the lists of an object, or an object whose keys are the labels.

An object is one view: its texts, or a list of texts in it, are what it says, and a short one names it. Where it holds
objects, or a list by the name of "perspectives", each of those is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from overton.segment import lists
from overton.segment.cues import beginning
from overton.segment.marks import MAX_WORDS, count_words, marked_line
from overton.segment.masking import WORD
from overton.segment.phrases import SIDES
from overton.segment.prose import read as prose
from overton.segment.template import MAX_LABEL, Piece, Span, trim
from overton.segment.values import Value, read_values

# Words of keys: of what names a view, of what else is said about one, of what stands beside the views, and fillers.
_LABELS = re.compile(
    "label|perspective|name|title|view|viewpoint|position|stance|side|value|theme|group|holder|heading"
    "|nombre|título|perspectiva|nom|titre|titel|perspektive|sichtweise|nome|название|观点|观点名称|视角|角度|立场|标题|名称"
    "|視点|立場|관점"
)
_TELLS = re.compile("explanation|text|description|arguments?|reasons?|reasoning|rationale|content|details?|claim")
_FIELDS = re.compile(f"{_LABELS.pattern}|{_TELLS.pattern}")
_MANY = re.compile("(?:perspective|view|viewpoint|opinion|position|stance|side)s")
_BESIDE = re.compile(
    "id|question|prompt|situation|topic|introduction|intro|overview|summary|conclusion|notes?|disclaimer|references|sources"
)
_TITLE = re.compile("title|heading|name")
_NAMES = re.compile(f"label|{_TITLE.pattern}")
_FILL = re.compile("core|main|short|full|of|the|overall|final")
_COUNT = re.compile(r"\d+|[a-h]")
_FENCE = re.compile(r"```[ \t]*+(?:json\w*)?[ \t]*+\n\s*+(?=[\[{])", re.IGNORECASE)
_BARE = re.compile(r"^[\[{]\s*+[\"\[{]", re.MULTILINE)
_KEY_WORD = re.compile(r"[^\W_]+")
_ESCAPE = re.compile(r"\\(.)")
_STOPS = tuple(".!?…。！？।؟")


def read(text: str, start: int, stop: int) -> list[Piece]:
    """Pieces of a text that is JSON, perhaps in fences; none where more is beside it than in it.

    Args:
        text: the visible text.
        start: beginning of what is read.
        stop: its end.
    """
    place, end = trim(text, start, stop)
    found: list[Value] = []
    said = 0
    for first, last in _blocks(text, place, end):
        values, reached = read_values(text, first, last)
        found += values
        said += reached - first
    if not found or said * 2 < end - place:
        return []
    pieces = [piece for value in found for piece in _pieces(text, value)]
    # A summary or notes beside the views may be left out, but not if they are most of what is said.
    unread, reached = [], 0
    texts = sorted({*(span for value in found for span in value.texts())})
    starts = iter(sorted(pieces))
    following = next(starts, None)
    for span in texts:
        while following and following.start <= span[1]:
            reached, following = max(reached, following.end), next(starts, None)
        if span[0] >= reached and _is_said(text, span):
            unread.append(span)
    if sum(b - a for a, b in unread) > sum(p.end - p.body for p in pieces) > 0:
        pieces += [Piece(span[0], span[:1] * 2, *trim(text, *span)) for span in unread]
    return sorted(pieces)


def _blocks(text: str, place: int, end: int) -> Iterator[Span]:
    """Where JSON may stand: in fences, or from the first line that begins like it."""
    fence = _FENCE.search(text, place, end)
    if text[place : place + 1] in ("[", "{"):
        yield place, end
    elif fence:
        while fence:
            closed = text.find("```", fence.end(), end)
            last = end if closed < 0 else closed
            yield fence.end(), last
            fence = _FENCE.search(text, min(last + 3, end), end)
    elif bare := _BARE.search(text, place, end):
        yield bare.start(), end


def _words(text: str, key: Span) -> list[str]:
    return [word for word in _KEY_WORD.findall(text[slice(*key)].lower()) if not _FILL.fullmatch(word)]


def _among(names: re.Pattern[str], text: str, key: Span) -> bool:
    """Whether a key is made of these words ("core_perspective", "View name"; not "Religious perspective")."""
    words = _words(text, key)
    return bool(words) and all(names.fullmatch(word) for word in words)


def _key_label(text: str, key: Span) -> Span:
    """The key as a label; nothing where it only counts ("viewpoint_1")."""
    words = _words(text, key)
    counts = any(map(_COUNT.fullmatch, words)) and all(_COUNT.fullmatch(w) or _FIELDS.fullmatch(w) for w in words)
    return key[:1] * 2 if counts else key


def _is_view(text: str, value: Value) -> bool:
    """Whether an object is one view, not a collection of several."""
    return not any(
        inner.kind == "{" or any(i.items for _, i in inner.items) or (inner.items and _among(_MANY, text, key))
        for key, inner in value.items
    )


def _is_said(text: str, span: Span) -> bool:
    """Whether a text is a sentence, by its length or its end."""
    return text[slice(*span)].rstrip("\"'”’)\\ ").endswith(_STOPS) or count_words(text, *span) > MAX_WORDS


def _pieces(text: str, node: Value) -> Iterator[Piece]:
    """The views that a list or an object holds."""
    if node.kind == "[":
        rows = [marked_line(text, *value.span) for _, value in node.items if value.kind == '"']
        named = all(row and row.label[0] < row.label[1] and not row.alone for row in rows)
        for _, value in node.items:
            yield from _item(text, value, named)
        return
    values = [(key, value) for key, value in node.items if not _among(_BESIDE, text, key)]
    if any(value.items for _, value in values):
        for key, value in values:
            if value.kind == "{" and _is_view(text, value) and any(_among(_FIELDS, text, k) for k, _ in value.items):
                yield from _object(text, value, _key_label(text, key))
            elif value.kind == '"' and not _among(_TITLE, text, key) and _is_said(text, value.span):
                yield Piece(key[0], _key_label(text, key), *trim(text, *value.span))
            else:
                yield from _pieces(text, value)
        return
    said = [(key, value.span) for key, value in values if value.kind == '"']
    if len(said) == 1:
        yield from _free(text, *said[0][1])
    elif any(_among(_FIELDS, text, key) for key, _ in said):
        yield from _object(text, node, node.span[:1] * 2)
    else:
        yield from (Piece(key[0], _key_label(text, key), *trim(text, *span)) for key, span in said)


def _free(text: str, start: int, stop: int) -> list[Piece]:
    """Pieces of one text that is an answer of its own; its line breaks are written as two characters."""
    said = _ESCAPE.sub(lambda m: {"n": " \n", "t": "  "}.get(m[1], f" {m[1]}"), text[start:stop])
    text = text[:start] + said
    return lists.read(text, start, stop) or prose(text, start, stop)


def _item(text: str, node: Value, named: bool) -> Iterator[Piece]:
    if node.kind == '"':
        first, last = trim(text, *node.span)
        row = marked_line(text, first, last) if named else None
        view = beginning(text, first, last)
        yield Piece(first, row.label, row.body, last) if row else Piece(first, view.label, view.body, last)
    elif node.kind == "{" and _is_view(text, node):
        yield from _object(text, node, node.span[:1] * 2)
    else:
        yield from _pieces(text, node)


def _object(text: str, node: Value, label: Span) -> Iterator[Piece]:
    """One view of an object: what it says, and what names it."""
    texts = [(key, value.span) for key, value in node.items if value.kind == '"' and WORD.search(text, *value.span)]
    every = [spans for _, value in node.items if (spans := [s for s in value.texts() if WORD.search(text, *s)])]
    if not every:
        return
    # A list of arguments counts by its length as one text does. A name may be longer than what is said in short.
    told = [span for key, span in texts if _among(_TELLS, text, key)]
    names = _LABELS if any(_is_said(text, span) for span in told) else _NAMES
    named = [span for key, span in texts if _among(names, text, key) and not _is_said(text, span)]
    wholes = [(spans[0][0], spans[-1][1]) for spans in every]
    if told:
        wholes = [span for span in wholes if span not in named]
    longest = max(wholes, key=lambda span: span[1] - span[0])
    for key, span in texts:
        short = span[1] - span[0] <= MAX_LABEL and count_words(text, *span) <= MAX_WORDS
        if label[0] == label[1] and span != longest and short and _among(_LABELS, text, key):
            label = trim(text, *span)
    if label[0] < label[1] and SIDES.fullmatch(text, *label) and longest not in [span for _, span in texts]:
        arguments = next(value for _, value in node.items if longest[0] in [s[0] for s in value.texts()])
        yield from _pieces(text, arguments)
        return
    if len(every) == len(texts) == 1 and label[0] == label[1] and not _among(_FIELDS, text, texts[0][0]):
        label = _key_label(text, texts[0][0])
    said = [span for spans in every for span in spans if trim(text, *span) != label and _is_said(text, span)]
    first, last = trim(text, min([longest, *said])[0], max(end for _, end in [longest, *said]))
    if label[0] == label[1]:
        view = beginning(text, first, last)
        yield Piece(first, view.label, view.body, last)
    else:
        yield Piece(min(label[0], first), label, first, last)
