"""What docs/run-directory.md and docs/evaluation.md say of the rows in ``evaluation/``."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from overton.data.world.generate import make_world
from overton.evaluation.form import form_row
from overton.evaluation.nli import load_nli, nli_rows
from overton.evaluation.oracle import oracle_row
from overton.jsonio import write_jsonl
from overton.segment import format_answer
from overton.testing import tiny_nli
from overton.types import Answer

DOCS = Path(__file__).parents[2] / "docs"


def columns(text: str) -> set[str]:
    """Names in the first column of a section's table."""
    return {name for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}


def test_every_column_is_documented_and_ids_join(tmp_path: Path) -> None:
    page = (DOCS / "run-directory.md").read_text(encoding="utf-8").split("### Rows in pandas")[1].split("\n## ")[0]
    metrics = (DOCS / "evaluation.md").read_text(encoding="utf-8").split("## Metrics")[1].split("\n## ")[0]
    situation = make_world(5, 5, 5, seed=0).test[0]
    answer = Answer("007", situation.text, format_answer(situation.perspectives[:2], "Some."), "grpo")
    own = {"007": situation}
    rows = {
        "oracle": oracle_row(answer, situation),
        "nli": nli_rows(load_nli(str(tiny_nli(tmp_path / "nli"))), [answer], own)[0],
        "form": form_row(answer, situation),
    }
    known = columns(page) | columns(metrics)
    for name, row in rows.items():
        assert row.keys() - {"id"} <= known, name
        write_jsonl(tmp_path / "evaluation" / f"grpo.{name}.jsonl", [row])
    assert {name for name in columns(page) if not any(name in row for row in rows.values())} == set()
    write_jsonl(tmp_path / "generation" / "grpo.jsonl", [answer.to_json()])
    code = page.split("```python\n")[1].split("```")[0].replace("runs/quickstart", str(tmp_path))
    found: dict[str, pd.DataFrame] = {}
    exec(code, found)
    assert found["both"]["id"].tolist() == ["007"] and found["both"]["coverage"].between(0, 1).all()
