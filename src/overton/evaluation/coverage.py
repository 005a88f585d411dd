"""Coverage, precision and uniqueness from entailment, and the sentences they are counted over.

This evaluator judges models that were trained against the reward, so it shares nothing with it: the text is
cut by its own rules, and sameness comes from natural language inference instead of an encoder's cosine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from overton.evaluation.markup import plain
from overton.thoughts import THOUGHT_CLOSE, THOUGHT_OPEN
from overton.types import Perspective

ENTAILED = 0.5  # lowest P(entailment) that counts as stated
Matrix = npt.NDArray[np.floating]

# Parts of an answer that are no statement of a perspective: thoughts, the summary, and the tags. The beginning of a
# thought is often part of the prompt, so its end alone tells; one without an end goes on to the end of the text.
_DEBRIS = re.compile(
    rf"\A.*{THOUGHT_CLOSE}|{THOUGHT_OPEN}.*|<summary>.*?(?:</summary>|\Z)|</?(?:core perspectives|summary)>",
    re.DOTALL | re.I,
)
_LEAD = re.compile(r"\b(?:in|from) the perspective of\b(?P<label>[^,:.\n]{1,80}[,:])?[ \t]*", re.I)
_PICTURE = "\u200d\ufe0f\u2600-\u27bf\U0001f000-\U0001faff"
_MARKER = re.compile(
    rf"[ \t\u3000>*•・–|{_PICTURE}-]*(?:\(?(?:\d{{1,3}}|[a-z])[.)](?=\s)|\d{{1,2}}\ufe0f?\u20e3"
    rf"|[(（]?(?:\d{{1,2}}|[一二三四五六七八九十]{{1,2}})[．、）]|[①-⑳])?[ \t\u3000*_{_PICTURE}]*"
)
# Headings, lines in bold type without a stop, and lines that announce what follows them ("Several views matter
# here:"), state nothing.
_TITLE = re.compile(
    rf"[ \t]{{0,3}}#{{1,6}}[ \t]|.*[:：][ \t*_]*\Z"
    rf"|[ \t>{_PICTURE}]*\*\*[^*\n]{{1,120}}(?<![.!?…。！？*])\*\*[ \t{_PICTURE}]*\Z"
)
_ADDRESS = re.compile(r"<?https?://\S+")
_BOLD = re.compile(r"\*\*|__|</?(?:b|strong|i|em)>", re.I)
_END = re.compile(r"[.!?…]+[\"'”’)\]*_]*|[。！？।॥؟۔]")
_NO_SPACE = "。！？।॥؟۔"  # stops that end a sentence whatever follows
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|[Cc]f|vs|approx|[Dd]r|[Mm]rs?|[Mm]s|[Pp]rof|St|[A-Z])\.\Z")
_ONE_LETTER, _NEXT_LETTER = re.compile(r"\b[^\W\d_]\.\Z"), re.compile(r"\s[^\W\d_]\.")  # "z. B.", "i. d. R."
_BEFORE_NUMBER = re.compile(
    r"\b(?:[Nn]os?|[Vv]ol|pp?|[Ff]igs?|[Ss]ec|[Aa]rt|[Cc]h|al|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.\Z"
)
_LETTER = re.compile(r"[^\W\d_]")
_NEXT = re.compile(r"\S")


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer.

    Attributes:
        text: without list marker, bold type and "In the perspective of LABEL,"; starts with a capital where that was
            cut off.
        start: character offset in the answer of the sentence, its lead included (inclusive).
        end: character offset of its end (exclusive).
        led: whether it had a lead.
    """

    text: str
    start: int
    end: int
    led: bool = False


@dataclass(frozen=True, slots=True)
class CoverageScore:
    """What the independent evaluator says about one answer.

    Attributes:
        coverage: share of the references that some sentence states.
        precision: share of the sentences that state a reference; ``None`` without sentences.
        f1: harmonic mean of both, 0 without sentences.
        uniqueness: groups of sentences that entail each other / sentences; ``None`` without sentences.
        covered: one flag a reference.
        verdicts: ``matched``, ``repeated`` or ``irrelevant``, one a sentence.
    """

    coverage: float
    precision: float | None
    f1: float
    uniqueness: float | None
    covered: tuple[bool, ...]
    verdicts: tuple[str, ...]


def split_sentences(answer: str) -> list[Sentence]:
    """Cut an answer into the sentences that may state a perspective.

    Left out are the summary, the tags, everything up to the end of the last thought (``</think>``, ``</thinking>``,
    ``</thought>``, ``</reasoning>``), a thought without an end, headings, lines that are one name in
    bold type or end with a colon, and addresses. A line
    break ends a sentence, and so does an "In the perspective of" that begins the next one; a full stop does not before
    a small letter, unless the sentence began with one. Sentences without a letter are dropped. JSON and HTML are read
    as :func:`~overton.evaluation.markup.plain` shows them.

    Args:
        answer: text of one completion.

    Returns:
        Sentences in order, with offsets into ``answer``.
    """
    return cut(plain(answer))


