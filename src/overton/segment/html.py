"""HTML in an answer as the Markdown that says the same: ``<li>`` is a bullet, ``<h3>`` a heading, ``<b>`` bold.

``<summary>`` is the template's, but where a ``<details>`` is open in an answer without the core's tags: there it is the
heading of what unfolds.
"""

from __future__ import annotations

import re

_CORE = re.compile(r"</?core\s++perspectives>", re.IGNORECASE)
_ANY = re.compile(r"<(?:li|p|h[1-6]|b|strong|details)\b", re.IGNORECASE)
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>ul|ol|li|p|div|section|h[1-6]|b|strong|i|em|details|summary)(?:\s[^<>]{0,200}+)?/?>",
    re.IGNORECASE,
)
# What stands between a mark and its text: an item may hold a paragraph.
_SPACE = re.compile(r"\s*+(?:<(?:p|div)>\s*+)?", re.IGNORECASE)


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
        mark = _mark(name, close, lists)
        end = tag.end()
        if mark.endswith(" ") and (space := _SPACE.match(text, end)):
            end = space.end()
        parts += [text[position : tag.start()], mark]
        offsets += range(position, tag.start())
        offsets += [end - 1 if close else tag.start()] * len(mark)
        position = end
    parts.append(text[position:])
    offsets += range(position, len(text))
    return "".join(parts), offsets


def _mark(name: str, close: bool, lists: int) -> str:
    if name in ("b", "strong"):
        return "**"
    if name in ("i", "em"):
        return ""
    if not close and name == "li":
        return "\n" + "  " * min(max(lists - 1, 0), 20) + "- "
    if not close and (name == "summary" or name[0] == "h"):
        return f"\n\n{'#' * int(name[1]) if name[0] == 'h' else '####'} "
    return "\n" if name in ("ul", "ol", "li") else "\n\n"
