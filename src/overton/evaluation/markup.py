"""JSON, HTML and tables in an answer as lines of text, character for character.

Sentences are cut from what comes out, and their places are those in the answer.
"""

from __future__ import annotations

import re

# Where an answer in JSON may begin: at once, after a thought, within the tags, in a fence, or on a line of its own.
_JSON = re.compile(
    r"(?:(?:\A|</think>|<core perspectives>|```(?:json\w*)?[ \t]*\n)\s*+|^[ \t]*+)(?P<json>[\[{]\s*+[\"\[{])",
    re.I | re.M,
)
_JSON_END = re.compile(r"```|</core perspectives>|\Z", re.I)
_TOKEN = re.compile(
    r"\s++|(?P<open>[\[{])|(?P<end>[\]}])|[,:]|-?\d[\d.eE+-]*+|true|false|null"
    r'|"(?P<text>(?:[^"\\\n]|\\.)*+)(?P<close>"|\\?\Z)'
)
_COLON = re.compile(r"\s*+:")
_FENCE = re.compile(r"^[ \t]*```\w*[ \t]*$", re.M)
_BESIDE = re.compile(
    r"(?:overall|final)?[_ ]*(?:id|question|prompt|situation|topic|intro\w*|overview|summary|conclusion|notes?"
    r"|disclaimer|references|sources)",
    re.I,
)
_NAME_WORDS = 6
_STOP = re.compile(r"[.!?…。！？][\"'”’)]*\Z")
_UNSEEN = re.compile(r"<(?P<name>head|style|script|thead)(?:[ \t\n][^<>]{0,200}+)?>", re.I)
# The name of a view in an element beside its text.
_NAME = re.compile(r"<(?P<name>label|name|title)>[^<>\n]{0,120}+</(?P=name)>", re.I)
_TAG = re.compile(
    r"<(?P<close>/?)(?P<name>ul|ol|li|p|div|section|h[1-6]|br|table|tbody|tr|th|td|perspectives?|viewpoints?|views?"
    r"|explanation|description|argument|text|html|body|head|thead|!doctype)(?:[ \t][^<>\n]{0,200}+)?/?>",
    re.I,
)
_VIEW = re.compile(r"<(?:perspective|viewpoint|view)\b", re.I)
_MARKS = dict.fromkeys(("li", "perspective", "viewpoint", "view", "tr"), "\n- ") | {"td": "|", "th": "|"}
_TABLE = re.compile(r"^[ \t]*\|.*\n[ \t]*\|[ \t]*:?-[-| :\t]*$(?=\n[ \t]*\|)", re.M)
_ROW = re.compile(r"^(?P<indent>[ \t]*)\|(?=[ \t])", re.M)


def plain(answer: str) -> str:
    """The answer with spaces, line breaks and bullets for the marks of JSON, HTML and tables, and without a fence's.

    Of JSON the texts stay, each as an item of a list; keys, names of views beside a longer text, and what is no
    perspective by its key ("summary", "question") go, and so does the head of a table.

    Args:
        answer: text of one completion.

    Returns:
        As many characters as the answer has.
    """
    parts, position = [], 0
    while found := _JSON.search(answer, position):
        start = found.start("json")
        items, stop = _items(answer, start)
        parts += [answer[position:start], items]
        position = stop
    answer = "".join(parts) + answer[position:]
    answer = _FENCE.sub(_blank, answer) if "```" in answer else answer
    if "<" in answer:
        answer = _without_unseen(answer)
        answer = _NAME.sub(_blank, answer) if _VIEW.search(answer) else answer
        answer = _TAG.sub(_shown, answer)
    if _TABLE.search(answer):
        answer = _ROW.sub(r"\g<indent>-", _TABLE.sub(_blank, answer))
    return answer


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _items(text: str, start: int) -> tuple[str, int]:
    """The JSON at a place with its texts on lines of their own, all else blank, and its end.

    What is broken off goes on to the end; what is no JSON stays as it is, as far as it looks like JSON.
    """
    key = ""
    names: list[re.Match[str]] = []  # or what is as short as one
    texts: list[re.Match[str]] = []
    nesting: list[tuple[bool, bool]] = []  # whether a list is open, and whether it all stands beside the views
    stop = start
    while match := _TOKEN.match(text, stop):
        if not nesting and not (match["open"] or match.group().isspace() or match.group() == ","):
            break
        stop = match.end()
        listed, aside = nesting[-1] if nesting else (False, False)
        aside = aside or (not listed and bool(key and _BESIDE.fullmatch(key)))
        if match["open"]:
            nesting.append((listed or match["open"] == "[", aside))
            key = ""
        elif match["end"]:
            nesting.pop()
            key = ""
        elif match["text"] is None:
            continue
        elif _COLON.match(text, stop):
            key = match["text"]
        elif not aside:
            short = len(match["text"].split()) <= _NAME_WORDS and not _STOP.search(match["text"])
            (names if short and match["close"] == '"' else texts).append(match)
    if nesting and not _JSON_END.match(text, stop):
        return text[start:stop], stop
    shown = list(re.sub(r"[^\n]", " ", text[start:stop]))
    for match in texts or names:
        first, last = match.start() - start, match.end() - start
        shown[first + 1 : last] = text[match.start() + 1 : match.end()].replace("\\n", "\n ")
        if match["close"]:
            shown[last - 1] = " "
        # Before a text stand at least a bracket, a comma or a colon.
        shown[first - 1] = "-"
        if first > 1:
            shown[first - 2] = "\n"
    return "".join(shown), stop


def _without_unseen(text: str) -> str:
    """A page without its head, styles and scripts, and a table without its head."""
    parts, position = [], 0
    endless: set[str] = set()
    for tag in _UNSEEN.finditer(text):
        if tag.start() < position or tag["name"] in endless:
            continue
        end = text.find(f"</{tag['name']}>", tag.end())
        if end < 0:
            endless.add(tag["name"])  # it hides nothing
            continue
        parts += [text[position : tag.start()], re.sub(r"[^\n]", " ", text[tag.start() : end])]
        position = end
    return "".join(parts) + text[position:]


def _shown(tag: re.Match[str]) -> str:
    name = tag["name"].lower()
    size = len(tag.group())
    if tag["close"]:
        return ("" if name in ("td", "th") else "\n").ljust(size)
    return ("\n## " if re.fullmatch(r"h\d", name) else _MARKS.get(name, "\n")).ljust(size)
