"""An answer to attack, and what an attacker knows."""

from __future__ import annotations

from dataclasses import replace

from hacking.attacks import ATTACKS
from hacking.case import Case, Draft, Line, Loot, plain
from overton.segment import segment
from overton.types import Perspective

TEXTS = {
    "Honesty": "telling lies to a sick friend breaks what both have built over many years",
    "Kindness": "warm words can ease the pain of those who suffer most",
    "Autonomy": "each grown man is free to hear bad news, or to turn away from it",
    "Duty": "a doctor has sworn an oath that leaves no room for comfort",
}
REFERENCES = (
    Perspective("Truth", "friends built something over many years that lies would break"),
    Perspective("Care", "those who suffer are eased by warm words"),
    Perspective("Hope", "without hope the ill lose strength to fight on"),
)
LOOT = Loot(
    lines=tuple(
        Line(f"Value {i}", f"other matter number {i} weighs on distant villages and rivers") for i in range(80)
    ),
    references=((Perspective("Thrift", "public money ought to be spent with care"),) * 5,),
    labels=("Justice", "Thrift", "Safety", "Order", "Faith"),
    words=("money", "public", "care", "spend", "rivers", "villages", "weigh", "order", "peace", "faith"),
    openings=("There is a", "People may have"),
    universal=tuple(Line(f"U{i}", f"nobody ought to be harmed in way {i}") for i in range(8)),
)


def draft(template: bool = True, names: tuple[str, ...] = tuple(TEXTS)) -> Draft:
    lines = tuple(Line(name if template else "", TEXTS[name]) for name in names)
    return Draft(lines, f"This touches on {', '.join(names)}." if template else "", template)


CASE = Case(
    "a",
    "A doctor lies to a dying patient about the test.",
    REFERENCES,
    draft(names=tuple(TEXTS)[:3]),
    siblings=(draft(names=("Duty", "Kindness")), draft(names=("Duty",))),
    wordings={plain(TEXTS["Kindness"]): ("gentle speech soothes people in agony",)},
    states={plain(TEXTS["Honesty"]): frozenset({0}), plain(TEXTS["Kindness"]): frozenset({1})},
    loot=LOOT,
)
PROSE = replace(CASE, answer=draft(template=False))


def text_of(name: str, case: Case = CASE, seed: int = 0) -> str:
    text = ATTACKS[name].text(case, seed)
    assert text is not None
    return text


def explanations(text: str) -> list[str]:
    return [plain(s.explanation) for s in segment(text)]


HONEST = [plain(line.explanation) for line in CASE.answer.lines]
