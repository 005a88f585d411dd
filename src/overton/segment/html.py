"""HTML in an answer as the Markdown that says the same: ``<li>`` is a bullet, ``<h3>`` a heading, ``<tr>`` a row.

Elements of a model's own that hold a view each, ``<perspective>`` and ``<viewpoint>``, are bullets too; ``<label>`` or
``<name>`` in one is its name, and ``<explanation>`` and the like hold its text.

``<summary>`` is the template's, but where a ``<details>`` is open in an answer without the core's tags: there it is the
heading of what unfolds. A page's head, styles and scripts are not seen.
"""

from __future__ import annotations

import re

_CORE = re.compile(r"</?core\s++perspectives>", re.IGNORECASE)
_ANY = re.compile(r"<(?:li|p|h[1-6]|b|strong|details|br|tr|perspective|viewpoint|view)\b", re.IGNORECASE)
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>ul|ol|li|p|div|section|h[1-6]|b|strong|i|em|details|summary|br|table|thead|tbody|tr|th|td"
    r"|perspectives?|viewpoints?|views?|label|name|title|explanation|description|argument|text|content"
    r"|html|body|head|style|script)(?:\s[^<>]{0,200}+)?/?>",
    re.IGNORECASE,
)
# What stands between a mark and its text: an item may hold a paragraph.
_SPACE = re.compile(r"\s*+(?:<(?:p|div)>\s*+)?", re.IGNORECASE)
_UNSEEN = {name: re.compile(rf"</{name}>", re.IGNORECASE) for name in ("head", "style", "script")}
_VIEWS = ("perspective", "viewpoint", "view")
_NAMES = ("label", "name", "title")
_TEXTS = ("explanation", "description", "argument", "text", "content")
_TABLE = ("table", "thead", "tbody", "tr", "th", "td")
_DATA = re.compile(r"<(?P<data>td)\b|</tr\b", re.IGNORECASE)
_IN_ROW = re.compile(r"[ \t]*+\|")  # of a table in Markdown
_ROW = 1_000  # characters of a row that are searched for its first cell, or for its beginning


def markdown(text: str) -> tuple[str, list[int]] | None:
    """The text with Markdown's marks for HTML's tags, and for each character its place in ``text``.

    ``None`` where there are no such tags.
    """
    if not _ANY.search(text):
        return None
    template = bool(_CORE.search(text))
    parts: list[str] = []
    offsets: list[int] = []
    position = lists = folded = 0
    endless: set[str] = set()  # elements without an end, which hide nothing
    viewed = False  # whether an element that holds a view is open
    cell = ""  # what stands before the next cell of a row; nothing outside of one
    ruled = False  # whether the table's head is over
    for tag in _TAG.finditer(text):
        name, close = tag["name"].lower(), bool(tag["close"])
        if tag.start() < position:
            continue  # taken with what stands before it
        if name in _UNSEEN:
            ends = None if close or name in endless else _UNSEEN[name].search(text, tag.end())
            if ends:
                parts.append(text[position : tag.start()])
                offsets += range(position, tag.start())
                position = ends.end()
            elif not close:
                endless.add(name)
            continue
        step = -1 if close else 1
        if name in ("ul", "ol"):
            lists = max(lists + step, 0)
        elif name == "details":
            folded = max(folded + step, 0)
        elif name == "summary" and (template or not folded):
            continue
        elif name in _VIEWS:
            viewed = not close
        elif name in _NAMES + _TEXTS and not viewed:
            continue
        before, end = tag.start(), tag.end()
        if name == "tr" and not close:
            data = _DATA.search(text, end, end + _ROW)
            head = not (data and data["data"])
            mark, cell, ruled = "\n" if head or ruled else "\n|---|\n", "| ", ruled or not head
        elif name in ("tr", "table"):
            mark, cell, ruled = _mark(name, close, lists), "", ruled and name == "tr"
        elif cell and name in ("td", "th"):
            mark, cell = ("", cell) if close else (cell, " | ")
        elif cell and name not in ("b", "strong"):
            mark = " " if name == "br" else ""
        elif name == "br" and _IN_ROW.match(text, text.rfind("\n", max(before - _ROW, 0), before) + 1):
            mark = " "
        else:
            mark = _mark(name, close, lists)
        if name in _TABLE:
            # Line breaks between and around cells would end the row.
            before = position + len(text[position:before].rstrip())
        if (mark.endswith(" ") or name in _TABLE) and (space := _SPACE.match(text, end)):
            end = space.end()
        parts += [text[position:before], mark]
        offsets += range(position, before)
        offsets += [end - 1 if close else tag.start()] * len(mark)
        position = end
    parts.append(text[position:])
    offsets += range(position, len(text))
    return "".join(parts), offsets


def _mark(name: str, close: bool, lists: int) -> str:
    if name in ("b", "strong"):
        return "**"
    if name in ("i", "em", "thead", "tbody", "tr", "th", "td"):
        return ""
    if name in _NAMES:
        return "**\n" if close else "**"
    if name in ("html", "body"):
        return "\n"
    if name in _TEXTS:
        return "\n" if close else ""
    if name in _VIEWS:
        return "\n" if close else "\n- "
    if not close and name == "li":
        return "\n" + "  " * min(max(lists - 1, 0), 20) + "- "
    if not close and (name == "summary" or name[0] == "h"):
        return f"\n\n{'#' * int(name[1]) if name[0] == 'h' else '####'} "
    return "\n" if name in ("ul", "ol", "li", "br") else "\n\n"
