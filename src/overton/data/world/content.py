"""The world's content: values, kinds of action and circumstances, from the YAML files beside this module.

Also the few rules that turn a template and its slots into English: fill, mend a/an, capitalise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from overton.errors import DataError

SLOTS = ("actor", "affected", "thing", "act")
STANCES = ("+", "-")
PHRASINGS = 5
MIN_PERSPECTIVES, MAX_PERSPECTIVES = 5, 9

# The C loader is ten times as fast; both are safe.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SLOT = re.compile(r"\{([^{}]*)\}")
_ARTICLE = re.compile(r"\b([Aa])n?(?= [\w'’-])(?= (?P<next>[\w'’-]+))")
# Spelling misleads about the first sound of these words.
_VOWEL_SOUND = re.compile(r"(?:[aeio]|u(?!n[ai]|se|su|ti|topia|r[aio])|heir|hono|honest|hour)", re.IGNORECASE)
_CONSONANT_SOUND = re.compile(r"(?:one|once|eu|ewe|uni(?:t|v|o|f|q|c)|use|usu|user|uten|uti)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Value:
    """A value, right or duty with its phrasings.

    Attributes:
        id: stable name.
        type: ``value``, ``right`` or ``duty``.
        label: what an answer calls it ("Right to privacy").
        family: related values, near misses of each other, share it.
        definition: one sentence.
        phrasings: stance -> five templates of its explanation.
    """

    id: str
    type: str
    label: str
    family: str
    definition: str
    phrasings: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of action with slots for people and things.

    Attributes:
        id: stable name.
        domain: one of the world's domains.
        text: template of the main clause.
        act: template of the gerund phrase for ``{act}``.
        people: (actor, affected) pairs.
        things: objects.
        perspectives: value id -> stance.
        excludes: circumstances that make no sense here.
    """

    id: str
    domain: str
    text: str
    act: str
    people: tuple[tuple[str, str], ...]
    things: tuple[str, ...]
    perspectives: Mapping[str, str]
    excludes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Circumstance:
    """Something about a situation that changes which perspectives are relevant.

    Attributes:
        id: stable name.
        group: two circumstances of one group never occur together.
        clause: template that reads well in front of and after the main clause.
        adds: value id -> stance.
        removes: value ids that are no longer relevant.
        turns: value ids whose stance flips.
        excludes: kinds or circumstances it does not go with.
    """

    id: str
    group: str
    clause: str
    adds: Mapping[str, str]
    removes: frozenset[str]
    turns: frozenset[str]
    excludes: frozenset[str]


@dataclass(frozen=True, slots=True)
class World:
    """All content, by id."""

    values: Mapping[str, Value]
    kinds: Mapping[str, Kind]
    circumstances: Mapping[str, Circumstance]


@lru_cache(maxsize=1)
def load_world() -> World:
    """Read and check the bundled content (cached).

    Raises:
        DataError: a file is missing or broken, an id is unknown or used twice, a slot is unknown.
    """
    return read_world(Path(__file__).parent)


def read_world(folder: Path) -> World:
    """Read and check the content files of a folder: ``values*``, ``kinds*`` and ``circumstances*.yaml``.

    Raises:
        DataError: as :func:`load_world`.
    """
    values = _index(folder, "values", _value)
    kinds = _index(folder, "kinds", _kind)
    circumstances = _index(folder, "circumstances", _circumstance)
    world = World(values, kinds, circumstances)
    _check(world)
    return world


def render(template: str, slots: Mapping[str, str]) -> str:
    """Fill the slots of a template and mend ``a``/``an``."""
    return mend_articles(_SLOT.sub(lambda m: slots[m.group(1)], template))


