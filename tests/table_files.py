"""Tables of a few situations, written as users have them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

HEADER = ["id", "situation", "label", "explanation", "cluster", "stance"]


def csv_file(folder: Path, rows: list[list[Any]], name: str = "table.csv", header: list[str] = HEADER) -> Path:
    path = folder / name
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t" if name.endswith("tsv") else ",").writerows([header, *rows])
    return path


def jsonl_file(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "table.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    return path


def views_of(name: str, text: str | None = None) -> list[list[str]]:
    text = text or f"Question {name}, is it right?"
    return [
        [name, text, "Trust", f"It breaks trust in {name}.", "t", "-"],
        [name, text, "Trust", f"Nobody could rely on {name} any more.", "t", "-"],
        [name, text, "Trust", f"It builds trust in {name}.", "u", "+"],
        [name, text, "Safety", f"It keeps {name} safe.", "", "+"],
    ]
