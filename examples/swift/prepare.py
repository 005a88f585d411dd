"""Situations with their references as the rows that ms-swift trains on.

    python prepare.py SITUATIONS.jsonl TRAIN.jsonl

SITUATIONS.jsonl has one situation a row: {"id", "text", "perspectives": [{"label", "explanation"}, ...]}, as in
examples/situations.jsonl or in RUN/data/train.jsonl of any run of Overton.
"""

import json
import sys
from pathlib import Path

from overton.data import read_situations


def main(situations: str, target: str) -> None:
    rows = [
        {
            # What the model reads. It is the bare question: perspectives should come without being asked for.
            "messages": [{"role": "user", "content": situation.text}],
            # What the reward reads: every further column reaches it.
            "situation": situation.text,
            "references": [{"label": p.label, "explanation": p.explanation} for p in situation.perspectives],
        }
        for situation in read_situations(Path(situations))
    ]
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    print(f"{target}: {len(rows)} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
