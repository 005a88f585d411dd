"""JSON and HTML in an answer as lines of text, character for character.

Sentences are cut from what comes out, and their places are those in the answer.
"""

from __future__ import annotations

import re

# Where an answer in JSON may begin: at once, after a thought, within the tags, or in a fence.
_JSON = re.compile(r"(?:\A|</think>|<core perspectives>|```(?:json\w*)?[ \t]*\n)\s*+(?P<json>[\[{]\s*+[\"\[{])", re.I)
_JSON_END = re.compile(r"```|</core perspectives>", re.I)
_FENCE = re.compile(r"^[ \t]*```\w*[ \t]*$", re.M)
_STRING = re.compile(r'"(?P<text>(?:[^"\\\n]|\\.)*+)(?P<close>"|\Z)')
_COLON = re.compile(r"\s*+:")
_BESIDE = re.compile(
    r"(?:overall|final)?[_ ]*(?:id|question|prompt|situation|topic|intro\w*|summary|conclusion|note)", re.I
)
_NAME_WORDS = 6
_STOP = re.compile(r"[.!?…。！？][\"'”’)]*\Z")
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>ul|ol|li|p|div|section|h[1-6]|br|table|thead|tbody|tr|th|td|perspectives?"
    r"|viewpoints?)(?:[ \t][^<>\n]{0,200}+)?/?>",
    re.I,
)
_MARKS = {"li": "\n- ", "perspective": "\n- ", "viewpoint": "\n- ", "tr": "\n- ", "td": "|", "th": "|"}


def plain(answer: str) -> str:
    """The answer with spaces, line breaks and bullets for the marks of JSON and HTML, and without a fence's.

    Of JSON the texts stay, each as an item of a list; keys, names of views beside a longer text, and what is no
    perspective by its key ("summary", "question") go.

    Args:
        answer: text of one completion.

    Returns:
        As many characters as the answer has.
    """
    if found := _JSON.search(answer):
        start = found.start("json")
        end = _JSON_END.search(answer, start)
        stop = end.start() if end else len(answer)
        answer = answer[:start] + _items(answer, start, stop) + answer[stop:]
    answer = _FENCE.sub(lambda match: " " * len(match.group()), answer) if "```" in answer else answer
    return _TAG.sub(_shown, answer) if "<" in answer else answer


def _items(text: str, start: int, stop: int) -> str:
    """``text[start:stop]`` with its texts on lines of their own, all else blank."""
    key = ""
    names: list[re.Match[str]] = []  # or what is as short as one
    texts: list[re.Match[str]] = []
    for match in _STRING.finditer(text, start, stop):
        if _COLON.match(text, match.end(), stop):
            key = match["text"]
        elif not (key and _BESIDE.fullmatch(key)):
            short = len(match["text"].split()) <= _NAME_WORDS and not _STOP.search(match["text"])
            (names if short and match["close"] else texts).append(match)
    shown = [" "] * (stop - start)
    for match in texts or names:
        first, last = match.start() - start, match.end() - start
        shown[first + 1 : last] = text[match.start() + 1 : match.end()]
        if match["close"]:
            shown[last - 1] = " "
        # Before a text stand at least a bracket, a comma or a colon.
        shown[first - 1] = "-"
        if first > 1:
            shown[first - 2] = "\n"
    return "".join(shown)


def _shown(tag: re.Match[str]) -> str:
    name = tag["name"].lower()
    size = len(tag.group())
    if tag["close"]:
        return ("" if name in ("td", "th") else "\n").ljust(size)
    return ("\n## " if name[0] == "h" else _MARKS.get(name, "\n")).ljust(size)
