"""Prompts: files of this package or of the user's, known by a name and a hash of what they say."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path

from overton.errors import RecipeError
from overton.jsonio import read_jsonl
from overton.prompting import read_sft_rows
from overton.sections_generation import SystemSection

# What may stand in each prompt, and must, but for the number of samples.
PLACES: dict[str, tuple[str, ...]] = {
    "implicit": ("question",),
    "explicit": ("question",),
    "few-shot": ("question", "examples"),
    "verbalized": ("question", "samples"),
    "community": ("question",),
    "modular": ("question", "comments"),
    "critique": ("question", "draft"),
    "rewrite": ("question", "draft", "critique"),
}
# The prompts of each strategy, in the order they are asked.
USED: dict[str, tuple[str, ...]] = {
    "implicit": ("implicit",),
    "explicit": ("explicit",),
    "few-shot": ("few-shot",),
    "verbalized": ("verbalized",),
    "modular": ("community", "modular"),
    "self-refine": ("implicit", "critique", "rewrite"),
}
_PLACE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text with places such as ``{question}``.

    Attributes:
        name: of its file, without the ending.
        text: what the file says.
        given: places that are filled already, the same for every question.
    """

    name: str
    text: str
    given: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """``NAME@HASH``: the first eight digits of the SHA-256 of the text and of what fills it for every question."""
        said = self.text + (json.dumps(dict(self.given), sort_keys=True, ensure_ascii=False) if self.given else "")
        return f"{self.name}@{hashlib.sha256(said.encode()).hexdigest()[:8]}"

    def fill(self, **values: str) -> str:
        """The prompt for one question. What fills a place is not looked at for places of its own."""
        known = {**self.given, **values}
        return _PLACE.sub(lambda match: known.get(match[1], match[0]), self.text).strip()


def load_prompts(system: SystemSection, sft: Path | None = None, seed: int = 0) -> dict[str, Prompt]:
    """The prompts that a system's strategy asks, by name.

    Args:
        system: its ``strategy`` and ``prompts``; ``shots`` and ``examples`` for ``few-shot``.
        sft: ``data/sft.jsonl`` of the run, for ``examples: run``.
        seed: of the draw from it.

    Raises:
        RecipeError: a prompt that the strategy does not have, a file that cannot be read, or a missing or unknown
            place in it.
        DataError: ``sft`` cannot be read, or a row has no ``prompt`` or no ``completion``.
    """
    found = templates_of(system)
    if "few-shot" in found:
        examples = _examples(system, sft, seed)
        found["few-shot"] = replace(found["few-shot"], given={"examples": examples})
    if "verbalized" in found:
        found["verbalized"] = replace(found["verbalized"], given={"samples": str(system.samples)})
    return found


def templates_of(system: SystemSection) -> dict[str, Prompt]:
    """The same as their files say them, without examples; quick, so that faults are told before a run begins.

    Raises:
        RecipeError: as :func:`load_prompts`.
    """
    names = USED[system.sampled if system.strategy == "parallel" else system.strategy]
    where = f"generation.systems, {system.name}: prompts"
    for name in system.prompts:
        if name not in names:
            raise RecipeError(f"{where}.{name}: strategy {system.strategy} asks only {', '.join(names)}")
    return {name: _load(name, system.prompts.get(name, name), where) for name in names}


def _load(name: str, source: str, where: str) -> Prompt:
    if source in PLACES:
        text = resources.files("overton.generation").joinpath("prompts", f"{source}.txt").read_text(encoding="utf-8")
        prompt = Prompt(source, text)
    else:
        try:
            prompt = Prompt(Path(source).stem, Path(source).expanduser().read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(
                f"{where}.{name}: {source} is neither a file in UTF-8 that can be read nor one of "
                f"{', '.join(PLACES)} ({getattr(error, 'strerror', None) or error})"
            ) from None
    wanted, there = PLACES[name], set(_PLACE.findall(prompt.text))
    missing = [place for place in wanted if place not in there and place != "samples"]
    unknown = sorted(there - {*wanted})
    if missing or unknown:
        fault = f"{{{missing[0]}}} is missing" if missing else f"{{{unknown[0]}}} is unknown"
        raise RecipeError(f"{where}.{name}: {source}: {fault}; its places are {', '.join(wanted)}")
    return prompt


def _examples(system: SystemSection, sft: Path | None, seed: int) -> str:
    if system.examples == "run":
        if sft is None:
            raise RecipeError(f"{system.name}: examples: run wants a run directory with data/sft.jsonl")
        rows = read_sft_rows(sft)
        chosen = random.Random(seed).sample(rows, min(system.shots, len(rows)))
        pairs = [(row["prompt"], row["completion"]) for row in chosen]
    else:
        with resources.as_file(resources.files("overton.generation") / "prompts" / "examples.jsonl") as path:
            pairs = [(str(row["question"]), str(row["answer"])) for row in read_jsonl(path)][: system.shots]
    return "\n\n".join(f"Question: {question}\n\nAnswer:\n{answer}" for question, answer in pairs)


def versions(prompts: Sequence[Prompt]) -> str:
    """All versions in one line, for a row."""
    return " ".join(prompt.version for prompt in prompts)
