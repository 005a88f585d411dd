"""Lists and headed sections to pieces: one an item, and what is nested belongs to its parent.

Of all marks in a text those of the outermost list are the items: the headings where there are several, otherwise the
first kind of mark that recurs. What stands before the first item introduces the list and a closing paragraph after the
last one sums it up: neither is a perspective. Sections that only name a side ("Arguments against") stand for the items
in them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from overton.segment.announcing import announces
from overton.segment.cues import Cue, beginning
from overton.segment.inline import read as inline
from overton.segment.marks import MAX_PLAIN_WORDS, PICTURE, Line, count_words, lines, plain_label
from overton.segment.masking import WORD
from overton.segment.phrases import ASIDE, SIDES
from overton.segment.prose import read as prose
from overton.segment.sentences import before_closing
from overton.segment.template import Piece, Span
from overton.spelling import composed

_STOPS = (".", "!", "?", "。", "！", "？", "।", "؟", "…", '"', "”", ")")
_COLONS = (":", "：")
_DEPTH = 2  # of sections within sections
Name = tuple[Span, int]  # place of a label and where the text after it begins


def read(text: str, start: int, stop: int, depth: int = 0) -> list[Piece]:
    """Pieces of a list; none where there is no list of two items, or most of the text is beside it."""
    found = lines(text, start, stop)
    tops = _tops(text, found, depth)
    if not tops:
        return [] if depth else inline(text, start, stop)
    items = [found[i] for i in tops]
    ends = _ends(text, found, tops)
    pieces: list[Piece] = []
    for index, name, end in zip(tops, _plain_labels(text, items, ends), ends, strict=True):
        line = found[index]
        if not _is(ASIDE, text, line.label):
            inner = _inside(text, found, index, name, end, depth) if depth < _DEPTH and line.end < end else []
            pieces += inner or [_piece(text, line, name, end)]
    return pieces if depth or _is_most(text, found, items, ends) else []


def _is_most(text: str, found: Sequence[Line], items: Sequence[Line], ends: Sequence[int]) -> bool:
    """Whether the items say more than what is beside them and neither announces nor sums up."""
    covered = sum(end - line.start for line, end in zip(items, ends, strict=True))
    beside = 0
    following = iter([*zip(items, ends, strict=True)])
    item, end = next(following)
    for line in found:
        while line.start >= end and (after := next(following, None)):
            item, end = after
        if item.start <= line.start < end or line.alone or _is(ASIDE, text, line.label):
            continue
        sums_up = beginning(text, line.start, line.end).cue in (Cue.CLOSES, Cue.MAY_CLOSE)
        if not sums_up and not announces(text, line.start, line.end):
            beside += line.end - line.start
    return covered >= beside


def _is(names: re.Pattern[str], text: str, label: Span) -> bool:
    return label[0] < label[1] and bool(names.fullmatch(composed(text[slice(*label)])))


def _tops(text: str, found: Sequence[Line], depth: int) -> list[int]:
    """Indices of the lines that begin the items of the outermost list; empty without a list."""
    places: dict[str, list[int]] = {}
    for index, line in enumerate(found):
        if line.key:
            places.setdefault(line.key, []).append(index)
    if ":" in places:
        places[":"] = _named(text, found, places[":"])
    own = {key: sum(not _is(ASIDE, text, found[i].label) for i in at) for key, at in places.items()}
    headings = [key for key in sorted(own) if key[0] == "#" and own[key] >= 2]
    if headings:
        return places[headings[0]]
    plain = sum(line.key in ("", ":") for line in found)
    for key, at in places.items():
        if key[0] == "#" or own[key] < (1 if depth and key[0] not in "*:" else 2):
            continue
        if key == ":" and len(at) * 3 < plain:
            continue
        if key[0] == PICTURE and sum(line.key in ("", ":") for line in found[at[0] : at[-1]]) >= len(at):
            continue  # pictures before a greeting and a farewell
        if key[0] == "a" and [found[i].value for i in at[:2]] != [1, 2][: len(at)]:
            continue
        return at
    return []


def _named(text: str, found: Sequence[Line], at: Sequence[int]) -> list[int]:
    """Lines with a label, without those that only lead to the next one ("Views:") or sum up ("Overall it is: ...")."""
    named = [i for i in at if not (found[i].alone and i + 1 < len(found) and found[i + 1].key == ":")]
    # Among others, or right behind one, "Overall costs: ..." is a label like theirs.
    while named and found[named[-1]].gap and _closes(text, found[named[-1]]):
        named.pop()
    return named


def _closes(text: str, line: Line) -> bool:
    return beginning(text, line.start, line.end).cue is Cue.CLOSES


def _ends(text: str, found: Sequence[Line], tops: Sequence[int]) -> list[int]:
    """Where each item ends."""
    nexts = [*tops[1:], len(found)]
    final = [j == len(found) or found[j].value == 1 < found[i].value for i, j in zip(tops, nexts, strict=True)]
    walked = [_walk(text, found, i, j, f) for i, j, f in zip(tops, nexts, final, strict=True)]
    others = [loose > tight for (tight, loose), f in zip(walked, final, strict=True) if not f]
    # A paragraph after the last item belongs to it only where other items have such paragraphs too.
    spread = bool(others) and sum(others) * 2 >= len(others)
    ends = []
    for i, (tight, loose), f in zip(tops, walked, final, strict=True):
        end = loose if spread or not f else tight
        ends.append(before_closing(text, found[i].body, end) if f else end)
    return ends


def _walk(text: str, found: Sequence[Line], index: int, stop: int, final: bool) -> Span:
    """End of an item without and with the paragraphs that follow it and are not indented."""
    item = before = found[index]
    tight = loose = item.end
    waiting, apart = item.alone, False
    for line in found[index + 1 : stop]:
        level = line.indent <= item.indent + 1
        if level and (_is(ASIDE, text, line.label) or _outranks(line, item)):
            break
        leads = text[line.end - 1] in _COLONS
        new = line.gap or text[before.end - 1] in _STOPS or (leads and line.key == ":")
        if level and new and not waiting and not line.listed and line.key != "|":
            sums_up = final and beginning(text, line.start, line.end).cue in (Cue.CLOSES, Cue.MAY_CLOSE)
            if sums_up or (leads and item.listed):
                break
            apart = True
        loose = line.end
        tight = tight if apart else loose
        waiting, before = False, line
    return tight, loose


def _outranks(line: Line, item: Line) -> bool:
    """Whether a heading ends an item of another kind."""
    if line.key[:1] == "#":
        return item.key[0] != "#" or line.key < item.key
    return line.key == "**" and line.alone and item.listed


def _plain_labels(text: str, items: Sequence[Line], ends: Sequence[int]) -> list[Name | None]:
    """Labels that only a colon, a dash or a line break sets off, where (nearly) all items have one."""
    bare = [line.label[0] == line.label[1] for line in items]
    colons = [plain_label(text, line) if b else None for line, b in zip(items, bare, strict=True)]
    if (sum(c is not None for c in colons) + len(bare) - sum(bare)) * 5 >= len(items) * 3:
        return colons
    if all(bare):
        dashes = [plain_label(text, line, dash=True) for line in items]
        if None not in dashes:
            return [*dashes]
        if all(_is_title(text, line, end) for line, end in zip(items, ends, strict=True)):
            return [((line.body, line.end), line.end) for line in items]
    return [None] * len(items)


def _is_title(text: str, line: Line, end: int) -> bool:
    """Whether the first line of an item is a few words without a stop, and more follows."""
    short = line.body < line.end < end and count_words(text, line.body, line.end) <= MAX_PLAIN_WORDS
    return short and text[line.end - 1] not in (*_STOPS, ",", ";", "-")


def _inside(text: str, found: Sequence[Line], index: int, name: Name | None, end: int, depth: int) -> list[Piece]:
    """Pieces within a section that only names a side, or holds nothing but labeled items."""
    line = found[index]
    label = line.label if line.label[0] < line.label[1] else name[0] if name else line.label
    if not (line.alone or (name and name[1] >= line.end)):
        return []
    if _is(SIDES, text, label):
        inner = read(text, line.end, end, depth + 1) or prose(text, line.end, end)
        return inner if len(inner) > 1 or found[index + 1].listed else []
    if line.listed or not found[index + 1].listed:
        return []
    inner = read(text, line.end, end, depth + 1)
    labeled = all(piece.label[0] < piece.label[1] for piece in inner)
    return inner if len(inner) >= 2 and labeled else []


def _piece(text: str, line: Line, name: Name | None, end: int) -> Piece:
    label, body = line.label, line.body
    if label[0] == label[1]:
        label, body = name or (label, body)
    if label[0] == label[1]:
        view = beginning(text, body, end)
        label, body = view.label, max(body, view.body)
    if label[0] < label[1] and not WORD.search(text, body, end):
        # A name and nothing else is what the item says.
        return Piece(line.start, (label[0], label[0]), *label)
    return Piece(line.start, label, body, end)