def cut(text: str) -> list[Sentence]:
    """:func:`split_sentences` of a text that :func:`~overton.evaluation.markup.plain` has shown."""
    text = _DEBRIS.sub(lambda m: "\n" * len(m.group()), text)
    found: list[Sentence] = []
    position = 0
    for line in text.split("\n"):
        if _TITLE.match(line):
            position += len(line) + 1
            continue
        leads = list(_LEAD.finditer(line))
        cuts = sorted({0, *(m.start() for m in leads), len(line)})
        bodies = {m.start(): m.end() for m in leads if m.group("label")}
        for start, stop in pairwise(cuts):
            body = bodies.get(start)
            if body is None:
                found += _sentences(line, start, stop, position)
                continue
            said = _sentences(line, body, stop, position)
            if said:
                capital = said[0].text[:1].upper() + said[0].text[1:]
                found += [Sentence(capital, position + start, said[0].end, True), *said[1:]]
        position += len(line) + 1
    return found


def _sentences(line: str, start: int, stop: int, offset: int) -> list[Sentence]:
    """Sentences of one line's ``[start, stop)``; ``offset`` is where the line begins in the answer."""
    found = []
    for match in [*_END.finditer(line, start, stop), None]:
        end = match.end() if match else stop
        if match and not _ends(line, start, match, stop):
            continue
        marker = _MARKER.match(line, start, end)
        begin = marker.end() if marker else start
        said = _BOLD.sub("", line[begin:end].strip()).strip(" \t*_|")
        if _LETTER.search(said) and not _ADDRESS.fullmatch(said):
            right = end - len(line[begin:end]) + len(line[begin:end].rstrip())
            found.append(Sentence(said, offset + begin, offset + right))
        start = end
    return found


def _ends(line: str, start: int, mark: re.Match[str], stop: int) -> bool:
    """Whether a sentence that began at ``start`` ends with this punctuation."""
    end = mark.end()
    if end == stop or mark.group() in _NO_SPACE:
        return True
    if not line[end].isspace() or _ABBREVIATION.search(line, max(start, end - 8), end):
        return False
    if _NEXT_LETTER.match(line, end, stop) and _ONE_LETTER.search(line, max(start, end - 3), end):
        return False
    found = _NEXT.search(line, end, stop)
    following = found.group() if found else ""
    if following.isdigit():
        return not _BEFORE_NUMBER.search(line, max(start, end - 8), end)
    first = _LETTER.search(line, start, end)
    return not following.islower() or not first or first.group().islower()


def drop_lead(text: str) -> str:
    """A sentence without "In the perspective of LABEL," and with a capital instead."""
    match = _LEAD.match(text)
    if not match or not match.group("label") or not text[match.end() :].strip():
        return text
    return text[match.end()].upper() + text[match.end() + 1 :]


def reference_groups(references: Sequence[Perspective]) -> list[list[int]]:
    """Indices of the references by perspective: those of one cluster say the same and count once."""
    groups: dict[str, list[int]] = {}
    for index, reference in enumerate(references):
        groups.setdefault(f"cluster {reference.cluster}" if reference.cluster else f"index {index}", []).append(index)
    return list(groups.values())


def score_coverage(entailment: Matrix, mutual: Matrix, threshold: float = ENTAILED) -> CoverageScore:
    """Count from probabilities of entailment.

    A reference is covered when it entails some sentence with at least ``threshold``, the direction of the
    published NLI benchmark. Two sentences say the same when each entails the other; uniqueness is the number
    of connected components of that relation over the number of sentences, so the order of the sentences has
    no say.

    Args:
        entailment: (references, sentences), P(reference entails sentence).
        mutual: (sentences, sentences), P(row entails column); the diagonal is not read.
        threshold: lowest probability that counts.

    Raises:
        ValueError: the shapes do not fit, there is no reference, or a probability is NaN.
    """
    references, sentences = entailment.shape
    if references == 0 or mutual.shape != (sentences, sentences):
        raise ValueError(f"shapes {entailment.shape} and {mutual.shape} do not fit")
    if np.isnan(entailment).any() or np.isnan(mutual).any():
        raise ValueError("a probability is NaN")
    stated: npt.NDArray[np.bool_] = np.greater_equal(entailment, threshold)
    covered = tuple(bool(x) for x in np.any(stated, axis=1))
    coverage = sum(covered) / references
    if sentences == 0:
        return CoverageScore(0.0, None, 0.0, None, covered, ())
    relevant = [bool(x) for x in np.any(stated, axis=0)]
    precision = sum(relevant) / sentences
    f1 = 2 * coverage * precision / (coverage + precision) if coverage else 0.0
    linked: npt.NDArray[np.bool_] = np.greater_equal(mutual, threshold)
    groups = _components(linked & linked.T)
    seen: set[int] = set()
    verdicts = []
    for group, is_relevant in zip(groups, relevant, strict=True):
        verdicts.append("repeated" if group in seen else "matched" if is_relevant else "irrelevant")
        seen.add(group)
    return CoverageScore(coverage, precision, f1, len(seen) / sentences, covered, tuple(verdicts))


def _components(linked: npt.NDArray[np.bool_]) -> list[int]:
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    return [int(x) for x in connected_components(csr_array(linked.astype(np.int8)), directed=False)[1]]
