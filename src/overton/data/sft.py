"""Answers for fine-tuning, from situations that people wrote."""

from __future__ import annotations

import random
from collections.abc import Sequence

from overton.data.rows import TableRow
from overton.segment import format_answer

_SUMMARIES = (
    "Overall, {labels} all bear on this question.",
    "In short, this question touches on {labels}.",
    "Taken together, {labels} all matter here.",
)


def table_sft(rows: Sequence[TableRow], seed: int) -> list[dict[str, str]]:
    """Answers for fine-tuning: the table's own where they are in the template, else built from references."""
    rng = random.Random(f"{seed}/sft")
    found = []
    for row in rows:
        labels = list(dict.fromkeys(p.label for p in row.situation.perspectives))
        named = " and ".join(filter(None, [", ".join(labels[:-1]), labels[-1]]))
        summary = rng.choice(_SUMMARIES if len(labels) > 1 else _SUMMARIES[1:2]).format(labels=named)
        completion = row.completion or format_answer(row.situation.perspectives, summary)
        found.append({"id": row.situation.id, "prompt": row.situation.text, "completion": completion})
    return found
