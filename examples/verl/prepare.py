"""Situations with their references as the parquet rows that verl trains on.

    python prepare.py SITUATIONS.jsonl TRAIN.parquet

SITUATIONS.jsonl has one situation a row: {"id", "text", "perspectives": [{"label", "explanation"}, ...]}, as in
examples/situations.jsonl or in RUN/data/train.jsonl of any run of Overton.
"""

import sys
from pathlib import Path

from datasets import Dataset

from overton.data import read_situations


def main(situations: str, target: str) -> None:
    rows = [
        {
            # What the model reads. It is the bare question: perspectives should come without being asked for.
            "prompt": [{"role": "user", "content": situation.text}],
            "data_source": "overton",  # a name for logs and validation metrics
            "ability": "pluralism",
            # What the reward reads; verl passes it neither the prompt nor any other column.
            "reward_model": {"style": "rule", "ground_truth": situation.id},
            "extra_info": {
                "situation": situation.text,
                "references": [{"label": p.label, "explanation": p.explanation} for p in situation.perspectives],
            },
        }
        for situation in read_situations(Path(situations))
    ]
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Dataset.from_list(rows).to_parquet(target)
    print(f"{target}: {len(rows)} rows")


if __name__ == "__main__":
    main(*sys.argv[1:])
