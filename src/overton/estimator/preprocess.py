"""What happens to a text before it is encoded. The settings live in the model folder.

A label in front ("In the perspective of Honesty,") would make any two texts of one value alike, and the
situation's own words would make all texts of one situation alike. Both are taken out, on both sides of a
comparison in the same way: by the words of the situation that the text belongs to. A model that was trained so may
instead read the situation in front of each text, which tells it what "it saves lives" is about.
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from overton.errors import DataError, ModelError
from overton.jsonio import read_json, write_json
from overton.segment import keywords, strip_label
from overton.segment.masking import WORD

SETTINGS_FILE = "overton.json"
_FORMAT = 3
_SEPARATING = " .,;:–—-"
# What stood around a word that is gone: of a comma before it and another behind it, one stays.
_SEPARATORS = re.compile(r"(\s*[,;:–—-])(?:\s*[,;:–—-])+")

# Between two masked words these carry nothing: "the letter of a friend" is one thing of the situation.
_JOINT_WORDS = """a about an and any as at away by down for from his her in into it its of off on onto or out
over some that the their them these they this those to under up with"""
_JOINTS = frozenset(_JOINT_WORDS.split())
_ARTICLES = ("a", "an", "the")
_ENDINGS = ("ing", "ed", "es", "s", "e")
# Texts and their situations to what the model reads.
Prepare = Callable[[Sequence[str], Sequence[str]], list[str]]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How texts are prepared.

    Attributes:
        situation: ``mask`` leaves the situation's words out, in any inflection; ``prepend`` writes the situation
            before the text; ``ignore`` does neither.
        strip_label: drop a leading ``In the perspective of LABEL,``.
        subtract_situation: this much of the situation's own unit vector is taken from each text's, before the text's
            is made of length 1 again. What every text of a situation shares then counts for less.
    """

    situation: Literal["mask", "prepend", "ignore"] = "mask"
    strip_label: bool = True
    subtract_situation: float = 0.0

    def __post_init__(self) -> None:
        share: Any = self.subtract_situation
        if self.situation not in ("mask", "prepend", "ignore") or not isinstance(self.strip_label, bool):
            raise ValueError("situation is mask, prepend or ignore, and strip_label true or false")
        if isinstance(share, bool) or not isinstance(share, int | float) or not math.isfinite(share):
            raise ValueError("subtract_situation is a finite number")

    def __call__(
        self,
        texts: Sequence[str],
        contexts: Sequence[str] | None = None,
        too_long: Callable[[Sequence[str]], list[bool]] | None = None,
    ) -> list[str]:
        """Prepare texts.

        Args:
            texts: any texts.
            contexts: the situation of each text, or ``None`` for texts without one, which stand for themselves.
            too_long: which texts the model would cut (:func:`overton.estimator.models.overlong`). Where the situation
                stands in front, it then loses words at its end until the text behind it is read whole. ``None`` = the
                situation stays whole.

        Raises:
            ValueError: the two differ in length.
        """
        if contexts is None:
            return [self._clean(text, "") for text in texts]
        if len(contexts) != len(texts):
            raise ValueError(f"{len(texts)} texts but {len(contexts)} contexts")
        # An answer's lines recur often within a group of answers to one situation.
        keys = list(zip(texts, contexts, strict=True))
        seen = {key: self._clean(*key) for key in dict.fromkeys(keys)}
        if self.situation == "prepend" and too_long is not None:
            led = [key for key in seen if key[1]]
            for key, cut in zip(led, too_long([seen[key] for key in led]), strict=True):
                if cut:
                    seen[key] = self._shortened(*key, too_long)
        return [seen[key] for key in keys]

    def _shortened(self, text: str, context: str, too_long: Callable[[Sequence[str]], list[bool]]) -> str:
        """The text behind as many words of its situation as the model reads with all of the text, maybe none."""
        words = context.split()

        def led(count: int) -> str:
            return self._clean(text, " ".join(words[:count]))

        fitting = bisect_right(range(len(words)), False, key=lambda count: too_long([led(count)])[0])
        return led(max(fitting - 1, 0))

    def _clean(self, text: str, context: str) -> str:
        if self.strip_label:
            text = strip_label(text)
        if self.situation == "mask" and context:
            text = mask_situation(text, context)
        if self.situation == "prepend" and context:
            return f"{plain_layout(context)}: {plain_layout(text)}"
        return plain_layout(text)

    def save(self, folder: Path, extra: dict[str, Any]) -> None:
        """Write the settings, and whatever else is worth knowing, into a model folder."""
        write_json(folder / SETTINGS_FILE, {"format": _FORMAT, "preprocessing": asdict(self), **extra})

    @classmethod
    def load(cls, folder: Path) -> Preprocessing:
        """Settings of a model folder; a folder that was not trained here has none and is not masked.

        Raises:
            ModelError: the settings are broken or from a newer release.
        """
        path = folder / SETTINGS_FILE
        if not path.exists():
            return cls(situation="ignore")
        try:
            settings = read_json(path)
            known = settings["format"] == _FORMAT
            found = cls(**settings["preprocessing"]) if known else cls()
        except (DataError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{path}: unreadable settings ({error}); train or copy the estimator again") from None
        if not known:
            raise ModelError(
                f"{path}: format {settings['format']!r} is another release's, which prepared texts otherwise; "
                "train the estimator again"
            )
        return found


def plain_layout(text: str) -> str:
    """Layout says nothing: references come without a final stop, lines of an answer with one."""
    text = " ".join(text.split()).rstrip(". ")
    return text[:1].upper() + text[1:]


def base_of(folder: Path) -> str | None:
    """Name of the base that the model in a folder was trained from; ``None`` when it was not trained here.

    Raises:
        ModelError: the settings are broken.
    """
    if not (folder / SETTINGS_FILE).exists():
        return None
    try:
        return str(read_json(folder / SETTINGS_FILE)["base"])
    except (DataError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / SETTINGS_FILE}: unreadable settings ({error})") from None


def mask_situation(text: str, situation: str) -> str:
    """Leave the situation's words out of a text, so that nothing can be said with them.

    Words match in any English inflection ("reads", "reading"), since the situation and what is said about it differ in
    tense; articles and prepositions between two of them, and an article before the first, go with them. So "By reading
    the diary of a daughter the mother breaks her trust" becomes "By breaks her trust". Nothing stands in their place: a
    stand-in draws any text with many of them to any other.

    Args:
        text: any text.
        situation: the text whose words are hidden, all but stop words.

    Returns:
        The rest of the text; the text itself when nothing else is in it.
    """
    stems = _stems(situation)
    words = list(WORD.finditer(text))
    hidden = [_stem(match.group()) in stems for match in words]
    if True not in hidden:
        return text
    out: list[str] = []
    position, index = 0, 0
    while index < len(words):
        if not hidden[index]:
            index += 1
            continue
        first, last = index, _end_of_run(text, words, hidden, index)
        while first > 0 and words[first - 1].start() >= position and words[first - 1].group().lower() in _ARTICLES:
            first -= 1
        out.append(text[position : words[first].start()])
        position, index = words[last].end(), last + 1
    rest = _SEPARATORS.sub(r"\1", " ".join("".join([*out, text[position:]]).split())).strip(_SEPARATING)
    return rest if WORD.search(rest) else text


def _end_of_run(text: str, words: list[re.Match[str]], hidden: list[bool], start: int) -> int:
    """Index of the last word of the run of masked words, joints and spaces that starts at ``start``."""
    last = start
    for index in range(start + 1, len(words)):
        if text[words[index - 1].end() : words[index].start()].strip():
            break
        if hidden[index]:
            last = index
        elif words[index].group().lower() not in _JOINTS:
            break
    return last


@lru_cache(maxsize=4096)
def _stems(situation: str) -> frozenset[str]:
    return frozenset(_stem(word) for word in keywords(situation))


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    """A crude English stem: "stops", "stopping" and "stopped" are one word, as are "carry" and "carried"."""
    word = unicodedata.normalize("NFC", re.split("['’]", word.lower(), maxsplit=1)[0])
    ending = next((e for e in _ENDINGS if word.endswith(e) and len(word) - len(e) >= 3), "")
    word = word.removesuffix(ending)
    if word.endswith("y") and len(word) > 2:
        return word[:-1] + "i"
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