def sentence(text: str) -> str:
    """With a capital letter and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."


def explain(value: Value, stance: str, index: int, slots: Mapping[str, str]) -> str:
    """One phrasing of a perspective as a sentence about a situation's people and things.

    Args:
        value: the value.
        stance: ``"+"`` or ``"-"``.
        index: which of the five phrasings, 0 to 4.
        slots: ``actor``, ``affected``, ``thing`` and ``act`` of the situation.
    """
    return sentence(render(value.phrasings[stance][index], slots))


def mend_articles(text: str) -> str:
    """Write ``a`` or ``an`` after the sound of the next word."""

    def mend(match: re.Match[str]) -> str:
        word = match.group("next")
        vowel = _VOWEL_SOUND.match(word) and not _CONSONANT_SOUND.match(word)
        return match.group(1) + ("n" if vowel else "")

    return _ARTICLE.sub(mend, text)


def cluster(value_id: str, stance: str) -> str:
    """Name of a perspective: ``right_to_privacy:-``."""
    return f"{value_id}:{stance}"


def _index(folder: Path, stem: str, build: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    files = sorted(folder.glob(f"{stem}*.yaml"))
    if not files:
        raise DataError(f"{folder}: no {stem}*.yaml; the installation is incomplete, install overton again")
    for file in files:
        try:
            rows = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DataError(f"{file}: cannot be read as YAML: {error}") from None
        if not isinstance(rows, list):
            raise DataError(f"{file}: a list is wanted")
        for number, row in enumerate(rows, 1):
            name = row.get("id", f"entry {number}") if isinstance(row, dict) else f"entry {number}"
            try:
                item = build(row)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise DataError(f"{file}, {name}: {type(error).__name__}: {error}") from None
            if item.id in found:
                raise DataError(f"{file}, {name}: the id is used twice")
            found[item.id] = item
    return found


def _value(row: dict[str, Any]) -> Value:
    phrasings = {"+": tuple(row["for"]), "-": tuple(row["against"])}
    for stance, texts in phrasings.items():
        if len(texts) != PHRASINGS or len(set(texts)) != PHRASINGS:
            raise ValueError(f"stance {stance} needs {PHRASINGS} different phrasings, has {len(set(texts))}")
        for text in texts:
            _check_slots(text, SLOTS)
    return Value(row["id"], row["type"], row["label"], row["family"], row["definition"], phrasings)


def _kind(row: dict[str, Any]) -> Kind:
    people = tuple((str(a), str(b)) for a, b in row["people"])
    things = tuple(str(t) for t in row["things"])
    _check_slots(row["text"], SLOTS[:3])
    _check_slots(row["act"], SLOTS[:3])
    if not people or not things:
        raise ValueError("people and things must not be empty")
    perspectives = {v: _stance(s) for v, s in row["perspectives"].items()}
    excludes = frozenset(row.get("excludes") or ())
    return Kind(row["id"], row["domain"], row["text"], row["act"], people, things, perspectives, excludes)


def _circumstance(row: dict[str, Any]) -> Circumstance:
    _check_slots(row["clause"], SLOTS[:3])
    return Circumstance(
        row["id"],
        row["group"],
        row["clause"],
        {v: _stance(s) for v, s in (row.get("adds") or {}).items()},
        frozenset(row.get("removes") or ()),
        frozenset(row.get("turns") or ()),
        frozenset(row.get("excludes") or ()),
    )


def _stance(text: str) -> str:
    if text not in STANCES:
        raise ValueError(f"stance {text!r} is neither '+' nor '-'")
    return text


def _check_slots(template: str, allowed: tuple[str, ...]) -> None:
    unknown = set(_SLOT.findall(template)) - set(allowed)
    if unknown or template.count("{") != template.count("}"):
        raise ValueError(f"template {template!r}: slots must be among {', '.join(allowed)}")


def _check(world: World) -> None:
    values, kinds, circumstances = world.values, world.kinds, world.circumstances
    problems: list[str] = []
    labels: dict[str, str] = {}
    for value in values.values():
        other = labels.setdefault(value.label.casefold(), value.id)
        if other != value.id:
            problems.append(f"{value.id} and {other} have the same label")
    for kind in kinds.values():
        problems += [f"{kind.id}: unknown value {v}" for v in kind.perspectives if v not in values]
        problems += [f"{kind.id}: unknown circumstance {c}" for c in kind.excludes if c not in circumstances]
        if not MIN_PERSPECTIVES <= len(kind.perspectives) <= MAX_PERSPECTIVES:
            problems.append(f"{kind.id}: {len(kind.perspectives)} perspectives, 5 to 9 are wanted")
    for item in circumstances.values():
        named = {*item.adds, *item.removes, *item.turns}
        problems += [f"{item.id}: unknown value {v}" for v in sorted(named) if v not in values]
        known = circumstances.keys() | kinds.keys()
        problems += [f"{item.id}: excludes the unknown {c}" for c in sorted(item.excludes) if c not in known]
    if problems:
        raise DataError("the world's content is inconsistent: " + "; ".join(problems))
