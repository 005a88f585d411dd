"""The oracle: which true perspectives an answer states, by label and by explanation, without any encoder.

A line states a perspective when its label names the value and its explanation is, up to small slips, one of the
renderings of that value and stance about this situation's people and things. A few words such as articles may be
lacking or come in; all others are the same, in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from overton.data.world.content import STANCES, cluster, explain, load_world
from overton.data.world.sft import slots_of
from overton.errors import DataError
from overton.segment import segment
from overton.types import Situation

MAX_WORD_ERROR = 0.15
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SLOT = re.compile(r"\{(\w+)\}(?:'s)?")
_ARTICLES = ("a", "an")
# All that may be lacking or come in: any other word could turn the meaning round ("less", "hardly", "ignores").
_SLIPS = frozenset(
    _WORD.findall(
        "a an the this that these those it its here there of to in at by with and as than is are was be been has have "
        "who which"
    )
)


@dataclass(frozen=True, slots=True)
class JudgedSegment:
    """One segment of an answer and what the oracle made of it.

    Attributes:
        label: label named in the text.
        explanation: text after the label.
        start: character offset in the answer.
        end: end of it (exclusive).
        verdict: ``matched`` (states a relevant perspective for the first time), ``repeated`` (states what an
            earlier segment states), ``irrelevant`` (states a perspective that is not relevant here),
            ``unclear`` (states none).
        cluster: the perspective it states, ``None`` when unclear.
    """

    label: str
    explanation: str
    start: int
    end: int
    verdict: str
    cluster: str | None


@dataclass(frozen=True, slots=True)
class OracleVerdict:
    """Truth about one answer.

    Attributes:
        coverage: distinct relevant perspectives stated / relevant perspectives.
        precision: segments that state a relevant perspective / segments; ``None`` without segments.
        uniqueness: distinct perspectives / segments, an unclear segment counting by its label and text;
            ``None`` without segments.
        f1: harmonic mean of coverage and precision, 0 without segments.
        set_f1: the same with the precision of sets, distinct relevant perspectives stated / segments, so that a
            repetition is a miss as an irrelevant segment is (Dice's coefficient).
        segments: every segment with its verdict.
        missed: relevant clusters not stated, in the order of the references.
    """

    coverage: float
    precision: float | None
    uniqueness: float | None
    f1: float
    set_f1: float
    segments: tuple[JudgedSegment, ...]
    missed: tuple[str, ...]


def judge(situation: Situation, answer: str) -> OracleVerdict:
    """Say which true perspectives an answer states.

    Args:
        situation: one of the bundled world's, with its metadata and clusters.
        answer: text of one completion.

    Raises:
        DataError: the situation is not one of the bundled world's.
    """
    relevant = [p.cluster for p in situation.perspectives if p.cluster]
    try:
        listener = _Listener(slots_of(situation))
    except KeyError as error:
        raise DataError(f"{situation.id}: metadata has no {error}; the oracle knows only the bundled world") from None
    if len(relevant) != len(situation.perspectives):
        raise DataError(f"{situation.id}: a perspective has no cluster; the oracle knows only the bundled world")
    wanted = set(relevant)
    stated: set[str] = set()
    distinct: set[tuple[str, ...]] = set()
    judged: list[JudgedSegment] = []
    for part in segment(answer):
        found = listener.identify(part.label, part.explanation)
        if found is None:
            verdict = "unclear"
            distinct.add((_plain(part.label), _plain(part.explanation)))
        else:
            verdict = "repeated" if found in stated else "matched" if found in wanted else "irrelevant"
            distinct.add((found,))
            stated.add(found)
        judged.append(JudgedSegment(part.label, part.explanation, part.start, part.end, verdict, found))
    hits = stated & wanted
    coverage = len(hits) / len(wanted)
    missed = tuple(c for c in relevant if c not in hits)
    if not judged:
        return OracleVerdict(0.0, None, None, 0.0, 0.0, (), missed)
    precision = sum(s.cluster in wanted for s in judged) / len(judged)
    f1 = 2 * coverage * precision / (coverage + precision) if hits else 0.0
    set_f1 = 2 * len(hits) / (len(judged) + len(wanted))
    return OracleVerdict(coverage, precision, len(distinct) / len(judged), f1, set_f1, tuple(judged), missed)


@dataclass(frozen=True, slots=True)
class _Template:
    """A phrasing before filling: where it belongs and bounds on what it can be near to."""

    value: str
    stance: str
    index: int
    mask: int  # bit set of its own words, slots left out
    words: int  # how many words it has without its slots
    uses: tuple[str, ...]  # its slots, with repetition


@dataclass(frozen=True, slots=True)
class _Index:
    by_label: Mapping[str, str]
    bits: Mapping[str, int]
    templates: tuple[_Template, ...]
    by_value: Mapping[str, tuple[_Template, ...]]


@lru_cache(maxsize=1)
def _index() -> _Index:
    world = load_world()
    bits: dict[str, int] = {}
    templates: list[_Template] = []
    for value in world.values.values():
        for stance in STANCES:
            for index, text in enumerate(value.phrasings[stance]):
                own = words(_SLOT.sub(" ", text))
                mask = 0
                for word in own:
                    if word not in _ARTICLES:  # filling may turn one into the other
                        mask |= 1 << bits.setdefault(word, len(bits))
                uses = tuple(m.group(1) for m in _SLOT.finditer(text))
                templates.append(_Template(value.id, stance, index, mask, len(own), uses))
    by_value = {v: tuple(t for t in templates if t.value == v) for v in world.values}
    return _Index({_plain(v.label): v.id for v in world.values.values()}, bits, tuple(templates), by_value)


class _Listener:
    """Reads explanations with one situation's people and things in mind."""

    def __init__(self, slots: Mapping[str, str]) -> None:
        self.slots = slots
        self.lengths = {name: len(words(text)) for name, text in slots.items()}
        self.longest = max(map(self._length, _index().templates))

    def identify(self, label: str, explanation: str) -> str | None:
        """The perspective that a label and an explanation state together, or ``None``."""
        index = _index()
        value = index.by_label.get(_plain(label))
        if value is None:
            return None
        tokens = words(explanation)
        mask = self._mask(tokens)
        said = _telling(tokens)
        best, rate = None, 1.0
        for item in index.by_value[value]:
            errors = self._errors(tokens, mask, item, MAX_WORD_ERROR)
            if errors is None or errors >= rate:
                continue
            if _telling(self._render(item)) == said:
                best, rate = item, errors
        if best is None:
            return None
        # Another perspective that is as near means that the text does not decide. Every word of a phrasing
        # that the text lacks costs an edit, which spares almost all full comparisons.
        most = rate * self.longest
        for item in index.templates:
            if (item.mask & ~mask).bit_count() <= most:
                other = (item.value, item.stance) != (best.value, best.stance)
                if other and self._errors(tokens, mask, item, rate) is not None:
                    return None
        return cluster(best.value, best.stance)

    def _errors(self, tokens: Sequence[str], mask: int, item: _Template, limit: float) -> float | None:
        """Word error rate against a phrasing, or ``None`` above the limit."""
        length = self._length(item)
        lacking = (item.mask & ~mask).bit_count()
        if max(lacking, abs(len(tokens) - length)) > limit * length:
            return None
        errors = word_errors(tokens, self._render(item)) / length
        return errors if errors <= limit else None

    def _mask(self, tokens: Sequence[str]) -> int:
        bits = _index().bits
        mask = 0
        for token in tokens:
            if token in bits:
                mask |= 1 << bits[token]
        return mask

    def _length(self, item: _Template) -> int:
        return item.words + sum(self.lengths[name] for name in item.uses)

    def _render(self, item: _Template) -> tuple[str, ...]:
        return words(explain(load_world().values[item.value], item.stance, item.index, self.slots))


def words(text: str) -> tuple[str, ...]:
    """Lower-case words without punctuation."""
    return tuple(w.replace("’", "'") for w in _WORD.findall(text.lower()))


def word_errors(one: Sequence[str], other: Sequence[str]) -> int:
    """Levenshtein distance in words."""
    row = list(range(len(other) + 1))
    for i, word in enumerate(one, 1):
        above, row[0] = row[0], i
        for j, target in enumerate(other, 1):
            above, row[j] = row[j], min(above + (word != target), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def _telling(tokens: Sequence[str]) -> tuple[str, ...]:
    return tuple(token.removesuffix("'s") for token in tokens if token not in _SLIPS)


def _plain(text: str) -> str:
    return " ".join(_WORD.findall(text.casefold()))
