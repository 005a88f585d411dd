"""How a situation of the bundled world is told: one sentence from its kind, circumstances and people."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

from overton.data.world.content import Circumstance, Kind, render, sentence

_PERSON = re.compile(r"\b(a|the|one) ((?:\w+ )?)\{(actor|affected)\}")


def write_text(kind: Kind, items: tuple[Circumstance, ...], front: bool, slots: Mapping[str, str]) -> str:
    """The situation as a sentence.

    Args:
        kind: kind of action.
        items: zero, one or two circumstances, in the order they are told.
        front: a circumstance may stand in front of the main clause. The first one that :func:`may_lead` does.
        slots: fillers.
    """
    leading = next((c for c in items if front and may_lead(c, items)), None)
    clauses = sorted((c.clause for c in items if c is not leading), key=_weight)
    template = kind.text
    if leading:
        template = f"{leading.clause}, {template}"
    if clauses:
        # "..., although X, and although Y"; after a lighter clause no "and" is needed.
        alike = len({_weight(c) for c in clauses}) < len(clauses)
        template += ", " + (", and " if alike else ", ").join(clauses)
    return sentence(render(_introduce(template), slots))


def may_lead(item: Circumstance, items: Iterable[Circumstance]) -> bool:
    """Whether a circumstance reads well in front of the main clause.

    It must name nobody, since people are introduced by the main clause, and must not be of the other
    circumstance's kind ("although ..., although ...").
    """
    others = [_weight(c.clause) for c in items if c.id != item.id]
    return not _PERSON.search(item.clause) and _weight(item.clause) not in others


def _weight(clause: str) -> int:
    """Order of telling: 0 a phrase ("in secret"), 1 a clause of time or reason, 2 a concession."""
    first = clause.split()[0]
    return 2 if first in ("although", "even") else 1 if first in ("while", "because", "as") else 0


@cache
def _introduce(template: str) -> str:
    """A person is introduced with ``a`` (or ``one``) and is ``the`` person from then on."""
    seen: set[str] = set()

    def article(match: re.Match[str]) -> str:
        word, adjective, name = match.groups()
        if name in seen:
            word = "the"
        elif word == "the":
            word = "a"
        seen.add(name)
        return f"{word} {adjective}{{{name}}}"

    return _PERSON.sub(article, template)


def fill_slots(kind: Kind, people: tuple[str, str], thing: str) -> dict[str, str]:
    """What fills the slots ``actor``, ``affected``, ``thing`` and ``act`` of a kind's templates."""
    slots = {"actor": people[0], "affected": people[1], "thing": thing}
    slots["act"] = render(kind.act, slots)
    return slots
