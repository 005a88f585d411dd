"""What an answer truly states, whatever the reward's estimator thinks of it.

In the bundled world the oracle reads the text. Elsewhere a text states what its lines are known to state, by people's
clusters or by the logged matches of the published evaluation; a line that nobody has judged states nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from hacking.case import Case, plain
from overton.data.world.oracle import judge
from overton.segment import segment


@dataclass(frozen=True, slots=True)
class Truth:
    """Figures of one answer.

    Attributes:
        coverage: references stated / references.
        f1: harmonic mean of coverage and (references stated / segments); 0 without segments.
    """

    coverage: float
    f1: float


def truth(case: Case, text: str) -> Truth:
    """What a text truly states in a case."""
    references = len(case.references)
    if case.situation is not None:
        stated = round(judge(case.situation, text).coverage * references)
    else:
        flat = plain(text)
        stated = len(frozenset[int]().union(*(found for line, found in case.states.items() if line in flat)))
    segments = len(segment(text))
    return Truth(stated / references, 2 * stated / (references + segments) if segments else 0.0)
