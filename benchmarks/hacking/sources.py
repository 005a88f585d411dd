"""Honest answers to attack: of published systems, of people, and of policies trained in the bundled world."""

from __future__ import annotations

import csv
import gzip
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hacking.case import Case, Draft, Line, Loot, plain
from overton.data.perspectrum import read_perspectrum
from overton.data.world.content import load_world, sentence
from overton.data.world.generate import SPLIT_PHRASINGS
from overton.data.world.oracle import judge
from overton.data.world.sft import line, slots_of, value_stance
from overton.errors import DataError
from overton.jsonio import read_jsonl
from overton.rewards import parse_references
from overton.rundir import RunDir
from overton.segment import format_answer, layout, opening_label, segment, strip_label
from overton.types import Perspective, Situation

PARTS = ("tune", "report")
# Systems that answer in the template, and systems that write prose.
TRAINED = (
    "op-grpo-qwen2.5-3b-implicit",
    "op-grpo-qwen2.5-3b-explicit",
    "op-grpo-qwen2.5-3b-unique",
    "op-grpo-qwen2.5-1.5b",
    "llama-3.2-3b-sft",
)
PROMPTED = ("qwen3-8b-explicit", "qwen3-8b-implicit", "qwen2.5-1.5b-explicit", "qwen2.5-1.5b-implicit")
# What docs/reward.md recommends for prose: no tags are asked for, and several sentences may speak for one reference.
FREE_FORM = {"tag_penalty": 0.0, "matching": "many-to-one", "beta": 1.2}
_SPLITS = {"tune": ("5p",), "report": ("6p", "7p")}
_WORD = re.compile(r"[a-z]{4,}")
_UNIVERSAL = 8
_TRAIN = SPLIT_PHRASINGS["train"]


@dataclass(frozen=True, slots=True)
class Source:
    """Cases of one kind.

    Attributes:
        name: stable name.
        cases: by part; what is learnt from one part is used against the other.
        settings: fields of preset ``overton`` that suit these answers.
        background: whether the reward has the other part's references as its background.
    """

    name: str
    cases: Mapping[str, tuple[Case, ...]]
    settings: Mapping[str, Any] = field(default_factory=dict)
    background: bool = False


def op_bench(references: Path, responses: Path, systems: Sequence[str], seed: int, name: str) -> Source:
    """Answers that published systems gave to the situations of OP-GRPO's test set.

    The logs hold sentences alone: for trained systems, tags and a summary that names the labels are put back.

    Args:
        references: folder with ``test_5p.csv``, ``test_6p.csv`` and ``test_7p.csv``.
        responses: the logs, JSON lines, gzipped.
        systems: whose answers; each situation gets that of one, and up to three others as siblings.
        seed: decides which.
        name: of the source.

    Raises:
        DataError: a file is missing.
    """
    logs: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for row in _json_lines(responses):
        logs[row["split"], row["prompt"]][row["system"]] = row
    cases: dict[str, list[Case]] = {part: [] for part in PARTS}
    for part, splits in _SPLITS.items():
        for split in splits:
            for number, row in enumerate(_csv_rows(references / f"test_{split}.csv")):
                wanted = parse_references([t for t in row["answer"].splitlines() if t.strip()], f"{split}, {number}")
                states: dict[str, frozenset[int]] = {}
                drafts = {}
                for system, log in logs[split, row["prompt"]].items():
                    draft, owner = _draft(log["response_sentences"], system in TRAINED)
                    for reference, number_of, _ in log["logged"]["pairs"]:
                        if number_of in owner and reference < len(wanted):
                            key = plain(draft.lines[owner[number_of]].explanation)
                            states[key] = states.get(key, frozenset()) | {reference}
                    if draft.lines:
                        drafts[system] = draft
                rng = random.Random(f"{seed}/{name}/{split}/{number}")
                there = [drafts[s] for s in systems if s in drafts]
                if there:
                    rng.shuffle(there)
                    identity = f"{split}-{number}"
                    cases[part].append(Case(identity, row["prompt"], wanted, there[0], tuple(there[1:4]), {}, states))
    source = _with_loot(name, cases)
    template = any(s in TRAINED for s in systems)
    return replace(source, background=True, settings=source.settings if template else FREE_FORM)


