"""What happens to a text before it is encoded. The settings live in the model folder.

A label in front ("In the perspective of Honesty,") would make any two texts of one value alike, and the
situation's own words would make all texts of one situation alike. Both are taken out, on both sides of a
comparison in the same way: by the words of the situation that the text belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from overton.errors import DataError, ModelError
from overton.rundir import read_json, write_json
from overton.segment import MASK, keywords, mask_words, strip_label

SETTINGS_FILE = "overton.json"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How texts are prepared.

    Attributes:
        mask_situation: replace runs of the situation's words by one mask.
        strip_label: drop a leading ``In the perspective of LABEL,``.
        mask: what stands for masked words: the tokenizer's mask token where it has one.
    """

    mask_situation: bool = True
    strip_label: bool = True
    mask: str = MASK

    def __call__(self, texts: Sequence[str], contexts: Sequence[str] | None = None) -> list[str]:
        """Prepare texts.

        Args:
            texts: any texts.
            contexts: the situation of each text, or ``None`` for texts without one, which are not masked.

        Raises:
            ValueError: the two differ in length.
        """
        if contexts is None:
            return [self._clean(text, "") for text in texts]
        if len(contexts) != len(texts):
            raise ValueError(f"{len(texts)} texts but {len(contexts)} contexts")
        # An answer's lines recur often within a group of answers to one situation.
        seen: dict[tuple[str, str], str] = {}
        out = []
        for key in zip(texts, contexts, strict=True):
            if key not in seen:
                seen[key] = self._clean(*key)
            out.append(seen[key])
        return out

    def _clean(self, text: str, context: str) -> str:
        if self.strip_label:
            text = strip_label(text)
        if self.mask_situation and context:
            text = mask_words(text, keywords(context), self.mask)
        # A final stop is layout: references come without one, lines of an answer with one.
        return " ".join(text.split()).rstrip(". ")

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
            return cls(mask_situation=False)
        try:
            settings = read_json(path)
            if settings["format"] != _FORMAT:
                raise ModelError(f"{path}: format {settings['format']} is newer than this release of overton")
            return cls(**settings["preprocessing"])
        except (DataError, KeyError, TypeError) as error:
            raise ModelError(
                f"{path}: unreadable settings ({error}); train or copy the estimator again"
            ) from None
