"""Lines of an answer and the marks they begin with: headings, numbers, bullets, bold words, labels, table rows."""

from __future__ import annotations

import re
from dataclasses import dataclass

from overton.segment.numbering import NAMED, read_number
from overton.segment.tables import RULER, cells, has_sides
from overton.segment.template import MAX_LABEL, Span, bare, rstrip, trim
from overton.spelling import run

# Words of a label; longer ones are sentences. Where only a colon sets it off from the text, it must be shorter.
MAX_WORDS = 10
MAX_PLAIN_WORDS = 8
_MAX_INDENT = 200  # columns; deeper lines are one level
_INDENT = re.compile(r"[ \t]*+(?:>[ \t]*+)*+")
PICTURE = "☀"  # kind of the marks that are pictures
_PICTURE = "[\u2600-\u27bf\U0001f000-\U0001faff]"
_PICTURES = re.compile(rf"(?:{_PICTURE}++[ \t]*+)++")
_BEFORE_TITLE = re.compile(rf"(?:[*_ \t]|{_PICTURE})*+")
_RULE = re.compile(r"(?:[-*_=~][ \t]*+){3,}+$|(?:```|~~~)\w*+$")
_HEADING = re.compile(r"#{1,6}(?=[ \t]|[^\W\d_])[ \t]*+")
_TAGS = re.compile(r"(?:</?[A-Za-z][^<>\n]{0,200}+>[ \t]*+)++$")
_BULLET = re.compile(
    r"(?:(?P<sign>[-+*–—‒](?=[ \t]|$)|[•‣◦▪▫●○■□◆◇▸►▶➤➢➔→・·⁃∙])|(?P<tick>[✓✔✅☑❌✗✘👍👎🔹🔸👉])"
    rf"|{_PICTURE}++)"
    r"[ \t]*+(?:\[[ xX]?\](?=[ \t])[ \t]*+)?"
)
_BOLD = re.compile(
    rf"(?:\*\*\*?|__)(?P<text>[^*_\n]{{1,{MAX_LABEL}}}+)(?:\*\*\*?|__)"
    rf"|(?P<sign>[*_])(?P<thin>[^*_\n]{{1,{MAX_LABEL}}}+)(?P=sign)(?=[ \t]*+[:：])"
)
_AFTER_BOLD = re.compile(
    r"(?:[ \t]*+\([^()\n]{1,80}+\))?[ \t]*+(?P<sign>[:：]|[-–—]{1,3}(?=[ \t]|$)|—|[.．](?=[ \t]|$))?[ \t]*+"
)
_PLAIN = re.compile(
    r"(?P<label>[^:：\n.!?。！？;；,，、|*#<>]{1,80}+)(?::(?=[ \t]|$)|：|:(?=[\u3000-\U0010ffff]))[ \t]*+"
)
_DASH = re.compile(r"(?P<label>[^:：\n.!?。！？;；,，|*#<>–—]{1,80}?)(?:[ \t]++[-–—]{1,2}[ \t]++|—)")
_CELL = re.compile(r"\|[ \t]*+(?P<label>[^|\n]*+)\|[ \t]*+")
_WORD = re.compile(run(r"\w"))
# Thai, Lao, Burmese, Khmer and what lies behind them in Unicode are written without spaces.
_UNSPACED = re.compile(r"\s*+[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\U0010ffff]")


@dataclass(slots=True)
class Line:
    """One line that is not empty, and the mark it begins with.

    Attributes:
        start: first character that is no space.
        end: end without trailing space.
        indent: columns before ``start``.
        gap: whether an empty line or a rule stands before it.
        key: kind and level of the mark, ``""`` without one; the items of one list have one key.
        value: what a number or letter counts, 0 for other marks.
        body: where the text begins, after mark and label.
        label: (start, end) of a label that is set off; empty without one.
        alone: whether the label is all that stands there.
    """

    start: int
    end: int
    indent: int
    gap: bool
    key: str
    value: int
    body: int
    label: Span
    alone: bool = False

    @property
    def listed(self) -> bool:
        """Whether the mark is a number or a bullet."""
        return self.key[:1] not in ("", "#", "*", ":", "|")


def lines(text: str, start: int, stop: int) -> list[Line]:
    """The lines of ``text[start:stop]`` with their marks; empty lines and rules only leave gaps."""
    found: list[Line] = []
    table = sided = gap = False
    for part in text[start:stop].split("\n"):
        end = start + len(part)
        line = marked_line(text, start, end, gap) if part and not part.isspace() else None
        start = end + 1
        if line and text[line.start] == "|":
            ruler = bool(RULER.match(text, line.start, line.end))
            if ruler and not table:
                sided = bool(found) and not gap and has_sides(text, found[-1].start, found[-1].end)
                del found[len(found) - sided :]
            table = table or ruler
            if sided and not ruler:
                for cell in cells(text, line.start, line.end):
                    if said := marked_line(text, *cell):
                        said.key, said.alone = "|", False
                        found.append(said)
                continue
            _row(text, line, table and not ruler)
            if ruler:
                continue
        else:
            table = sided = False
        if line:
            found.append(line)
        gap = line is None
    return found


