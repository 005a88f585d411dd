"""The nouns of Overton: small frozen data classes that every stage reads and writes.

Terms
-----
situation
    The bare question or case put to a model.
perspective
    One reasonable human view of a situation: a label (a value, right or duty) and an explanation.
reference
    A perspective that people, or the bundled world, hold to be relevant for the situation.
answer
    What a model wrote for one situation (one completion).
group
    All answers sampled for one situation; the unit of reward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Perspective:
    """One view of a situation.

    Attributes:
        label: name of the value, right or duty ("Right to privacy"); may be empty for free prose.
        explanation: one sentence or more that says what this view holds here.
        stance: ``"+"`` speaks for the action, ``"-"`` against it, ``None`` unknown.
        cluster: perspectives of one situation with the same cluster are the same view in other words.
        provenance: where it comes from (``"world"``, ``"human"``, a model's name).
    """

    label: str
    explanation: str
    stance: str | None = None
    cluster: str | None = None
    provenance: str | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict, the way it stands in ``data/*.jsonl``."""
        return {
            "label": self.label,
            "explanation": self.explanation,
            "stance": self.stance,
            "cluster": self.cluster,
            "provenance": self.provenance,
        }


@dataclass(frozen=True, slots=True)
class Situation:
    """A question with its reference perspectives.

    Attributes:
        id: unique within a data set.
        text: the bare question, as a person would write it.
        perspectives: the references.
        metadata: whatever the source knows beside (JSON values only).
    """

    id: str
    text: str
    perspectives: tuple[Perspective, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict; the inverse of :meth:`from_json`."""
        return {
            "id": self.id,
            "text": self.text,
            "perspectives": [p.to_json() for p in self.perspectives],
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Situation:
        """Build from one row of ``data/*.jsonl``.

        Raises:
            KeyError: a required column is missing. Readers turn it into a message with file and row.
        """
        return cls(
            id=str(row["id"]),
            text=str(row["text"]),
            perspectives=tuple(
                Perspective(
                    label=str(p.get("label") or ""),
                    explanation=str(p["explanation"]),
                    stance=p.get("stance"),
                    cluster=p.get("cluster"),
                    provenance=p.get("provenance"),
                )
                for p in row["perspectives"]
            ),
            metadata=dict(row.get("metadata") or {}),
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer to one situation, a row of ``generation/SYSTEM.jsonl``.

    Attributes:
        id: the situation's id.
        prompt: the situation's text.
        answer: what the model wrote, special tokens removed.
        system: name of the system that wrote it.
        tokens: number of generated tokens, ``None`` unknown.
        seconds: share of the batch's generation time, of all calls together; ``None`` unknown.
        finished: ``False`` when the token limit cut the answer off.
        strategy: how the model was asked (``explicit``, ``modular``, ...); ``""`` unknown.
        model: hub name, folder or endpoint's name of who wrote the answer; ``""`` unknown.
        prompt_version: name and hash of each prompt's file, as in ``explicit@1a2b3c4d``; ``""`` unknown.
        calls: of all models for this answer, retries included; ``None`` unknown.
        prompt_tokens: read in all calls, ``None`` unknown.
        completion_tokens: written in all calls, ``None`` unknown.
        cost: of all calls, in the currency of the prices; ``None`` without prices.
        retries: further tries because an answer broke its format; ``None`` unknown.
        raw: the text before thinking and remains of chat templates were removed; ``None`` when it is the answer.
        reason: why the answer is empty, ``""`` when it is not.
    """

    id: str
    prompt: str
    answer: str
    system: str = ""
    tokens: int | None = None
    seconds: float | None = None
    finished: bool = True
    strategy: str = ""
    model: str = ""
    prompt_version: str = ""
    calls: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cost: float | None = None
    retries: int | None = None
    raw: str | None = None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dict with the field names as keys; from ``strategy`` on, only what is known."""
        row = asdict(self)
        return {name: value for name, value in row.items() if name in _ALWAYS or value not in (None, "")}


_ALWAYS = ("id", "prompt", "answer", "system", "tokens", "seconds", "finished")


@dataclass(frozen=True, slots=True)
class Segment:
    """One perspective found in an answer's text.

    Attributes:
        label: the label named in the text, ``""`` when there is none.
        explanation: the text without the label and its introduction.
        start: character offset of the segment in the answer (inclusive).
        end: character offset of its end (exclusive).
    """

    label: str
    explanation: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Match:
    """A reference covered by a segment.

    Attributes:
        reference: index into the group's references.
        segment: index into the answer's segments.
        cosine: their similarity, -1 to 1.
        probability: calibrated probability that both state the same perspective; ``None`` without a calibration.
    """

    reference: int
    segment: int
    cosine: float
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """The reward of one answer.

    Attributes:
        value: the reward, or ``None`` when the answer could not be scored (never 0 for that).
        reason: why it could not be scored, ``""`` otherwise.
        terms: every term by name (``coverage``, ``precision``, ``uniqueness``, ``form``, ...).
        matches: references covered, one segment each; with ``matching="many-to-one"`` every segment that matches, so
            one reference may have several.
        repeated: indices of segments that repeat a perspective of the same answer.
        clusters: groups of two or more segments (indices) that say the same: where the repetition is.
        credits: one number a segment, for trainers that take advantages per token:
            +1 a new match (``many-to-one``: or what works it out), -1 a repetition or a segment that matches nothing.
        segments: the segments themselves, in the order of ``credits``.
    """

    value: float | None
    reason: str = ""
    terms: Mapping[str, float] = field(default_factory=dict)
    matches: tuple[Match, ...] = ()
    repeated: tuple[int, ...] = ()
    credits: tuple[float, ...] = ()
    segments: tuple[Segment, ...] = ()
    clusters: tuple[tuple[int, ...], ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """Whole numbers behind the terms: ``perspectives``, ``matched`` (references), ``repeated``."""
        matched = len({match.reference for match in self.matches})
        return {"perspectives": len(self.segments), "matched": matched, "repeated": len(self.repeated)}

    @property
    def spans(self) -> tuple[tuple[int, int, float], ...]:
        """(start, end, credit) of each segment: character offsets into the answer, the end exclusive."""
        return tuple((s.start, s.end, c) for s, c in zip(self.segments, self.credits, strict=True))


@dataclass(frozen=True, slots=True)
class Group:
    """All answers to one situation: the unit of reward.

    Attributes:
        prompt: the situation's text.
        references: its reference perspectives.
        answers: the texts to score.
        finished: whether each answer ended by itself; ``None`` when unknown.
    """

    prompt: str
    references: tuple[Perspective, ...]
    answers: tuple[str, ...]
    finished: tuple[bool, ...] | None = None
