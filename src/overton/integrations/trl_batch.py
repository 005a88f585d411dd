"""From TRL's call of a reward function to groups, and scores that several functions share."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

from overton.errors import DataError
from overton.integrations.common import MOST_UNREADABLE, first_rows
from overton.integrations.trl_thoughts import prompt_end
from overton.prompting import completion_text, plain_text
from overton.rewards import parse_references
from overton.rewards.reward import Scorer
from overton.segment import SUMMARY_CLOSE, behind
from overton.types import Group, Perspective, Score

# Arguments of TRL's call that are no columns of the data set.
_NO_COLUMNS = {"trainer_state", "log_extra", "log_metric", "environments"}
# A batch is asked for by each function once, one after another or at the same time.
_KEPT = 8


@dataclass(frozen=True)
class Batch:
    """The completions of one call, in order; equal batches get equal scores.

    Attributes:
        texts: what was answered; ``None`` where it is no text, which has no score.
        situations: what each text answers.
        ids: ``situation_id`` of each row, ``None`` without that column.
        references: of each row; a text instead says why they cannot be read.
        finished: whether each answer ended by itself; ``None`` when unknown.
    """

    texts: tuple[Any, ...]
    situations: tuple[str, ...]
    ids: tuple[str | None, ...]
    references: tuple[tuple[Perspective, ...] | str, ...]
    finished: tuple[bool, ...] | None = None

    def rows(self) -> list[list[int]]:
        """The rows of each group: those of one situation, with the same references."""
        members: dict[Hashable, list[int]] = {}
        for row, key in enumerate(zip(self.ids, self.situations, self.references, strict=True)):
            members.setdefault(key, []).append(row)
        return list(members.values())

    def score(self, reward: Scorer) -> tuple[Score, ...]:
        """One score a row; rows whose references cannot be read have no value."""
        members, groups = [], []
        scores = [Score(None, found if isinstance(found, str) else "") for found in self.references]
        for rows in self.rows():
            references = self.references[rows[0]]
            if isinstance(references, str):
                continue
            finished = None if self.finished is None else tuple(self.finished[row] for row in rows)
            members.append(rows)
            groups.append(Group(self.situations[rows[0]], references, tuple(self.texts[row] for row in rows), finished))
        for rows, group_scores in zip(members, reward.score(groups), strict=True):
            for row, score in zip(rows, group_scores, strict=True):
                scores[row] = score
        return tuple(scores)


def read_call(
    prompts: Sequence[Any],
    completions: Sequence[Any],
    completion_ids: Sequence[Sequence[int]] | None,
    columns: dict[str, Any],
    max_tokens: int,
    ends: Collection[int] = (),
    trainer: Any = None,
) -> Batch:
    """TRL's arguments as a batch.

    Args:
        prompts: texts, or lists of messages.
        completions: likewise, one a prompt.
        completion_ids: their tokens.
        columns: everything else TRL passes; ``references`` must be among it, ``situation`` and ``situation_id``
            may be.
        max_tokens: completions of this many tokens count as cut off, unless they end as the template does or with one
            of ``ends``; 0 = never.
        ends: tokens that end an answer.
        trainer: TRL's, which knows whether its chat template opens a thought; ``None`` when unknown.

    Raises:
        DataError: ``references`` is missing, a column has another length than ``completions``, or no row's references
            can be read and none could before.
    """
    size = len(completions)
    columns = {name: rows for name, rows in columns.items() if rows is not None}
    found = sorted(set(columns) - _NO_COLUMNS)
    if "references" not in columns:
        raise DataError(
            "the reward needs the data set's column `references` (the perspectives that an answer may cover); TRL "
            f"handed over {', '.join(f'`{name}`' for name in found) or 'no column'} beside `prompt`. If the data set "
            "has it, set remove_unused_columns=False; if it has another name, rename it."
        )
    given = {f"column `{n}`": columns.get(n) for n in ("references", "situation", "situation_id")}
    for name, rows in {"`prompts`": prompts, "`completion_ids`": completion_ids, **given}.items():
        if rows is not None and len(rows) != size:
            raise DataError(f"{name} has {len(rows)} rows for {size} completions")
    said = (completion_text(completion) for completion in completions)
    plain = (None if text is None else plain_text(text) for text in said)
    # A template takes its time, and the prompts of a group are alike.
    keys = [repr(prompt) for prompt in prompts]
    ends_of = {key: prompt_end(prompt, trainer) for key, prompt in dict(zip(keys, prompts, strict=True)).items()}
    texts = tuple(
        behind(ends_of[key], text) if isinstance(text, str) else text for key, text in zip(keys, plain, strict=True)
    )
    named, ids = (columns.get(name, [None] * size) for name in ("situation", "situation_id"))
    finished = None
    if max_tokens and completion_ids is not None:
        finished = tuple(
            len(tokens) < max_tokens or tokens[-1] in ends or (text or "").rstrip().endswith(SUMMARY_CLOSE)
            for tokens, text in zip(completion_ids, texts, strict=True)
        )
    read = _all_references(columns["references"])
    if not all(isinstance(found, str) for found in read):
        first_rows.readable()
    elif read:
        first_rows.unreadable(DataError(str(read[-1])), MOST_UNREADABLE)
    return Batch(
        texts=texts,
        situations=tuple(
            name if isinstance(name, str) and name.strip() else prompt_text(prompt)
            for name, prompt in zip(named, prompts, strict=True)
        ),
        ids=tuple(None if key is None else str(key) for key in ids),
        references=read,
        finished=finished,
    )


def prompt_text(prompt: Any) -> str:
    """What a prompt asks: its text, or of messages the last one from the user."""
    if isinstance(prompt, str):
        return prompt.strip()
    asked = [message for message in prompt if message.get("role") == "user"] or list(prompt)
    return plain_text(asked[-1].get("content")).strip() if asked else ""


def _all_references(values: Sequence[Any]) -> tuple[tuple[Perspective, ...] | str, ...]:
    """Of each row. Those of a group follow each other and are equal, so they are read once."""
    found: list[tuple[Perspective, ...] | str] = []
    for row, value in enumerate(values):
        plain = row > 0 and isinstance(value, list | str) and type(value) is type(values[row - 1])
        found.append(found[-1] if plain and repr(value) == repr(values[row - 1]) else _references(value))
    return tuple(found)


def _references(value: Any) -> tuple[Perspective, ...] | str:
    try:
        return parse_references(value)
    except DataError as error:
        return str(error)


@dataclass
class _Entry:
    """Scores of one batch.

    Attributes:
        names: the functions that asked since the scores were last logged.
        trainer: ``id`` of the trainer they asked for.
    """

    lock: Lock = field(default_factory=Lock)
    scores: tuple[Score, ...] | None = None
    names: set[str] = field(default_factory=set)
    trainer: int = 0


_lock = Lock()
_entries: WeakKeyDictionary[Scorer, OrderedDict[Batch, _Entry]] = WeakKeyDictionary()


def shared_scores(reward: Scorer, batch: Batch, name: str, trainer: object) -> tuple[tuple[Score, ...], float, bool]:
    """Scores of a batch, computed for the first of the functions that ask; the last few batches are remembered.

    Args:
        reward: what scores.
        batch: what to score.
        name: of the function that asks.
        trainer: for whom it asks, ``None`` when unknown.

    Returns:
        The scores, the seconds it took, and whether this function is the one to log them: TRL's table of
        completions breaks when two functions fill the same column for one batch. A function that asks a second
        time asks for a later batch with the same content.
    """
    started = time.perf_counter()
    with _lock:
        entries = _entries.setdefault(reward, OrderedDict())
        entry = entries.pop(batch, None) or _Entry()
        entries[batch] = entry
        while len(entries) > _KEPT:
            entries.popitem(last=False)
    with entry.lock:
        if entry.scores is None:
            entry.scores = batch.score(reward)
        first = not entry.names or name in entry.names or entry.trainer != id(trainer)
        entry.names = {name} if first else entry.names | {name}
        entry.trainer = id(trainer)
    return entry.scores, time.perf_counter() - started, first
