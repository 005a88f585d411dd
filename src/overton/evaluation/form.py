"""What can be counted without knowing what an answer says: words, perspectives, tags, repeated wording, cost."""

from __future__ import annotations

import re

from overton.evaluation.coverage import cut, reference_groups, split_sentences
from overton.evaluation.diversity import WORD, distinct_n, ngram_vendi, self_bleu
from overton.evaluation.markup import plain
from overton.types import Answer, Situation

METRICS = (
    "perspectives",
    "true_perspectives",
    "perspective_ratio",
    "words",
    "tokens",
    "valid_tags",
    "distinct_1",
    "distinct_2",
    "self_bleu",
    "ngram_vendi",
    "seconds",
    "calls",
    "cost",
)
_TEMPLATE = re.compile(
    r"\s*<core perspectives>(?P<core>.*?)</core perspectives>\s*<summary>(?P<summary>.*?)</summary>\s*",
    re.DOTALL | re.I,
)
_TAG = re.compile(r"</?(?:core perspectives|summary)>", re.I)
_ITEM = re.compile(
    r"(?P<indent>[ \t\u3000]*)(?:(?:(?P<bullet>[-*•])|\(?\d{1,3}[.)]|\d{1,2}\ufe0f?\u20e3)[ \t]"
    r"|[(（]?(?:\d{1,2}|[一二三四五六七八九十]{1,2})[．、）]|[①-⑳]|(?P<dot>・))"
)
EXPLAINED = 4  # sentences after an opener that may explain it, as in the longest perspectives of the published log


def valid_tags(answer: str) -> bool:
    """Whether each of the four tags occurs once, in order, around some text, with nothing outside."""
    if len(_TAG.findall(answer)) != 4:  # first, since with many tags the pattern would try all pairs of them
        return False
    match = _TEMPLATE.fullmatch(answer)
    return bool(match and match["core"].strip() and match["summary"].strip())


def count_words(answer: str) -> int:
    """Words of the whole answer, tags left out."""
    return len(WORD.findall(_TAG.sub(" ", answer)))


def count_perspectives(answer: str) -> int:
    """Perspectives an answer claims to give, thoughts and the summary left out.

    Where openers ("In the perspective of") are items of a list of two or more, all items like them. Else the openers,
    where they hold for most sentences: each for its own and up to :data:`EXPLAINED` after it, a lone one only at the
    head of a single line. Else the items of a list of two or more, or else all sentences.
    """
    answer = plain(answer)
    sentences = cut(answer)
    lines = [answer.rfind("\n", 0, s.start) + 1 for s in sentences]
    items = {line: _mark(match) for line in lines if (match := _ITEM.match(answer, line))}
    led = [i for i, s in enumerate(sentences) if s.led]
    marks = {items[lines[i]] for i in led if lines[i] in items}
    beside = sum(mark in marks for mark in items.values())
    if beside >= 2:
        return max(beside, len(led))
    held = {j for i in led for j in range(i, min(i + 1 + EXPLAINED, len(sentences)))}
    in_passing = len(led) == 1 and (led[0] > 0 or len(set(lines)) > 1)
    if 2 * len(held) > len(sentences) and not in_passing:
        return len(led)
    return len(items) if len(items) >= 2 else len(sentences)


def _mark(item: re.Match[str]) -> tuple[int, bool]:
    """What items of one list have in common: how far they are indented, and whether they are numbered."""
    return len(item["indent"].expandtabs()), not (item["bullet"] or item["dot"])


def form_row(answer: Answer, situation: Situation) -> dict[str, object]:
    """One row of ``evaluation/SYSTEM.form.jsonl``. Without references there is no ratio to them."""
    count, true_count = count_perspectives(answer.answer), len(reference_groups(situation.perspectives))
    texts = [s.text for s in split_sentences(answer.answer)]
    return {
        "id": answer.id,
        "perspectives": count,
        "true_perspectives": true_count,
        "perspective_ratio": count / true_count if true_count else None,
        "words": count_words(answer.answer),
        "tokens": answer.tokens,
        "valid_tags": int(valid_tags(answer.answer)),
        "finished": answer.finished,
        "distinct_1": distinct_n(texts, 1),
        "distinct_2": distinct_n(texts, 2),
        "self_bleu": self_bleu(texts),
        "ngram_vendi": ngram_vendi(texts),
        "seconds": answer.seconds,
        "calls": answer.calls,
        "cost": answer.cost,
    }