def _draft(sentences: Sequence[str], template: bool) -> tuple[Draft, dict[int, int]]:
    """An answer from its logged sentences, and which line each sentence went to."""
    cleaned = [" ".join(s.replace("</think>", " ").split()).replace("**", "") for s in sentences]
    grouped = sum(bool(opening_label(s)) for s in cleaned) >= 2
    lines: list[Line] = []
    owner: dict[int, int] = {}
    for number, text in enumerate(cleaned):
        if not any(c.isalpha() for c in text):
            continue
        label = opening_label(text)
        if grouped and not label and lines:
            lines[-1] = replace(lines[-1], explanation=f"{lines[-1].explanation}. {text}")
        else:
            lines.append(Line(label, strip_label(text)))
        owner[number] = len(lines) - 1
    summary = f"Overall, {', '.join(p.label for p in lines if p.label)} all bear on this question." if template else ""
    return Draft(tuple(lines), summary, template), owner


def perspectrum(folder: Path, seed: int) -> Source:
    """Claims with perspectives in people's words: an honest answer states a part of them, in one wording each.

    References are in another wording where there is one.

    Args:
        folder: with the published files.
        seed: decides which perspectives and wordings.

    Raises:
        DataError: a file is missing or broken.
    """
    cases: dict[str, list[Case]] = {part: [] for part in PARTS}
    for row in read_perspectrum(folder, []):
        groups: dict[str, list[Perspective]] = defaultdict(list)
        for view in row.views:
            groups[str(view.cluster)].append(view)
        rng = random.Random(f"{seed}/perspectrum/{row.situation.id}")
        references, spare = [], []
        for texts in groups.values():
            shuffled = rng.sample(texts, len(texts))
            references.append(shuffled[0])
            spare.append(shuffled[1:] or shuffled)
        drafts = []
        for _ in range(4):
            count = max(2, round(rng.uniform(0.4, 0.8) * len(groups)))
            chosen = rng.sample(range(len(groups)), min(count, len(groups)))
            lines = [rng.choice(spare[i]) for i in chosen]
            named = " and ".join(dict.fromkeys(p.label for p in lines)).lower()
            drafts.append(Draft(tuple(Line(p.label, p.explanation) for p in lines), f"Here {named} have been heard."))
        wordings = {
            plain(p.explanation): tuple(o.explanation for o in texts if o is not p)
            for texts in spare
            for p in texts
            if len(texts) > 1
        }
        states = {plain(p.explanation): frozenset([i]) for i, texts in enumerate(groups.values()) for p in texts}
        part = "tune" if row.split == "train" else "report"
        case = Case(row.situation.id, row.situation.text, tuple(references), drafts[0], tuple(drafts[1:]))
        cases[part].append(replace(case, wordings=wordings, states=states))
    return _with_loot("people", cases)


