"""Source `perspectrum`: contested claims with perspectives written by people (Chen et al. 2019, NAACL).

The folder holds the three files of https://github.com/CogComp/perspectrum as they are published. Perspectives that
annotators verified as the same in other words share a cluster; the stance is that of most annotators. A perspective's
provenance is the debate site it comes from, or ``paraphrase`` when people wrote it to say what another one says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overton.data.cells import text_value, worded_text
from overton.data.rows import OPPONENTS, SUPPORTERS, TableRow
from overton.errors import DataError
from overton.jsonio import read_json
from overton.types import Perspective, Situation

_CLAIMS, _POOL, _SPLIT = (
    "perspectrum_with_answers_v1.0.json",
    "perspective_pool_v1.0.json",
    "dataset_split_v1.0.json",
)
_STANCES = {"SUPPORT": ("+", SUPPORTERS), "UNDERMINE": ("-", OPPONENTS)}


def read_perspectrum(folder: Path, warnings: list[str]) -> list[TableRow]:
    """Claims with at least two perspectives, each with its official split.

    Args:
        folder: with the three JSON files.
        warnings: what was left out is appended.

    Raises:
        DataError: a file is missing or broken, or a claim points to a perspective that the pool lacks or
            that has no word.
    """
    pool = {row["pId"]: row for row in _rows(folder / _POOL, ("pId", "text"))}
    official = read_json(folder / _SPLIT)
    found, few, twice = [], 0, 0
    for claim in _rows(folder / _CLAIMS, ("cId", "text", "perspectives")):
        where = f"{folder / _CLAIMS}, claim {claim['cId']}"
        views: dict[str, Perspective] = {}
        for number, cluster in enumerate(claim["perspectives"]):
            stance, label = _STANCES.get(cluster.get("stance_label_3"), (None, "Others"))
            for name in cluster["pids"]:
                if name not in pool:
                    raise DataError(f"{where}: perspective {name} is not in {_POOL}")
                text = " ".join(worded_text(pool[name]["text"], "text", where).split())
                if text.casefold() in views:
                    twice += views[text.casefold()].cluster != str(number)
                    continue
                views[text.casefold()] = Perspective(
                    label, text, stance, str(number), str(pool[name].get("source") or "human")
                )
        references = {p.cluster: p for p in reversed(views.values())}
        if len(references) < 2:
            few += 1
            continue
        situation = Situation(
            f"perspectrum-{claim['cId']}",
            text_value(claim["text"], "text", where),
            tuple(reversed(references.values())),
            {"source": claim.get("source", ""), "topics": claim.get("topics", [])},
        )
        found.append(TableRow(situation, tuple(views.values()), split=str(official.get(str(claim["cId"]), ""))))
    if few:
        warnings.append(f"{few} claims have fewer than two perspectives and were left out")
    if twice:
        warnings.append(f"{twice} perspectives stand in two clusters of their claim; the first counts")
    return found


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = read_json(path)
    if not isinstance(rows, list) or not rows:
        raise DataError(f"{path}: a list of objects is wanted")
    for number, row in enumerate(rows, 1):
        for name in columns:
            if not isinstance(row, dict) or name not in row:
                raise DataError(f"{path}, entry {number}: `{name}` is missing")
    return rows
