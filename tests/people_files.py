"""The published sets' file formats, with a few rows of our own."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

_VIEWS = ("saves lives of small children", "costs far too much public money", "harms birds and rivers most")
_FORMS = ("This", "Surely, it")


def write_argkp(folder: Path, splits: tuple[str, ...] = ("dev",)) -> Path:
    """Four topics a split with two sides; each argument is labelled with both key points of its side."""
    folder.mkdir()
    for split in splits:
        _write_split(folder, split)
    return folder


def _write_split(folder: Path, split: str) -> None:
    own = "" if split == "dev" else f"{split} "
    tables: dict[str, list[list[str]]] = {
        "arguments": [["arg_id", "argument", "topic", "stance"]],
        "key_points": [["key_point_id", "key_point", "topic", "stance"]],
        "labels": [["arg_id", "key_point_id", "label"]],
    }
    for number in range(4):
        topic = f"{own}topic {number}"
        for stance in ("1", "-1"):
            side = f"{number}_{stance}"
            for k in range(2):
                tables["key_points"].append([f"kp_{side}_{k}", f"{own}point {side} {k}", topic, stance])
            for a in range(4):
                tables["arguments"].append([f"arg_{side}_{a}", f"{own}argument {side} {a}", topic, stance])
                tables["labels"] += [[f"arg_{side}_{a}", f"kp_{side}_{k}", str(int(a % 2 == k))] for k in range(2)]
    for name, rows in tables.items():
        with open(folder / f"{name}_{split}.csv", "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(rows)


def write_perspectrum(folder: Path) -> Path:
    """Four claims of train and four of dev, three clusters of two texts each; a dev claim repeats a train text."""
    folder.mkdir()
    claims: list[dict[str, Any]] = []
    pool: list[dict[str, Any]] = []
    splits = {}
    for claim in range(8):
        clusters = []
        for cluster, stance in enumerate(("SUPPORT", "SUPPORT", "UNDERMINE")):
            pids = []
            for text in range(2):
                pids.append(len(pool))
                source = "paraphrase" if text else "procon"
                pool.append({"pId": len(pool), "text": f"{_FORMS[text]} {_VIEWS[cluster]} {claim}", "source": source})
            clusters.append({"pids": pids, "stance_label_3": stance})
        claims.append({"cId": claim, "text": f"claim {claim}", "perspectives": clusters})
        splits[str(claim)] = "dev" if 0 < claim < 5 else "train"
    claims[1]["perspectives"][0]["pids"].append(0)  # says what a train claim says
    for name, content in (
        ("perspectrum_with_answers", claims),
        ("perspective_pool", pool),
        ("dataset_split", splits),
    ):
        (folder / f"{name}_v1.0.json").write_text(json.dumps(content))
    return folder
