"""HTML in an answer as the Markdown that says the same: ``<li>`` is a bullet, ``<h3>`` a heading, ``<tr>`` a row.

Elements of a model's own that hold a view each, ``<perspective>`` and ``<viewpoint>``, are bullets too.

``<summary>`` is the template's, but where a ``<details>`` is open in an answer without the core's tags: there it is the
heading of what unfolds.
"""

from __future__ import annotations

import re

_CORE = re.compile(r"</?core\s++perspectives>", re.IGNORECASE)
_ANY = re.compile(r"<(?:li|p|h[1-6]|b|strong|details|br|tr|perspective|viewpoint)\b", re.IGNORECASE)
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>ul|ol|li|p|div|section|h[1-6]|b|strong|i|em|details|summary|br|table|thead|tbody|tr|th|td"
    r"|perspectives?|viewpoints?)(?:\s[^<>]{0,200}+)?/?>",
    re.IGNORECASE,
)
# What stands between a mark and its text: an item may hold a paragraph.
_SPACE = re.compile(r"\s*+(?:<(?:p|div)>\s*+)?", re.IGNORECASE)
_TABLE = ("table", "thead", "tbody", "tr", "th", "td")
_DATA = re.compile(r"<(?P<data>td)\b|</tr\b", re.IGNORECASE)
_ROW = 1_000  # characters of a row that are searched for its first cell


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
    cell = ""  # what stands before the next cell of a row; nothing outside of one
    ruled = False  # whether the table's head is over
    for tag in _TAG.finditer(text):
        name, close = tag["name"].lower(), bool(tag["close"])
        step = -1 if close else 1
        if name in ("ul", "ol"):
            lists = max(lists + step, 0)
        elif name == "details":
            folded = max(folded + step, 0)
        elif name == "summary" and (template or not folded):
            continue
        if tag.start() < position:
            continue  # taken with the mark before it
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
    if name in ("perspective", "viewpoint"):
        return "\n" if close else "\n- "
    if not close and name == "li":
        return "\n" + "  " * min(max(lists - 1, 0), 20) + "- "
    if not close and (name == "summary" or name[0] == "h"):
        return f"\n\n{'#' * int(name[1]) if name[0] == 'h' else '####'} "
    return "\n" if name in ("ul", "ol", "li", "br") else "\n\n"