def marked_line(text: str, start: int, end: int, gap: bool = False) -> Line | None:
    """The line ``text[start:end]`` with its mark, ``None`` where nothing, a rule or tags alone stand."""
    prefix = _INDENT.match(text, start, end)
    first = prefix.end() if prefix else start
    end = rstrip(text, first, end)
    if first >= end:
        return None
    sign = text[first]
    if sign in "-*_=~`" and _RULE.match(text, first, end):
        return None
    if sign == "<" and _TAGS.match(text, first, end):
        return None
    indent = min(first - start + 3 * text.count("\t", start, first), _MAX_INDENT)
    line = Line(first, end, indent, gap, "", 0, first, (first, first))
    if sign == "#" and (heading := _HEADING.match(text, first, end)):
        _heading(text, line, heading)
        return line
    level = f"{indent // 2}"
    if number := read_number(text, first, end):
        line.key, line.value, line.body = number.kind + level, number.value, number.end
    elif bullet := None if sign.isalnum() else _BULLET.match(text, first, end):
        # A list may have another picture before each item.
        mark = bullet["sign"] or ("✓" if bullet["tick"] else PICTURE)
        line.key = ("-" if mark in "-+*" else "–" if mark in "–—‒" else mark) + level
        line.body = bullet.end()
    if line.key and (pictures := _PICTURES.match(text, line.body, end)):
        line.body = pictures.end()
    if line.key and text.startswith("#", line.body) and (inner := _HEADING.match(text, line.body, end)):
        line.body = inner.end()
    if not _bold(text, line) and not line.key and not sign.islower() and (plain := plain_label(text, line)):
        line.key, line.label, line.body = ":", *plain
        line.alone = line.body >= end
    return line


def _heading(text: str, line: Line, heading: re.Match[str]) -> None:
    """Take a heading's title as label, its number and marks aside; a whole sentence is none."""
    line.key, line.alone = f"#{heading.group().count('#')}", True
    end = line.end
    while end > heading.end() and (text[end - 1] in "#:： \t*_" or _PICTURES.match(text, end - 1)):
        end -= 1
    begin = _skip(text, heading.end(), end)
    if number := read_number(text, begin, end):
        begin = _skip(text, number.end, end)
    if count_words(text, begin, end) <= MAX_WORDS:
        line.label, line.body = (begin, end), line.end
    else:
        line.body = begin


def _skip(text: str, start: int, end: int) -> int:
    found = _BEFORE_TITLE.match(text, start, end)
    return found.end() if found else start


def _bold(text: str, line: Line) -> bool:
    """Take bold words at the beginning as the label, where they are one."""
    bold = _BOLD.match(text, line.body, line.end) if text[line.body : line.body + 1] in ("*", "_") else None
    if not bold:
        return False
    begin, end = trim(text, *bold.span("text" if bold["text"] else "thin"))
    begin = _skip(text, begin, end)
    if (number := read_number(text, begin, end)) and (not line.key or number.kind == NAMED):
        line.value, begin = line.value or number.value, _skip(text, number.end, end)
    signed = text[end - 1 : end] in (":", "：", ".", "-", "–", "—")
    end -= signed
    while end > begin and (text[end - 1].isspace() or _PICTURES.match(text, end - 1)):
        end -= 1
    after = _AFTER_BOLD.match(text, bold.end(), line.end)
    body = after.end() if after else bold.end()
    if pictures := _PICTURES.match(text, body, line.end):
        body = pictures.end()
    alone = body >= line.end
    if begin >= end or not (alone or signed or (after and after["sign"]) or text[body].isupper()):
        return False
    line.key = line.key or "**"
    if count_words(text, begin, end) <= MAX_WORDS:
        line.label, line.body, line.alone = (begin, end), body, alone
    return True


def _row(text: str, line: Line, inside: bool) -> None:
    """Read a row of a table: the first cell is the label. Rows before the ruler are the head."""
    line.key, line.body, line.label, line.alone = "", line.start, (line.start, line.start), False
    cell = _CELL.match(text, line.start, line.end) if inside else None
    if cell:
        line.key, line.label, line.body = "|", bare(text, *cell.span("label")), cell.end()
        line.end = rstrip(text, line.body, line.end - text.endswith("|", line.body, line.end))
        if text[slice(*line.label)].isdigit():
            line.label = (line.body, line.body)


def plain_label(text: str, line: Line, dash: bool = False) -> tuple[Span, int] | None:
    """A label that only a colon (or a dash) sets off: its place, and where the text after it begins."""
    match = (_DASH if dash else _PLAIN).match(text, line.body, line.end)
    if not match:
        return None
    most = MAX_WORDS if match.end() >= line.end else MAX_PLAIN_WORDS
    if count_words(text, *match.span("label")) > most:
        return None
    label = trim(text, *match.span("label"))
    return (label, match.end()) if _WORD.search(text, *label) else None


def count_words(text: str, start: int, end: int) -> int:
    """Words of a short text; in scripts without spaces three characters count as one."""
    count = sum(1 for _ in _WORD.finditer(text, start, end))
    return max(count, (end - start) // 3) if _UNSPACED.match(text, start, end) else count
