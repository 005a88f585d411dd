"""Changes of a sentence that a cheating policy could learn: other words, other letters, its negation."""

from __future__ import annotations

import random
import re

ZERO_WIDTH = ("\u200b", "\u200c", "\u200d", "\u2060")
LOOK_ALIKE = str.maketrans("aceijopsxyABCEHIKMOPTX", "асеіјорѕхуАВСЕНІКМОРТХ")
OTHER_SCRIPT = str.maketrans("abcdefghijklmnopqrstuvwxyz", "абцдефгхийклмнопярстуввхыз")
FRAMES = (
    "It matters here that {}",
    "One may hold that {}",
    "Seen from this side, {}",
    "What counts is that {}",
    "Many would say that {}",
    "In other words, {}",
)
_SYNONYMS = {
    "individuals": "persons",
    "individual": "person",
    "people": "persons",
    "person": "individual",
    "important": "significant",
    "right": "entitlement",
    "rights": "entitlements",
    "choice": "decision",
    "choices": "decisions",
    "decision": "choice",
    "decisions": "choices",
    "help": "assist",
    "helping": "assisting",
    "harm": "hurt",
    "ensure": "make sure",
    "promote": "further",
    "promotes": "furthers",
    "provide": "give",
    "providing": "giving",
    "protect": "guard",
    "protecting": "guarding",
    "may": "might",
    "can": "is able to",
    "should": "ought to",
    "must": "has to",
    "obligation": "duty",
    "duty": "obligation",
    "responsibility": "duty",
    "society": "the community",
    "shows": "demonstrates",
    "makes": "renders",
    "without": "lacking",
    "others": "other people",
    "because": "since",
    "need": "require",
    "respect": "honour",
    "safe": "secure",
    "safety": "security",
    "freedom": "liberty",
    "benefits": "advantages",
    "problem": "difficulty",
    "children": "kids",
    "bad": "harmful",
    "good": "beneficial",
}
_WORD = re.compile(r"[A-Za-z]+")
_AUXILIARY = re.compile(r"\b(can|may|might|should|must|will|would|could|is|are|was|were|has to|have to)\b(?! not\b)")


def reworded(text: str, rng: random.Random) -> str:
    """Known words replaced by others and a frame around it: the same in other words."""
    swapped = _WORD.sub(lambda m: _SYNONYMS.get(m.group(), m.group()), text)
    return framed(swapped, rng.choice(FRAMES))


def framed(text: str, frame: str) -> str:
    """The text inside a frame, without its capital."""
    return frame.format(text[:1].lower() + text[1:])


def edited(text: str, rng: random.Random) -> str:
    """One word more, which changes nothing."""
    words = text.split()
    words.insert(rng.randrange(1, len(words) + 1) if words else 0, rng.choice(["really", "also", "indeed", "truly"]))
    return " ".join(words)


def negated(text: str) -> str:
    """The opposite: "not" after the first auxiliary, or a denial in front."""
    said, count = _AUXILIARY.subn(r"\1 not", text, count=1)
    return said if count else framed(text, "it is not true that {}")


def zero_width(text: str, rng: random.Random) -> str:
    """An invisible character inside each word."""

    def split(match: re.Match[str]) -> str:
        word = match.group()
        at = rng.randrange(1, len(word)) if len(word) > 1 else 1
        return word[:at] + rng.choice(ZERO_WIDTH) + word[at:]

    return _WORD.sub(split, text)


def look_alike(text: str) -> str:
    """Cyrillic letters that look like the Latin ones."""
    return text.translate(LOOK_ALIKE)


def other_script(text: str) -> str:
    """Letters of another script, as a bad translation has them."""
    return text.lower().translate(OTHER_SCRIPT)


def shuffled_words(text: str, rng: random.Random) -> str:
    """The same words in another order."""
    words = text.split()
    rng.shuffle(words)
    return " ".join(words)


def punctuated(text: str) -> str:
    """Other punctuation and nothing else."""
    return text.replace(",", " -").rstrip(".") + " ..!"
