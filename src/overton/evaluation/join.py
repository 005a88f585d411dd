"""Which situation an answer belongs to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from overton.errors import DataError
from overton.notes import short
from overton.spelling import one_spelling
from overton.types import Answer, Situation


@dataclass(frozen=True, slots=True)
class Joined:
    """Answers by situation.

    Attributes:
        pairs: (index of the answer, its situation), in the order of the answers.
        unmatched: indices of answers without a situation.
        other_text: how many were joined by ``id`` to a situation whose text is not their ``prompt``.
    """

    pairs: list[tuple[int, Situation]]
    unmatched: list[int]
    other_text: int


def join(answers: Sequence[Answer], situations: Sequence[Situation]) -> Joined:
    """Find each answer's situation by ``id``, else by a ``prompt`` (or ``id``) that is its text.

    Texts are compared as they are, then without regard to case and white space; a text that several situations share
    joins nothing.

    Raises:
        DataError: two answers of one system belong to the same situation, or an answer has the ``id`` of one and the
            text of another.
    """
    by_id = {s.id: s for s in situations}
    texts = Counter(form for s in situations for form in {s.text, one_spelling(s.text)})
    by_text = {form: s for s in situations for form in (s.text, one_spelling(s.text)) if texts[form] == 1}
    pairs: list[tuple[int, Situation]] = []
    unmatched: list[int] = []
    taken: dict[tuple[str, str], int] = {}
    other_text = 0
    for index, answer in enumerate(answers):
        prompt = one_spelling(answer.prompt)
        asked = answer.prompt or answer.id
        found = by_id.get(answer.id) or by_text.get(asked) or by_text.get(prompt or one_spelling(answer.id))
        if found is None:
            unmatched.append(index)
            continue
        same_text = prompt in (one_spelling(found.text), one_spelling(found.id))
        other = (by_text.get(answer.prompt) or by_text.get(prompt)) if prompt and not same_text else None
        if other is not None and other is not found:  # no template makes one question of another
            raise DataError(
                f"answer {index + 1}: the id {short(answer.id)!r} names {short(found.id)!r} ({short(found.text)!r}), "
                f"but the prompt is the text of {short(other.id)!r}; correct the ids, or leave them out"
            )
        if (first := taken.setdefault((answer.system, found.id), index)) != index:
            ids = " and ".join(repr(short(answers[i].id)) for i in (first, index))
            whose = f"system {answer.system!r}: " if answer.system else ""
            raise DataError(f"{whose}answers {ids} both belong to {short(found.id)!r}; keep one")
        other_text += bool(prompt) and not same_text
        pairs.append((index, found))
    return Joined(pairs, unmatched, other_text)