def world(folder: Path, seed: int) -> Source:
    """Answers of the policies of a run of the bundled world to its test situations.

    Answers that broke the template are left out. References are in wordings of the train split, as the reward meets
    them in training: the estimator has never seen those of the test split. Situations with even numbers are for tuning.

    Args:
        folder: of the run.
        seed: decides whose answer is attacked; the others are its siblings.

    Raises:
        DataError: a file is missing.
    """
    run = RunDir(folder)
    answers: dict[str, list[str]] = defaultdict(list)
    for file in sorted((run.path / "generation").glob("*.jsonl")):
        for row in read_jsonl(file):
            if format_answer(_lines(row["answer"]), layout(row["answer"]).summary) == row["answer"]:
                answers[row["id"]].append(row["answer"])
    situations = [Situation.from_json(row) for row in read_jsonl(run.path / "data" / "test.jsonl")]
    if not answers:
        raise DataError(f"{run.path / 'generation'}: no answers in the template; run the generation stage")
    cases: dict[str, list[Case]] = {part: [] for part in PARTS}
    for number, situation in enumerate(situations):
        texts = list(dict.fromkeys(answers[situation.id]))
        rng = random.Random(f"{seed}/world/{situation.id}")
        rng.shuffle(texts)
        drafts = [Draft(tuple(_lines(text)), layout(text).summary) for text in texts]
        if drafts and drafts[0].lines:
            cases[PARTS[number % 2]].append(_world_case(situation, drafts, rng))
    source = _with_loot("world", cases)
    by_id = {s.id: s for s in situations}
    for part, other in zip(PARTS, reversed(PARTS), strict=True):
        counted = Counter(p.cluster for c in cases[other] for p in by_id[c.id].perspectives)
        frequent = [value_stance(Perspective("", "", cluster=name)) for name, _ in counted.most_common(_UNIVERSAL)]
        cases[part] = [_with_frequent(c, by_id[c.id], frequent) for c in source.cases[part]]
    return Source("world", {part: tuple(found) for part, found in cases.items()})


def _world_case(situation: Situation, drafts: Sequence[Draft], rng: random.Random) -> Case:
    slots, content = slots_of(situation), load_world()
    references = tuple(
        replace(p, explanation=sentence(line(content, value_stance(p), rng.choice(_TRAIN), slots).explanation))
        for p in situation.perspectives
    )
    wanted = [p.cluster for p in situation.perspectives]
    wordings: dict[str, tuple[str, ...]] = {}
    states: dict[str, frozenset[int]] = {}
    for draft in drafts:
        for part in judge(situation, draft.text()).segments:
            if part.cluster:
                view = value_stance(Perspective("", "", cluster=part.cluster))
                texts = [line(content, view, index, slots).explanation for index in _TRAIN]
                key = plain(part.explanation)
                wordings[key] = tuple(t for t in texts if plain(t) != key)
                states[key] = frozenset([wanted.index(part.cluster)] if part.cluster in wanted else [])
    first, *others = drafts
    return Case(situation.id, situation.text, references, first, tuple(others), wordings, states, Loot(), situation)


def _with_frequent(case: Case, situation: Situation, views: Iterable[tuple[str, str]]) -> Case:
    """The most frequent perspectives of other situations, said of this one: what a collapsed policy answers."""
    lines = tuple(line(load_world(), view, 0, slots_of(situation)) for view in views)
    return replace(case, loot=replace(case.loot, universal=lines))


def _lines(answer: str) -> list[Line]:
    return [Line(s.label, s.explanation) for s in segment(answer)]


def _with_loot(name: str, cases: Mapping[str, Sequence[Case]]) -> Source:
    """Each part's cases with what the other part teaches."""
    learnt = {part: loot_of(found) for part, found in cases.items()}
    return Source(
        name,
        {
            part: tuple(replace(case, loot=learnt[other]) for case in cases[part])
            for part, other in zip(PARTS, reversed(PARTS), strict=True)
        },
    )


def loot_of(cases: Sequence[Case]) -> Loot:
    """What can be learnt from answers and references of some situations."""
    lines = dict.fromkeys(line for case in cases for line in case.answer.lines)
    references = [p for case in cases for p in case.references]
    labels = Counter(p.label for p in references if p.label)
    words = Counter(w for p in references for w in set(_WORD.findall(p.explanation.lower())))
    openings = Counter(" ".join(p.explanation.split()[:3]) for p in references)
    return Loot(
        lines=tuple(lines),
        references=tuple(case.references for case in cases),
        labels=tuple(name for name, _ in labels.most_common()),
        words=tuple(word for word, _ in words.most_common(200)),
        openings=tuple(text for text, count in openings.most_common(20) if count > 1),
    )


def _json_lines(path: Path) -> Iterable[dict[str, Any]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from (json.loads(text) for text in file)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error})") from None


def _csv_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
